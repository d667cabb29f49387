"""What the playground plays with: a tenant, its personas, the Action's file, and one exchange at a time."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from auth0_cte.cli.shared.curl import written
from auth0_cte.cli.shared.gallery import error_of, make_tenant, provocations
from auth0_cte.error import Auth0CTEError
from auth0_cte.jose import JoseError
from auth0_cte.oauth.id_token import read_unverified
from auth0_cte.oauth.retry import RetryPolicy
from auth0_cte.testing import LocalTenant
from auth0_cte.token_types import ID_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.auth_types import TokenExchangeResponse
    from auth0_cte.testing import ApiCall

__all__ = ["ACTION_TYPE", "AGENT", "PERSONAS", "TOKEN_TYPE", "Bench", "Outcome", "Persona"]

TOKEN_TYPE: Final = "urn:acme:playground-token"
ACTION_TYPE: Final = "urn:acme:your-action"
AGENT: Final = "auth0|grace"
ORGANIZATION: Final = "org_playground000001"
API: Final = "https://api.example.com"


@frozen(kw_only=True)
class Persona:
    """Who comes with a token.

    Args:
        name: What the form calls it.
        token: The subject token.
    """

    name: str
    token: str


PERSONAS: Final = (
    Persona(name="Ada, a customer", token="token-of-ada"),
    Persona(name="Eve, who needs a second factor", token="token-of-eve"),
    Persona(name="Mallory, whose token is forged", token="forged"),
    Persona(name="Bob, whose account is closed", token="token-of-bob"),
)


@frozen(kw_only=True)
class Outcome:
    """An exchange, as the page shows it.

    Args:
        request: The request as a command, without secrets; None when none was sent.
        trace: The calls that the Action made, each with what came of it.
        console: What the Action printed.
        response: The tokens, or None.
        error: The failure, or None.
        access_token_claims: What an API reads, or None.
    """

    request: str | None
    trace: Sequence[tuple[str, str]] = ()
    console: str = ""
    response: TokenExchangeResponse | None = field(default=None, repr=False)
    error: Auth0CTEError | None = None
    access_token_claims: Mapping[str, Any] | None = None

    @property
    def actors(self) -> list[str]:
        """The user and who acts, from the user on."""
        if self.response is None or self.response.claims is None or self.response.act is None:
            return []
        return [str(self.response.claims["sub"]), *(actor.sub for actor in self.response.delegation_chain())]


@define
class Bench:
    """A local tenant that is played with; safe among threads, one exchange at a time.

    Args:
        action: The file of an Action of the user's own, or None.
        action_type: The type of its profile.
        secrets: Its ``event.secrets``.
        strict: Whether the tenant refuses what Auth0 refuses.
    """

    action: Path | None = None
    action_type: str = ACTION_TYPE
    secrets: Mapping[str, str] = field(factory=dict, repr=False)
    strict: bool = False
    tenant: LocalTenant = field(init=False)
    client: ServerClient = field(init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _calls: list[ApiCall] = field(factory=list, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        import secrets

        self.tenant = LocalTenant(strict=self.strict)
        self.tenant.actions.on_call = self._calls.append
        self.tenant.add_user("auth0|ada", name="Ada Lovelace", email="ada@example.com", email_verified=True)
        self.tenant.add_user("auth0|eve", name="Eve", mfa_required=True)
        self.tenant.add_user("auth0|bob", name="Bob", blocked=True)
        self.tenant.add_user(AGENT, name="Grace Hopper", app_metadata={"can_act_for_users": True})
        self.tenant.add_organization(ORGANIZATION, name="acme", display_name="Acme")
        self.tenant.action(TOKEN_TYPE)(_exchange)
        if self.action is not None:
            self.tenant.action_file(self.action_type, self.action, secrets=self.secrets)
        self.client = self.tenant.client(secret=secrets.token_hex(32), retry=RetryPolicy(sleep=lambda _: None))

    @property
    def token_types(self) -> list[str]:
        """The types that the form offers."""
        return [TOKEN_TYPE, *([self.action_type] if self.action is not None else [])]

    def close(self) -> None:
        """End what runs Actions."""
        self.client.close()
        self.tenant.close()

    def exchange(self, options: Mapping[str, Any], *, with_actor: bool = False) -> Outcome:
        """Exchange a token, and return all that can be seen of it.

        Args:
            options: As for ``custom_token_exchange``.
            with_actor: Whether Grace acts.
        """
        if with_actor:
            options = {**options, "actor_token": self.tenant.id_token(AGENT), "actor_token_type": ID_TOKEN}
        with self._lock:
            self._calls.clear()
            seen = len(self.tenant.token_requests)
            response, error = None, None
            try:
                response = self.client.custom_token_exchange(options)
            except Auth0CTEError as failure:
                error = failure
            requests = self.tenant.token_requests[seen:]
            console = str(self.tenant.logs[-1].details.get("console", "")) if requests and len(self.tenant.logs) else ""
            return Outcome(
                request=written(requests[-1]) if requests else None,
                trace=[_traced(call) for call in self._calls],
                console=console,
                response=response,
                error=error,
                access_token_claims=None if response is None else _claims(response.access_token),
            )

    def errors(self) -> list[str]:
        """Return the names of the documented errors."""
        with make_tenant() as tenant:
            return list(provocations(tenant, tenant.client()))

    def provoke(self, name: str) -> Auth0CTEError:
        """Provoke a documented error, at a tenant of its own.

        Raises:
            KeyError: There is none of this name.
        """
        with make_tenant() as tenant, tenant.client(retry=RetryPolicy(sleep=lambda _: None)) as client:
            return error_of(provocations(tenant, client)[name])


def _exchange(event: Any, api: Any) -> None:
    token = event.transaction.subject_token
    user = {"token-of-ada": "auth0|ada", "token-of-eve": "auth0|eve", "token-of-bob": "auth0|bob"}.get(token)
    if user is None:
        api.access.reject_invalid_subject_token("The legacy system did not issue this token.")
        return
    if user == "auth0|bob":
        api.access.deny("account_closed", "The account is closed.")
        return
    api.authentication.set_user_by_id(user)
    if event.transaction.actor_token is not None:
        api.authentication.set_actor({"sub": AGENT, "role": "support"})


def _traced(call: ApiCall) -> tuple[str, str]:
    arguments = ", ".join(json.dumps(each, default=str, ensure_ascii=False)[:300] for each in call.arguments)
    result = f"threw: {call.error}" if call.error is not None else ""
    if call.error is None and call.result is not None:
        result = json.dumps(call.result, default=str)[:300]
    return f"{call.name}({arguments})", result


def _claims(token: str) -> Mapping[str, Any] | None:
    try:
        return read_unverified(token)[1]
    except (JoseError, ValueError):
        return None
