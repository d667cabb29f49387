"""Replies that are scripted ahead of the tenant's own."""

from __future__ import annotations

import json
import math
import threading
from collections import deque
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from attrs import frozen

from auth0_cte.testing.wire.messages import Fault, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Script", "Scripted"]

_ERRORS = {401: "access_denied", 403: "unauthorized_client", 429: "too_many_requests", 503: "temporarily_unavailable"}


@frozen(kw_only=True)
class Scripted:
    """What happens to one request.

    Args:
        reply: The reply; None when the tenant answers as ever.
        delay: Seconds before the reply.
        fault: How the connection breaks, or None.
        grant_type: The grant of the request; None for any, and for other requests.
    """

    reply: Reply | None = None
    delay: float = 0.0
    fault: Fault | None = None
    grant_type: str | None = None


class Script:
    """A queue of events for each path; safe among threads.

    Args:
        clock: Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._queues: dict[str, deque[Scripted]] = {}

    def add(self, path: str, event: Scripted, times: int) -> None:
        """Queue an event so many times."""
        with self._lock:
            self._queues.setdefault(path, deque()).extend([event] * times)

    def take(self, path: str, grant_type: object = None) -> Scripted | None:
        """Take the next event of a path that is for any grant or for this one, if there is one."""
        with self._lock:
            queue = self._queues.get(path, deque())
            event = next((each for each in queue if each.grant_type in (None, grant_type)), None)
            if event is not None:
                queue.remove(event)
            return event

    def clear(self) -> None:
        """Forget what is queued."""
        with self._lock:
            self._queues.clear()

    def fail_next(
        self,
        status: int | None = None,
        error: str | None = None,
        description: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | Mapping[str, object] | None = None,
        content_type: str | None = None,
        times: int = 1,
        path: str = "/oauth/token",
        grant_type: str | None = None,
        delay: float = 0.0,
        fault: Fault | None = None,
    ) -> None:
        """Script what happens to the next requests; scripts of one path are used up in order.

        With ``delay`` or ``fault`` alone the tenant answers as ever, but late or over a broken connection. A request
        whose reply is scripted is recorded, yet no Action runs and nothing is logged; so, too, with the faults
        ``"close"`` and ``"reset"``.

        Args:
            status: The HTTP status; 500 when None and something else of the reply is given, or nothing at all.
            error: The OAuth error code; one that is usual for the status when None.
            description: Its ``error_description``, or None.
            headers: Header fields.
            body: The body in place of an OAuth error: text, bytes, or a mapping that becomes JSON.
            content_type: The type of the body; JSON's when None.
            times: How many requests.
            path: The path of the requests.
            grant_type: The grant of the token requests, e.g. ``"refresh_token"``; any when None.
            delay: Seconds that pass before the reply.
            fault: ``"close"`` ends the connection without a reply, ``"reset"`` does so rudely, ``"half_body"`` ends
                it in the middle of the body.
        """
        given = (status, error, description, headers, body, content_type)
        reply = None
        if any(each is not None for each in given) or not (delay or fault):
            if body is None:
                body = _error_body(status or 500, error, description)
            reply = _reply(status or 500, body, content_type, headers or {})
        event = Scripted(reply=reply, delay=delay, fault=fault, grant_type=grant_type)
        self.add(path, event, times)

    def fail_next_with_rate_limit(self, limit: int = 4, *, reset_in: float = 1.0, times: int = 1) -> None:
        """Answer the next exchanges as the tenant's rate limit would (Auth0, "Rate Limit Policy").

        Args:
            limit: The requests that are allowed in the window.
            reset_in: When the window ends, in seconds from now.
            times: How many requests.
        """
        headers = {
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": str(math.ceil(self._clock() + reset_in)),
        }
        self.fail_next(429, "too_many_requests", "Global limit has been reached", headers=headers, times=times)

    def fail_next_with_rate_policy(self, retry_after: int = 1, *, quota: int = 10, times: int = 1) -> None:
        """Answer the next exchanges as a custom rate limit policy would.

        Args:
            retry_after: When to come back, in seconds.
            quota: The requests that the policy allows.
            times: How many requests.
        """
        headers = {"retry-after": str(retry_after), "auth0-ratelimit": f"client;q={quota};t={retry_after};r=0"}
        self.fail_next(429, "too_many_requests", "Rate limit exceeded.", headers=headers, times=times)


def _error_body(status: int, error: str | None, description: str | None) -> Mapping[str, object]:
    usual = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request"
    body = {"error": error or _ERRORS.get(status, usual)}
    return body if description is None else {**body, "error_description": description}


def _reply(
    status: int, body: str | bytes | Mapping[str, object], content_type: str | None, headers: Mapping[str, str]
) -> Reply:
    text = json.dumps(body) if isinstance(body, Mapping) else body
    fields = {"content-type": content_type or "application/json", "cache-control": "no-store"}
    fields |= {name.lower(): value for name, value in headers.items()}
    return Reply(status=status, headers=fields, body=text if isinstance(text, bytes) else text.encode())
