"""Acting for somebody else: session transfer (impersonation) and On-Behalf-Of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from auth0_cte.auth_server.base_client import BaseClient
from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.error import (
    AccessTokenError,
    ConfigurationError,
    CustomTokenExchangeError,
    SessionError,
    TransportError,
    exchange_failure,
    without_frames,
)
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.exchange.exchanger import StoreOptions, guarded
from auth0_cte.exchange.options import check_text, check_token, validate
from auth0_cte.exchange.reuse import Reuse
from auth0_cte.exchange.session_transfer import (
    session_transfer_audience,
    to_redirect,
    to_session_transfer_token,
)
from auth0_cte.oauth.client_auth.base import PublicClient
from auth0_cte.oauth.domain import resolve_domain
from auth0_cte.token_types import ACCESS_TOKEN, ID_TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auth0_cte.auth_types import (
        AuthorizationParams,
        SessionTransferTokenResult,
        TokenExchangeResponse,
        TokenSource,
    )
    from auth0_cte.session.carrier import Carrier
    from auth0_cte.session.manager import Loaded

__all__ = ["Delegation", "SessionTransferRedirects"]


class SessionTransferRedirects(BaseClient):
    """The method of `ServerClient`, and of its mirror, that only builds a URL."""

    @guarded(without_frames)
    def build_session_transfer_redirect(
        self,
        target_login_url: str,
        result: SessionTransferTokenResult | TokenExchangeResponse,
        organization: str | None = None,
        *,
        allowed_hosts: Iterable[str] | None = None,
    ) -> str:
        """Build the URL that hands a session transfer token to another application's login. Nothing is sent.

        That login passes ``session_transfer_token`` and ``organization`` on to ``/authorize``. Redirect the browser
        there at once, from the address that the token was requested for (``forwarded_for``), and do not log the URL.

        Args:
            target_login_url: The application's login (``initiate_login_url``): an absolute https URL, http on loopback
                alone, without user information or fragment. Its query is kept as it is. Never take it from a request.
            result: What `request_session_transfer_token` returned. A bare string is refused, because nobody can tell
                it from an access token.
            organization: The organization to log in at; the one that the token was requested for when None.
            allowed_hosts: The hosts that the URL may have, ``app.example`` or ``app.example:8443``; any when None.

        Raises:
            ConfigurationError: The URL could leak the token, or the result is another kind of token.
        """
        return to_redirect(target_login_url, result, organization, allowed_hosts)


class Delegation(SessionTransferRedirects, Reuse):
    """The methods of `ServerClient` by which one party acts for another."""

    @guarded(exchange_failure)
    def request_session_transfer_token(
        self,
        subject_token: TokenSource,
        subject_token_type: str,
        actor_token: TokenSource | None = None,
        actor_token_type: str | None = None,
        scope: str | Sequence[str] | None = None,
        organization: str | None = None,
        store_options: StoreOptions = None,
        *,
        reason: str | None = None,
        forwarded_for: str | None = None,
        authorization_params: AuthorizationParams | None = None,
    ) -> SessionTransferTokenResult:
        """Request a token that logs an agent in at another application as a customer (Auth0, "Session Delegation").

        The agent is the actor: by default the user of the session at hand, by the session's ID token, which is
        refreshed first when it is about to expire. Everything else is checked before a refresh token is spent.

        Args:
            subject_token: Your proof of who the customer is, for your Action; or a function that returns it.
            subject_token_type: A URI that names its kind, and the profile whose Action runs.
            actor_token: The agent's token instead of the session's ID token; or a function that returns it.
            actor_token_type: Its kind; an Auth0 ID token when None.
            scope: Scopes, separated by spaces or as a sequence.
            organization: The organization to log in at; the redirect hands it on.
            store_options: ``{"request": …, "response": …}``, to find the agent's session.
            reason: Why, for the Action (``event.request.body.reason``).
            forwarded_for: The agent's IP address. The token is bound to it, so give it whenever a browser redeems it.
            authorization_params: Further parameters for the Action.

        Returns:
            The token, for `build_session_transfer_redirect`. It is neither kept nor cached.

        Raises:
            CustomTokenExchangeError: ``ACTOR_UNAVAILABLE`` when no actor is given and the session has none;
                ``INVALID_RESPONSE`` when Auth0 issued another kind of token.
            SessionError: The store cannot be reached, or the refreshed session cannot be written.
            ConfigurationError: The application is a public one.
        """
        self._require_confidential("session transfer")
        domain = resolve_domain(self._domain, store_options)
        given = CustomTokenExchangeOptions(
            subject_token=subject_token,
            subject_token_type=subject_token_type,
            audience=session_transfer_audience(domain),
            scope=scope,
            actor_token=actor_token,
            actor_token_type=ID_TOKEN if actor_token is not None and actor_token_type is None else actor_token_type,
            organization=organization,
            forwarded_for=forwarded_for,
            authorization_params=_with_reason(authorization_params, reason),
        )
        options = validate(given, CustomTokenExchangeOptions, self._defaults)
        if options.actor_token is None:
            token = self._session_actor(domain, store_options)
            options = evolve(options, actor_token=token, actor_token_type=ID_TOKEN)
        _, response = self._exchange(options, store_options, domain)
        return to_session_transfer_token(response, options.organization)

    @guarded(exchange_failure)
    def get_token_on_behalf_of(
        self,
        access_token: TokenSource,
        audience: str,
        scope: str | Sequence[str] | None = None,
        store_options: StoreOptions = None,
        *,
        organization: str | None = None,
        forwarded_for: str | None = None,
        authorization_params: AuthorizationParams | None = None,
    ) -> TokenExchangeResponse:
        """Exchange the access token that a user called your API with for one of another API (Auth0, "On-Behalf-Of").

        The user stays the subject; the new token's ``act`` names this application, and those before it behind. It is
        for the other API to verify; the reply brings neither an ID token nor a refresh token.

        Args:
            access_token: The token that came with the request, which your API has verified; without ``Bearer``.
            audience: The identifier of the API to call.
            scope: The scopes asked for, separated by spaces or as a sequence.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.
            organization: The organization, by id or name.
            forwarded_for: The user's IP address.
            authorization_params: Further parameters of the token request.

        Raises:
            CustomTokenExchangeError: The exchange failed.
            ConfigurationError: The application is a public one.
        """
        self._require_confidential("On-Behalf-Of")
        if not callable(access_token):
            check_token("access_token", access_token)
        check_text("audience", audience)
        given = CustomTokenExchangeOptions(
            subject_token=access_token,
            subject_token_type=ACCESS_TOKEN,
            requested_token_type=ACCESS_TOKEN,
            audience=audience,
            scope=scope,
            organization=organization,
            forwarded_for=forwarded_for,
            authorization_params=authorization_params,
        )
        response = self._exchange_or_reuse(validate(given, CustomTokenExchangeOptions, self._defaults), store_options)
        if response.issued_token_type not in (None, ACCESS_TOKEN):
            raise CustomTokenExchangeError(
                "the reply to an On-Behalf-Of exchange is not usable: issued_token_type is not that of an access token",
                code=Code.INVALID_RESPONSE,
                status_code=200,
                may_have_reached_server=True,
            )
        return response

    def _require_confidential(self, what: str) -> None:
        if isinstance(self._token_endpoint.client_auth, PublicClient):
            raise ConfigurationError(f"{what} is for applications that authenticate: give client_secret or client_auth")

    def _session_actor(self, domain: str, store_options: StoreOptions) -> str:
        try:
            carrier = self._sessions.carrier(store_options)
        except SessionError as error:
            raise _unavailable(error.message) from error.with_traceback(None)
        loaded = self._load(store_options, domain)
        if loaded is None:
            raise _unavailable("there is no session at this domain")
        token = self._fresh_id_token(carrier, loaded)
        if token is None:
            raise _unavailable("the session has no ID token")
        fault = self._actor_rules(domain).fault(token, self._clock())
        if fault is not None:
            raise _unavailable(f"the session's ID token {fault}")
        return token

    def _fresh_id_token(self, carrier: Carrier, loaded: Loaded) -> str | None:
        try:
            return self._access_tokens.with_id_token(carrier, loaded, self._leeway).id_token
        except AccessTokenError as error:
            raise _unavailable(f"the session's ID token could not be refreshed: {error.code}") from without_frames(
                error
            )
        except TransportError as error:
            error.may_have_reached_server = False  # of the subject token the server has seen nothing
            raise


def _unavailable(reason: str) -> CustomTokenExchangeError:
    return CustomTokenExchangeError(f"no actor: {reason}", code=Code.ACTOR_UNAVAILABLE)


def _with_reason(params: AuthorizationParams | None, reason: str | None) -> AuthorizationParams | None:
    if reason is None:
        return params
    check_text("reason", reason)
    if params is None:
        return {"reason": reason}
    if not isinstance(params, Mapping) or params.get("reason", reason) != reason:
        raise CustomTokenExchangeError(
            "authorization_params is no dict, or contradicts reason", code=Code.INVALID_AUTHORIZATION_PARAMS
        )
    return {**params, "reason": reason}
