"""Every documented error of an exchange, provoked at a local tenant: for the demonstration and the playground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auth0_cte.auth_server.server_client import ServerClient
from auth0_cte.error import CustomTokenExchangeError
from auth0_cte.oauth.retry import RetryPolicy
from auth0_cte.testing import LocalTenant

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ADA", "API", "LEGACY", "SUPPORT", "error_names", "error_of", "make_tenant", "provocations", "provoke"]

LEGACY = "urn:acme:legacy-token"
SUPPORT = "urn:acme:support-session"
API = "https://api.example.com"
ADA = "legacy-of-ada"


def make_tenant() -> LocalTenant:
    """Return a tenant with two users and the Actions that the demonstration exchanges with."""
    tenant = LocalTenant()
    tenant.add_user("auth0|ada", name="Ada Lovelace", email="ada@example.com")
    tenant.add_user("auth0|eve", name="Eve", mfa_required=True)

    @tenant.action(LEGACY)
    def from_the_old_system(event: Any, api: Any) -> object:
        token = event.transaction.subject_token
        if token == "legacy-of-nobody":
            return api.access.reject_invalid_subject_token("No session of the old system has this token.")
        if token == "legacy-of-a-leaver":
            return api.access.deny("account_closed", "The account was closed on 1 March.")
        if token == "legacy-that-breaks":
            raise RuntimeError("the old system does not answer")
        api.user.set_user_metadata("came_by", event.request.body.get("campaign", "the front door"))
        return api.authentication.set_user_by_id("auth0|eve" if token == "legacy-of-eve" else "auth0|ada")

    @tenant.action(SUPPORT)
    def on_behalf_of_a_customer(event: Any, api: Any) -> None:
        api.authentication.set_user_by_id("auth0|ada")
        api.authentication.set_actor({"sub": f"agent|{event.transaction.actor_token}", "role": "support"})

    return tenant


def provocations(tenant: LocalTenant, client: ServerClient) -> dict[str, Callable[[], object]]:
    """Return what provokes each error, by a name for people.

    Args:
        tenant: A tenant of `make_tenant`.
        client: A client of it.
    """

    def attempt(token: str = ADA, **options: Any) -> Callable[[], object]:
        return lambda: client.custom_token_exchange({"subject_token": token, "subject_token_type": LEGACY} | options)

    def after(prepare: Callable[[], object]) -> Callable[[], object]:
        return lambda: (prepare(), attempt()())

    stranger = ServerClient("http://127.0.0.1:9", "c", "s", retry=RetryPolicy(unsent_retries=0, sleep=lambda _: None))
    return {
        "an empty token": attempt(""),
        "a Bearer prefix": attempt("Bearer legacy-of-ada"),
        "an actor without a type": attempt(actor_token="grace"),
        "an actor type without an actor": attempt(actor_token_type="urn:acme:agent-token"),
        "a blank audience": attempt(audience=" "),
        "a parameter that is None": attempt(authorization_params={"campaign": None}),
        "a server that is not there": lambda: stranger.custom_token_exchange(
            {"subject_token": ADA, "subject_token_type": LEGACY}
        ),
        "a reply that is a web page": after(
            lambda: tenant.fail_next(200, body="<html>Welcome!</html>", content_type="text/html")
        ),
        "a token that the Action rejects": attempt("legacy-of-nobody"),
        "a user whom the Action denies": attempt("legacy-of-a-leaver"),
        "an Action that throws": attempt("legacy-that-breaks"),
        "a type without a profile": attempt(subject_token_type="urn:acme:unknown-token"),
        "a user with multi-factor authentication": attempt("legacy-of-eve"),
        "the tenant's rate limit": after(lambda: tenant.fail_next_with_rate_limit(times=2)),
        "too many rejected tokens": lambda: [_ignore(attempt("legacy-of-nobody")) for _ in range(12)] and attempt()(),
    }


def error_of(case: Callable[[], object]) -> CustomTokenExchangeError:
    """Return the error that a provocation ends with."""
    try:
        case()
    except CustomTokenExchangeError as error:
        return error
    raise AssertionError("the demonstration's error did not happen")


def error_names() -> list[str]:
    """Return the names of the documented errors."""
    with make_tenant() as tenant:
        return list(provocations(tenant, tenant.client()))


def provoke(name: str) -> CustomTokenExchangeError:
    """Provoke a documented error, at a tenant of its own.

    Raises:
        KeyError: There is none of this name.
    """
    with make_tenant() as tenant, tenant.client(retry=RetryPolicy(sleep=lambda _: None)) as client:
        return error_of(provocations(tenant, client)[name])


def _ignore(case: Callable[[], object]) -> bool:
    try:
        case()
    except CustomTokenExchangeError:
        return True
    return True
