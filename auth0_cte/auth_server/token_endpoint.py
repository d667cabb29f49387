"""The one function that speaks to a token endpoint, for every grant."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

from attrs import frozen

from auth0_cte.auth_server.error_reply import exchange_error, kept_headers
from auth0_cte.auth_server.http import HttpRequest, UnusableReplyError
from auth0_cte.error import Auth0CTEError, CustomTokenExchangeError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.strict_json import loads_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.auth_server.client_auth import ClientAuth, Form
    from auth0_cte.auth_server.discovery import Issuer
    from auth0_cte.auth_server.http import Http, Reply
    from auth0_cte.auth_server.retry import Deadline, RetryPolicy

__all__ = ["TokenEndpoint"]

FORM: Final = "application/x-www-form-urlencoded"

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
# Remembered, because they recur; what could be a secret is not.
_quoted = lru_cache(maxsize=512)(quote_plus)
_PUBLIC: Final = frozenset(
    {"grant_type", "client_id", "subject_token_type", "actor_token_type", "audience", "scope", "organization"}
)


@frozen(kw_only=True, eq=False, repr=False)
class TokenEndpoint:
    """How one application asks for tokens.

    Args:
        http: How requests are sent.
        client_id: The application.
        client_auth: How it authenticates.
        retry: What is tried again.
        headers: The headers of every request.
        clock: The time in Unix seconds.
    """

    http: Http
    client_id: str
    client_auth: ClientAuth
    retry: RetryPolicy
    headers: Mapping[str, str]
    clock: Callable[[], float]

    def request_tokens(
        self, issuer: Issuer, form: Form, deadline: Deadline, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Send a token request until it is answered, or must not be sent again (RFC 6749 section 3.2).

        Args:
            issuer: Whose token endpoint it is.
            form: The parameters, without client authentication.
            deadline: When to give up, at the latest.
            headers: Further headers.

        Returns:
            The JSON object of the reply with status 200.

        Raises:
            CustomTokenExchangeError: The server refused, or its reply is not usable.
            TransportError: No reply came.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                reply = self._send(issuer, form, deadline, headers)
                payload = self._read(reply, form)
            except Auth0CTEError as error:
                if not self.retry.wait_before_retry(error, attempt, deadline):
                    raise
            else:
                self.retry.budget.give_back(1)
                return payload

    def _send(self, issuer: Issuer, form: Form, deadline: Deadline, headers: Mapping[str, str] | None) -> Reply:
        # Authenticated anew each time: an assertion or a proof is good for one request.
        parameters = list(form)
        complete = {**self.headers, "Content-Type": FORM, **(headers or {})}
        self.client_auth.apply(self.client_id, issuer, parameters, complete)
        request = HttpRequest(method="POST", url=issuer.token_endpoint, headers=complete, body=_encode(parameters))
        try:
            return self.http.send(request, deadline)
        except UnusableReplyError as error:
            raise _unusable(str(error), error.status, error.headers) from None

    def _read(self, reply: Reply, form: Form) -> dict[str, Any]:
        if reply.status >= 400:
            raise exchange_error(reply, form, self.clock())
        if reply.status != 200:
            kind = "a redirect, which is never followed" if 300 <= reply.status < 400 else "no success"
            raise _unusable(f"status {reply.status} is {kind}", reply.status, reply.headers)
        try:
            return loads_object(reply.body)
        except ValueError as error:
            raise _unusable(str(error), reply.status, reply.headers) from None


def _encode(form: Form) -> str:
    """Do what ``urllib.parse.urlencode`` does, without its detour for values that need no escaping: most tokens."""
    return "&".join([f"{_quoted(name)}={_quote(name, value)}" for name, value in form])


def _quote(name: str, value: str) -> str:
    if name in _PUBLIC:
        return _quoted(value)
    return value if _PLAIN(value) else quote_plus(value)


def _unusable(fault: str, status: int, headers: Mapping[str, str]) -> CustomTokenExchangeError:
    kept = kept_headers(headers)
    return CustomTokenExchangeError(
        f"the reply of the token endpoint is not usable: {fault}",
        code=Code.INVALID_RESPONSE,
        status_code=status,
        headers=kept,
        request_id=kept.get("x-auth0-requestid"),
        may_have_reached_server=True,
    )
