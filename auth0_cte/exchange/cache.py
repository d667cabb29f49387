"""Reuse of exchanged tokens: the contract of all caches, and the one in memory.

What is kept is bearer tokens, so a cache is never on by itself. A program that turns it on gains speed and spares the
tenant's rate limit; the price is that a user who was blocked, or whose permissions changed, keeps the tokens of before
until they expire (``max_age`` shortens that), and that the Action does not see every request.
"""

from __future__ import annotations

import hmac
import math
import secrets
import threading
import time
from copy import copy
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from attrs import evolve, frozen

from auth0_cte.auth_types.actor import Actor
from auth0_cte.error import TransportTimeoutError
from auth0_cte.foundation.concurrency import SingleFlight, reset_in_child
from auth0_cte.foundation.ttl_cache import TTLCache
from auth0_cte.foundation.validation import check_number
from auth0_cte.token_types import ACCESS_TOKEN, JWT

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.auth_types import CustomTokenExchangeOptions, TokenExchangeResponse
    from auth0_cte.exchange.cache_key import ExchangeRequest
    from auth0_cte.foundation.deadline import Deadline

__all__ = [
    "ExchangeCache",
    "ExchangeCacheBackend",
    "as_reused",
    "check_seconds",
    "detached",
    "is_shareable",
    "may_reuse",
    "seconds_to_keep",
    "share",
    "waited_too_long",
]

SKEW: Final = 60.0
"""A token with fewer seconds left is not handed out: it would expire on its way, or by another machine's clock."""
MAX_ENTRIES: Final = 10_000
LASTING: Final = frozenset({None, ACCESS_TOKEN, JWT})
"""What can be used more than once. A session transfer token cannot, and of types nobody knows nobody can tell."""


class ExchangeCacheBackend(Protocol):
    """The contract of all caches of exchanged tokens. One instance serves all threads."""

    def fetch(
        self,
        request: ExchangeRequest,
        exchange: Callable[[], TokenExchangeResponse],
        clock: Callable[[], float],
        deadline: Deadline,
    ) -> TokenExchangeResponse:
        """Return what is kept of a request, or exchange: once for all who ask at the same time.

        Args:
            request: The request; `ExchangeRequest.name` is all that there is to know of it.
            exchange: Makes the exchange, in the deadline. What it raises is passed on and never kept.
            clock: The client's clock, by which ``expires_at`` is told.
            deadline: The end of the call; its ``remaining()`` is in seconds.

        Returns:
            The response: `as_reused` unless this call made the exchange. Nothing may be shared that is not
            `is_shareable`, nor kept for longer than `seconds_to_keep`.

        Raises:
            CustomTokenExchangeError: The exchange failed, or the cache cannot be used.
            TransportTimeoutError: Another call's exchange was not done in time; this call has sent nothing.
        """
        ...

    def forget(self, access_token: str) -> bool:
        """Forget what has this access token, e.g. because an API refused it, and tell whether there was anything."""
        ...

    def clear(self) -> None:
        """Forget everything, exchanges under way included."""


Flights: TypeAlias = "SingleFlight[str, tuple[TokenExchangeResponse, bool]]"


@frozen(eq=False, repr=False)
class _Entry:
    response: TokenExchangeResponse
    token: bytes
    ends_at: float


