"""endpoints: to be described."""
