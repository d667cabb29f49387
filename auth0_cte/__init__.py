"""Auth0 Custom Token Exchange (RFC 8693), synchronous first."""

__version__ = "0.1.0"
