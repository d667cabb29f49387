"""Filling a tenant from a seed file, and returning to it."""
