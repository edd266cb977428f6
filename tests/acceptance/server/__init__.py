"""The server as people start and stop it."""
