"""The public name of `auth0_cte.session.stores.redis`."""

from auth0_cte.session.stores.redis import *  # noqa: F403
from auth0_cte.session.stores.redis import __all__ as __all__
