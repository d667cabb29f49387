"""``auth0-cte doctor``: what works, what does not, and what to do about it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click
from attrs import asdict

from auth0_cte.auth_server.checks import Check, check_sessions, check_tenant, check_token_type, fault_of
from auth0_cte.auth_server.server_client import ServerClient
from auth0_cte.cli.shared.failures import ExitCode
from auth0_cte.cli.shared.output import Output, json_option
from auth0_cte.cli.shared.redis_url import connect
from auth0_cte.cli.shared.target import Target, connection_options, open_target
from auth0_cte.error import ConfigurationError
from auth0_cte.oauth.client_auth.base import PublicClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["command"]

EXAMPLES: Final = """\b
Examples:
  auth0-cte doctor --env-file production.env
  auth0-cte doctor -t urn:acme:legacy-token --redis redis://localhost:6379/0
"""
_MARKS: Final = {
    "ok": ("ok", "green"),
    "warning": ("warn", "yellow"),
    "fault": ("FAIL", "red"),
    "skipped": ("--", "dim"),
}
_EXIT: Final = {"configuration": ExitCode.CONFIGURATION, "limit": ExitCode.LIMIT, "network": ExitCode.NETWORK}
_SHOWN: Final = ("AUTH0_DOMAIN", "AUTH0_CLIENT_ID", "AUTH0_ORGANIZATION", "AUTH0_AUDIENCE", "AUTH0_SCOPE")
"""Settings whose values are not secret; of all others only their presence is shown."""
_NETWORK: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@click.command("doctor", epilog=EXAMPLES)
@click.option(
    "-t", "--subject-token-type", "--type", multiple=True, metavar="URI", help="A profile's type; may be repeated."
)
@click.option("--redis", "redis_url", metavar="URL", help="A Redis that sessions or rates are kept in.")
@json_option
@connection_options
def command(as_json: bool, local: bool, subject_token_type: tuple[str, ...], redis_url: str | None) -> None:
    """Check the settings, the tenant and what sessions need.

    Each line says what to do. The credentials are tried with a token of a type
    that is registered nowhere, so no Action runs and no token is spent. Ends
    with the status of the worst fault: 4 configuration, 5 limit, 6 network.
    """
    out, found = Output(as_json=as_json), []
    with open_target(local=local) as target:
        for check in _checks(target, local=local, token_types=subject_token_type, redis_url=redis_url):
            found.append(check)
            if not as_json:
                _show(out, check)
    status = max((_EXIT[check.kind] for check in found if check.status == "fault"), default=ExitCode.OK)
    if as_json:
        out.data({"checks": [asdict(check) for check in found], "exit_code": int(status)})
    if status:
        click.get_current_context().exit(status)


def _show(out: Output, check: Check) -> None:
    mark, style = _MARKS[check.status]
    out.line(f"{mark:<5}{check.name:<15}{check.message}", style)
    if check.advice:
        out.line(f"{'':<20}-> {check.advice}")


def _checks(target: Target, *, local: bool, token_types: Iterable[str], redis_url: str | None) -> Iterator[Check]:
    if not local:
        yield _environment()
    client, fault = _client(target)
    if fault is not None:
        yield fault
    if client is not None:
        with client:
            yield from _without_credentials(client) if fault is not None else check_tenant(client)
            if fault is None:
                yield from check_sessions(client)
    yield from map(check_token_type, token_types)
    if redis_url is not None:
        yield _check_redis(redis_url)


def _environment() -> Check:
    names = sorted(name for name in os.environ if name.startswith("AUTH0_") and os.environ[name])
    told = [f"{name}={os.environ[name]}" if _is_public(name) else f"{name} is set" for name in names]
    network = [name for name in (*_NETWORK, *map(str.lower, _NETWORK)) if os.environ.get(name)]
    told += [f"{name} is set" for name in network]
    return Check(name="environment", status="ok", message=", ".join(told) or "no AUTH0_* variable is set")


def _is_public(name: str) -> bool:
    return name in _SHOWN and "@" not in os.environ[name]  # which a URL has before a password


def _client(target: Target) -> tuple[ServerClient | None, Check | None]:
    """Make the client, or one that can at least ask the domain, with the reason."""
    try:
        return target.make_client(), None
    except ConfigurationError as error:
        fault = fault_of("settings", error)
    try:
        return ServerClient(target.domain, "auth0-cte-doctor", client_auth=PublicClient()), fault
    except ConfigurationError:
        return None, fault


def _without_credentials(client: ServerClient) -> Iterator[Check]:
    for check in check_tenant(client):
        yield check
        if check.name == "tenant":
            return  # what follows would send credentials, of which there are none


def _check_redis(url: str) -> Check:
    from redis.exceptions import RedisError

    try:
        connect(url).ping()
    except RedisError as error:
        message = f"Redis cannot be used: {type(error).__name__}"
        advice = "Check the URL, and that Redis runs and is reachable from here."
        return Check(name="redis", status="fault", message=message, advice=advice, kind="network")
    return Check(name="redis", status="ok", message="answers")
