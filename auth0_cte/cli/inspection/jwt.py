"""A JSON Web Token: its parts, its signature by its issuer's keys, and everything that this library would refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

from auth0_cte.auth_server.server_client import ServerClient
from auth0_cte.error import Auth0CTEError, ConfigurationError, IdTokenError
from auth0_cte.jose import JoseError, Jws
from auth0_cte.oauth.call import Call
from auth0_cte.oauth.client_auth.base import PublicClient
from auth0_cte.oauth.id_token import read_time, read_unverified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.oauth.authorization_server import AuthorizationServer
    from auth0_cte.oauth.id_token import IdTokenVerifier
    from auth0_cte.oauth.issuer import Issuer

__all__ = ["Signature", "TokenReport", "inspect_jwt"]

MAX_REFUSALS: Final = 8
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


@frozen(kw_only=True)
class Signature:
    """What became of the verification of a signature.

    Args:
        status: ``"verified"``, ``"refused"``, or ``"not checked"``.
        detail: By whose keys, or why not.
    """

    status: str
    detail: str


@frozen(kw_only=True)
class TokenReport:
    """What was found about a token.

    Args:
        header: Its header.
        claims: Its claims.
        kind: What it looks like: ``"ID token"``, ``"logout token"``, ``"access token"``.
        signature: Whether its issuer signed it.
        refusals: Why this library would refuse it, as what it looks like; empty when it would not.
    """

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    kind: str
    signature: Signature
    refusals: list[str]

    @property
    def is_refused(self) -> bool:
        """Whether the token is of no use: its signature does not hold, or the library would refuse it."""
        return bool(self.refusals) or self.signature.status == "refused"


def inspect_jwt(
    token: str,
    *,
    client_id: str | None = None,
    client_secret: str | None = None,
    domain: str | None = None,
    offline: bool = False,
) -> TokenReport:
    """Take a token apart and verify it.

    Args:
        token: The token.
        client_id: The application that it should be for; its own audience when None.
        client_secret: The key of HS256, or None.
        domain: Who should have issued it; its own ``iss`` when None.
        offline: Whether to fetch no keys.

    Raises:
        JoseError: It is not a JSON Web Token.
        ValueError: Its payload is not a JSON object.
    """
    jws, claims = read_unverified(token)
    kind = _kind(jws, claims)
    try:
        client = _client(claims, client_id, client_secret, domain)
    except ConfigurationError as error:
        signature = Signature(status="not checked", detail=f"the issuer cannot be asked: {error.message}")
        return TokenReport(header=jws.header, claims=claims, kind=kind, signature=signature, refusals=[])
    with client:
        if offline:
            signature = Signature(status="not checked", detail="--offline")
            return TokenReport(header=jws.header, claims=claims, kind=kind, signature=signature, refusals=[])
        return _verified(client, token, (jws, claims), kind)


def _kind(jws: Jws, claims: Mapping[str, Any]) -> str:
    typ, events = str(jws.header.get("typ", "JWT")).lower(), claims.get("events")
    if typ == "logout+jwt" or (isinstance(events, dict) and LOGOUT_EVENT in events):
        return "logout token"
    return "access token" if typ == "at+jwt" or "scope" in claims or "permissions" in claims else "ID token"


def _client(
    claims: Mapping[str, Any], client_id: str | None, client_secret: str | None, domain: str | None
) -> ServerClient:
    audience, issuer = claims.get("aud"), claims.get("iss")
    audiences = audience if isinstance(audience, list) else [audience]
    own = next((each for each in audiences if isinstance(each, str) and each), "unknown")
    more: dict[str, Any] = {} if client_secret is None else {"client_secret": client_secret}
    if domain is None and not isinstance(issuer, str):
        raise ConfigurationError("the token has no iss")
    return ServerClient(domain or str(issuer), client_id or own, client_auth=PublicClient(), **more)


def _signature(server: AuthorizationServer, jws: Jws, issuer: Issuer, call: Call) -> Signature:
    try:
        server.verifier.verify_signature(jws, issuer, call.deadline, by_strangers=True)
    except JoseError as error:
        return Signature(status="refused", detail=str(error))
    return Signature(status="verified", detail=f"by the keys of {issuer.issuer}")


def _verified(client: ServerClient, token: str, parts: tuple[Jws, dict[str, Any]], kind: str) -> TokenReport:
    jws, claims = parts
    server = client.authorization_server
    call = Call(server.domain_for(None), server.timeout)
    try:
        issuer = server.issuer(call)
        signature = _signature(server, jws, issuer, call)
    except Auth0CTEError as error:
        signature = Signature(status="not checked", detail=error.message)
        return TokenReport(header=jws.header, claims=claims, kind=kind, signature=signature, refusals=[])
    refusals = [] if kind == "access token" else _refusals(server.verifier, (token, kind), claims, issuer, call)
    return TokenReport(header=jws.header, claims=claims, kind=kind, signature=signature, refusals=refusals)


def _refusals(
    verifier: IdTokenVerifier, what: tuple[str, str], claims: Mapping[str, Any], issuer: Issuer, call: Call
) -> list[str]:
    """Let the verifier refuse again and again, each time with one reason out of the way, to find all of them."""
    token, kind = what
    found: list[str] = []
    for _ in range(MAX_REFUSALS):
        verify = verifier.verify_logout_token if kind == "logout token" else verifier.verify
        try:
            verify(token, issuer, call.deadline)
        except IdTokenError as error:
            found.append(error.message)
            changed = _without(verifier, error.claim, claims, issuer)
            if changed is None or changed == (verifier, issuer):
                return found
            verifier, issuer = changed
        else:
            return found
    return found


def _without(
    verifier: IdTokenVerifier, claim: str | None, claims: Mapping[str, Any], issuer: Issuer
) -> tuple[IdTokenVerifier, Issuer] | None:
    """Return a verifier and an issuer that do not refuse the token for a claim, if there can be such."""
    if claim in ("exp", "iat", "nbf"):
        at = max(
            (time for time in map(read_time, (claims.get("iat"), claims.get("nbf"))) if time is not None), default=0
        )
        return evolve(verifier, clock=_standing(at)), issuer
    if claim in ("aud", "azp"):
        audience, party = claims.get("aud"), claims.get("azp")
        own = party or (audience[0] if isinstance(audience, list) and audience else audience)
        return (evolve(verifier, client_id=own), issuer) if isinstance(own, str) else None
    if claim == "iss" and isinstance(claims.get("iss"), str):
        return verifier, evolve(issuer, issuer=claims["iss"])
    return None


def _standing(at: float) -> Callable[[], float]:
    return lambda: at
