"""`ExchangeAuth`: call an API with an exchanged token. It imports requests, because it is for those who do."""

from __future__ import annotations

import inspect
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from attrs import define
from requests import PreparedRequest, RequestException
from requests.auth import AuthBase
from requests.exceptions import UnrewindableBodyError
from requests.sessions import SessionRedirectMixin
from requests.utils import requote_uri, rewind_body

from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.error import ConfigurationError
from auth0_cte.exchange.cache import SKEW, check_seconds
from auth0_cte.exchange.options import validate
from auth0_cte.foundation.boundary import guarded
from auth0_cte.foundation.urls import Url
from auth0_cte.token_source import ExchangedTokenSource, scheme_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from requests import Response

    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.auth_types import TokenExchangeResponse
    from auth0_cte.oauth.dpop import DPoPNonceStore

__all__ = ["ExchangeAuth"]

EXAMPLE: Final = "give scheme, host and port, e.g. https://api.example.com"
CREDENTIALS: Final = ("Authorization", "DPoP")

_WANTS_NONCE: Final = re.compile(r'(?i)\berror\s*=\s*"?use_dpop_nonce\b').search


@define(eq=False, repr=False)
class _Attempt:
    """Which token a request was sent with."""

    used: TokenExchangeResponse


class ExchangeAuth(AuthBase):
    """Authorizes requests to one API with the token that an exchange brings: ``requests.get(url, auth=...)``.

    The exchange is made at the first request, and its token kept until shortly before it expires; then the refresh
    token is used, if there is one, or a new exchange is made. Threads share the token, and wait for one another's
    exchange. When the API answers 401, the token is dropped and the request sent once more with a new one, provided
    that its body can be sent again. A token bound to a DPoP key (RFC 9449) is sent with a proof for each request, and
    with the nonce that the API asks for.

    The token goes to the API's own origin alone: a request to another one is refused, and a redirect there is followed
    without it. One instance is for one user: never share it, or a session that has it, among users.

    Args:
        client: The client; for an `AsyncServerClient`, its ``sync``.
        options: What to exchange, and for what; a dict with the same keys serves, too. A ``subject_token`` that is a
            function is called for each exchange.
        origin: Scheme, host and port of the API, ``https://api.example.com``, or several; that of ``audience`` when
            None, which must be a URL then.
        store_options: ``{"request": …}``, for a ``domain`` that is a function.
        skew: How many seconds before it expires a token is replaced.
        subject_token_reusable: Whether a ``subject_token`` that is a string may be exchanged more than once. If not,
            and without a refresh token, the token is used until it expires, a 401 is returned as it is, and then
            requests fail with ``SUBJECT_TOKEN_SPENT``.
        allow_http: Whether the token may go over plain http to hosts other than loopback.

    Raises:
        ConfigurationError: The origin cannot be told, is none, or is plain http.
        CustomTokenExchangeError: The options break a rule; as `ServerClient.custom_token_exchange` says.
    """

    _origins: tuple[str, ...] = ()  # for the repr of what could not be made

    @guarded()
    def __init__(
        self,
        client: ServerClient,
        options: CustomTokenExchangeOptions | Mapping[str, Any],
        *,
        origin: str | Iterable[str] | None = None,
        store_options: Mapping[str, Any] | None = None,
        skew: float = SKEW,
        subject_token_reusable: bool = False,
        allow_http: bool = False,
    ) -> None:
        if inspect.iscoroutinefunction(client.custom_token_exchange):
            raise ConfigurationError("ExchangeAuth needs the synchronous client: give client.sync")
        given = validate(options, CustomTokenExchangeOptions)
        self._origins = _origins(origin, given.audience, allow_http=allow_http)
        check_seconds("skew", skew)
        self._current = ExchangedTokenSource(
            client, given, store_options=store_options, skew=skew, reusable=subject_token_reusable
        )
        self._dpop = client.dpop
        self._nonces: DPoPNonceStore | None = _nonce_store() if client.dpop is not None else None

    def __repr__(self) -> str:
        return f"ExchangeAuth({', '.join(self._origins)})"

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Authorize a request; requests calls it.

        Raises:
            ConfigurationError: The request goes elsewhere than to the API; no token was sent, nor exchanged.
            CustomTokenExchangeError: The exchange failed; the request was not sent.
        """
        here = _origin(r.url)
        if here not in self._origins:
            raise ConfigurationError(f"the token is for {', '.join(self._origins)}, and must not be sent to {here}")
        attempt = _Attempt(self._current.get())
        self._authorize(r, attempt.used)
        r.register_hook("response", partial(self._answered, attempt))
        return r

    def _authorize(self, request: PreparedRequest, used: TokenExchangeResponse) -> None:
        scheme = scheme_of(used)
        request.headers["Authorization"] = f"{scheme} {used.access_token}"
        request.headers.pop("DPoP", None)
        if scheme == "DPoP":
            request.headers["DPoP"] = self._proof(str(request.method), str(request.url), used)

    def _proof(self, method: str, url: str, used: TokenExchangeResponse) -> str:
        if self._dpop is None or self._nonces is None or used.dpop_thumbprint not in (None, self._dpop.thumbprint):
            raise ConfigurationError("the token is bound to a DPoP key that the client does not have")
        return self._dpop.proof(method, url, access_token=used.access_token, nonce=self._nonces.get(url))

    def _answered(self, attempt: _Attempt, response: Response, **settings: Any) -> Response:
        request = response.request
        self._learn(response)
        # After a redirect elsewhere, requests has taken the token away, and nobody must put it back.
        if response.status_code == 401 and "Authorization" in request.headers and _origin(request.url) in self._origins:
            response = self._retried(attempt, request, response, settings)
        if response.is_redirect:
            self._prepare_redirect(attempt, request, response)
        return response

    def _retried(
        self, attempt: _Attempt, request: PreparedRequest, response: Response, settings: Mapping[str, Any]
    ) -> Response:
        if self._lacks_nonce(response, attempt):
            response = self._send_again(attempt, request, response, settings)
        if response.status_code != 401 or self._lacks_nonce(response, attempt):
            return response
        if not self._current.drop(attempt.used) or not _is_replayable(request):
            return response
        attempt.used = self._current.get()
        return self._send_again(attempt, request, response, settings)

    def _lacks_nonce(self, response: Response, attempt: _Attempt) -> bool:
        wanted = response.status_code == 401 and _WANTS_NONCE(response.headers.get("WWW-Authenticate", ""))
        return bool(wanted and scheme_of(attempt.used) == "DPoP" and "DPoP-Nonce" in response.headers)

    def _send_again(
        self, attempt: _Attempt, request: PreparedRequest, response: Response, settings: Mapping[str, Any]
    ) -> Response:
        if not _rewind(request):
            return response
        response.content  # noqa: B018 - read to the end, so that the connection can be used again
        response.close()
        replay = request.copy()
        self._authorize(replay, attempt.used)
        answer: Response = response.connection.send(replay, **settings)
        answer.history.append(response)
        answer.request = replay
        self._learn(answer)
        return answer

    def _learn(self, response: Response) -> None:
        if self._nonces is not None and _origin(response.request.url) in self._origins:
            self._nonces.learn(str(response.request.url), response.headers)

    def _prepare_redirect(self, attempt: _Attempt, request: PreparedRequest, response: Response) -> None:
        """See to it that requests, which copies the first request's headers, takes no token elsewhere, no old one."""
        following = request.copy()
        SessionRedirectMixin().rebuild_method(following, response)
        location = SessionRedirectMixin().get_redirect_target(response) or ""
        url = urljoin(str(request.url), requote_uri(location))
        if _origin(url) != _origin(request.url):
            for name in CREDENTIALS:
                request.headers.pop(name, None)
        elif "Authorization" in request.headers:
            following.url = url
            self._authorize(following, attempt.used)
            request.headers.update({name: following.headers[name] for name in CREDENTIALS if name in following.headers})


