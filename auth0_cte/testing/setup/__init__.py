"""What is registered with a tenant before it is used; `LocalTenant` has the same methods."""
