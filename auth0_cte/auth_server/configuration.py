"""Checks of the client's own arguments: every one at construction, each with an error that says what to give."""

from __future__ import annotations

import logging
import math
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from auth0_cte.auth_server.client_auth import ClientSecretPost
from auth0_cte.auth_server.domain import issuer_url
from auth0_cte.auth_server.option_rules import ExchangeDefaults, validate
from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.error import ConfigurationError, CustomTokenExchangeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auth0_cte.auth_server.client_auth import ClientAuth
    from auth0_cte.auth_types import DomainResolver

__all__ = [
    "check_algorithms",
    "check_ca_bundle",
    "check_client_auth",
    "check_client_id",
    "check_defaults",
    "check_domain",
    "check_leeway",
    "check_positive",
    "check_secrets",
    "check_ssl_context",
    "options_from_names",
]

logger: Final = logging.getLogger("auth0_cte")

MIN_SECRET_BYTES: Final = 32
MAX_LEEWAY: Final = 300.0
KNOWN_ALGORITHMS: Final = frozenset({"RS256", "PS256", "ES256", "HS256"})

Number = TypeVar("Number", int, float)


def check_domain(domain: str | DomainResolver) -> str | DomainResolver:
    """Normalize a fixed domain to its issuer URL, and let a resolver be."""
    return domain if callable(domain) else issuer_url(domain)


def check_client_id(client_id: str) -> str:
    """Refuse what no client id can be."""
    if not isinstance(client_id, str) or not client_id.strip() or not (client_id.isascii() and client_id.isprintable()):
        raise ConfigurationError("client_id is no printable text; copy it from the application's settings")
    return client_id


def check_client_auth(client_auth: ClientAuth | None, client_secret: str | None) -> ClientAuth:
    """Choose the one way to authenticate.

    HS256 ID tokens need the secret even when the client authenticates otherwise, so both may be given.
    """
    if client_auth is not None:
        return client_auth
    if client_secret is None:
        raise ConfigurationError(
            "no client authentication: give client_secret, or client_auth (PublicClient() for an application without)"
        )
    return ClientSecretPost(client_secret)


def check_secrets(secret: str | Sequence[str] | None) -> tuple[str, ...]:
    """Make a tuple of one or several session secrets; a short one is a warning."""
    secrets = () if secret is None else (secret,) if isinstance(secret, str) else tuple(secret)
    for each in secrets:
        if not isinstance(each, str) or not each:
            raise ConfigurationError("secret is no text, or empty; generate one with: openssl rand -hex 32")
        if len(each.encode()) < MIN_SECRET_BYTES:
            logger.warning("secret is shorter than %d bytes; generate one with: openssl rand -hex 32", MIN_SECRET_BYTES)
    return secrets


def check_positive(name: str, value: Number) -> Number:
    """Refuse what is no number above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigurationError(f"{name} is no number above zero")
    return value


def check_leeway(leeway: float) -> float:
    """Refuse a tolerance for clocks below zero or above five minutes."""
    if isinstance(leeway, bool) or not isinstance(leeway, int | float) or not 0 <= leeway <= MAX_LEEWAY:
        raise ConfigurationError(f"leeway is no number of seconds from 0 to {MAX_LEEWAY:.0f}")
    return leeway


def check_algorithms(algorithms: Sequence[str], client_secret: str | None) -> tuple[str, ...]:
    """Refuse signature algorithms that no Auth0 tenant uses, ``none`` first of all, and HS256 without its key."""
    chosen = (algorithms,) if isinstance(algorithms, str) else tuple(algorithms)
    if not chosen or not set(chosen) <= KNOWN_ALGORITHMS:
        raise ConfigurationError(f"id_token_algorithms must be some of {', '.join(sorted(KNOWN_ALGORITHMS))}")
    if "HS256" in chosen and len((client_secret or "").encode()) < MIN_SECRET_BYTES:
        raise ConfigurationError("HS256 ID tokens are verified with client_secret, which is missing or short")
    return chosen


def check_defaults(organization: str | None, params: Mapping[str, Any] | None) -> ExchangeDefaults | None:
    """Check the defaults of every exchange by the rules of an exchange; None when there are none."""
    if organization is None and not params:
        return None
    defaults = ExchangeDefaults(organization=organization, authorization_params=dict(params or {}))
    trial = CustomTokenExchangeOptions(subject_token="x", subject_token_type="urn:auth0-cte:trial")
    try:
        validate(trial, CustomTokenExchangeOptions, defaults)
    except CustomTokenExchangeError as error:
        raise ConfigurationError(f"a default does not serve: {error.message}") from None
    return defaults


def check_ca_bundle(ca_bundle: str | os.PathLike[str] | None) -> str | None:
    """Find the trusted CAs: the argument, or what the environment names for requests and curl; None for certifi's."""
    if isinstance(ca_bundle, bool):
        raise ConfigurationError("TLS verification cannot be switched off; ca_bundle is a file of CA certificates")
    name = ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not name:
        return None
    if not Path(name).exists():
        raise ConfigurationError(f"ca_bundle: there is no {os.fspath(name)!r}")
    return os.fspath(name)


def check_ssl_context(context: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """Refuse a context that does not verify."""
    if context is not None and (context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname):
        raise ConfigurationError("ssl_context must verify certificates and host names (ssl.create_default_context())")
    return context


def options_from_names(options: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """Complete constructor arguments from settings with the ``AUTH0_*`` names.

    Args:
        options: Arguments that are given, and win.
        source: Where the names are looked up: the environment, or a framework's settings.

    Raises:
        ConfigurationError: Some are missing; the message lists all.
    """
    names = {"domain": "AUTH0_DOMAIN", "client_id": "AUTH0_CLIENT_ID", "client_secret": "AUTH0_CLIENT_SECRET"}
    optional = {"secret": "AUTH0_SECRET", "organization": "AUTH0_ORGANIZATION"}
    found = {name: source[key] for name, key in (names | optional).items() if source.get(key)} | dict(options)
    required = set(names) - ({"client_secret"} if options.get("client_auth") is not None else set())
    missing = [key for name, key in names.items() if name in required and name not in found]
    if missing:
        raise ConfigurationError(f"missing settings: {', '.join(missing)}")
    if "session_settings" not in found:
        found |= _session_settings_from_names(source)
    params = {name: source.get(f"AUTH0_{name.upper()}") for name in ("audience", "scope")}
    given = {name: value for name, value in params.items() if value}
    if given:
        found["authorization_params"] = {**given, **(options.get("authorization_params") or {})}
    return found


def _session_settings_from_names(source: Mapping[str, Any]) -> dict[str, Any]:
    names = ("domain", "path", "secure", "same_site")
    values = {name: source.get(f"AUTH0_COOKIE_{name.upper()}") for name in names}
    given: dict[str, Any] = {name: value for name, value in values.items() if value not in (None, "")}
    if "secure" in given:
        if str(given["secure"]).lower() not in ("true", "false"):
            raise ConfigurationError("AUTH0_COOKIE_SECURE must be true or false")
        given["secure"] = str(given["secure"]).lower() == "true"
    if "same_site" in given:
        given["same_site"] = str(given["same_site"]).capitalize()
    if not given:
        return {}
    from auth0_cte.session.settings import CookieSettings, SessionSettings

    return {"session_settings": SessionSettings(cookie=CookieSettings(**given))}
