"""Where runs take place, seen from the server."""
