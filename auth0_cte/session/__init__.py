"""Keeping a user logged in."""
