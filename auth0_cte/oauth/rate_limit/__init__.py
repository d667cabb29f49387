"""rate_limit: to be described."""
