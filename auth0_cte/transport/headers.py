"""What the library tells about itself: a User-Agent, and the ``Auth0-Client`` header of all Auth0 SDKs."""

from __future__ import annotations

import base64
import json
import platform
from functools import lru_cache

from auth0_cte._version import __version__

__all__ = ["common_headers"]


@lru_cache(maxsize=2)
def _headers(telemetry: bool) -> dict[str, str]:
    headers = {
        # Auth0 answers 403 to requests without one.
        "User-Agent": f"auth0-cte/{__version__}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    if telemetry:
        client = {"name": "auth0-cte", "version": __version__, "env": {"python": platform.python_version()}}
        headers["Auth0-Client"] = base64.b64encode(json.dumps(client).encode()).decode("ascii")
    return headers


def common_headers(*, telemetry: bool) -> dict[str, str]:
    """Return the headers of every request.

    Args:
        telemetry: Whether to send ``Auth0-Client``: name and version of this library and of Python, nothing else.
    """
    return dict(_headers(telemetry))
