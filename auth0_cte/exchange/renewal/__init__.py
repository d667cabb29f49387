"""What the sessions of users go on by: refreshed tokens, exchanges run again, and tokens of other providers."""
