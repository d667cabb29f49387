"""The one function that speaks to a token endpoint, for every grant."""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import quote_plus

from attrs import define, field, frozen

from auth0_cte.error import Auth0CTEError, CustomTokenExchangeError, TransportError
from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.foundation.urls import Url
from auth0_cte.foundation.validation import call_given
from auth0_cte.oauth.client_auth.mutual_tls import MutualTls
from auth0_cte.oauth.error_response import exchange_error, unusable_reply
from auth0_cte.oauth.redaction import Redactor
from auth0_cte.transport.client import HttpRequest, Reply, UnusableReplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auth0_cte.oauth.attack_brake import AttackBrake
    from auth0_cte.oauth.call import Call
    from auth0_cte.oauth.client_auth.base import ClientAuth, Form
    from auth0_cte.oauth.issuer import Issuer
    from auth0_cte.oauth.retry import RetryPolicy
    from auth0_cte.transport.client import Http

__all__ = ["TOKEN_EXCHANGE_GRANT", "Interceptor", "TokenEndpoint", "TokenRequest"]

TOKEN_EXCHANGE_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
FORM: Final = "application/x-www-form-urlencoded"

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
# Remembered, because they recur; what could be a secret is not, nor what is long.
_quoted = lru_cache(maxsize=512)(quote_plus)
MAX_KEPT: Final = 512
_PUBLIC: Final = frozenset(
    {"grant_type", "client_id", "subject_token_type", "actor_token_type", "audience", "scope", "organization"}
)

T = TypeVar("T")


@define(kw_only=True, eq=False, repr=False)
class TokenRequest:
    """A request with all its attempts: what they have in common, and how far they have come.

    Args:
        issuer: Whose endpoint it is.
        url: The endpoint.
        form: The parameters, without client authentication.
        call: The call that it is part of.

    Attributes:
        attempt: Which attempt it is, from 1.
        repeats: How many attempts an interceptor had repeated, which are not retries.
        own_headers: Headers of interceptors, which win over all others of the same name.
        reply: The reply to this attempt, if there is one.
        failure: How the attempt before failed, or None.
        was_seen: Whether the server may have seen one of the attempts.
        announce: What is told of a wait before it begins: the failure that it follows (None for a slot of the rate
            limiter), and its seconds.
    """

    issuer: Issuer
    url: str
    form: Form
    call: Call
    attempt: int = field(default=0, init=False)
    repeats: int = field(default=0, init=False)
    own_headers: dict[str, str] = field(factory=dict, init=False)
    reply: Reply | None = field(default=None, init=False)
    failure: Auth0CTEError | None = field(default=None, init=False)
    was_seen: bool = field(default=False, init=False)
    announce: Callable[[Auth0CTEError | None, float], None] | None = field(default=None, init=False)

    def announcement(self, failure: Auth0CTEError | None) -> Callable[[float], None] | None:
        """Return what is called with the seconds of a wait before it begins, if anything."""
        return None if self.announce is None else partial(self.announce, failure)


