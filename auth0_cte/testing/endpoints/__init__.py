"""What the tenant answers: one module an endpoint or grant."""
