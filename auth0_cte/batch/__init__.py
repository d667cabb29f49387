"""Many exchanges, each at most once: what ``auth0-cte batch`` and Celery workers migrate users with."""
