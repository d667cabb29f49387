"""The grants of the token endpoint: one module a grant, and what they share."""
