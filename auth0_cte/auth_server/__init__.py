"""Speaking to the authorization server."""
