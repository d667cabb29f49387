"""Requests, log entries and users as the control API and the terminal show them: without credentials."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from auth0_cte.oauth.redaction import REDACTED, Redactor
from auth0_cte.testing.journal import iso_date
from auth0_cte.testing.wire.messages import TenantRequest

if TYPE_CHECKING:
    from auth0_cte.testing.journal import LogEntry
    from auth0_cte.testing.registry.users import User
    from auth0_cte.testing.state import TenantState

__all__ = ["Views", "user_view"]

_SHOWN: Final = frozenset(
    {
        *("grant_type", "client_id", "subject_token_type", "actor_token_type", "requested_token_type"),
        *("audience", "scope", "organization", "resource", "connection", "client_assertion_type"),
        *("challenge_type", "token_type_hint", "response_type"),
    }
)
"""The parameters whose values are shown; the values of all others may be credentials."""
_IDENTIFIERS: Final = frozenset({"client_id", "date", "log_id", "type", "user_id", "tenant_name"})
"""What is never a credential in a log entry, even if a toy subject token equals the user's id."""
_RECENT: Final = 50
_JWT: Final = re.compile(r"eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*")


class Views:
    """Shows what happened at a tenant.

    Args:
        state: What the tenant holds.
    """

    def __init__(self, state: TenantState) -> None:
        self._state = state

    def request(self, request: TenantRequest) -> dict[str, Any]:
        """Show a request: its parameters by name, with the values of those alone that are never secret."""
        query = parse_qsl(request.query, keep_blank_values=True)
        shown = {
            "date": iso_date(request.date),
            "method": request.method,
            "path": request.path,
            "base_url": request.base_url,
            "ip": request.ip,
            "user_agent": request.headers.get("user-agent"),
            "query": {name: value if name in _SHOWN else REDACTED for name, value in query},
            "form": {name: value if name in _SHOWN else REDACTED for name, value in request.form.items()},
        }
        redacted: dict[str, Any] = self._redacted(shown, self._redactor([request]))
        return redacted

    def log(self, entry: LogEntry) -> dict[str, Any]:
        """Show a log entry, without anything in it that was sent as a credential or is a secret of the tenant."""
        about = [entry.request] if isinstance(entry.request, TenantRequest) else []
        told, redactor = entry.as_dict(), self._redactor(about)
        return {
            name: value if name in _IDENTIFIERS else self._redacted(value, redactor) for name, value in told.items()
        }

    def text(self, text: str) -> str:
        """Show a text about what happened just now, likewise."""
        redacted: str = self._redacted(text, self._redactor(self._state.requests[-_RECENT:]))
        return redacted

    def _redacted(self, value: Any, redact: Redactor) -> Any:
        if isinstance(value, str):
            return _JWT.sub(REDACTED, redact(value))
        if isinstance(value, Mapping):
            return {name: self._redacted(each, redact) for name, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._redacted(each, redact) for each in value]
        return value

    def _redactor(self, requests: Iterable[TenantRequest]) -> Redactor:
        sent = {secret for request in requests for secret in _secrets_of(request)}
        return Redactor([("token", secret) for secret in sent.union(self._configured())], {})

    def _configured(self) -> Iterator[str]:
        for application in self._state.applications.all():
            if application.client_secret is not None:
                yield application.client_secret
        actions = self._state.actions
        for action in (*actions.profiles.values(), *actions.post_login):
            yield from action.secrets.values()


def _secrets_of(request: TenantRequest) -> Iterator[str]:
    """Return what may be a credential in a request."""
    for name, value in (*request.form.items(), *parse_qsl(request.query)):
        if name not in _SHOWN:
            yield from value if isinstance(value, list) else (value,)
    for name in ("authorization", "dpop", "cookie"):
        scheme, _, credentials = request.headers.get(name, "").partition(" ")
        yield credentials or scheme
        if scheme.lower() == "basic":
            yield from _basic(credentials)


def _basic(credentials: str) -> Iterator[str]:
    try:
        pair = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return
    yield pair.partition(":")[2]


def user_view(user: User) -> dict[str, Any]:
    """Show a user."""
    return {
        "user_id": user.user_id,
        "connection": user.connection,
        **user.attributes,
        "blocked": user.blocked,
        "mfa_required": user.mfa_required,
        "app_metadata": user.app_metadata,
        "user_metadata": user.user_metadata,
        "logins": user.logins,
    }
