"""What a token or a session cookie holds, and what this library makes of it."""
