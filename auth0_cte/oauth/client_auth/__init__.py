"""client_auth: to be described."""
