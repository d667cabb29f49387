"""The factors that users have enrolled for multi-factor authentication."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
import threading
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Factor", "FactorKind", "Factors"]

FactorKind: TypeAlias = Literal["otp", "sms", "voice", "email", "push", "recovery-code"]
"""What users can enroll: an authenticator application, a code out of band, a push message, or a recovery code."""

STEP_SECONDS: Final = 30
"""How long a one-time password is shown (RFC 6238 section 5.2)."""

_TYPES: Final = {"otp": "otp", "recovery-code": "recovery-code"}  # all others are "oob"
_REQUIREMENTS: Final = {"sms": "phone", "voice": "phone", "push": "push-notification"}


@define(kw_only=True, eq=False)
class Factor:
    """An enrolled factor, and the user's side of it: `code`, `approve` and `deny`.

    Args:
        user_id: Whose it is.
        kind: What it is.
        clock: Returns Unix seconds.
        name: What the list of authenticators shows: a masked telephone number or address.
    """

    user_id: str
    kind: FactorKind
    clock: Callable[[], float] = field(repr=False)
    name: str = ""
    id: str = ""
    _secret: bytes = field(factory=lambda: secrets.token_bytes(20), repr=False)
    _code: str = field(default="", repr=False)
    _used: set[str] = field(factory=set, repr=False)
    _answer: bool | None = None

    def __attrs_post_init__(self) -> None:
        self.id = self.id or f"{self.kind}|dev_{secrets.token_hex(8)}"
        if self.kind == "recovery-code":
            self._code = _recovery_code()

    @property
    def authenticator_type(self) -> str:
        """Auth0's name of the kind: ``otp``, ``oob`` or ``recovery-code``."""
        return _TYPES.get(self.kind, "oob")

    def code(self) -> str:
        """Return what the user reads: the application's current password, the last code sent, the recovery code."""
        return self._one_time_password(0) if self.kind == "otp" else self._code

    def approve(self) -> None:
        """Accept the push message."""
        self._answer = True

    def deny(self) -> None:
        """Decline the push message."""
        self._answer = False

    def challenge(self) -> None:
        """Send a code, or a push message that waits for an answer."""
        self._answer = None
        self._code = f"{secrets.randbelow(1_000_000):06}"

    def answer(self) -> bool | None:
        """Return what the user made of the push message, None while it waits."""
        return self._answer

    def accepts(self, code: str) -> bool:
        """Tell whether a code is right; no code is right twice."""
        # The password before the current one passes, too: people type slowly (RFC 6238 section 5.2).
        right = {self._one_time_password(step) for step in (-1, 0)} if self.kind == "otp" else {self._code}
        passed = code in right - {""} and code not in self._used
        if passed:
            self._used.add(code)
        return passed

    def renew_recovery_code(self) -> str:
        """Replace the recovery code, which is good for one use."""
        self._code = _recovery_code()
        return self._code

    def as_member(self) -> dict[str, Any]:
        """Return the factor as the list of authenticators shows it."""
        member: dict[str, Any] = {"id": self.id, "authenticator_type": self.authenticator_type, "active": True}
        if self.authenticator_type == "oob":
            member["oob_channel"] = "auth0" if self.kind == "push" else self.kind
        return {**member, "name": self.name} if self.name else member

    def as_requirement(self) -> dict[str, str]:
        """Return the factor as ``mfa_requirements`` shows it."""
        return {"type": _REQUIREMENTS.get(self.kind, self.kind)}

    def _one_time_password(self, step: int) -> str:
        counter = int(self.clock()) // STEP_SECONDS + step
        digest = hmac.new(self._secret, struct.pack(">Q", counter), hashlib.sha1).digest()
        offset = digest[-1] & 15
        number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
        return f"{number % 1_000_000:06}"


def _recovery_code() -> str:
    return "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(24))


class Factors:
    """The factors of all users."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._factors: list[Factor] = []

    def add(self, factor: Factor) -> None:
        """Enroll a factor."""
        with self._lock:
            self._factors.append(factor)

    def of(self, user_id: str) -> list[Factor]:
        """Return a user's factors, in the order of their enrollment."""
        with self._lock:
            return [factor for factor in self._factors if factor.user_id == user_id]

    def requirements(self, user_id: str) -> dict[str, Any] | None:
        """Return the ``mfa_requirements`` of a user, or None for one without factors."""
        kinds = [factor.as_requirement() for factor in self.of(user_id) if factor.kind != "recovery-code"]
        return {"challenge": [each for at, each in enumerate(kinds) if each not in kinds[:at]]} if kinds else None
