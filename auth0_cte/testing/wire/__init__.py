"""How requests reach the tenant: sockets, requests sessions, scripted faults."""
