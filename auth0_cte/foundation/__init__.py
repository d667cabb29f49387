"""What knows nothing of OAuth: concurrency, deadlines, URLs, strict JSON, checks of values."""
