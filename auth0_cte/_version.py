"""The version, which the package's metadata, its User-Agent and `auth0_cte.__version__` share."""

from __future__ import annotations

__all__ = ["__version__"]

__version__: str = "0.1.0"
