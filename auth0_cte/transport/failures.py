"""What went wrong on the way to a server, told by our own errors."""

from __future__ import annotations

import re
import ssl
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final, TypeVar

import requests
import urllib3
from urllib3.exceptions import ConnectTimeoutError, EmptyPoolError, NameResolutionError, NewConnectionError

from auth0_cte.error import TransportError, TransportTimeoutError
from auth0_cte.foundation.urls import Url
from auth0_cte.transport.connections import HandshakeError, RefusedCertificateError
from auth0_cte.transport.head import RefusedReplyError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["transport_failure", "without_secrets"]

E = TypeVar("E", bound=BaseException)

# X.509 verification codes of OpenSSL (x509_vfy.h), in words. What is not here is told in OpenSSL's own.
_CERTIFICATE_FAULTS: Final = {
    2: "the certificate was issued by an unknown CA",
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "the certificate was issued by an unknown CA (a self-signed one)",
    20: "the certificate was issued by an unknown CA",
    21: "the certificate was issued by an unknown CA",
    62: "the certificate is for another host",
    64: "the certificate is for another IP address",
}
_CLOCK_FAULTS: Final = (9, 10)
_NAME_FAULTS: Final = (62, 64)

_CLOCK_HINT: Final = "Check this machine's clock; otherwise the server's certificate must be renewed. Nothing was sent."
_NAME_HINT: Final = "Check the domain: its certificate must be issued for it. Nothing was sent."
_TRUST_HINT: Final = (
    "Set ca_bundle to a file with the CA that issued the server's certificate, or with that of a proxy that inspects"
    " TLS. Nothing was sent."
)
_TLS_HINT: Final = "Check port, proxy and TLS versions of the server. Nothing was sent."
_CLIENT_CERTIFICATE_HINT: Final = "Check which client certificates the server accepts. Nothing was sent."
_PROXY_HINT: Final = (
    "Check the proxy in the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY) or in session.proxies; user name and"
    " password belong in its URL. Nothing was sent."
)
_POOL_HINT: Final = "Use a larger pool_size, as many as threads exchange at the same time. Nothing was sent."
_ADAPTER_HINT: Final = (
    "Look at __cause__: a test tool, an adapter or a response hook raised it; register the URL there."
)


def transport_failure(error: Exception, method: str, url: str, status: int | None, trusted: str) -> TransportError:
    """Make the error that tells of a failed request.

    Args:
        error: What was raised while the request was sent or its reply was read.
        method: The method of the request.
        url: Its URL.
        status: The status of the reply, if one had begun.
        trusted: Whose certificates are trusted, in words.
    """
    target = Url.parse(url)
    place = target.authority
    chain = list(_chain(error))
    unsent = _unsent(chain, place, trusted)
    if unsent is not None:
        return unsent
    if _first(chain, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)):
        return TransportTimeoutError(f"{place} did not respond in time", status_code=status)
    refused = _first(chain, RefusedReplyError)
    if refused is not None:
        return TransportError(f"{place} sent an invalid response: {refused}", status_code=status)
    broken = _first(chain, ssl.SSLError)
    if broken is not None:
        return TransportError(f"TLS with {place} failed: {_words(broken)}", status_code=status)
    if _is_foreign(chain):
        response = getattr(error, "response", None)
        return TransportError(
            f"{method} {target.scheme}://{place}{target.path} failed: a test tool, an adapter or a response hook"
            f" raised {type(error).__name__}",
            phase="send",
            status_code=getattr(response, "status_code", status),
            _hint=_ADAPTER_HINT,
        )
    return TransportError(f"the connection to {place} was closed before the response was complete", status_code=status)


def _unsent(chain: list[BaseException], host: str, trusted: str) -> TransportError | None:
    """Make the error for a request of which nothing was sent, or return None for others."""
    if _first(chain, EmptyPoolError):
        return _timed_out(f"no connection to {host} became free in time; pool_size is too small", _hint=_POOL_HINT)
    tls = _tls_failure(chain, host, trusted)
    if tls is not None:
        return tls
    refusal = next(filter(None, (_TUNNEL_REFUSED.search(str(each)) for each in chain)), None)
    if refusal is not None:
        return _refused_by_proxy(int(refusal[1]), host)
    unconnected = _first(chain, NewConnectionError)
    by_socks = _socks_failure(unconnected)
    if by_socks == "SOCKS5AuthError":
        return _refused_by_proxy(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, host)
    by_proxy = _first(chain, (urllib3.exceptions.ProxyError, requests.exceptions.ProxyError)) is not None
    by_proxy = by_proxy or by_socks == "ProxyConnectionError"
    where, hint = (f"the proxy before {host}", {"_hint": _PROXY_HINT}) if by_proxy else (host, {})
    if isinstance(unconnected, NameResolutionError):
        return _unconnected(f"could not resolve the name of {where}", **hint)
    if unconnected is not None or (by_proxy and not _first(chain, ConnectTimeoutError)):
        return _unconnected(f"could not connect to {where}", **hint)
    if _first(chain, (requests.ConnectTimeout, ConnectTimeoutError)):
        return _timed_out(f"could not connect to {where} in time", **hint)
    return None


