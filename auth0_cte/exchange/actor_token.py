"""The rules about actors: which token can be one, and what a reply says about who acts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from auth0_cte.error import CustomTokenExchangeError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.token_types import ID_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.auth_types import CustomTokenExchangeOptions
    from auth0_cte.jose import Jws

__all__ = ["ActorRules"]

ALGORITHMS: Final = ("RS256", "PS256")
"""What Auth0 takes of an actor's ID token (Auth0, "Custom Token Exchange", delegated authorization)."""


@frozen(kw_only=True)
class ActorRules:
    """What an actor's ID token must be for Auth0 to take it, as far as can be told before the subject token is spent.

    Whether its signature holds, Auth0 finds out. It is verified here only when ``iss`` is another address than that of
    the exchange, because then it is the keys that tell whether it is the same tenant's.

    Args:
        client_id: The application, for which the ID token must have been issued.
        issuer_url: The domain of the exchange, which must have issued it.
        leeway: How far clocks may differ, in seconds.
        is_signed_here: Tells whether the domain's keys signed a token.
    """

    client_id: str
    issuer_url: str
    leeway: float
    is_signed_here: Callable[[Jws], bool]

    def check(self, options: CustomTokenExchangeOptions, now: float) -> None:
        """Refuse an actor's ID token that Auth0 is bound to refuse. Tokens of other types are the Action's business.

        Args:
            options: Options whose actor token is a string, or None.
            now: The time in Unix seconds.

        Raises:
            CustomTokenExchangeError: ``INVALID_ACTOR_TOKEN``; the message names the fault and never the token.
        """
        if options.actor_token_type != ID_TOKEN or not isinstance(options.actor_token, str):
            return
        fault = self.fault(options.actor_token, now)
        if fault is not None:
            raise CustomTokenExchangeError(f"actor_token {fault}", code=Code.INVALID_ACTOR_TOKEN)

    def fault(self, token: str, now: float) -> str | None:
        """Say why an ID token cannot be an actor's, or None."""
        from auth0_cte.jose import JoseError
        from auth0_cte.oauth.id_token import read_unverified

        try:
            jws, claims = read_unverified(token)
        except (JoseError, ValueError):
            return "is not a JSON Web Token, but actor_token_type says that it is an ID token"
        if jws.header.get("alg") not in ALGORITHMS:
            return "is signed with neither RS256 nor PS256, which is all that Auth0 takes of an actor"
        if jws.header.get("typ", "JWT").upper() != "JWT":
            return "is not an ID token (typ)"
        return self._claims_fault(claims, now) or self._issuer_fault(jws, claims.get("iss"))

    def _claims_fault(self, claims: Mapping[str, Any], now: float) -> str | None:
        audience = claims.get("aud")
        if self.client_id not in (audience if isinstance(audience, list) else [audience]):
            return "was issued to another application (aud); Auth0 wants the one that sends it"
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            return "has no sub"
        from auth0_cte.oauth.id_token import read_time

        expiry = read_time(claims.get("exp"))
        if expiry is None:
            return "has no exp"
        return "has expired (exp); get a new one for the actor" if expiry <= now - self.leeway else None

    def _issuer_fault(self, jws: Jws, issuer: object) -> str | None:
        if isinstance(issuer, str) and issuer.rstrip("/") == self.issuer_url.rstrip("/"):
            return None
        # A tenant's custom domains are issuers of their own, and share its keys.
        if isinstance(issuer, str) and self.is_signed_here(jws):
            return None
        return f"was not issued by the tenant at {self.issuer_url} (iss)"
