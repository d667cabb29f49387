"""What all commands share: settings, tokens in, words out, exit codes."""
