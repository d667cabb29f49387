"""The access token that is good now: kept until it expires, refreshed or exchanged anew then, once for all threads."""

from __future__ import annotations

import logging
import re
import threading
from typing import TYPE_CHECKING, Final

from auth0_cte.error import Auth0CTEError, CustomTokenExchangeError, ExchangeTimeoutError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.exchange.cache import is_shareable
from auth0_cte.foundation.concurrency import SingleFlight, reset_in_child
from auth0_cte.oauth.error_response import unusable_reply

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.auth_types import Actor, CustomTokenExchangeOptions, TokenExchangeResponse

__all__ = ["ExchangedTokenSource", "scheme_of"]

logger: Final = logging.getLogger("auth0_cte")

FIRST_PAUSE: Final = 1.0
MAX_PAUSE: Final = 60.0
"""Seconds between attempts to renew a token that is still good."""
SCHEMES: Final = {"": "Bearer", "bearer": "Bearer", "dpop": "DPoP"}

_SENDABLE: Final = re.compile(r"[\x21-\x7e]+").fullmatch


class ExchangedTokenSource:
    """Has a token that is good, of one user for one API. Safe among threads.

    A token that is still good is renewed by one thread, while the others use it; when that fails it is used on, and
    renewed later.

    A fixed subject token is sent once: whether it may be sent again nobody but its issuer knows.

    Args:
        client: Who exchanges.
        options: What to exchange, checked.
        store_options: For a ``domain`` that is a function.
        skew: How many seconds before it expires a token is replaced; half of its life at most.
        reusable: Whether a fixed subject token may be sent again.
    """

    def __init__(
        self,
        client: ServerClient,
        options: CustomTokenExchangeOptions,
        *,
        store_options: Mapping[str, Any] | None,
        skew: float,
        reusable: bool,
    ) -> None:
        self._client, self._options, self._store_options = client, options, store_options
        self._skew = skew
        self._is_single = not callable(options.subject_token) and not reusable
        self._is_spent = False
        self._response: TokenExchangeResponse | None = None
        self._refresh_token: str | None = None
        self._user: object = None
        self._act: Actor | None = None
        # When a renewal may be tried again while there still is a token; how often it has failed.
        self._not_before, self._failures = 0.0, 0
        self._flights: SingleFlight[str, TokenExchangeResponse] = SingleFlight()
        self._after_fork_in_child()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        self._lock, self._early = threading.Lock(), threading.Lock()

    def get(self) -> TokenExchangeResponse:
        """Return the response with the token to use now.

        Raises:
            CustomTokenExchangeError: There is none any more, and none can be had: ``SUBJECT_TOKEN_SPENT`` when the
                fixed subject token was sent before; else as the exchange failed.
        """
        response = self._response
        if response is None or not self._is_valid(response):
            return self._renew(response)
        return response if self._lasts(response) else self._renew_early(response)

    def drop(self, refused: TokenExchangeResponse) -> bool:
        """Let go of a token that an API refused, unless it has been replaced since or is the last one to be had.

        Returns:
            Whether there is, or can be, another one.
        """
        self._client.forget_exchanged_token(refused.access_token)
        with self._lock:
            if self._response is refused and self._can_renew():
                self._response = None
            return self._response is not refused

    def _lasts(self, response: TokenExchangeResponse) -> bool:
        if response.expires_at is None:
            return True
        # Who cannot renew it uses it to the end; who can does not do so at each request, however short its life.
        margin = min(self._skew, (response.expires_in or 0) / 2) if self._can_renew() else 0.0
        return response.expires_at - margin > self._client.clock()

    def _is_valid(self, response: TokenExchangeResponse) -> bool:
        return response.expires_at is None or response.expires_at > self._client.clock()

    def _renew_early(self, valid: TokenExchangeResponse) -> TokenExchangeResponse:
        """Renew a token that is still good, or return it: when another thread renews it, or that fails."""
        if self._client.clock() < self._not_before or not self._early.acquire(blocking=False):
            return valid
        try:
            return self._renew(valid)
        except CustomTokenExchangeError as error:
            if not self._is_valid(valid):
                raise
            wait = error.retry_after or min(MAX_PAUSE, FIRST_PAUSE * 2**self._failures)
            self._not_before, self._failures = self._client.clock() + wait, self._failures + 1
            logger.warning("a token could not be renewed (%s); it is used on, and renewed later", error.code)
            return valid
        finally:
            self._early.release()

    def _can_renew(self) -> bool:
        return self._refresh_token is not None or not self._is_spent

    def _renew(self, stale: TokenExchangeResponse | None) -> TokenExchangeResponse:
        try:
            return self._flights.do("renew", lambda: self._renew_once(stale), timeout=self._client.settings.timeout)
        except TimeoutError as error:
            message = "waiting for another thread to renew the token took too long; this call has sent nothing"
            raise ExchangeTimeoutError(message, phase="connect", may_have_reached_server=False) from error

    def _renew_once(self, stale: TokenExchangeResponse | None) -> TokenExchangeResponse:
        current = self._response
        if current is not None and current is not stale:
            return current  # whoever led before has done it
        response = self._refreshed() or self._exchanged()
        self._check(response)
        with self._lock:
            self._response = response
            self._not_before, self._failures = 0.0, 0
        return response

    def _refreshed(self) -> TokenExchangeResponse | None:
        if self._refresh_token is None:
            return None
        try:
            response = self._client.refresh_exchanged_token(self._refresh_token, store_options=self._store_options)
        except CustomTokenExchangeError as error:
            if error.code != "invalid_grant":
                raise
            self._refresh_token = None  # spent, expired or revoked: a new exchange can do without
            return None
        self._refresh_token = response.refresh_token or self._refresh_token
        return response

    def _exchanged(self) -> TokenExchangeResponse:
        if self._is_spent:
            raise CustomTokenExchangeError(
                "the access token is of no use any more, and the subject token has been sent already",
                code=Code.SUBJECT_TOKEN_SPENT,
            )
        self._is_spent = self._is_single  # before: an interrupt must not leave it open
        try:
            response = self._client.custom_token_exchange(self._options, self._store_options)
        except Auth0CTEError as error:
            unseen = not getattr(error, "may_have_reached_server", False)
            self._is_spent = self._is_single and not (unseen or getattr(error, "is_retryable", False))
            raise
        # Another caller of the cache may use its refresh token up, and rotation punishes the second use.
        self._refresh_token = None if response.from_cache else response.refresh_token
        return response

    def _check(self, response: TokenExchangeResponse) -> None:
        fault = None
        if (response.token_type or "").lower() not in SCHEMES or not is_shareable(response):
            fault = "it is not an access token to call an API with"
        elif not _SENDABLE(response.access_token):
            fault = "it cannot be sent in a header"
        elif response.claims is not None and self._user not in (None, response.claims["sub"]):
            fault = "it is another user's than before; an ExchangeAuth is for one user"
        elif response.claims is not None and self._user is not None and self._act != response.act:
            fault = "it names another actor than before; an ExchangeAuth is for one chain of actors"
        if fault is not None:
            raise unusable_reply(fault)
        if response.claims is not None:
            self._user, self._act = response.claims["sub"], response.act


def scheme_of(response: TokenExchangeResponse) -> str:
    """Return the scheme of the ``Authorization`` header: ``Bearer``, or ``DPoP`` for a bound token."""
    return SCHEMES[(response.token_type or "").lower()]
