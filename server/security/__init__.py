"""Who may talk to the server, decided in one place before any route: host, origin, token, body."""
