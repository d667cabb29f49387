"""The one place that sends HTTP requests: no cookies, no ``.netrc``, no redirects, nothing longer than the deadline."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import requests
from attrs import field, frozen
from urllib3.response import BaseHTTPResponse

from auth0_cte.error import Auth0CTEError, TransportTimeoutError
from auth0_cte.foundation.concurrency import reset_in_child
from auth0_cte.foundation.urls import Url
from auth0_cte.transport.connections import current_call
from auth0_cte.transport.failures import transport_failure, without_secrets
from auth0_cte.transport.sessions import ByAdapter, BySession
from auth0_cte.transport.settings import TransportSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.foundation.deadline import Deadline

__all__ = ["Http", "InjectedSession", "HttpRequest", "Reply", "TransportSettings", "UnusableReplyError"]

logger: Final = logging.getLogger("auth0_cte.transport")

InjectedSession: TypeAlias = requests.Session
"""A session that the application configured; only this package names its type."""

MAX_REPLY_BYTES: Final = 1024 * 1024
PART_BYTES: Final = 64 * 1024


@frozen(kw_only=True, eq=False, repr=False)
class HttpRequest:
    """A request that is ready to go; its repr tells neither headers nor body.

    Args:
        method: The method.
        url: Where it goes.
        headers: Its headers, but for Host and Content-Length.
        body: ASCII text, or None.
        max_reply_bytes: How long the body of the reply may be.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: str | None = field(default=None, repr=False)
    max_reply_bytes: int = MAX_REPLY_BYTES


@frozen(eq=False, repr=False)
class Reply:
    """A whole reply. Header names match in any case; a repeated header is one, joined by commas."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class UnusableReplyError(Exception):
    """A reply came that must not be read: too large, or in an encoding that was not asked for."""

    def __init__(self, message: str, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status: int = status
        self.headers: Mapping[str, str] = headers


class Http:
    """Sends requests; one instance serves all threads and survives a fork.

    Args:
        settings: How to reach the server.
        session: A session whose adapters, proxies, certificates and hooks are used as they are; its cookies,
            headers, ``auth`` and redirects are not.
    """

    def __init__(self, settings: TransportSettings, session: requests.Session | None = None) -> None:
        self._settings = settings.with_certificate()
        self._way: ByAdapter | BySession = (
            ByAdapter(self._settings) if session is None else BySession(settings, session)
        )
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        if isinstance(self._way, ByAdapter):
            self._way.adapter.abandon()
            self._way = ByAdapter(self._settings)

    @property
    def certificate(self) -> Any:
        """What an injected session presents a client certificate by: a path, two, or None."""
        return self._way.certificate

    def close(self) -> None:
        """Close the pooled connections; a later request opens new ones."""
        self._way.close()

    def send(self, request: HttpRequest, deadline: Deadline, attempt: int = 1) -> Reply:
        """Send a request, once, and read its whole reply.

        Args:
            request: What to send.
            deadline: When to give up, at the latest.
            attempt: Which attempt of its call it is, for the log.

        Raises:
            TransportError: No whole reply came; ``may_have_reached_server`` tells whether it can be sent again.
            UnusableReplyError: A reply came that must not be read.
            ConfigurationError: Proxy, certificates or session cannot be used; nothing was sent.
        """
        began, left, outer = time.monotonic(), deadline.remaining(), current_call.ends_at
        if left <= 0:
            raise TransportTimeoutError(
                "the deadline of the call has passed", phase="connect", may_have_reached_server=False
            )
        current_call.ends_at = began + left
        response: requests.Response | None = None
        status, outcome = None, "interrupted"
        try:
            response = self._way.transmit(_prepare(request), deadline)
            status = response.status_code
            body = _read(response, request.max_reply_bytes, None if self._way.keeps_deadlines else deadline)
            outcome = "whole"
            return Reply(status, response.headers, body)
        except (Auth0CTEError, UnusableReplyError) as error:
            outcome = error.args[0]
            raise
        except Exception as error:  # noqa: BLE001 - an adapter, a response hook and a test tool are anybody's code
            failure = transport_failure(error, request.method, request.url, status, self._way.trusted)
            outcome = failure.message
            cause = without_secrets(error)
        finally:
            current_call.ends_at = outer
            if response is not None and outcome != "whole":
                response.close()  # the connection with it: nobody may read the rest
            if logger.isEnabledFor(logging.DEBUG):
                _log(request, (status, outcome), time.monotonic() - began, attempt)
        raise failure from cause


def _prepare(request: HttpRequest) -> requests.PreparedRequest:
    # By hand: Request.prepare would look up .netrc, merge cookies and parse the URL anew for every call.
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url, prepared.body = request.method, request.url, request.body
    prepared.headers = headers = dict(request.headers)  # type: ignore[assignment]  # which `sessions` makes one for others
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    return prepared


def _read(response: requests.Response, limit: int, deadline: Deadline | None) -> bytes:
    status, headers = response.status_code, response.headers
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnusableReplyError(f"the reply is encoded ({encoding[:20]})", status, headers)
    raw = response.raw
    if response._content is not False or not isinstance(raw, BaseHTTPResponse):  # noqa: SLF001 - no other way to know
        body = response.content or b""  # a response hook has read it already, or no connection brought it
    elif deadline is not None:
        body = _read_in_parts(raw, limit, deadline)
    else:
        body = raw.read(limit + 1, decode_content=False)
        # Of a body that ended before its declared length, urllib3 tells when there is nothing more to read.
        if len(body) <= limit and raw.length_remaining != 0:
            body += raw.read(1, decode_content=False)
    if len(body) > limit:
        raise UnusableReplyError(f"the reply is longer than {limit} bytes", status, headers)
    response._content = body  # noqa: SLF001 - so that recording tools can read it
    return body


def _read_in_parts(raw: BaseHTTPResponse, limit: int, deadline: Deadline) -> bytes:
    parts, size = list[bytes](), 0
    while size <= limit:
        part = raw.read1(PART_BYTES, decode_content=False)
        if not part:
            break
        parts.append(part)
        size += len(part)
        if deadline.remaining() <= 0:
            raise TimeoutError("the deadline of the call has passed")
    return b"".join(parts)


def _log(request: HttpRequest, reply: tuple[int | None, str], seconds: float, attempt: int) -> None:
    url = Url.parse(request.url)  # of which the query is not logged
    place, (status, outcome) = url.authority + url.path, reply
    told = f"{status or 'no reply'}" if outcome == "whole" else f"{status or 'no reply'} ({outcome})"
    logger.debug("%s %s: %s in %.0f ms, attempt %d", request.method, place, told, seconds * 1000, attempt)
