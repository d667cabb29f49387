"""What an authorization server is asked and answers: endpoints, keys, tokens, client authentication."""
