"""What a client tells its ``on_event`` hook: before, after and on every retry of an exchange and of a token request.

Events are made of names, numbers and codes; no token, secret or form is ever part of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeAlias

from attrs import frozen

__all__ = [
    "ClientEvent",
    "EventHook",
    "ExchangeFailed",
    "ExchangeReused",
    "ExchangeStarted",
    "ExchangeSucceeded",
    "RateLimitWaitStarted",
    "TokenRequestFailed",
    "TokenRequestRetried",
    "TokenRequestStarted",
    "TokenRequestSucceeded",
]


@frozen(kw_only=True)
class ClientEvent:
    """What all events have.

    Args:
        call_id: The same for all events of a call, and of no other.
        domain: The Auth0 domain; a whole URL where it is plain http on loopback.
        grant_type: The grant that is asked for.
        subject_token_type: The type of the subject token; None for other grants than a token exchange.

    Attributes:
        name: What happened, e.g. ``"token_request.started"``: the same for all events of a class.
    """

    name: ClassVar[str] = ""
    call_id: str
    domain: str
    grant_type: str
    subject_token_type: str | None = None


@frozen(kw_only=True)
class ExchangeStarted(ClientEvent):
    """An exchange begins; nothing has been sent."""

    name = "exchange.started"


@frozen(kw_only=True)
class ExchangeReused(ClientEvent):
    """The ``exchange_cache`` had the tokens, or another call's exchange brought them: nothing was sent."""

    name = "exchange.reused"


@frozen(kw_only=True)
class ExchangeSucceeded(ClientEvent):
    """An exchange brought tokens.

    Args:
        duration: Seconds since its start.
    """

    name = "exchange.succeeded"
    duration: float


@frozen(kw_only=True)
class ExchangeFailed(ClientEvent):
    """An exchange failed, for good.

    Args:
        duration: Seconds since its start.
        error_type: The name of the exception's class.
        error_code: Its ``code``; None when it is not one of this library's.
        status: The HTTP status of the last reply, or None.
    """

    name = "exchange.failed"
    duration: float
    error_type: str
    error_code: str | None = None
    status: int | None = None


@frozen(kw_only=True)
class TokenRequestStarted(ClientEvent):
    """A request to the token endpoint is about to be sent.

    Args:
        url: The token endpoint.
        attempt: Which attempt of the call it is, from 1.
    """

    name = "token_request.started"
    url: str
    attempt: int


@frozen(kw_only=True)
class TokenRequestSucceeded(ClientEvent):
    """A token request was answered with a JSON object and status 200.

    Args:
        url: The token endpoint.
        attempt: Which attempt of the call it was, from 1.
        duration: Seconds since its start.
        status: The HTTP status.
        request_id: Auth0's correlation id (``x-auth0-requestid``), or None.
    """

    name = "token_request.succeeded"
    url: str
    attempt: int
    duration: float
    status: int
    request_id: str | None = None


@frozen(kw_only=True)
class TokenRequestFailed(ClientEvent):
    """A token request failed; a `TokenRequestRetried` follows when it is sent again.

    Args:
        url: The token endpoint.
        attempt: Which attempt of the call it was, from 1.
        duration: Seconds since its start.
        error_type: The name of the exception's class.
        error_code: Its ``code``; None when it is not one of this library's.
        status: The HTTP status of the reply, or None.
        request_id: Auth0's correlation id (``x-auth0-requestid``), or None.
        may_have_reached_server: Whether the request may have been carried out.
    """

    name = "token_request.failed"
    url: str
    attempt: int
    duration: float
    error_type: str
    error_code: str | None = None
    status: int | None = None
    request_id: str | None = None
    may_have_reached_server: bool = True


@frozen(kw_only=True)
class TokenRequestRetried(ClientEvent):
    """A token request that failed will be sent again.

    Args:
        url: The token endpoint.
        attempt: Which attempt of the call failed, from 1.
        delay: Seconds until the next one.
        error_type: The name of the exception's class.
        error_code: The ``code`` of the failure.
        status: The HTTP status of the reply, or None.
    """

    name = "token_request.retried"
    url: str
    attempt: int
    delay: float
    error_type: str
    error_code: str
    status: int | None = None


@frozen(kw_only=True)
class RateLimitWaitStarted(ClientEvent):
    """A token request waits for its slot, because of the client's ``rate_limit``.

    Args:
        attempt: Which attempt of the call waits, from 1.
        delay: Seconds until its slot.
    """

    name = "rate_limit.wait_started"
    attempt: int
    delay: float


EventHook: TypeAlias = Callable[[ClientEvent], object]
"""What is called with each event, in the thread that makes the call, with its context variables."""
