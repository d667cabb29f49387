"""Where sessions are kept: in cookies, in memory, in Redis, in SQL databases."""
