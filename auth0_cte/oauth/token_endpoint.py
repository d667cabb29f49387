"""The one function that speaks to a token endpoint, for every grant."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

from attrs import field, frozen

from auth0_cte.error import Auth0CTEError, CustomTokenExchangeError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.oauth.client_auth.mutual_tls import MutualTls
from auth0_cte.oauth.domain import domain_of
from auth0_cte.oauth.error_response import exchange_error, kept_headers
from auth0_cte.oauth.observer import Observer
from auth0_cte.oauth.proofs import NO_PROOFS, Proofs, SignedProofs
from auth0_cte.oauth.rate_limit.turns import NO_TURNS, LimitedTurns
from auth0_cte.transport.client import HttpRequest, UnusableReplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.foundation.deadline import Deadline
    from auth0_cte.oauth.client_auth.base import ClientAuth, Form
    from auth0_cte.oauth.discovery import Issuer
    from auth0_cte.oauth.dpop import DPoPKey, DPoPNonceStore
    from auth0_cte.oauth.observer import TokenRequests
    from auth0_cte.oauth.rate_limit.limiter import RateLimit
    from auth0_cte.oauth.rate_limit.turns import Turns
    from auth0_cte.oauth.retry import RetryPolicy
    from auth0_cte.transport.client import Http, Reply

__all__ = ["TOKEN_EXCHANGE_GRANT", "TokenEndpoint"]

TOKEN_EXCHANGE_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
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
        rate_limit: The turns that exchanges take; None for no limit of the client's own.
        observer: What is told of each attempt.
        dpop: The key that tokens are to be bound to, with the nonces of token endpoints; None for no proofs.
    """

    http: Http
    client_id: str
    client_auth: ClientAuth
    retry: RetryPolicy
    headers: Mapping[str, str]
    clock: Callable[[], float]
    rate_limit: RateLimit | None = None
    observer: Observer = field(factory=Observer)
    dpop: tuple[DPoPKey, DPoPNonceStore] | None = None

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
            ConfigurationError: The server does not take the algorithm of the DPoP key; nothing was sent.
        """
        proofs = NO_PROOFS if self.dpop is None else SignedProofs(*self.dpop, issuer)
        url = issuer.token_endpoint_for(mutual_tls=isinstance(self.client_auth, MutualTls))
        watch = self.observer.token_requests(domain_of(issuer.issuer), url, form)
        turns = self._turns(issuer, form)
        attempt, failure = 0, None
        while True:
            attempt += 1
            watch.begin(attempt)
            turns.take(deadline, watch.waiting, failure)
            parameters = list(form)  # authenticated anew each time: an assertion is good for one request
            try:
                with watch:
                    reply = self._send(issuer, url, (parameters, headers), deadline, proofs)
                    watch.answered(reply)
                    payload = self._read(reply, parameters)
            except Auth0CTEError as error:
                failure = error
                turns.refused(error)
                if not self._repeats(error, attempt, proofs, deadline, watch):
                    raise
            else:
                self.retry.budget.give_back(1)
                turns.answered(reply)
                return payload

    def _repeats(
        self, error: Auth0CTEError, attempt: int, proofs: Proofs, deadline: Deadline, watch: TokenRequests
    ) -> bool:
        announce = watch.retrying(error)
        # A request that lacked a nonce was refused before the token in it was looked at: RFC 9449 section 8.
        if not proofs.wants_another(error, deadline):
            return self.retry.wait_before_retry(error, attempt - proofs.extra_attempts, deadline, announce)
        if announce is not None:
            announce(0.0)
        return True

    def _turns(self, issuer: Issuer, form: Form) -> Turns:
        limit = self.rate_limit
        if limit is None or ("grant_type", TOKEN_EXCHANGE_GRANT) not in form:
            return NO_TURNS
        return LimitedTurns(limit, issuer.issuer, self.clock)

    def _send(
        self,
        issuer: Issuer,
        url: str,
        content: tuple[Form, Mapping[str, str] | None],
        deadline: Deadline,
        proofs: Proofs,
    ) -> Reply:
        parameters, headers = content
        complete = {**self.headers, "Content-Type": FORM, **(headers or {})}
        self.client_auth.apply(self.client_id, issuer, parameters, complete)
        proofs.prove(url, complete)
        request = HttpRequest(method="POST", url=url, headers=complete, body=_encode(parameters))
        try:
            reply = self.http.send(request, deadline)
        except UnusableReplyError as error:
            proofs.learn(request.url, error.headers)
            raise _unusable(str(error), error.status, error.headers) from None
        proofs.learn(request.url, reply.headers)
        return reply

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
