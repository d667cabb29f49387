"""What became of a row."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from attrs import field, frozen

from auth0_cte.error import ConfigurationError, CustomTokenExchangeError, DiscoveryError, RateLimitError
from auth0_cte.jose import JoseError
from auth0_cte.oauth.id_token import read_unverified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_types import TokenExchangeResponse
    from auth0_cte.error import Auth0CTEError

__all__ = ["FINAL", "Outcome", "State", "failed", "is_configuration", "judge", "succeeded"]

CONFIGURATION: Final = frozenset({"invalid_client", "unauthorized_client"})

State: TypeAlias = Literal["in_flight", "pending", "ok", "failed", "unknown", "duplicate", "invalid", "elsewhere"]
"""``in_flight``: sent, not answered yet. ``pending``: not sent, or provably not received: it will be sent again.
``unknown``: it may have been received, and the answer is not known: it is never sent again by itself."""

FINAL: Final = frozenset({"ok", "failed", "unknown"})
"""The states of rows that are not sent again."""


@frozen(kw_only=True)
class Outcome:
    """What became of a row, as the output file has it.

    Args:
        id: The row's id.
        number: Which row of the file it is.
        state: What became of it.
        code: The error's code, or None.
        message: The error's message, or None.
        sub: The user, as far as the tokens tell, or None.
        request_id: Auth0's correlation id, or None.
        attempts: How often it was sent in this run.
        tokens: The tokens, which only leave on request.
    """

    id: str
    number: int
    state: State
    code: str | None = None
    message: str | None = None
    sub: str | None = None
    request_id: str | None = None
    attempts: int = 0
    tokens: Mapping[str, Any] = field(factory=dict, repr=False)

    def as_record(self, *, with_tokens: bool) -> dict[str, Any]:
        """Return the line of the output file."""
        record: dict[str, Any] = {"id": self.id, "row": self.number, "status": self.state}
        for name in ("code", "message", "sub", "request_id", "attempts"):
            if getattr(self, name):
                record[name] = getattr(self, name)
        return {**record, **self.tokens} if with_tokens else record


def succeeded(row_id: str, number: int, response: TokenExchangeResponse, attempts: int) -> Outcome:
    """Return the outcome of a row that was exchanged."""
    names = ("access_token", "id_token", "refresh_token", "token_type", "expires_at", "scope")
    return Outcome(
        id=row_id,
        number=number,
        state="ok",
        sub=_subject(response),
        attempts=attempts,
        tokens={name: getattr(response, name) for name in names if getattr(response, name) is not None},
    )


def failed(row_id: str, number: int, state: State, error: Auth0CTEError, attempts: int) -> Outcome:
    """Return the outcome of a row whose exchange failed."""
    return Outcome(
        id=row_id,
        number=number,
        state=state,
        code=error.code,
        message=error.message,
        request_id=getattr(error, "request_id", None),
        attempts=attempts,
    )


def _subject(response: TokenExchangeResponse) -> str | None:
    try:
        # For the record alone: what came from the token endpoint itself needs no signature.
        claims = response.claims or read_unverified(response.access_token)[1]
    except (JoseError, ValueError):
        return None
    sub = claims.get("sub")
    return sub if isinstance(sub, str) else None


def judge(error: Auth0CTEError) -> tuple[State, bool]:
    """Return what became of a row whose exchange failed, and whether it may be sent again at once.

    Args:
        error: The failure.
    """
    if not isinstance(error, CustomTokenExchangeError):
        return ("pending", False) if is_configuration(error) else ("failed", False)
    if isinstance(error, RateLimitError) and error.blocked:
        return "pending", False  # the token was not looked at
    if error.is_retryable:
        return "pending", True
    if is_configuration(error):
        return "pending", False
    # Without an answer of the token endpoint, nobody knows whether the token was spent.
    return ("unknown" if error.error is None and error.may_have_reached_server else "failed"), False


def is_configuration(error: Auth0CTEError) -> bool:
    """Tell whether an error is about the application or the tenant, so that every row would fail with it."""
    if isinstance(error, ConfigurationError | DiscoveryError) or error.code in CONFIGURATION:
        return True
    status, description = getattr(error, "status_code", None), getattr(error, "error_description", None)
    no_profile = error.code == "invalid_request" and "subject_token_type" in (description or "")
    return status == HTTPStatus.UNAUTHORIZED or no_profile
