"""The public name of `auth0_cte.session.stores.sql`."""

from auth0_cte.session.stores.sql import *  # noqa: F403
from auth0_cte.session.stores.sql import __all__ as __all__
