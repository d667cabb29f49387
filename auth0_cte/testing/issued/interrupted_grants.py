"""What waits for a second factor, by the ``mfa_token`` that continues it."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Final

from attrs import define, field

from auth0_cte.testing.registry.attack_protection import AttackProtection
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.testing.issued.tokens import TokenGrant
    from auth0_cte.testing.registry.factors import Factor

__all__ = ["InterruptedGrant", "InterruptedGrants"]

LIFETIME: Final = 600
"""How long an ``mfa_token`` is good for, in seconds."""
MAX_FAILURES: Final = 10
"""Wrong codes until an ``mfa_token`` is refused."""
SECONDS_PER_ATTEMPT: Final = 360
"""How long it takes until it has one more attempt."""


@define(eq=False)
class InterruptedGrant:
    """A grant that waits for a second factor.

    Args:
        grant: What is granted then.
        requested: The scopes that the interrupted request named.
        expires_at: When it is too late, in Unix seconds.
        challenges: The factors that were challenged, by their ``oob_code``.
    """

    grant: TokenGrant
    requested: tuple[str, ...]
    expires_at: float
    challenges: dict[str, Factor] = field(factory=dict)


class InterruptedGrants:
    """What waits for a second factor, by the ``mfa_token`` that continues it.

    Args:
        clock: Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._wrong = AttackProtection(clock, max_attempts=MAX_FAILURES, seconds_per_attempt=SECONDS_PER_ATTEMPT)
        self._waiting: dict[str, InterruptedGrant] = {}

    def __contains__(self, mfa_token: object) -> bool:
        return mfa_token in self._waiting

    def interrupt(self, grant: TokenGrant, requested: tuple[str, ...]) -> str:
        """Let a grant wait, and return the ``mfa_token``."""
        mfa_token = f"Fe26.2*{secrets.token_urlsafe(32)}"
        self.admit(mfa_token, grant, requested)
        return mfa_token

    def admit(self, token: str, grant: TokenGrant, requested: tuple[str, ...]) -> InterruptedGrant:
        """Let a token stand for a grant, as an ``mfa_token`` does, unless it does so already."""
        with self._lock:
            made = InterruptedGrant(grant, requested, self._clock() + LIFETIME)
            return self._waiting.setdefault(token, made)

    def count_failure(self, mfa_token: str) -> None:
        """Count a wrong code."""
        self._wrong.add(mfa_token)

    def find(self, mfa_token: str, client_id: str | None = None) -> InterruptedGrant:
        """Return what waits.

        Raises:
            RefusalError: Nothing does, it is another application's, it has expired, or too many codes were wrong.
        """
        waiting = self._waiting.get(mfa_token)
        if waiting is None or client_id not in (None, waiting.grant.application.client_id):
            raise RefusalError(401, "invalid_grant", "Malformed mfa_token")
        if waiting.expires_at <= self._clock():
            raise RefusalError(401, "expired_token", "mfa_token is expired")
        if self._wrong.is_blocked(mfa_token):
            raise RefusalError(429, "too_many_attempts", "Too many failed codes.")
        return waiting

    def finish(self, mfa_token: str) -> None:
        """Forget what waited: an ``mfa_token`` continues once."""
        with self._lock:
            if self._waiting.pop(mfa_token, None) is None:
                raise RefusalError(401, "invalid_grant", "Malformed mfa_token")