def _is_replayable(request: PreparedRequest) -> bool:
    body = request.body
    if body is None or isinstance(body, str | bytes):
        return True
    return isinstance(request._body_position, int) and hasattr(body, "seek")  # noqa: SLF001 - there is no other way


def _rewind(request: PreparedRequest) -> bool:
    if request.body is None or isinstance(request.body, str | bytes):
        return True
    try:
        rewind_body(request)
    except (UnrewindableBodyError, ValueError):  # a file that was closed is a ValueError
        return False
    return True


def _nonce_store() -> DPoPNonceStore:
    from auth0_cte.oauth.dpop import DPoPNonceStore

    return DPoPNonceStore()


def _origin(url: str | None) -> str:
    """Return scheme, host and port of a URL as requests connects by it; what has none is like no origin."""
    try:
        return Url.parse(url).origin
    except ValueError:
        return ""


def _origins(given: str | Iterable[str] | None, audience: str | None, *, allow_http: bool) -> tuple[str, ...]:
    if given is None:
        if audience is None or not audience.lower().startswith(("https://", "http://")):
            raise ConfigurationError(f"origin is required, because audience is not a URL: {EXAMPLE}")
        return (_checked_origin(audience, allow_http=allow_http, is_audience=True),)
    origins = (given,) if isinstance(given, str) else tuple(given)
    if not origins:
        raise ConfigurationError(f"origin must name an API: {EXAMPLE}")
    return tuple(_checked_origin(each, allow_http=allow_http) for each in origins)


def _checked_origin(text: str, *, allow_http: bool, is_audience: bool = False) -> str:
    prepared = PreparedRequest()
    try:
        prepared.prepare_url(text if isinstance(text, str) else "", None)  # as it will be for the requests themselves
        url = Url.parse(prepared.url)
    except (RequestException, ValueError):
        raise ConfigurationError(f"origin must be an absolute https URL: {EXAMPLE}") from None
    if url.has_user:
        raise ConfigurationError(f"origin must have no user information: {EXAMPLE}")
    if not is_audience and (url.path not in ("", "/") or url.query or url.fragment):
        raise ConfigurationError(f"origin must be scheme, host and port alone: {EXAMPLE}")
    if not (allow_http or url.is_encrypted_or_local):
        raise ConfigurationError("the token must not go over plain http; allow_http=True if it must")
    return url.origin
