"""``auth0-cte tenant serve``: a local tenant that other programs reach."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from auth0_cte.cli.shared.action_secrets import read_secrets, secret_options
from auth0_cte.cli.shared.output import Output, json_option
from auth0_cte.cli.tenant.console import Console
from auth0_cte.cli.tenant.source import Source, read_profile
from auth0_cte.error import ConfigurationError
from auth0_cte.testing import LocalTenant, RunningClock, TenantServer
from auth0_cte.testing.control.guard import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["command"]

EXAMPLES: Final = """\b
Examples:
  auth0-cte tenant serve --seed tenant.json --watch
  auth0-cte tenant serve --action urn:acme:legacy=legacy.js --secrets dev.env
  auth0-cte tenant serve --name tenant.test --tls --ca-out ca.pem
"""
HTTPS_PORT: Final = 443
TOKEN: Final = "AUTH0_CTE_TENANT_TOKEN"  # the variable's name

_FILE: Final = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.command("serve", epilog=EXAMPLES)
@click.option("--port", type=click.IntRange(0, 65535), default=8443, show_default=True, help="0 for any free one.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen on.")
@click.option("--name", metavar="NAME", help="The host name by which other programs reach it, e.g. tenant.test.")
@click.option("--tls", is_flag=True, help="Speak TLS, with a CA of its own.")
@click.option("--ca-out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the CA's certificate.")
@click.option("--seed", type=_FILE, metavar="FILE", help="Users, applications, Actions and more, as JSON.")
@click.option("--action", "actions", multiple=True, metavar="TYPE=FILE", help="A profile's Action; can be repeated.")
@click.option("--post-login", type=_FILE, multiple=True, metavar="FILE", help="A Post-Login Action; can be repeated.")
@secret_options
@click.option("--watch", is_flag=True, help="Read the seed again when it or an Action changes.")
@click.option("--strict", is_flag=True, help="Refuse all that Auth0 refuses.")
@json_option
def command(as_json: bool, actions: tuple[str, ...], **given: Any) -> None:
    """Serve a local tenant until Ctrl-C, and show what arrives.

    It prints the settings for your application first, then each request and
    log entry, without credentials; with --json, a JSON object a line.

    Tests drive it by the control API below /_tenant/: health, reset, users,
    fail-next, rotate-keys, clock, requests and logs. Off loopback that requires
    a bearer token: AUTH0_CTE_TENANT_TOKEN, or the random one that is printed.
    """
    out = Output(as_json=as_json)
    if given["ca_out"] is not None and not given["tls"]:
        raise click.UsageError("--ca-out requires --tls")
    with ExitStack() as stack:
        tenant = stack.enter_context(LocalTenant(strict=given["strict"], clock=RunningClock()))
        console = Console(out, tenant)
        stack.enter_context(console.telling_warnings())
        profiles = [read_profile(each) for each in actions]
        source = Source(tenant, given["seed"], profiles, given["post_login"], read_secrets(given))
        try:
            source.read()
        except ConfigurationError:
            raise
        except (TypeError, ValueError) as error:
            raise click.UsageError(str(error)) from None
        stop = stack.enter_context(_stopping())
        server = _serve(tenant, given)
        console.tell_ready(server, _publish_authority(server, given["ca_out"]), own_token=TOKEN not in os.environ)
        if not _is_reachable(given["name"], server.port):
            out.say(f"for clients of auth0_cte {given['name']} needs --port 443: only names under .test have others")
        while not stop.is_set():
            console.tell_news()
            if given["watch"]:
                source.read_again(out)
        console.tell_news()
    out.say("ended")


def _is_reachable(name: str | None, port: int) -> bool:
    return name is None or port == HTTPS_PORT or name.endswith(".test") or is_loopback(name)


def _serve(tenant: LocalTenant, given: Mapping[str, Any]) -> TenantServer:
    try:
        return tenant.serve(
            tls=given["tls"],
            port=given["port"],
            host=given["host"],
            name=given["name"],
            control=True,
            control_token=os.environ.get(TOKEN),
        )
    except OSError as error:
        place = f"{given['host']}, port {given['port']}"
        raise click.UsageError(f"cannot listen on {place}: {error.strerror or type(error).__name__}") from None


def _publish_authority(server: TenantServer, wanted: Path | None) -> str | None:
    """Return the path of the CA's certificate, copied to where it is wanted."""
    if wanted is None or server.ca_bundle is None:
        return server.ca_bundle
    wanted.write_bytes(Path(server.ca_bundle).read_bytes())
    return str(wanted.absolute())


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Set an event on Ctrl-C or SIGTERM; a second signal does what it does without us."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def end(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, end)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
