"""Whether a client's settings work: checks that `auth0-cte doctor` and `manage.py auth0_cte_check` share.

Each check is told in a line: what was found, and what to do about it. The credentials are tried by an exchange that no
Action sees, because its token type is registered nowhere; no subject token is spent.
"""

from __future__ import annotations

import secrets
import socket
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.request import getproxies, proxy_bypass

from attrs import frozen

from auth0_cte.error import (
    Auth0CTEError,
    CustomTokenExchangeError,
    RateLimitError,
    SessionError,
    TransportError,
)
from auth0_cte.foundation.urls import Url, is_loopback
from auth0_cte.foundation.validation import MIN_SECRET_BYTES
from auth0_cte.oauth.call import Call
from auth0_cte.oauth.domain import issuer_url
from auth0_cte.token_types import lint_token_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.oauth.issuer import Issuer

__all__ = ["Check", "Kind", "Status", "check_sessions", "check_tenant", "check_token_type", "fault_of"]

Status: TypeAlias = Literal["ok", "warning", "fault", "skipped"]
Kind: TypeAlias = Literal["configuration", "limit", "network"]

MIN_DISTINCT: Final = 10
"""How many different characters a random secret of 32 bytes has at least, in practice."""
PROBED_TYPE: Final = "urn:auth0-cte-doctor:not-registered"
PROBED_TOKEN: Final = "auth0-cte-doctor"
MAX_SKEW: Final = 5.0
"""Seconds that clocks may differ before that is worth a word; the Date header counts whole ones."""


@frozen(kw_only=True)
class Check:
    """What a check found.

    Args:
        name: What was checked.
        status: ``"ok"``, ``"warning"``, ``"fault"``, or ``"skipped"`` when it could not be told.
        message: What was found.
        advice: What to do about it; empty when there is nothing to do.
        kind: What kind of fault it is.
    """

    name: str
    status: Status
    message: str
    advice: str = ""
    kind: Kind = "configuration"


def fault_of(name: str, error: Auth0CTEError) -> Check:
    """Return a fault that an error tells."""
    kind: Kind = "configuration"
    if isinstance(error, RateLimitError):
        kind = "limit"
    elif isinstance(error, TransportError) or error.code == "STORE_UNAVAILABLE":
        kind = "network"
    return Check(name=name, status="fault", message=error.message, advice=error.hint, kind=kind)


def _skipped(name: str, why: str) -> Check:
    return Check(name=name, status="skipped", message=why)


def check_tenant(client: ServerClient, domain: str | None = None) -> Iterator[Check]:
    """Ask the tenant: its name, its certificate, its configuration and keys, and whether it takes the credentials.

    Args:
        client: The client whose settings are checked.
        domain: The domain to ask; that of the client when None.
    """
    own = client.settings.domain if domain is None else domain
    if not isinstance(own, str):
        yield _skipped("tenant", "a function chooses it for each request; give --domain to ask one")
        return
    try:
        url = issuer_url(own)
    except Auth0CTEError as error:
        yield fault_of("tenant", error)
        return
    resolved = _check_dns(client, url)
    yield resolved
    if resolved.status == "fault":
        yield from (_skipped(name, "the name does not resolve") for name in ("tls", "tenant", "credentials"))
        return
    yield from _check_issuer(client, url)