class Interceptor(Protocol):
    """What surrounds each attempt of one request: a rate limiter, DPoP proofs, events."""

    def before(self, request: TokenRequest) -> None:
        """Prepare an attempt, before it is authenticated and sent; may wait, or raise."""

    def replied(self, request: TokenRequest) -> None:
        """Note a successful attempt; ``request.reply`` is what came."""

    def failed(self, request: TokenRequest, error: Auth0CTEError) -> bool:
        """Note a failed attempt; ``request.reply`` is what came, if anything.

        Returns:
            Whether the attempt is to be repeated at once, without being a retry.
        """
        ...


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
        interceptors: Make what surrounds the attempts of a token request; the last ones are next to the wire.
        brake: Keeps exchanges from being sent while Auth0 blocks the caller; None for nothing.
    """

    http: Http
    client_id: str
    client_auth: ClientAuth
    retry: RetryPolicy
    headers: Mapping[str, str]
    clock: Callable[[], float]
    interceptors: Sequence[Callable[[TokenRequest], Interceptor]] = ()
    brake: AttackBrake | None = None

    def request_tokens(self, issuer: Issuer, form: Form, call: Call) -> dict[str, Any]:
        """Send a token request until it is answered, or must not be sent again (RFC 6749 section 3.2).

        Args:
            issuer: Whose token endpoint it is.
            form: The parameters, without client authentication.
            call: The call, with its deadline.

        Returns:
            The JSON object of the reply with status 200.

        Raises:
            CustomTokenExchangeError: The server refused, or its reply is not usable.
            RateLimitError: Auth0 has blocked the caller before, and nothing was sent.
            TransportError: No reply came.
            ConfigurationError: The server does not take the algorithm of the DPoP key; nothing was sent.
        """
        alias = issuer.mutual_tls_alias("token_endpoint") if isinstance(self.client_auth, MutualTls) else None
        request = TokenRequest(issuer=issuer, url=alias or issuer.token_endpoint, form=form, call=call)
        brake = self.brake if form[0][1] == TOKEN_EXCHANGE_GRANT else None
        caller = (issuer.issuer, call.forwarded_for)
        if brake is not None and brake.is_pulled:
            brake.check(caller, call.deadline)
        try:
            tokens = self.ask(request, self.authenticated, loads_object, self.interceptors)
        except Auth0CTEError as error:
            if brake is not None:
                brake.settle(caller, error)
            raise
        if brake is not None and brake.is_pulled:
            brake.settle(caller, None)
        return tokens

    def ask(
        self,
        request: TokenRequest,
        build: Callable[[TokenRequest], tuple[HttpRequest, Form]],
        read: Callable[[bytes], T],
        interceptors: Sequence[Callable[[TokenRequest], Interceptor]] = (),
        sender: str = "the token endpoint",
    ) -> T:
        """Send any request of the application until it is answered, or must not be sent again.

        Args:
            request: The request.
            build: Makes the HTTP request of an attempt, and tells what its error reply must not repeat.
            read: Reads the body of a reply with status 200; its `ValueError` says what is wrong with it.
            interceptors: Make what surrounds the attempts.
            sender: What replies, for messages.
        """
        around = [begin(request) for begin in interceptors]
        try:
            while True:
                request.attempt, request.reply = request.attempt + 1, None
                for each in around:
                    each.before(request)
                try:
                    answer = self._attempt(request, build, read, sender)
                except Auth0CTEError as error:
                    request.failure = error
                    request.was_seen |= getattr(error, "may_have_reached_server", False)
                    if not self._goes_on(request, around, error):
                        raise
                    continue
                for each in around:
                    each.replied(request)
                if self.retry.budget.spent:
                    self.retry.budget.give_back(1)
                return answer
        except (CustomTokenExchangeError, TransportError) as error:
            # What one attempt showed the server, the next one does not take back.
            error.may_have_reached_server |= request.was_seen
            error.host = Url.parse(request.url).host
            raise

    def authenticate(self, issuer: Issuer, form: Form, headers: dict[str, str]) -> None:
        """Add the application's authentication to the form and the headers of one attempt.

        Raises:
            ConfigurationError: ``CLIENT_AUTH_FAILED``: a method of the application's own raised an exception.
        """
        apply = self.client_auth.apply
        if type(self.client_auth).__module__.startswith("auth0_cte."):
            apply(self.client_id, issuer, form, headers)
        else:
            call_given(apply, self.client_id, issuer, form, headers, name="client_auth", code="CLIENT_AUTH_FAILED")

    def authenticated(self, request: TokenRequest) -> tuple[HttpRequest, Form]:
        """Build the HTTP request of one attempt: an assertion or a proof is good for one request."""
        form = list(request.form)
        headers = {**self.headers, "Content-Type": FORM}
        if request.call.forwarded_for is not None:
            headers["auth0-forwarded-for"] = request.call.forwarded_for
        self.authenticate(request.issuer, form, headers)
        if request.own_headers:
            own = {name.lower() for name in request.own_headers}
            headers = {name: value for name, value in headers.items() if name.lower() not in own} | request.own_headers
        # What urllib.parse.urlencode does, without its detour for values that need no escaping: most tokens.
        pairs = [
            (quoted(name), quoted(value) if name in _PUBLIC else value if _PLAIN(value) else quote_plus(value))
            for name, value in form
            for quoted in (_quoted if len(name) + len(value) <= MAX_KEPT else quote_plus,)
        ]
        body = "&".join([f"{name}={value}" for name, value in pairs])
        return HttpRequest(method="POST", url=request.url, headers=headers, body=body), form

    def _goes_on(self, request: TokenRequest, around: Sequence[Interceptor], error: Auth0CTEError) -> bool:
        announce = request.announcement(error)
        wishes = [each.failed(request, error) for each in around]
        if any(wishes):
            request.repeats += 1
            if announce is not None:
                announce(0.0)
            return True
        return self.retry.wait_before_retry(error, request.attempt - request.repeats, request.call.deadline, announce)

    def _attempt(
        self,
        request: TokenRequest,
        build: Callable[[TokenRequest], tuple[HttpRequest, Form]],
        read: Callable[[bytes], T],
        sender: str,
    ) -> T:
        sent, form = build(request)
        try:
            reply = request.reply = self.http.send(sent, request.call.deadline, request.attempt)
        except UnusableReplyError as error:
            reply = request.reply = Reply(error.status, error.headers, b"")
            raise unusable_reply(str(error), reply, sender=sender) from None
        if reply.status >= 400:
            raise exchange_error(reply, Redactor(form, sent.headers), self.clock(), sender=sender)
        if reply.status not in (200, 204):  # what needs a body finds out that a 204 has none
            kind = "a redirect, which is never followed" if 300 <= reply.status < 400 else "not a success"
            raise unusable_reply(f"status {reply.status} is {kind}", reply, sender=sender)
        try:
            return read(reply.body)
        except ValueError as error:
            raise unusable_reply(str(error), reply, sender=sender) from None
