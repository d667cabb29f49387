"""The client's settings, and the checks of its arguments: every one at construction, with an error that says why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen

from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.error import ConfigurationError, CustomTokenExchangeError
from auth0_cte.exchange.defaults import ExchangeDefaults
from auth0_cte.exchange.options import sendable, validate
from auth0_cte.foundation.validation import MIN_SECRET_BYTES, check_number, is_asynchronous, text_fault
from auth0_cte.oauth.client_auth.base import ClientSecretPost, PublicClient
from auth0_cte.oauth.client_auth.mutual_tls import MutualTls
from auth0_cte.oauth.client_auth.private_key_jwt import PrivateKeyJwt
from auth0_cte.oauth.domain import issuer_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from ipaddress import IPv4Network, IPv6Network

    from auth0_cte.auth_types import DefaultParams, DomainResolver, Reexchange, SessionClaims
    from auth0_cte.exchange.cache import ExchangeCacheBackend
    from auth0_cte.oauth.client_auth.base import ClientAuth
    from auth0_cte.oauth.client_auth.private_key_jwt import AssertionKey
    from auth0_cte.oauth.dpop import DPoPKey
    from auth0_cte.oauth.events import EventHook
    from auth0_cte.oauth.rate_limit.limiter import RateLimit
    from auth0_cte.oauth.retry import RetryPolicy
    from auth0_cte.session.settings import SessionSettings
    from auth0_cte.session.stores.contract import StateStore
    from auth0_cte.transport.client import InjectedSession

__all__ = [
    "ClientSettings",
    "check_algorithms",
    "check_ca_bundle",
    "check_certificate",
    "check_client_auth",
    "check_client_id",
    "check_defaults",
    "check_domain",
    "check_dpop",
    "check_leeway",
    "check_rate_limit",
    "check_session_claims",
    "options_from_names",
]

MAX_LEEWAY: Final = 300.0
CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
KNOWN_ALGORITHMS: Final = frozenset({"RS256", "PS256", "ES256", "HS256"})


@frozen(kw_only=True, eq=False)
class ClientSettings:
    """What a client was constructed with, checked: `ServerClient` documents each argument. Secrets are not shown.

    Args:
        domain: The issuer URL, or the function that names the domain for a request.
        client_id: The application.
        client_secret: The application's secret, or None.
        secrets: The secrets of the sessions, the newest first; may be empty.
        client_auth: How the application authenticates.
        organization: The organization of every exchange that names none, or None.
        authorization_params: Parameters of every exchange.
        id_token_algorithms: The signature algorithms accepted of ID tokens.
        leeway: How far clocks may differ, in seconds.
        timeout: The total deadline of a call, in seconds.
        connect_timeout: Seconds to connect, TLS included.
        read_timeout: Seconds to wait for each part of a reply.
        pool_size: Connections opened at most.
        ca_bundle: The file or directory of trusted CA certificates; None for the default ones.
        ssl_context: The context that was given, or None.
        session: The `requests.Session` that was given, or None.
        state_store: Where sessions are kept; None for cookies.
        state_identifier: The name of the session cookies, where ``session_settings`` is None.
        session_settings: How long sessions last, and the attributes of the cookies; None for the defaults.
        session_claims: Which claims of ID tokens enter sessions; None for all.
        reexchange: What is exchanged for a delegated session when its access token has expired, or None.
        retry: What is tried again.
        rate_limit: The rate limit of exchanges, or None.
        on_event: What is called with each event, or None.
        dpop: The key that access tokens are bound to, with the client's clock, or None.
        exchange_cache: Where exchanged tokens are kept to be used again, or None.
        trusted_proxies: The networks of the proxies in front of the application.
        telemetry: Whether requests name this library.
        clock: The time in Unix seconds.
    """

    domain: str | DomainResolver
    client_id: str
    client_secret: str | None = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    client_auth: ClientAuth = field(repr=False)
    organization: str | None
    authorization_params: DefaultParams = field(repr=False)
    id_token_algorithms: tuple[str, ...]
    leeway: float
    timeout: float
    connect_timeout: float
    read_timeout: float
    pool_size: int
    ca_bundle: str | None
    ssl_context: ssl.SSLContext | None = field(repr=False)
    session: InjectedSession | None = field(repr=False)
    state_store: StateStore | None = field(repr=False)
    state_identifier: str
    session_settings: SessionSettings | None
    session_claims: SessionClaims | None
    reexchange: Reexchange | None = field(repr=False)
    retry: RetryPolicy
    rate_limit: RateLimit | None
    on_event: EventHook | None = field(repr=False)
    dpop: DPoPKey | None
    exchange_cache: ExchangeCacheBackend | None = field(repr=False)
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    telemetry: bool
    clock: Callable[[], float] = field(repr=False)


def check_domain(domain: str | DomainResolver) -> str | DomainResolver:
    """Normalize a fixed domain to its issuer URL, and let a resolver be, unless it is asynchronous."""
    if not callable(domain):
        return issuer_url(domain)
    if is_asynchronous(domain):
        raise ConfigurationError("the domain resolver is asynchronous; give a plain function")
    return domain


def check_client_id(client_id: str) -> str:
    """Refuse what no client id can be."""
    if text_fault(client_id, ascii_only=True) is not None:
        raise ConfigurationError("client_id must be printable ASCII text; copy it from the application's settings")
    return client_id


def check_client_auth(
    client_auth: ClientAuth | None,
    client_secret: str | None,
    assertion: tuple[AssertionKey | None, str | None],
    clock: Callable[[], float],
) -> ClientAuth:
    """Choose the one way to authenticate; ``client_auth`` wins over the short forms.

    HS256 ID tokens need the secret even when the client authenticates otherwise, so both may be given.
    """
    if client_auth is None:
        client_auth = _client_auth(client_secret, *assertion)
    elif isinstance(client_auth, PublicClient) and assertion != (None, None):
        raise ConfigurationError("client_assertion_signing_key or _alg is given, but PublicClient() signs nothing")
    elif not callable(getattr(client_auth, "apply", None)) or isinstance(client_auth, type):
        raise ConfigurationError("client_auth must be a client authentication method such as PrivateKeyJwt(...)")
    return client_auth.with_clock(clock) if isinstance(client_auth, PrivateKeyJwt) else client_auth


def _client_auth(client_secret: str | None, key: AssertionKey | None, alg: str | None) -> ClientAuth:
    if key is None and alg is not None:
        raise ConfigurationError("client_assertion_signing_alg is given without client_assertion_signing_key")
    if key is not None and client_secret is not None:
        raise ConfigurationError(
            "client_secret and client_assertion_signing_key contradict each other: give one of them, or client_auth"
        )
    if key is not None:
        return PrivateKeyJwt(key, alg)
    if client_secret is None:
        raise ConfigurationError(
            "no client authentication: give client_secret, client_assertion_signing_key, or client_auth (PublicClient()"
            " for an application without)"
        )
    return ClientSecretPost(client_secret)


def check_certificate(
    client_auth: ClientAuth | None, ssl_context: ssl.SSLContext | None, session: object
) -> Callable[[ssl.SSLContext], None] | None:
    """Find out who presents the client certificate: what loads it into a context of ours, or None."""
    if not isinstance(client_auth, MutualTls):
        return None
    theirs = "ssl_context" if ssl_context is not None else "session" if session is not None else None
    if client_auth.certificate is None and theirs is None:
        raise ConfigurationError("MutualTls() without certificate is for an ssl_context or session that has one")
    if client_auth.certificate is not None and theirs is not None:
        how = "ssl_context.load_cert_chain(...)" if ssl_context is not None else "session.cert = (certificate, key)"
        raise ConfigurationError(
            f"the client was given its {theirs}, which would not present this certificate: use {how} and MutualTls()"
        )
    return None if theirs is not None else client_auth.load_into


def check_leeway(leeway: float) -> float:
    """Refuse a tolerance for clocks below zero or above five minutes."""
    return check_number("leeway", leeway, at_least=0, at_most=MAX_LEEWAY, unit="seconds")


def check_rate_limit(limit: RateLimit | str | None) -> RateLimit | None:
    """Make a limit of its short form, ``"4/s"``."""
    if limit is None:
        return None
    from auth0_cte.oauth.rate_limit.limiter import RateLimit

    if isinstance(limit, str):
        return RateLimit(limit)
    if not isinstance(limit, RateLimit):
        raise ConfigurationError('rate_limit must be a RateLimit or a string such as "4/s"')
    return limit


def check_dpop(dpop: DPoPKey | str | Mapping[str, Any] | None, clock: Callable[[], float]) -> DPoPKey | None:
    """Make a key of its PEM or JWK, and give it the client's clock."""
    if dpop is None:
        return None
    # Here and not above, because it brings jwcrypto.
    from auth0_cte.oauth.dpop import DPoPKey

    key = dpop if isinstance(dpop, DPoPKey) else DPoPKey(dpop)
    return key.with_clock(clock)


