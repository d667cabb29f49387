"""The playground: one page over a tenant, rendered on the server."""
