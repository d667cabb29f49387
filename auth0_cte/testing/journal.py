"""What happened, in order: lists that only grow, safe among threads."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar, overload

from attrs import field, frozen

__all__ = ["Journal", "LogEntry", "iso_date"]

T = TypeVar("T")


class Journal(Sequence[T], Generic[T]):
    """A sequence that threads append to; iterating goes over what was there at that moment."""

    def __init__(self) -> None:
        self._entries: list[T] = []
        self._forgotten = 0
        self._lock = threading.Condition()

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[T]:
        with self._lock:
            return iter(self._entries.copy())

    def __repr__(self) -> str:
        return f"<Journal of {len(self)}: {list(self)!r}>"

    def append(self, entry: T) -> None:
        """Add an entry at the end."""
        with self._lock:
            self._entries.append(entry)
            self._lock.notify_all()

    def clear(self) -> None:
        """Forget all entries."""
        with self._lock:
            self._forgotten += len(self._entries)
            self._entries.clear()

    def follow(self, position: int, timeout: float = 0.0) -> tuple[list[T], int]:
        """Return what came after a position, and the position of the end.

        Args:
            position: How many entries were seen so far, those counted that were forgotten since; 0 to begin with.
            timeout: Seconds to wait for an entry when there is none.
        """
        with self._lock:
            self._lock.wait_for(lambda: self._end() > position, timeout)
            return self._entries[max(0, position - self._forgotten) :], self._end()

    def _end(self) -> int:
        return self._forgotten + len(self._entries)


@frozen(kw_only=True)
class LogEntry:
    """An entry of the tenant log (Auth0, "Log Event Type Codes"); it tells more than the HTTP reply did.

    Args:
        type: ``"secte"`` for an exchange that succeeded, ``"fecte"`` for one that failed; ``"sertft"``, ``"fertft"``
            and ``"ferrt"`` for refreshes, ``"srrt"`` for revocations, ``"slo"`` and ``"flo"`` for logouts, ``"mfar"``,
            ``"api_limit"``, ``"limit_mu"`` and so on.
        date: When, in Unix seconds by the tenant's clock.
        description: What happened, in detail.
        tenant_name: The tenant.
        client_id: The application, as far as the request named one.
        client_name: Its name, or None.
        user_id: The user, as far as one was found.
        user_name: The user's name or e-mail address, or None.
        identity_user_id: The user's id within the connection, or None.
        connection: The name of the connection that holds the user, or None.
        connection_id: The connection's identifier, or None.
        organization_id: The organization, or None.
        organization_name: Its name, or None.
        ip: The address that attack protection counts.
        hostname: The host that the client addressed.
        user_agent: The request's User-Agent, or None.
        auth0_client: What the SDK told of itself in ``Auth0-Client``, or None.
        details: The request's types, audience, scope and organization, the actor, the error, and for a failed
            Action its traceback.
        log_id: The entry's identifier.
        request: The `TenantRequest` that it is about, or None; no log stream has it.
    """

    type: str
    date: float
    description: str
    tenant_name: str
    client_id: str | None = None
    client_name: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    identity_user_id: str | None = None
    connection: str | None = None
    connection_id: str | None = None
    organization_id: str | None = None
    organization_name: str | None = None
    ip: str
    hostname: str
    user_agent: str | None = None
    auth0_client: Mapping[str, Any] | None = None
    details: Mapping[str, Any] = field(factory=dict, repr=False)
    log_id: str = field(factory=lambda: secrets.token_hex(16))
    request: object = field(default=None, repr=False, eq=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as a log stream would deliver it; what it does not know is left out.

        A failed exchange names no user, connection or organization there, and all but successes tell the host name.
        """
        hidden = _ABOUT_THE_USER if self.type in _FAILED_EXCHANGES else ()
        hostname = {} if self.type.startswith(("secte", "sertft", "success_")) else {"hostname": self.hostname}
        known = {
            "log_id": self.log_id,
            "type": self.type,
            "date": iso_date(self.date),
            "tenant_name": self.tenant_name,
            "environment_name": "local",
            "description": self.description,
            "ip": self.ip,
            "client_name": self.client_name or "",
            "audience": self.details.get("resource_server", self.details.get("audience", "")),
            "details": dict(self.details),
            **hostname,
        }
        optional = {
            **{name: getattr(self, name) for name in _OPTIONAL if name not in hidden},
            "scope": self.details.get("granted_scope", self.details.get("scope")),
        }
        return {**known, **{name: value for name, value in optional.items() if value is not None}}


_FAILED_EXCHANGES: Final = ("fecte", "failed_on_behalf_of_token_exchange")
_ABOUT_THE_USER: Final = (
    *("user_id", "user_name", "identity_user_id", "connection", "connection_id"),
    *("organization_id", "organization_name"),
)
_OPTIONAL: Final = ("client_id", *_ABOUT_THE_USER, "auth0_client", "user_agent")


def iso_date(date: float) -> str:
    """Return Unix seconds as Auth0 writes a moment."""
    return datetime.fromtimestamp(date, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