def check_session_claims(chosen: SessionClaims | None) -> SessionClaims | None:
    """Refuse what cannot choose claims: a single name, for example."""
    if chosen is not None:
        from auth0_cte.session.claims import ClaimsChoice  # late, because it brings jwcrypto

        ClaimsChoice(chosen)
    return chosen


def check_algorithms(algorithms: Sequence[str], client_secret: str | None) -> tuple[str, ...]:
    """Refuse signature algorithms that no Auth0 tenant uses, ``none`` first of all, and HS256 without its key."""
    chosen = (algorithms,) if isinstance(algorithms, str) else algorithms
    if not isinstance(chosen, Sequence) or not chosen or not set(chosen) <= KNOWN_ALGORITHMS:
        raise ConfigurationError(f"id_token_algorithms must be some of {', '.join(sorted(KNOWN_ALGORITHMS))}")
    if "HS256" in chosen and len((client_secret or "").encode()) < MIN_SECRET_BYTES:
        raise ConfigurationError("HS256 ID tokens are verified with client_secret, which is missing or short")
    return tuple(chosen)


def check_defaults(organization: str | None, params: Mapping[str, Any] | None) -> ExchangeDefaults | None:
    """Check the defaults of every exchange by the rules of an exchange; None when there are none."""
    if params is not None and not isinstance(params, Mapping):
        raise ConfigurationError(
            'authorization_params must be a mapping such as {"audience": "https://api.example.com"}'
        )
    if organization is None and not params:
        return None
    trial = CustomTokenExchangeOptions(subject_token="x", subject_token_type="urn:auth0-cte:trial")
    try:
        defaults = ExchangeDefaults.of(organization, params)
        validate(trial, CustomTokenExchangeOptions, defaults)
    except CustomTokenExchangeError as error:
        raise ConfigurationError(f"a default is not valid: {error.message}") from None
    return evolve(defaults, authorization_params=sendable(defaults.authorization_params))