def _check_dns(client: ServerClient, url: str) -> Check:
    parts = Url.parse(url)
    host = parts.host
    if client.settings.session is not None:
        return _skipped("dns", "the injected session decides how the host is reached")
    if getproxies().get(parts.scheme) and not proxy_bypass(host):
        return _skipped("dns", f"a proxy resolves {host}")
    try:
        found = socket.getaddrinfo(host, parts.effective_port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        message = f"{host} does not resolve: {getattr(error, 'strerror', None) or error}"
        advice = "Check the domain's spelling, and this machine's DNS."
        return Check(name="dns", status="fault", message=message, advice=advice, kind="network")
    addresses = sorted({str(each[4][0]) for each in found})
    return Check(name="dns", status="ok", message=f"{host} is {', '.join(addresses[:4])}")


def _check_issuer(client: ServerClient, url: str) -> Iterator[Check]:
    server = client.authorization_server
    call = Call(url, server.timeout)
    try:
        issuer = server.issuer(call)
    except Auth0CTEError as error:
        refused = isinstance(error, TransportError) and error.phase == "tls"
        yield fault_of("tls", error) if refused else _tls(url, reached=not isinstance(error, TransportError))
        yield _skipped("tenant", "its certificate is refused") if refused else fault_of("tenant", error)
        yield _skipped("credentials", "the tenant cannot be asked")
        return
    yield _tls(url, reached=True)
    yield _check_keys(client, issuer)
    yield from _check_credentials(client, url)


def _tls(url: str, *, reached: bool) -> Check:
    if url.startswith("http://"):
        return _skipped("tls", "plain http, on this machine")
    return (
        Check(name="tls", status="ok", message="the certificate is trusted")
        if reached
        else _skipped("tls", "nobody answered")
    )


def _check_keys(client: ServerClient, issuer: Issuer) -> Check:
    server = client.authorization_server
    call = Call(issuer.issuer, server.timeout)
    try:
        keys = server.discovery.keys(issuer, call.deadline).key_set.keys
    except Auth0CTEError as error:
        return fault_of("tenant", error)
    if not keys:
        advice = "Check that the domain is an Auth0 tenant or custom domain."
        return Check(name="tenant", status="fault", message=f"{issuer.jwks_uri} has no usable key", advice=advice)
    return Check(name="tenant", status="ok", message=f"{issuer.issuer} answers, its keys are at {issuer.jwks_uri}")


def _check_credentials(client: ServerClient, url: str) -> Iterator[Check]:
    options = {
        "subject_token": PROBED_TOKEN,
        # Another one each time, so that no cache and no profile knows it.
        "subject_token_type": f"{PROBED_TYPE}-{secrets.token_hex(4)}",
    }
    if url != client.settings.domain:
        yield _skipped("credentials", "not verified: the domain is chosen for each request")
        return
    try:
        client.custom_token_exchange(options, use_cache=False)
    except CustomTokenExchangeError as error:
        yield from _judge(error)
        yield from _check_clock(client, error)
    else:
        message = "accepted; and the tenant exchanges a token of a type that nobody registered"
        yield Check(name="credentials", status="warning", message=message, advice="Look at the tenant's profiles.")


def _judge(error: CustomTokenExchangeError) -> Iterator[Check]:
    grant = "token exchange"
    if error.code == "invalid_client" or error.status_code == HTTPStatus.UNAUTHORIZED:
        advice = "Copy client id and secret from the application's settings; check its authentication method."
        yield Check(name="credentials", status="fault", message=f"refused: {error.message}", advice=advice)
        yield _skipped(grant, "the credentials are refused")
    elif error.code == "unauthorized_client":
        yield Check(name="credentials", status="ok", message="the application authenticates")
        advice = "Allow custom_authentication profiles (token_exchange) for the application, by the Management API."
        yield Check(name=grant, status="fault", message=f"not enabled: {error.message}", advice=advice)
    elif error.status_code == HTTPStatus.BAD_REQUEST and error.error == "invalid_request":
        # That client authentication comes before the token type is an assumption.
        yield Check(name="credentials", status="ok", message="the application authenticates")
        yield Check(name=grant, status="ok", message="enabled for the application")
    elif error.status_code is None or isinstance(error, RateLimitError):
        yield fault_of("credentials", error)
        yield _skipped(grant, "not verified")
    else:
        message = f"not verified: the tenant answered {error.status_code}, {error.code}: {error.message}"
        yield Check(name="credentials", status="warning", message=message, advice=error.hint)
        yield _skipped(grant, "not verified")


def _check_clock(client: ServerClient, error: CustomTokenExchangeError) -> Iterator[Check]:
    date = (error.headers or {}).get("date")
    try:
        theirs = None if date is None else parsedate_to_datetime(date).timestamp()
    except ValueError:
        theirs = None
    if theirs is None:
        yield _skipped("clock", "the tenant did not tell its time")
        return
    skew = client.settings.clock() - theirs
    if abs(skew) <= MAX_SKEW:
        yield Check(name="clock", status="ok", message=f"within {MAX_SKEW:.0f} seconds of the tenant's")
        return
    message = f"{abs(skew):,.0f} seconds {'ahead of' if skew > 0 else 'behind'} the tenant's"
    status: Status = "fault" if abs(skew) > client.settings.leeway else "warning"
    yield Check(name="clock", status=status, message=message, advice="Set this machine's clock, by NTP for example.")


def check_token_type(token_type: str) -> Check:
    """Check the type of a profile, as far as it can be told without an exchange.

    Args:
        token_type: The ``subject_token_type``.
    """
    finding = lint_token_type(token_type)
    if finding is not None:
        advice = "Give the profile a type of your own, e.g. urn:your-company:legacy-token."
        return Check(name="profile", status="fault", message=finding, advice=advice)
    message = f"{token_type} can be a profile's type; whether one has it only an exchange tells"
    return Check(name="profile", status="ok", message=message)


def check_sessions(client: ServerClient) -> Iterator[Check]:
    """Check what sessions need: the secret, the cookies' attributes, the store.

    Args:
        client: The client whose settings are checked.
    """
    yield _check_secret(client)
    yield _check_cookies(client)
    try:
        store = client.sessions.store
        store.check()
    except SessionError as error:
        yield fault_of("store", error)
    else:
        yield Check(name="store", status="ok", message=f"{type(store).__name__} works")


def _check_secret(client: ServerClient) -> Check:
    advice = "Set AUTH0_SECRET to what this prints: auth0-cte secret"
    given = client.settings.secrets
    if not given:
        message = "sessions need a secret: every login will be refused"
        return Check(name="secret", status="warning", message=message, advice=advice)
    if any(len(each.encode()) < MIN_SECRET_BYTES for each in given):
        message = f"the secret is shorter than {MIN_SECRET_BYTES} bytes"
        return Check(name="secret", status="fault", message=message, advice=advice)
    if any(len(set(each)) < MIN_DISTINCT for each in given):
        message = "the secret repeats a few characters: it is not random"
        return Check(name="secret", status="fault", message=message, advice=advice)
    return Check(name="secret", status="ok", message="long enough")


def _check_cookies(client: ServerClient) -> Check:
    settings = client.settings.session_settings
    cookie = None if settings is None else settings.cookie
    if cookie is not None and cookie.secure is False:
        message = "session cookies are sent without encryption, too"
        advice = "Do not set AUTH0_COOKIE_SECURE: cookies are Secure then, except on loopback."
        return Check(name="cookies", status="warning", message=message, advice=advice)
    if cookie is not None and cookie.same_site == "None":
        message = "SameSite=None: other sites' requests carry the session"
        return Check(name="cookies", status="warning", message=message, advice="Protect every form against CSRF.")
    domain = isinstance(client.settings.domain, str) and Url.parse(client.settings.domain).host
    where = "Secure, except on loopback" if not domain or not is_loopback(domain) else "on loopback"
    return Check(name="cookies", status="ok", message=f"HttpOnly, {where}")
