"""What the tenant has handed out: tokens and sessions."""