class ExchangeCache:
    """Keeps exchanged tokens in this process. Give it to a client: ``ServerClient(..., exchange_cache=...)``.

    `ServerClient.custom_token_exchange` and `ServerClient.get_token_on_behalf_of` use it, logins and session transfers
    never do. Two calls share a response only when everything of their requests is the same: subject and actor token,
    all parameters, ``forwarded_for``, domain, application, credentials and DPoP key. Where the credentials cannot be
    told apart (a ``client_auth`` of your own, or a certificate in an ``ssl_context``), nothing is kept. A response is
    reused no longer than the subject and actor tokens are good, where they are JWTs with an ``exp``.

    Subject tokens are not kept, but for a keyed hash; responses are, in clear, refresh tokens among them: callers with
    the same subject token get the same refresh token, which rotation lets one of them use.

    Args:
        max_entries: The most responses; the least recently used goes first. One takes some 5 KB.
        skew: How many seconds before it expires a token is not handed out any more.
        max_age: For how many seconds a response is reused at most; as long as it lives when None.
        clock: The time in Unix seconds; the client's own when None.
        monotonic: A clock that never jumps, so that nothing outlives a system clock that was set back.

    Raises:
        ConfigurationError: An argument is out of range.
    """

    def __init__(
        self,
        max_entries: int = MAX_ENTRIES,
        *,
        skew: float = SKEW,
        max_age: float | None = None,
        clock: Callable[[], float] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        check_number("max_entries", max_entries, at_least=1, whole=True)
        self._max_entries = max_entries
        self._skew = check_seconds("skew", skew)
        self._max_age = None if max_age is None else check_seconds("max_age", max_age)
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._entries: TTLCache[str, _Entry] = TTLCache(
            maxsize=max_entries, monotonic=monotonic, tags=lambda entry: (entry.token,)
        )
        self._generation = 0
        self._lock = threading.Lock()
        self._flights: Flights = SingleFlight()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<ExchangeCache: {len(self)} of {self._max_entries}>"

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def waiting(self) -> int:
        """How many calls wait for the exchange of another one."""
        return self._flights.waiting

    def fetch(
        self,
        request: ExchangeRequest,
        exchange: Callable[[], TokenExchangeResponse],
        clock: Callable[[], float],
        deadline: Deadline,
    ) -> TokenExchangeResponse:
        """Return what is kept of a request, or exchange: once for all threads that ask at the same time."""
        now, name = self._clock or clock, request.name(self._key)
        kept = self._find(name, now())
        if kept is not None:
            return as_reused(kept, now())

        def find_or_exchange() -> tuple[TokenExchangeResponse, bool]:
            # Found, when somebody else's exchange was done between the look above and now.
            found = self._find(name, now())
            return (found, True) if found is not None else (self._exchange(name, exchange, now, request.ends_at), False)

        generation = self._generation
        (response, found), led = share(self._flights, f"{generation} {name}", find_or_exchange, deadline)
        if found or not led:
            return as_reused(response, now()) if is_shareable(response) else exchange()
        return detached(response)

    def forget(self, access_token: str) -> bool:
        """Forget what has this access token."""
        return self._entries.discard_tagged(self._hash(access_token)) > 0

    def clear(self) -> None:
        """Forget everything, exchanges under way included."""
        with self._lock:
            self._generation += 1
            self._entries.clear()

    def _exchange(
        self, name: str, exchange: Callable[[], TokenExchangeResponse], now: Callable[[], float], ends_at: float | None
    ) -> TokenExchangeResponse:
        generation = self._generation
        # Detached: what callers do to the mappings in their responses must not reach each other.
        response = detached(exchange())
        seconds = seconds_to_keep(response, now(), self._skew, self._max_age, ends_at)
        if seconds > 0:
            moment = now()
            entry = _Entry(response, self._hash(response.access_token), moment + seconds)
            with self._lock:
                if generation == self._generation:
                    self._entries.set(name, entry, ttl=seconds, is_over=lambda old: old.ends_at <= moment)
        return response

    def _hash(self, access_token: str) -> bytes:
        return hmac.digest(self._key, access_token.encode("utf-8", "surrogatepass"), "sha256")

    def _find(self, name: str, now: float) -> TokenExchangeResponse | None:
        entry = self._entries.get(name)  # by the monotonic clock it has not ended
        if entry is None or entry.ends_at > now:
            return None if entry is None else entry.response
        self._entries.discard(name)
        return None


def may_reuse(options: CustomTokenExchangeOptions) -> bool:
    """Tell whether what is asked for can be used more than once: a session transfer token cannot."""
    session_transfer = (options.audience or "").casefold().endswith(":session_transfer")
    return options.requested_token_type in LASTING and not session_transfer


def is_shareable(response: TokenExchangeResponse) -> bool:
    """Tell whether a response may be given to more than one caller: not if the token is good for one use."""
    return response.issued_token_type in LASTING and (response.token_type or "").casefold() != "n_a"


def seconds_to_keep(
    response: TokenExchangeResponse,
    now: float,
    skew: float = SKEW,
    max_age: float | None = None,
    ends_at: float | None = None,
) -> float:
    """Return for how many seconds a response may be reused; zero or less when it must not be kept.

    Not kept is what is not shareable, what has no lifetime, and what lacks claims because its ID token could not be
    verified: the reason may be gone with the next exchange.

    Args:
        response: The response.
        now: The time by the client's clock, in Unix seconds.
        skew: How many seconds before it expires a token is of no use any more.
        max_age: The most seconds since the exchange, or None.
        ends_at: When the tokens that were exchanged expire (`ExchangeRequest.ends_at`), or None.
    """
    if not is_shareable(response) or response.expires_at is None or response.id_token_error is not None:
        return 0.0
    ends = [response.expires_at - skew]
    if ends_at is not None:
        ends.append(ends_at)  # who cannot exchange any more must not get what was exchanged
    if max_age is not None:
        ends.append(response.expires_at - (response.expires_in or 0) + max_age)
    return min(ends) - now


def as_reused(response: TokenExchangeResponse, now: float) -> TokenExchangeResponse:
    """Return a response for one more caller: marked, with the lifetime that is left, and sharing nothing mutable."""
    left = None if response.expires_at is None else max(0, math.floor(response.expires_at - now))
    return evolve(detached(response), from_cache=True, expires_in=left)


def detached(response: TokenExchangeResponse) -> TokenExchangeResponse:
    """Return a response that shares nothing mutable with this one, without what the client makes of it by itself."""
    claims = None if response.claims is None else _copied(response.claims)
    error = response.id_token_error
    return evolve(
        response,
        claims=claims,
        act=None if claims is None else Actor.from_claim(claims.get("act")),
        extra=_copied(response.extra),
        id_token_error=None if error is None else copy(error),
        act_error=None,
    )


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def share(
    flights: Flights, name: str, work: Callable[[], tuple[TokenExchangeResponse, bool]], deadline: Deadline
) -> tuple[tuple[TokenExchangeResponse, bool], bool]:
    """Do the work, or wait for who does it, no longer than the deadline.

    Returns:
        What the work returned, and whether it was this caller that did it.

    Raises:
        TransportTimeoutError: The deadline passed; this caller has sent nothing.
    """
    try:
        return flights.share(name, work, timeout=deadline.remaining())
    except TimeoutError:
        raise waited_too_long() from None


def waited_too_long() -> TransportTimeoutError:
    """Make the error of a call that waited for another one to the end of its deadline."""
    return TransportTimeoutError(
        "another call for the same was not done in time; this call has sent nothing",
        phase="connect",
        # By this call it did not; by the other one it may.
        may_have_reached_server=True,
    )


def check_seconds(name: str, seconds: float) -> float:
    """Refuse what is not a number of seconds from zero."""
    return float(check_number(name, seconds, at_least=0))
