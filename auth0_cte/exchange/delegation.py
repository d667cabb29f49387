"""Acting for somebody else: session transfer (impersonation) and On-Behalf-Of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.error import (
    AccessTokenError,
    CustomTokenExchangeError,
    SessionError,
    TransportError,
    without_frames,
)
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.exchange.options import check_text, check_token, validate
from auth0_cte.exchange.session_transfer import session_transfer_audience, to_session_transfer_token
from auth0_cte.oauth.error_response import unusable_reply
from auth0_cte.token_types import ACCESS_TOKEN, ID_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.auth_types import (
        AuthorizationParams,
        SessionTransferTokenResult,
        TokenExchangeResponse,
    )
    from auth0_cte.auth_types.exchange import StoreOptions
    from auth0_cte.exchange.exchanger import Exchanger
    from auth0_cte.session.carrier import Carrier
    from auth0_cte.session.manager import Loaded
    from auth0_cte.session.sessions import Sessions

__all__ = ["Delegation"]


class Delegation:
    """The exchanges by which one party acts for another.

    Args:
        exchanger: Exchanges tokens.
        sessions: Returns the sessions, one of which may name the actor.
    """

    def __init__(self, exchanger: Exchanger, sessions: Callable[[], Sessions]) -> None:
        self._exchanger, self._sessions = exchanger, sessions

    def session_transfer_token(
        self, given: CustomTokenExchangeOptions, reason: str | None, store_options: StoreOptions
    ) -> SessionTransferTokenResult:
        """Request a session transfer token. See `ServerClient.request_session_transfer_token`.

        Args:
            given: The options, as they are; the audience is added, and the actor when there is none.
            reason: Why, for the Action.
            store_options: The request, to find the agent's session.
        """
        self._exchanger.require_confidential("session transfer")
        domain = self._exchanger.server.domain_for(store_options)
        given = evolve(
            given,
            audience=session_transfer_audience(domain),
            actor_token_type=_actor_token_type(given),
            authorization_params=_with_reason(given.authorization_params, reason),
        )
        options = validate(given, CustomTokenExchangeOptions, self._exchanger.defaults)
        options = self._exchanger.located(options, store_options)
        if options.actor_token is None:
            token = self._session_actor(domain, store_options)
            options = evolve(options, actor_token=token, actor_token_type=ID_TOKEN)
        response = self._exchanger.exchange_at(domain, options)[1]
        return to_session_transfer_token(response, options.organization)

    def token_on_behalf_of(
        self, given: CustomTokenExchangeOptions, store_options: StoreOptions
    ) -> TokenExchangeResponse:
        """Exchange a user's access token for one of another API. See `ServerClient.get_token_on_behalf_of`."""
        self._exchanger.require_confidential("On-Behalf-Of")
        if not callable(given.subject_token):
            check_token("access_token", given.subject_token)
        check_text("audience", given.audience)
        response = self._exchanger.exchange(given, store_options)
        if response.issued_token_type not in (None, ACCESS_TOKEN):
            raise unusable_reply("issued_token_type is not that of an access token")
        return response

    def _session_actor(self, domain: str, store_options: StoreOptions) -> str:
        try:
            carrier = self._sessions().manager.carrier(store_options)
        except SessionError as error:
            raise _unavailable(error.message) from error.with_traceback(None)
        loaded = self._sessions().load(store_options, domain)
        if loaded is None:
            raise _unavailable("nobody is logged in at this domain")
        token = self._fresh_id_token(carrier, loaded)
        if token is None:
            raise _unavailable("the session has no ID token")
        fault = self._exchanger.actor_rules(domain).fault(token, self._exchanger.server.clock())
        if fault is not None:
            raise _unavailable(f"the session's ID token {fault}")
        return token

    def _fresh_id_token(self, carrier: Carrier, loaded: Loaded) -> str | None:
        try:
            return self._sessions().with_fresh_id_token(carrier, loaded).id_token
        except AccessTokenError as error:
            raise _unavailable(f"the session's ID token could not be refreshed: {error.code}") from without_frames(
                error
            )
        except TransportError as error:
            error.may_have_reached_server = False  # of the subject token the server has seen nothing
            raise


def _unavailable(reason: str) -> CustomTokenExchangeError:
    return CustomTokenExchangeError(f"no actor: {reason}", code=Code.ACTOR_UNAVAILABLE)


def _actor_token_type(options: CustomTokenExchangeOptions) -> str | None:
    is_default = options.actor_token is not None and options.actor_token_type is None
    return ID_TOKEN if is_default else options.actor_token_type


def _with_reason(params: AuthorizationParams | None, reason: str | None) -> AuthorizationParams | None:
    if reason is None:
        return params
    check_text("reason", reason)
    if params is None:
        return {"reason": reason}
    if not isinstance(params, Mapping) or params.get("reason", reason) != reason:
        raise CustomTokenExchangeError(
            "authorization_params must be a dict that does not contradict reason",
            code=Code.INVALID_AUTHORIZATION_PARAMS,
        )
    return {**params, "reason": reason}
