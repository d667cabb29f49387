"""The factors that users have enrolled for multi-factor authentication."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct
import threading
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import quote

from attrs import define, evolve, field

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Factor", "FactorKind", "Factors"]

FactorKind: TypeAlias = Literal["otp", "sms", "voice", "email", "push", "recovery-code"]
"""What users can enroll: an authenticator application, a code out of band, a push message, or a recovery code."""

CODE_SECONDS: Final = 300
"""How long a code that was sent is good for."""
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
        active: Whether the enrolment was confirmed.
    """

    user_id: str
    kind: FactorKind
    clock: Callable[[], float] = field(repr=False)
    name: str = ""
    active: bool = True
    id: str = ""
    _secret: bytes = field(factory=lambda: secrets.token_bytes(20), repr=False)
    _code: str = field(default="", repr=False)
    _used: set[str] = field(factory=set, repr=False)
    _answer: bool | None = None
    _sent_at: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.id = self.id or f"{self.kind}|dev_{secrets.token_hex(8)}"
        if self.kind == "recovery-code":
            self._code = self._code or _recovery_code()

    @property
    def authenticator_type(self) -> str:
        """Auth0's name of the kind: ``otp``, ``oob`` or ``recovery-code``."""
        return _TYPES.get(self.kind, "oob")

    @property
    def secret(self) -> str:
        """The secret of an authenticator application, in base32."""
        return base64.b32encode(self._secret).decode().rstrip("=")

    def barcode_uri(self, issuer: str) -> str:
        """Return what an authenticator application reads from a QR code."""
        label = quote(f"{issuer}:{self.user_id}")
        kind = "otp" if self.kind == "otp" else "push"
        return (
            f"otpauth://t{kind}/{label}?secret={self.secret}&issuer={quote(issuer)}&algorithm=SHA1&digits=6&period=30"
        )

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
        self._code, self._sent_at = f"{secrets.randbelow(1_000_000):06}", self.clock()

    def answer(self) -> bool | None:
        """Return what the user made of the push message, None while it waits."""
        return self._answer

    def accepts(self, code: str) -> bool:
        """Tell whether a code is right: those that are sent for five minutes, and none twice."""
        if self.authenticator_type == "oob" and self.clock() >= self._sent_at + CODE_SECONDS:
            return False
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
        member: dict[str, Any] = {"id": self.id, "authenticator_type": self.authenticator_type, "active": self.active}
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
    """The factors of all users.

    Attributes:
        enrollable: What users without a factor are asked to enroll, as ``mfa_requirements`` names it.
        deliver: Called with a factor whenever a code or a push message is sent to it, to show what its user would see;
            None for nothing.
    """

    def __init__(self) -> None:
        self.enrollable: tuple[str, ...] = ("otp", "phone", "push-notification")
        self.deliver: Callable[[Factor], None] | None = None
        self._lock = threading.Lock()
        self._factors: list[Factor] = []

    def add(self, factor: Factor) -> None:
        """Enroll a factor; one that is not confirmed yet takes the place of another one of its kind."""
        with self._lock:
            self._factors = [each for each in self._factors if each.active or not _same(each, factor)]
            self._factors.append(factor)

    def of(self, user_id: str) -> list[Factor]:
        """Return a user's factors, in the order of their enrollment."""
        with self._lock:
            return [factor for factor in self._factors if factor.user_id == user_id]

    def active(self, user_id: str) -> list[Factor]:
        """Return those of a user's factors that are confirmed."""
        return [factor for factor in self.of(user_id) if factor.active]

    def confirm(self, factor: Factor) -> None:
        """Finish the enrolment of a factor, and of the recovery code that came with it."""
        factor.active = True
        for each in self.of(factor.user_id):
            each.active = each.active or each.kind == "recovery-code"

    def remove(self, user_id: str, factor_id: str) -> bool:
        """Remove a user's factor; False when there was none."""
        with self._lock:
            kept = [each for each in self._factors if (each.user_id, each.id) != (user_id, factor_id)]
            removed, self._factors = len(kept) < len(self._factors), kept
            return removed

    def copy(self) -> Factors:
        """Copy the factors, with no code sent or used up."""
        other = Factors()
        other.enrollable, other.deliver = self.enrollable, self.deliver
        with self._lock:
            other._factors = [evolve(factor, used=set(), answer=None) for factor in self._factors]
        return other

    def requirements(self, user_id: str) -> dict[str, Any] | None:
        """Return the ``mfa_requirements`` of a user: what is there to challenge, else what can be enrolled."""
        kinds = [factor.as_requirement() for factor in self.active(user_id) if factor.kind != "recovery-code"]
        if not kinds:
            return {"enroll": [{"type": kind} for kind in self.enrollable]} if self.enrollable else None
        return {"challenge": [each for at, each in enumerate(kinds) if each not in kinds[:at]]}


def _same(factor: Factor, other: Factor) -> bool:
    return (factor.user_id, factor.kind) == (other.user_id, other.kind)
