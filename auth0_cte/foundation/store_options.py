"""``store_options``: what callers pass for the request at hand, or refuse where it is something else."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from auth0_cte.error import ConfigurationError

__all__ = ["check_store_options", "is_changeable", "is_request", "kind_of", "unproxied"]


def check_store_options(store_options: Mapping[str, Any] | None) -> None:
    """Refuse what is not a dict: a request in its place, for example.

    Raises:
        ConfigurationError: It is something else, or holds what can be neither a carrier nor a dict of cookies.
    """
    # A request of Starlette is a mapping, too.
    if store_options is not None and (not isinstance(store_options, Mapping) or is_request(store_options)):
        raise ConfigurationError(
            f"store_options must be a dict, not a {kind_of(store_options)}: "
            'store_options={"request": request, "response": response}'
        )
    cookies, carrier = (store_options or {}).get("cookies"), (store_options or {}).get("carrier")
    if cookies is not None and not isinstance(cookies, Mapping):
        raise ConfigurationError(f'store_options["cookies"] must be a dict of cookies, not a {kind_of(cookies)}')
    if carrier is not None and not callable(getattr(carrier, "set_cookie", None)):
        raise ConfigurationError(f'store_options["carrier"] must be a carrier of cookies, not a {kind_of(carrier)}')


def is_changeable(cookies: Mapping[str, str]) -> bool:
    """Tell whether cookies can be put into a mapping: Werkzeug's of a request raise `TypeError`."""
    if not isinstance(cookies, MutableMapping):
        return False
    try:
        cookies.update({})
    except TypeError:
        return False
    return True


def unproxied(value: Any) -> Any:
    """Return what stands behind a proxy of Werkzeug's, as Flask's request is one."""
    return value._get_current_object() if hasattr(value, "_get_current_object") else value  # noqa: SLF001 - Werkzeug's


def is_request(value: Any) -> bool:
    """Tell whether a value is a request of one of the frameworks: it has cookies and cannot set any."""
    return (hasattr(value, "COOKIES") or hasattr(value, "cookies")) and not hasattr(value, "set_cookie")


def kind_of(value: object) -> str:
    """Return the name of a value's class, for messages."""
    return type(unproxied(value)).__name__
