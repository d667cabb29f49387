"""stores: to be described."""