def _socks_failure(unconnected: NewConnectionError | None) -> str:
    """Return the name of PySocks' error; it is imported only where there is a SOCKS proxy."""
    error = None if unconnected is None else unconnected.__context__  # urllib3 raises within it, not from it
    inner = getattr(error, "socket_err", None)
    return type(inner if type(error).__name__ == "GeneralProxyError" else error).__name__


_TUNNEL_REFUSED: Final = re.compile(r"Tunnel connection failed: ([0-9]{3})")


def _unconnected(message: str, **evidence: Any) -> TransportError:
    return TransportError(message, phase="connect", may_have_reached_server=False, **evidence)


def _timed_out(message: str, **evidence: Any) -> TransportError:
    return TransportTimeoutError(message, phase="connect", may_have_reached_server=False, **evidence)


def _refused_by_proxy(status: int, host: str) -> TransportError:
    phrase = {each.value: each.phrase for each in HTTPStatus}.get(status, "")
    message = f"the proxy before {host} refused the connection: {status} {phrase}".rstrip()
    # What the proxy refuses it will refuse again, unless it could not reach the server itself.
    phase = "connect" if status >= 500 else "proxy"
    return TransportError(message, phase=phase, may_have_reached_server=False, status_code=status, _hint=_PROXY_HINT)


def _tls_failure(chain: list[BaseException], host: str, trusted: str) -> TransportError | None:
    if _first(chain, RefusedCertificateError):
        why, hint = "the server refused the client certificate, or requires one", _CLIENT_CERTIFICATE_HINT
    elif certificate := _first(chain, ssl.SSLCertVerificationError):
        code = certificate.verify_code
        fault = _CERTIFICATE_FAULTS.get(code, certificate.verify_message)
        why = f"{fault} (trusted are {trusted})"
        hint = _CLOCK_HINT if code in _CLOCK_FAULTS else _NAME_HINT if code in _NAME_FAULTS else _TRUST_HINT
    elif _first(chain, HandshakeError):
        why, hint = _words(_first(chain, ssl.SSLError)), _TLS_HINT
    elif _first(chain, urllib3.exceptions.SSLError) and not _first(chain, ssl.SSLError):
        # What urllib3 checks itself, once connected: a fingerprint, another name.
        why, hint = "the certificate is not the one that the session's adapter expects", _NAME_HINT
    else:
        return None
    where = f"the proxy before {host}" if _first(chain, urllib3.exceptions.ProxyError) else host
    return TransportError(f"TLS with {where} failed: {why}", phase="tls", may_have_reached_server=False, _hint=hint)


def _words(error: ssl.SSLError | None) -> str:
    reason = (error.reason if error is not None else None) or "unknown reason"
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
        return "the port does not speak TLS"
    return reason.replace("_", " ").lower()


def _is_foreign(chain: list[BaseException]) -> bool:
    """Tell whether neither urllib3 nor the system raised it."""
    return not any(
        isinstance(each, (urllib3.exceptions.HTTPError, HTTPException, OSError))
        and not isinstance(each, requests.RequestException)
        for each in chain
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it wraps, in the ways of requests and urllib3."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop(0)
        if any(each is known for known in seen):
            continue
        seen.append(each)
        yield each
        within = (*each.args, getattr(each, "reason", None), getattr(each, "original_error", None), each.__cause__)
        waiting += [inner for inner in within if isinstance(inner, BaseException)]


def _first(chain: list[BaseException], kinds: type[E] | tuple[type[E], ...]) -> E | None:
    return next((each for each in chain if isinstance(each, kinds)), None)


def without_secrets(error: Exception) -> Exception:
    """Strip a cause of whatever holds the request: attributes, arguments, and the frames of its tracebacks."""
    is_http = isinstance(error, (requests.RequestException, urllib3.exceptions.HTTPError))
    if is_http and type(error).__module__ != requests.exceptions.__name__:
        # Of urllib3, which requests translates only while it reads content itself, or of a test tool.
        timed_out = isinstance(error, urllib3.exceptions.TimeoutError)
        error = (requests.ReadTimeout if timed_out else requests.ConnectionError)(str(error))
    if isinstance(error, requests.RequestException):
        error.request = error.response = None
    error.args = tuple(str(argument) for argument in error.args)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
