"""The public name of what keeps sessions in Redis."""

from auth0_cte.foundation.redis_client import client_from_url
from auth0_cte.session.stores.redis import RedisStateStore
from auth0_cte.session.stores.redis_rotations import RedisRotations

__all__ = ["RedisRotations", "RedisStateStore", "client_from_url"]
