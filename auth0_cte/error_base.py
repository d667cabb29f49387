"""The base of all errors."""

from __future__ import annotations

from typing import Any

from auth0_cte.error_hints import HINTS

__all__ = ["Auth0CTEError"]


class Auth0CTEError(Exception):
    """The base of all errors of this library; never raised itself.

    ``str()`` of an error is its message, with the code, and where they are known the host, the status and Auth0's
    request id. Tracebacks show the hint below it, as a note.

    Args:
        message: What happened, for people.
        code: What happened, for programs; the class has a default.
        **evidence: Values for attributes that the class documents.

    Attributes:
        code: A stable name of the failure.
        message: What happened, in a sentence; never holds a token or a secret.
    """

    code: str = "AUTH0_CTE_ERROR"
    message: str = ""
    _hint: str = ""
    _fallback_hint: str = ""

    def __init__(self, message: str, *, code: str | None = None, **evidence: Any) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        for name, value in evidence.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no attribute {name!r}")
            setattr(self, name, value)

    def __str__(self) -> str:
        status, request_id = getattr(self, "status_code", None), getattr(self, "request_id", None)
        facts = (
            self.code,
            getattr(self, "host", None),
            None if status is None else f"HTTP {status}",
            None if request_id is None else f"request {request_id}",
        )
        return f"{self.message} ({', '.join(fact for fact in facts if fact)})"

    @property
    def hint(self) -> str:
        """One line that says what to do about the failure; empty when there is nothing to add."""
        return self._hint or HINTS.get(self.code, self._fallback_hint)

    @property
    def __notes__(self) -> list[str]:
        """What tracebacks show below the error: the hint, and what ``add_note`` added."""
        if "_notes" not in vars(self):
            self._notes = [self.hint] if self.hint else []
        return self._notes

    @__notes__.setter
    def __notes__(self, notes: list[str]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._notes = notes
