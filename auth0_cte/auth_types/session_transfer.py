"""Session transfer tokens; importable from ``auth0_cte.auth_types``, too."""

from __future__ import annotations

from attrs import field, frozen

__all__ = ["SessionTransferTokenResult"]


@frozen(kw_only=True)
class SessionTransferTokenResult:
    """A session transfer token: opaque, good for one redemption within a minute (Auth0, "Session Delegation").

    Do not store, decode or log it; hand it to `build_session_transfer_redirect` at once.

    Args:
        session_transfer_token: The token.
        issued_token_type: ``urn:auth0:params:oauth:token-type:session_transfer_token``, always.
        expires_in: Its lifetime in seconds, or None when not told.
        expires_at: When it expires, in Unix seconds by the client's clock, or None.
        token_type: ``N_A``, because it is not an access token, or None when not told.
        scope: The granted scopes, or None when not told.
        organization: The organization that was asked for, which the redirect hands on; or None.
    """

    session_transfer_token: str = field(repr=False)
    issued_token_type: str
    expires_in: int | None = None
    expires_at: float | None = None
    token_type: str | None = None
    scope: str | None = None
    organization: str | None = None

    @property
    def token(self) -> str:
        """The token."""
        return self.session_transfer_token
