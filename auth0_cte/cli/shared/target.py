"""Which tenant a command talks to: the one of the environment, or with ``--local`` one of this process."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
from attrs import field, frozen

from auth0_cte.auth_server.server_client import ServerClient
from auth0_cte.cli.shared.env_file import env_file_option
from auth0_cte.oauth.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from auth0_cte.testing import LocalTenant

__all__ = ["Target", "connection_options", "open_target"]

ADA: Final = "auth0|ada"
EVE: Final = "auth0|eve"
_STRICT: Final = "auth0_cte.strict"


@frozen(kw_only=True)
class Target:
    """A tenant that commands talk to.

    Args:
        domain: Its domain, or its URL on loopback.
        make_client: Makes a client of it; keyword arguments are those of ``ServerClient``.
        tenant: The local tenant, or None for one of the environment.
    """

    domain: str
    make_client: Callable[..., ServerClient] = field(repr=False)
    tenant: LocalTenant | None = None


def connection_options(command: Any) -> Any:
    """Add ``--env-file``, ``--local`` and ``--strict`` to a command."""

    def remember(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        context.meta[_STRICT] = value

    strict = click.option(
        "--strict",
        is_flag=True,
        expose_value=False,
        callback=remember,
        help="With --local: refuse all that Auth0 refuses, e.g. reserved token types.",
    )
    local = click.option(
        "--local",
        is_flag=True,
        help="Talk to a tenant of this process: no account, no network. The tokens reject, deny, throw and mfa show"
        " failures; every other token is Ada's.",
    )
    return env_file_option(local(strict(command)))


@contextmanager
def open_target(*, local: bool, token_types: Iterable[str] = ()) -> Iterator[Target]:
    """Find the tenant, and with ``local`` keep one running meanwhile.

    Args:
        local: Whether it is one of this process.
        token_types: The subject token types that a local tenant knows.

    Raises:
        ConfigurationError: Settings are missing, or cannot work.
        click.UsageError: ``--strict`` is given without ``--local``; or Auth0 would refuse a token type.
    """
    strict = click.get_current_context().meta[_STRICT]
    if strict and not local:
        raise click.UsageError("--strict requires --local")
    if not local:
        yield Target(domain=os.environ.get("AUTH0_DOMAIN", ""), make_client=ServerClient.from_env)
        return
    try:
        tenant = _local_tenant(token_types, strict=strict)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with tenant.serve() as server:

        def make_client(**options: Any) -> ServerClient:
            # A local tenant answers at once, or not at all: there is nothing to wait for.
            return server.client(**{"retry": RetryPolicy(sleep=lambda _: None), **options})

        yield Target(domain=server.domain, make_client=make_client, tenant=tenant)


def _local_tenant(token_types: Iterable[str], *, strict: bool) -> LocalTenant:
    from auth0_cte.testing import LocalTenant

    tenant = LocalTenant(strict=strict)
    tenant.add_user(ADA, name="Ada Lovelace", email="ada@example.com", email_verified=True)
    tenant.add_user(EVE, name="Eve", mfa_required=True)
    for token_type in token_types:
        tenant.action(token_type)(_accept)
    return tenant


def _accept(event: Any, api: Any) -> None:
    token = event.transaction.subject_token
    if token == "reject":
        api.access.reject_invalid_subject_token("The legacy system did not issue this token.")
    elif token == "deny":
        api.access.deny("account_closed", "The account is closed.")
    elif token == "throw":
        raise RuntimeError("the legacy system does not answer")
    else:
        api.authentication.set_user_by_id(EVE if token == "mfa" else ADA)
        if event.transaction.actor_token is not None:
            api.authentication.set_actor({"sub": "agent|local"})
