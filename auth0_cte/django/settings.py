"""What the project's settings say, as arguments of `ServerClient`; every fault of theirs, to be listed at once.

``AUTH0_CTE`` is a dict of arguments; settings and environment variables with the ``AUTH0_*`` names complete it.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings

from auth0_cte.auth_server import pieces
from auth0_cte.auth_server import settings as check
from auth0_cte.auth_server.server_client import ServerClient
from auth0_cte.django.construct import is_spec, load, make, make_store
from auth0_cte.error import Auth0CTEError, ConfigurationError
from auth0_cte.foundation.validation import check_positive, check_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from auth0_cte.foundation.untyped import Untyped as ImproperlyConfigured
else:
    from django.core.exceptions import ImproperlyConfigured

__all__ = [
    "SettingsError",
    "client_options",
    "creates_users",
    "find_faults",
    "given_client",
    "given_options",
    "name_claims",
    "names",
    "source_of",
]

OWN_KEYS: Final = frozenset({"client", "create_users", "name_claims"})
"""What ``AUTH0_CTE`` may hold beside the arguments of `ServerClient`."""
NAME_CLAIMS: Final = ("name", "nickname", "email")
"""What ``AUTH0_CTE["name_claims"]`` is when it is not given."""
MADE_KEYS: Final = ("client", "state_store", "exchange_cache", "rate_limit")
"""May be objects, what makes them, the dotted path of either, or dicts: see `make`."""
NAMED: Final = ("domain", "client_id", "client_secret", "secret", "organization")
COOKIE_NAMES: Final = tuple(f"AUTH0_COOKIE_{name}" for name in ("DOMAIN", "PATH", "SECURE", "SAME_SITE"))

_ARGUMENTS: Final = frozenset(inspect.signature(ServerClient).parameters)
_CHECKS: Final[Mapping[str, Callable[[Any], object]]] = {
    "domain": check.check_domain,
    "client_id": check.check_client_id,
    "secret": check_secrets,
    "leeway": check.check_leeway,
    "rate_limit": check.check_rate_limit,
    "exchange_cache": pieces.check_exchange_cache,
    "ca_bundle": check.check_ca_bundle,
    "ssl_context": pieces.check_ssl_context,
    "pool_size": pieces.check_pool_size,
    **{name: partial(check_positive, name) for name in ("timeout", "connect_timeout", "read_timeout")},
}


class SettingsError(ConfigurationError, ImproperlyConfigured):
    """The project's settings cannot work; Django's own `ImproperlyConfigured`, too."""


def given_options() -> dict[str, Any]:
    """Return ``AUTH0_CTE``.

    Raises:
        ConfigurationError: It is something else than a dict.
    """
    given = getattr(settings, "AUTH0_CTE", {})
    if not isinstance(given, Mapping):
        raise ConfigurationError('AUTH0_CTE must be a dict such as {"domain": …, "client_id": …, …}')
    return dict(given)


def names() -> dict[str, Any]:
    """Return what has an ``AUTH0_*`` name: environment variables, and the settings, which win."""
    found = {name: value for name, value in os.environ.items() if name.startswith("AUTH0_")}
    return found | _settings()


def _settings() -> dict[str, Any]:
    return {name: getattr(settings, name) for name in dir(settings) if name.startswith("AUTH0_")}


def source_of(name: str) -> str | None:
    """Tell where an ``AUTH0_*`` name was found: ``settings`` or ``environment``."""
    return "settings" if name in _settings() else "environment" if name in os.environ else None


def creates_users() -> bool:
    """Tell whether `Auth0Backend` may create users: ``AUTH0_CTE["create_users"]``, True unless it is given."""
    return given_options().get("create_users", True) is True


def name_claims() -> Sequence[str]:
    """Return which claims `Auth0Backend` takes a readable name from, the first choice first."""
    claims: Sequence[str] = given_options().get("name_claims", NAME_CLAIMS)
    return claims


def given_client() -> Any:
    """Return the client that ``AUTH0_CTE["client"]`` stands for, or None."""
    client = given_options().get("client")
    if client is None:
        return None
    made = make(_key("client"), client)
    if not isinstance(getattr(made, "sync", made), ServerClient):
        raise ConfigurationError(f"{_key('client')} must be a ServerClient, or what makes one")
    return made


def client_options() -> dict[str, Any]:
    """Return the arguments of the client.

    Raises:
        ConfigurationError: Settings are missing, unknown or cannot be loaded.
    """
    given = {name: value for name, value in given_options().items() if name not in OWN_KEYS}
    for fault in _unknown(given):
        raise ConfigurationError(fault)
    if given.get("state_store") is not None:
        given["state_store"] = make_store(_key("state_store"), given["state_store"])
    for name in ("exchange_cache", "rate_limit"):
        if is_spec(name, given.get(name)):
            given[name] = make(_key(name), given[name])
    return check.options_from_names(given, names())


def _unknown(given: Mapping[str, Any]) -> list[str]:
    unknown = sorted(str(name) for name in given if name not in _ARGUMENTS | OWN_KEYS)
    return [f"AUTH0_CTE has keys that are not arguments of ServerClient: {', '.join(unknown)}"] if unknown else []


def _key(name: str) -> str:
    return f'AUTH0_CTE["{name}"]'


def find_faults() -> list[str]:
    """Return a sentence for each fault of the settings that can be told without making the client."""
    try:
        given = given_options()
    except ConfigurationError as error:
        return [error.message]
    faults = [*_unknown(given), *_contradictions(given)]
    for name in MADE_KEYS:
        if is_spec(name, given.get(name)):
            faults += _fault_of(partial(load, _key(name), given[name]))
    if given.get("client") is None:
        faults += _option_faults(given)
    return faults


def _contradictions(given: Mapping[str, Any]) -> Iterator[str]:
    set_ = _settings()
    beside = sorted(name for name in given if name in _ARGUMENTS)
    if given.get("client") is not None and beside:
        yield f'AUTH0_CTE has a ready "client", beside which these say nothing: {", ".join(beside)}'
    for name in NAMED:
        other = set_.get(f"AUTH0_{name.upper()}")
        if name in given and other and other != given[name]:
            yield f'AUTH0_CTE["{name}"] and AUTH0_{name.upper()} are both set, and differ'
    cookies = sorted(set(COOKIE_NAMES) & set(set_))
    if given.get("session_settings") is not None and cookies:
        yield f'AUTH0_CTE["session_settings"] is given, beside which these say nothing: {", ".join(cookies)}'
    if not isinstance(given.get("create_users", True), bool):
        yield 'AUTH0_CTE["create_users"] must be True or False'
    claims = given.get("name_claims", NAME_CLAIMS)
    if not isinstance(claims, list | tuple) or not all(isinstance(each, str) for each in claims):
        yield 'AUTH0_CTE["name_claims"] must be a list of names such as ["nickname", "name"]'


def _option_faults(given: Mapping[str, Any]) -> list[str]:
    source = names()
    arguments = {name: value for name, value in given.items() if name in _ARGUMENTS}
    named = {name: source.get(f"AUTH0_{name.upper()}") for name in NAMED}
    found = {name: value for name, value in named.items() if value} | arguments
    faults = _fault_of(lambda: check.options_from_names(arguments, source))
    for name, rule in _CHECKS.items():
        if found.get(name) is not None and not (name in MADE_KEYS and is_spec(name, found[name])):
            faults += _fault_of(partial(rule, found[name]))
    algorithms = found.get("id_token_algorithms", ("RS256",))
    faults += _fault_of(lambda: check.check_algorithms(algorithms, found.get("client_secret")))
    params = found.get("authorization_params")
    return faults + _fault_of(lambda: check.check_defaults(found.get("organization"), params))


def _fault_of(rule: Callable[[], object]) -> list[str]:
    try:
        rule()
    except Auth0CTEError as error:
        return [error.message]
    except TypeError as error:
        return [getattr(error, "message", str(error))]
    return []
