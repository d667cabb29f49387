"""What happened, in order: lists that only grow, safe among threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

from attrs import field, frozen

__all__ = ["Journal", "LogEntry"]

T = TypeVar("T")


class Journal(Sequence[T], Generic[T]):
    """A sequence that threads append to; iterating goes over what was there at that moment."""

    def __init__(self) -> None:
        self._entries: list[T] = []
        self._lock = threading.Lock()

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

    def clear(self) -> None:
        """Forget all entries."""
        with self._lock:
            self._entries.clear()


@frozen(kw_only=True)
class LogEntry:
    """An entry of the tenant log (Auth0, "Log Event Type Codes"); it tells more than the HTTP reply did.

    Args:
        type: ``"secte"`` for an exchange that succeeded, ``"fecte"`` for one that failed; ``"sertft"`` and
            ``"fertft"`` for refreshes, ``"slo"`` and ``"flo"`` for logouts.
        date: When, in Unix seconds by the tenant's clock.
        description: What happened, in detail.
        client_id: The application, as far as the request named one.
        client_name: Its name, or None.
        user_id: The user, as far as one was found.
        ip: The address that attack protection counts.
        hostname: The host that the client addressed.
        user_agent: The request's User-Agent, or None.
        details: The request's types, audience, scope and organization, the actor, the error, and for a failed
            Action its traceback.
    """

    type: str
    date: float
    description: str
    client_id: str | None = None
    client_name: str | None = None
    user_id: str | None = None
    ip: str
    hostname: str
    user_agent: str | None = None
    details: Mapping[str, Any] = field(factory=dict, repr=False)
