"""How the application authenticates to the token endpoint."""
