"""The public name of what keeps sessions in SQL databases."""

from auth0_cte.session.stores.sql import SQLStateStore
from auth0_cte.session.stores.sql_rotations import SQLRotations

__all__ = ["SQLRotations", "SQLStateStore"]
