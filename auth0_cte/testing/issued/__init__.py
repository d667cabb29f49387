"""issued: to be described."""
