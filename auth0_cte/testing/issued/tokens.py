"""The tokens that the tenant issues, and the reply that carries them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from auth0_cte.testing.issued.logins import Login

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auth0_cte.testing.actions.refresh_token import RefreshTokenChanges
    from auth0_cte.testing.issued.logins import Logins
    from auth0_cte.testing.registry.apis import Api
    from auth0_cte.testing.registry.applications import Application
    from auth0_cte.testing.registry.keys import KeyRing
    from auth0_cte.testing.registry.organizations import Organization
    from auth0_cte.testing.registry.users import User
    from auth0_cte.testing.session_settings import SessionSettings

__all__ = ["ID_TOKEN_LIFETIME", "TokenGrant", "TokenIssuer", "user_claims"]

ID_TOKEN_LIFETIME: Final = 36000
"""How long an ID token lives, in seconds; Auth0's default."""

# The claims that a scope asks for: OpenID Connect Core 1.0, section 5.4.
_CLAIMS: Final = {
    "profile": (
        *("name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture"),
        *("website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"),
    ),
    "email": ("email", "email_verified"),
    "phone": ("phone_number", "phone_number_verified"),
    "address": ("address",),
}


@frozen(kw_only=True)
class TokenGrant:
    """What was granted, to whom: all that tokens are made of.

    Args:
        issuer: The issuer identifier.
        application: The application that gets the tokens.
        user: The user that they are about.
        api: The API that the access token is for.
        scopes: The granted scopes.
        organization: The organization that the user acts in, or None.
        act: The actor (RFC 8693 section 4.1), or None.
        sid: The identifier of the session.
        jkt: The thumbprint of the DPoP key that the access token is bound to, or None.
        refresh_jkt: The same of the refresh token.
        permissions: What the access token tells of the user's permissions at the API; None for no such claim.
        access_claims: Custom claims of the access token; those that are None are left out.
        id_claims: Custom claims of the ID token, likewise.
        refresh_token: What Post-Login Actions asked for the refresh token, or None.
    """

    issuer: str
    application: Application
    user: User
    api: Api
    scopes: tuple[str, ...]
    organization: Organization | None = None
    act: Mapping[str, Any] | None = None
    sid: str = field(factory=lambda: secrets.token_urlsafe(24))
    jkt: str | None = None
    refresh_jkt: str | None = None
    permissions: tuple[str, ...] | None = None
    access_claims: Mapping[str, Any] = field(factory=dict)
    id_claims: Mapping[str, Any] = field(factory=dict)
    refresh_token: RefreshTokenChanges | None = None

    def common_claims(self, now: int, lifetime: int) -> dict[str, Any]:
        """Return the claims that ID token and access token share."""
        claims: dict[str, Any] = {"iss": self.issuer, "sub": self.user.user_id, "iat": now, "exp": now + lifetime}
        if self.organization is not None:
            claims |= {"org_id": self.organization.id, "org_name": self.organization.name}
        if self.act is not None:
            claims["act"] = self.act
        return claims


@frozen
class TokenIssuer:
    """Signs tokens, with what the tenant adds to all of them.

    Args:
        keys: The signing keys.
        clock: Returns Unix seconds.
        sessions: What can be set about ID tokens.
        logins: What remembers the sessions of ID tokens.
    """

    keys: KeyRing
    clock: Callable[[], float]
    sessions: SessionSettings
    logins: Logins

    def access_token(self, grant: TokenGrant) -> str:
        """Sign an access token: Auth0's own profile of a JWT, or RFC 9068, as the API says."""
        claims = {**_given(grant.access_claims), **grant.common_claims(int(self.clock()), grant.api.token_lifetime)}
        claims["aud"] = _audience(grant)
        if grant.scopes:
            claims["scope"] = " ".join(grant.scopes)
        if grant.permissions is not None:
            claims["permissions"] = list(grant.permissions)
        if grant.jkt is not None:
            claims["cnf"] = {"jkt": grant.jkt}
        if grant.api.is_rfc9068:
            claims |= {"client_id": grant.application.client_id, "jti": secrets.token_urlsafe(16)}
            return self.keys.current().sign(claims, header={"typ": "at+jwt"})
        return self.keys.current().sign({**claims, "azp": grant.application.client_id}, header={"typ": "JWT"})

    def id_token(
        self, grant: TokenGrant, *, lifetime: int = ID_TOKEN_LIFETIME, more: Mapping[str, Any] | None = None
    ) -> str:
        """Sign an ID token (OpenID Connect Core 1.0, section 2).

        Args:
            grant: What was granted; its scopes choose the user's claims.
            lifetime: How long it lives, in seconds; negative for one that has expired.
            more: Further claims, which win.
        """
        claims = grant.common_claims(int(self.clock()), lifetime)
        claims |= {**user_claims(grant.user, grant.scopes), **_given(grant.id_claims)}
        claims |= {"aud": grant.application.client_id, "sid": grant.sid}
        if grant.user.session_expiry is not None:
            claims["session_expiry"] = grant.user.session_expiry
        added = {**claims, **self.sessions.claims_for(grant.user.user_id, grant.application)}
        claims = {**_given(added), **(more or {})}
        return self.keys.id_token_key(grant.application).sign(claims, header={"typ": "JWT"})

    def reply(self, grant: TokenGrant, requested: Sequence[str], *, id_token: bool = True) -> dict[str, Any]:
        """Make the body of a successful reply (RFC 6749 section 5.1), without a refresh token.

        Args:
            grant: What was granted.
            requested: The scopes that the request named.
            id_token: Whether there is an ID token, provided that the scopes have ``openid``.
        """
        body: dict[str, Any] = {"access_token": self.access_token(grant)}
        if id_token and "openid" in grant.scopes:
            body["id_token"] = self.id_token(grant)
            self.logins.begin(Login(grant.sid, grant.user.user_id, grant.application.client_id, grant.issuer))
        if set(grant.scopes) != set(requested):
            body["scope"] = " ".join(grant.scopes)
        return {**body, "expires_in": grant.api.token_lifetime, "token_type": "Bearer" if grant.jkt is None else "DPoP"}


def _given(claims: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not None}


def _audience(grant: TokenGrant) -> str | list[str]:
    # With openid, Auth0's access tokens are good for the userinfo endpoint, too.
    userinfo = f"{grant.issuer}userinfo"
    if "openid" not in grant.scopes or grant.api.identifier == userinfo:
        return grant.api.identifier
    return [grant.api.identifier, userinfo]


def user_claims(user: User, scopes: Sequence[str]) -> dict[str, Any]:
    """Return the claims about a user that scopes ask for (OpenID Connect Core 1.0, section 5.4)."""
    attributes = dict(user.attributes)
    if "phone_verified" in attributes:
        attributes.setdefault("phone_number_verified", attributes["phone_verified"])
    names = [name for scope in scopes for name in _CLAIMS.get(scope, ())]
    return {name: attributes[name] for name in names if name in attributes}
