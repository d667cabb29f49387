"""What the playground plays with: a local tenant with personas and an Action's file, or the user's own tenant."""

from __future__ import annotations

import json
import os
import threading
from secrets import token_hex
from typing import TYPE_CHECKING, Any, ClassVar, Final

from attrs import define, field, frozen

from auth0_cte.auth_server.server_client import ServerClient
from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.cli.shared.curl import curl_command, written
from auth0_cte.error import Auth0CTEError
from auth0_cte.jose import JoseError
from auth0_cte.oauth.id_token import read_unverified
from auth0_cte.oauth.retry import RetryPolicy
from auth0_cte.testing import LocalTenant
from auth0_cte.token_types import ID_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from auth0_cte.auth_types import TokenExchangeResponse
    from auth0_cte.testing import ApiCall, LogEntry

__all__ = ["ACTION_TYPE", "AGENT", "PERSONAS", "TOKEN_TYPE", "LocalBench", "Outcome", "Persona", "RemoteBench"]

TOKEN_TYPE: Final = "urn:acme:playground-token"
ACTION_TYPE: Final = "urn:acme:your-action"
AGENT: Final = "auth0|grace"
ORGANIZATION: Final = "org_playground000001"
API: Final = "https://api.example.com"
LOG_ENTRIES: Final = 12


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
class LocalBench:
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
    is_local: ClassVar[bool] = True

    def __attrs_post_init__(self) -> None:
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
        self.client = self.tenant.client(secret=token_hex(32), retry=RetryPolicy(sleep=lambda _: None))

    @property
    def token_types(self) -> list[str]:
        """The types that the form offers."""
        return [TOKEN_TYPE, *([self.action_type] if self.action is not None else [])]

    def close(self) -> None:
        """End what runs Actions."""
        self.client.close()
        self.tenant.close()

    def options(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Return the options of an exchange: with the token of the persona that was chosen, unless one was typed."""
        persona = next((each for each in PERSONAS if each.token == form.get("persona")), PERSONAS[0])
        options = {**_options(form), "subject_token": form.get("token", "").strip() or persona.token}
        if form.get("actor") == "yes":
            options |= {"actor_token": self.tenant.id_token(AGENT), "actor_token_type": ID_TOKEN}
        return options

    def log(self) -> list[LogEntry]:
        """Return the newest entries of the tenant log."""
        return list(reversed(self.tenant.logs[-LOG_ENTRIES:]))

    def exchange(self, options: Mapping[str, Any]) -> Outcome:
        """Exchange a token, and return all that can be seen of it.

        Args:
            options: As for ``custom_token_exchange``.
        """
        with self._lock:
            self._calls.clear()
            seen = len(self.tenant.token_requests)
            response, error = _exchanged(self.client, options)
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


@define
class RemoteBench:
    """The tenant of the ``AUTH0_*`` settings: tokens are pasted, and are spent when they are exchanged.

    Raises:
        ConfigurationError: Settings are missing, or cannot work.
    """

    client: ServerClient = field(init=False)
    is_local: ClassVar[bool] = False
    action: ClassVar[None] = None

    def __attrs_post_init__(self) -> None:
        # The page's sessions are its own: not even the application opens its cookies.
        self.client = ServerClient.from_env(secret=token_hex(32))

    @property
    def domain(self) -> str:
        """The tenant's domain."""
        return os.environ["AUTH0_DOMAIN"]

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def log(self) -> list[LogEntry]:
        """Return nothing: a client cannot read the log of its tenant."""
        return []

    def options(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Return the options of an exchange, all of them as they were typed."""
        names = ("subject_token", "actor_token", "actor_token_type")
        typed = {name: form.get(name, "").strip() for name in names}
        return {**_options(form), **{name: value or None for name, value in typed.items()}}

    def exchange(self, options: Mapping[str, Any]) -> Outcome:
        """Exchange a token, and return what came back.

        Args:
            options: As for ``custom_token_exchange``.
        """
        response, error = _exchanged(self.client, options)
        return Outcome(
            request=self._request(options),
            response=response,
            error=error,
            access_token_claims=None if response is None else _claims(response.access_token),
        )

    def _request(self, options: Mapping[str, Any]) -> str | None:
        try:
            return curl_command(self.domain, ServerClient.from_env, CustomTokenExchangeOptions(**options))
        except Auth0CTEError:
            return None  # it was refused before there was a request


def _options(form: Mapping[str, str]) -> dict[str, Any]:
    names = ("audience", "scope", "organization")
    return {
        "subject_token_type": form.get("token_type", "").strip(),
        **{name: form.get(name, "").strip() or None for name in names},
    }


def _exchanged(
    client: ServerClient, options: Mapping[str, Any]
) -> tuple[TokenExchangeResponse | None, Auth0CTEError | None]:
    try:
        return client.custom_token_exchange(options), None
    except Auth0CTEError as error:
        return None, error


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
