"""What is configured at the tenant: users, applications, organizations, APIs, keys."""