def check_ca_bundle(ca_bundle: str | os.PathLike[str] | None) -> str | None:
    """Find the trusted CAs: the argument, or what the environment names; None for certifi's.

    ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE`` are read as `requests` reads them; ``SSL_CERT_FILE``, which OpenSSL,
    httpx and so auth0-server-python read, comes after them.
    """
    if isinstance(ca_bundle, bool):
        raise ConfigurationError("TLS verification cannot be switched off; ca_bundle is a file of CA certificates")
    if ca_bundle is not None and not isinstance(ca_bundle, str | os.PathLike):
        raise ConfigurationError("ca_bundle must be the path of a file or directory of CA certificates")
    given = {"ca_bundle": ca_bundle} | {name: os.environ.get(name) for name in CA_VARIABLES}
    name, place = next(((name, value) for name, value in given.items() if value), ("", None))
    if place is not None and not Path(place).exists():
        raise ConfigurationError(f"{name} names {os.fspath(place)!r}, which does not exist")
    return None if place is None else os.fspath(place)


def options_from_names(
    options: Mapping[str, Any], source: Mapping[str, Any], *, has_sessions: bool = False
) -> dict[str, Any]:
    """Complete constructor arguments from settings with the ``AUTH0_*`` names.

    Args:
        options: Arguments that are given, and win.
        source: Where the names are looked up: the environment, or a framework's settings.
        has_sessions: Whether the client is for sessions, which need a secret.

    Raises:
        ConfigurationError: Some are missing; the message lists all.
    """
    names = {"domain": "AUTH0_DOMAIN", "client_id": "AUTH0_CLIENT_ID", "client_secret": "AUTH0_CLIENT_SECRET"}
    optional = {
        "secret": "AUTH0_SECRET",
        "organization": "AUTH0_ORGANIZATION",
        "dpop": "AUTH0_DPOP_PRIVATE_KEY",
        "client_assertion_signing_key": "AUTH0_CLIENT_ASSERTION_SIGNING_KEY",
        "client_assertion_signing_alg": "AUTH0_CLIENT_ASSERTION_SIGNING_ALG",
    }
    named = {name: source[key] for name, key in (names | optional).items() if source.get(key)}
    found = {name: value for name, value in named.items() if name not in _superseded(options)} | dict(options)
    otherwise = found.get("client_auth") is not None or found.get("client_assertion_signing_key") is not None
    required = names | {"secret": optional["secret"]} if has_sessions else names
    missing = [
        key for name, key in required.items() if name not in found and not (name == "client_secret" and otherwise)
    ]
    if missing:
        raise ConfigurationError(f"missing settings: {', '.join(missing)}")
    if "session_settings" not in found:
        found |= _session_settings_from_names(source)
    params = {name: source.get(f"AUTH0_{name.upper()}") for name in ("audience", "scope")}
    given = {name: value for name, value in params.items() if value}
    if given:
        found["authorization_params"] = {**given, **(options.get("authorization_params") or {})}
    return found


def _superseded(options: Mapping[str, Any]) -> set[str]:
    """Name the settings that say otherwise than an argument how the client authenticates."""
    given = {name for name, value in options.items() if value is not None}
    otherwise = {"client_secret"} if "client_assertion_signing_key" in given else set[str]()
    if given & {"client_auth", "client_secret"}:
        otherwise |= {"client_assertion_signing_key", "client_assertion_signing_alg"}
    return otherwise


def _session_settings_from_names(source: Mapping[str, Any]) -> dict[str, Any]:
    names = ("domain", "path", "secure", "same_site")
    values = {name: source.get(f"AUTH0_COOKIE_{name.upper()}") for name in names}
    given: dict[str, Any] = {name: value for name, value in values.items() if value not in (None, "")}
    if "secure" in given:
        if str(given["secure"]).lower() not in ("true", "false"):
            raise ConfigurationError("AUTH0_COOKIE_SECURE must be true or false")
        given["secure"] = str(given["secure"]).lower() == "true"
    if not given:
        return {}
    from auth0_cte.session.settings import CookieSettings, SessionSettings

    return {"session_settings": SessionSettings(cookie=CookieSettings(**given))}
