"""A login that a second factor interrupted: sealed, so that the browser may keep it until the user has answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import asdict, evolve, field, frozen

from auth0_cte.auth_types import LoginWithCustomTokenExchangeOptions
from auth0_cte.error import CustomTokenExchangeError, MfaRequiredError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.session.carrier import carrier_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auth0_cte.auth_types import CustomTokenExchangeOptions
    from auth0_cte.auth_types.exchange import StoreOptions
    from auth0_cte.jose import Sealer
    from auth0_cte.mfa.browser import Browsers
    from auth0_cte.session.carrier import Carrier

__all__ = ["PendingLogin", "PendingLogins"]

PREFIX: Final = "pending-login."
"""What tells a sealed login from an ``mfa_token`` of Auth0's."""
MAX_AGE: Final = 600
"""Auth0's ``mfa_token`` is good for as many seconds."""
MAX_SKEW: Final = 60
"""How far the clocks of the machines that share the secret may differ, in seconds."""
IDENTIFIER: Final = "_a0_pending_login"


@frozen(kw_only=True)
class PendingLogin:
    """What must be known to go on with a login as it was asked for.

    Args:
        mfa_token: The token that continues the authentication.
        domain: The Auth0 domain that issued it.
        organization: The organization that the login is for.
        audience: The API that the login is for.
        scope: The scopes that the login asked for.
        has_actor: Whether the login sent an actor token, so that its session must name an actor.
        session: Which session it is that a refresh was for; None for a login.
        browser: What marks the browser that the login was begun in; None when nothing does.
    """

    mfa_token: str = field(repr=False)
    domain: str
    organization: str | None = None
    audience: str | None = None
    scope: str = ""
    has_actor: bool = False
    session: str | None = None
    browser: str | None = field(default=None, repr=False)

    def options(self) -> LoginWithCustomTokenExchangeOptions:
        """Return what the login asked for; its tokens were the interrupted request's, and are spent."""
        options = LoginWithCustomTokenExchangeOptions(
            subject_token="", subject_token_type="", actor_token="" if self.has_actor else None
        )
        return evolve(options, organization=self.organization, audience=self.audience, scope=self.scope)


class PendingLogins:
    """Seals and opens pending logins.

    Args:
        secrets: The secrets of the sessions; the first seals, all open.
        clock: The time in Unix seconds.
        browsers: Returns what recognizes the browser of a login.
    """

    def __init__(self, secrets: Sequence[str], clock: Callable[[], float], browsers: Callable[[], Browsers]) -> None:
        self._secrets, self._clock, self._browsers = secrets, clock, browsers

    def note(self, error: MfaRequiredError, options: CustomTokenExchangeOptions, carrier: Carrier) -> None:
        """Give the error that interrupted a login what the login is resumed with, in the same browser.

        Args:
            error: The error.
            options: The options of the login.
            carrier: What carries the browser's cookies.
        """
        if error.mfa_token is not None and error.domain is not None:
            pending = PendingLogin(
                mfa_token=error.mfa_token,
                domain=error.domain,
                organization=options.organization,
                audience=options.audience,
                scope=str(options.scope or ""),
                has_actor=options.actor_token is not None,
                browser=self._browsers().mark(carrier),
            )
            error.pending_login = self.seal(pending)

    def note_refresh(self, error: MfaRequiredError, session: str, audience: str | None, scope: str | None) -> None:
        """Give the error that interrupted a refresh what the session goes on with.

        Args:
            error: The error.
            session: Which session it is.
            audience: The API that the access token was asked for.
            scope: The scopes that were asked for.
        """
        if error.mfa_token is not None and error.domain is not None and self._secrets:
            pending = PendingLogin(
                mfa_token=error.mfa_token, domain=error.domain, audience=audience, scope=scope or "", session=session
            )
            error.pending_login = self.seal(pending)

    def seal(self, pending: PendingLogin) -> str:
        """Return text that only this application can read, and that nobody can change."""
        return PREFIX + self._sealer().seal({**asdict(pending), "created_at": int(self._clock())})

    def open(self, sealed: object, store_options: StoreOptions) -> PendingLogin:
        """Read what `seal` made.

        Args:
            sealed: The text.
            store_options: The request that it came with.

        Raises:
            CustomTokenExchangeError: ``INVALID_PENDING_LOGIN``: it was not sealed here, was changed, is too old, or
                comes from another browser than the one that the login was begun in.
        """
        if not is_pending_login(sealed) or not self._secrets:
            raise _invalid("is none")
        from auth0_cte.jose import JoseError

        try:
            content = self._sealer().unseal(str(sealed).removeprefix(PREFIX))
        except JoseError:
            raise _invalid("was not sealed with this secret, or was changed") from None
        age = self._clock() - content.pop("created_at")
        if not -MAX_SKEW <= age <= MAX_AGE:
            raise _invalid("is too old")
        pending = PendingLogin(**content)
        if pending.browser is not None and not self._browsers().is_marked(carrier_of(store_options), pending.browser):
            raise _invalid('was begun in another browser, or store_options={"request": …} is missing')
        return pending

    def forget(self, pending: PendingLogin, carrier: Carrier) -> None:
        """Take the mark off the browser that a login was finished in."""
        if pending.browser is not None:
            self._browsers().forget(carrier)

    def _sealer(self) -> Sealer:
        from auth0_cte.jose import Sealer

        # Under a name of its own: a pending login can never be taken for a session, nor a session for it.
        return Sealer(self._secrets, IDENTIFIER)


def is_pending_login(value: object) -> bool:
    """Tell whether a text claims to be a sealed login."""
    return isinstance(value, str) and value.startswith(PREFIX)


def _invalid(fault: str) -> CustomTokenExchangeError:
    return CustomTokenExchangeError(f"the pending login {fault}", code=Code.INVALID_PENDING_LOGIN)
