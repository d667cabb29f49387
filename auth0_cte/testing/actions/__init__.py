"""What user code runs in: the event and the api of Actions."""
