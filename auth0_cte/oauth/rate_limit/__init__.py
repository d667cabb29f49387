"""The limit on exchanges that the client keeps by itself."""
