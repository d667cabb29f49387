"""The tenant behind a `requests` session, without a socket."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from auth0_cte.testing.wire.messages import Headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.testing.wire.messages import Reply
    from auth0_cte.testing.wire.served import AnswersRequests

__all__ = ["TenantAdapter"]


class TenantAdapter(BaseAdapter):
    """A transport adapter that hands requests straight to a tenant, whatever host they name.

    Time-outs hold against scripted delays; scripted faults raise what a broken connection would.

    Args:
        tenant: The tenant.
        ip: The address that the requests seem to come from.
        sleep: Called with the seconds of a scripted delay.
    """

    def __init__(self, tenant: AnswersRequests, *, ip: str, sleep: Callable[[float], None]) -> None:
        super().__init__()
        self._tenant, self._ip, self._sleep = tenant, ip, sleep

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - the contract of BaseAdapter, as are the rest
        timeout: Any = None,
        verify: bool | str = True,  # noqa: ARG002
        cert: Any = None,  # noqa: ARG002
        proxies: Any = None,  # noqa: ARG002
    ) -> requests.Response:
        """Have the tenant answer a request.

        Raises:
            requests.ReadTimeout: A scripted delay is longer than the read time-out.
            requests.ConnectionError: A scripted fault breaks the connection before the reply.
        """
        parts = urlsplit(request.url or "")
        reply = self._tenant.handle(
            method=request.method or "GET",
            base_url=f"{parts.scheme}://{parts.netloc}",
            target=f"{parts.path}?{parts.query}",
            headers=Headers((str(name), _text(value)) for name, value in (request.headers or {}).items()),
            body=_text(request.body),
            ip=self._ip,
        )
        self._wait(request, reply.delay, timeout)
        if reply.fault in ("close", "reset"):
            broken = urllib3.exceptions.ProtocolError(
                "Connection aborted.", ConnectionResetError("reset by the script")
            )
            raise requests.ConnectionError(broken, request=request)
        return _response(request, reply)

    def close(self) -> None:
        """Do nothing: there is nothing open."""

    def _wait(self, request: requests.PreparedRequest, delay: float, timeout: Any) -> None:
        limit = _read_timeout(timeout)
        if limit is not None and delay > limit:
            self._sleep(limit)
            raise requests.ReadTimeout(f"Read timed out. (read timeout={limit})", request=request)
        if delay > 0:
            self._sleep(delay)


def _read_timeout(timeout: Any) -> float | None:
    """Return the seconds of the read time-out in any of the forms that `requests` takes."""
    if isinstance(timeout, urllib3.Timeout):
        timeout = timeout.read_timeout
    if isinstance(timeout, tuple):
        timeout = timeout[1]
    return float(timeout) if isinstance(timeout, int | float) else None


def _text(body: Any) -> str:
    if body is None:
        return ""
    data = body if isinstance(body, str | bytes) else b"".join(body)
    return data if isinstance(data, str) else data.decode("utf-8", "replace")


def _response(request: requests.PreparedRequest, reply: Reply) -> requests.Response:
    body = b"" if request.method == "HEAD" else reply.body
    if reply.fault == "half_body":
        body = body[: len(body) // 2]
    headers = {**reply.headers, "content-length": str(len(reply.body))}
    response = requests.Response()
    response.raw = urllib3.HTTPResponse(
        body=io.BytesIO(body),
        headers=headers,
        status=reply.status,
        reason=reply.reason,
        version=11,
        preload_content=False,
        enforce_content_length=True,
        request_method=request.method,
        request_url=request.url,
    )
    response.status_code = reply.status
    response.headers = CaseInsensitiveDict(headers)
    response.encoding = get_encoding_from_headers(response.headers)
    response.reason = response.raw.reason
    response.url = request.url or ""
    response.request = request
    return response
