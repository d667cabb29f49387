"""The one verifier of ID tokens, for every flow (OpenID Connect Core 1.0, section 3.1.3.7)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import field, frozen

from auth0_cte.auth_types.actor import Actor
from auth0_cte.error import DiscoveryError, IdTokenError, TransportError
from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.jose import JoseError, Jws, NoKeyError, VerificationKey, b64url_encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auth0_cte.foundation.deadline import Deadline
    from auth0_cte.oauth.discovery import Discovery
    from auth0_cte.oauth.issuer import Issuer

__all__ = ["IdTokenVerifier", "Identity", "actor_chain", "id_token_expiry", "read_time", "read_unverified"]

DEFAULT_ALGORITHMS: Final = ("RS256", "PS256", "ES256")
MAX_SUB_LENGTH: Final = 255
MAX_LOGOUT_TOKEN_AGE: Final = 3600.0
MAX_TIME: Final = 2.0**53
"""Beyond any clock; compared before arithmetic, which numbers of hundreds of digits would break."""
KEY_UNAVAILABLE: Final = "SIGNING_KEY_UNAVAILABLE"
CLOCK_HINT: Final = "Set this machine's clock; leeway= allows for differences of up to 300 seconds."
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


Identity: TypeAlias = "tuple[Mapping[str, Any] | None, Actor | None, IdTokenError | None]"
"""The claims and the actor of a verified ID token; or why it is not verified."""


@frozen(kw_only=True)
class IdTokenVerifier:
    """Verifies ID tokens that were issued to one application.

    Args:
        client_id: The application, which must be the audience.
        discovery: Where the issuer's keys come from.
        clock: The time in Unix seconds; injectable.
        algorithms: The signature algorithms that are accepted.
        client_secret: The key of HS256, when that is among them.
        leeway: How far clocks may differ, in seconds.
    """

    client_id: str
    discovery: Discovery
    clock: Callable[[], float]
    algorithms: Sequence[str] = DEFAULT_ALGORITHMS
    client_secret: str | None = field(default=None, repr=False)
    leeway: float = 30.0

    def verify(
        self, token: str, issuer: Issuer, deadline: Deadline, *, access_token: str | None = None
    ) -> dict[str, Any]:
        """Verify an ID token and return its claims.

        Args:
            token: The ID token.
            issuer: Who must have issued it.
            deadline: When to give up fetching keys.
            access_token: The access token that came with it; ``at_hash`` is checked against it when present.

        Raises:
            IdTokenError: The token is not acceptable; ``claim`` names the claim or header parameter at fault.
        """
        claims = self._verify_jws(token, issuer, deadline, ("JWT",))
        self._check_claims(claims, issuer.issuer, needs_subject=True)
        expiry = read_time(claims.get("exp"))
        if expiry is None or expiry <= self.clock() - self.leeway:
            raise _refused("exp", "must be a time" if expiry is None else "has passed")
        if access_token is not None and "at_hash" in claims:
            _check_hash(claims["at_hash"], access_token)
        return claims

    def identify(self, token: str, issuer: Issuer, deadline: Deadline, access_token: str) -> Identity:
        """Return the claims and the actor of the ID token that came with an access token, or why it is not verified."""
        try:
            claims = self.verify(token, issuer, deadline, access_token=access_token)
            return claims, actor_chain(claims) if "act" in claims else None, None
        except IdTokenError as error:
            # The frames of its traceback hold the token; whoever reads the response needs the reason alone.
            return None, None, error.with_traceback(None)

    def verify_logout_token(self, token: str, issuer: Issuer, deadline: Deadline) -> dict[str, Any]:
        """Verify a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6), but for replay.

        Args:
            token: The logout token.
            issuer: Who must have issued it.
            deadline: When to give up fetching keys.

        Raises:
            IdTokenError: The token is not acceptable.
        """
        claims = self._verify_jws(token, issuer, deadline, ("JWT", "LOGOUT+JWT"), by_strangers=True)
        self._check_claims(claims, issuer.issuer, needs_subject="sub" in claims)
        now = self.clock()
        events = claims.get("events")
        event = events.get(LOGOUT_EVENT) if isinstance(events, dict) else None
        for holds, claim, fault in (
            ("exp" not in claims or _time(claims, "exp") > now - self.leeway, "exp", "has passed"),
            (_time(claims, "iat") > now - MAX_LOGOUT_TOKEN_AGE, "iat", "is too long ago"),
            ("nonce" not in claims, "nonce", "makes an ID token of it"),
            (isinstance(event, dict), "events", "has no back-channel logout"),
            (_is_name(claims.get("jti")), "jti", "is missing"),
            (_is_name(claims.get("sid")) or "sid" not in claims, "sid", "must be a session id"),
            ("sid" in claims or "sub" in claims, "sub", "is missing, and sid too"),
        ):
            if not holds:
                raise _refused(claim, fault)
        return claims

    def _verify_jws(
        self, token: str, issuer: Issuer, deadline: Deadline, types: Sequence[str], *, by_strangers: bool = False
    ) -> dict[str, Any]:
        try:
            jws = Jws.parse(token)
            if jws.header.get("alg") not in self.algorithms:
                raise _refused("alg", "is not on the allow-list")
            if jws.header.get("typ", "JWT").upper() not in types:
                raise _refused("typ", "is another kind of token's")
            return self.verify_signature(jws, issuer, deadline, by_strangers=by_strangers)
        except JoseError as error:
            raise IdTokenError(f"the token is refused: {error}", claim=error.parameter) from None
        except (TransportError, DiscoveryError) as error:
            code = error.code if error.code == KEY_UNAVAILABLE else "JWKS_UNAVAILABLE"
            message = f"the issuer's keys are not available: {error.message}"
            raise IdTokenError(message, code=code, is_retryable=True) from error.with_traceback(None)

    def verify_signature(self, jws: Jws, issuer: Issuer, deadline: Deadline, *, by_strangers: bool) -> dict[str, Any]:
        """Verify a signature alone, with the issuer's keys, and return the claims.

        Keys that do not fit are fetched anew: the issuer may have rotated them, or replaced one under the same kid.

        Args:
            jws: The token.
            issuer: Who must have signed it.
            deadline: When to give up fetching keys.
            by_strangers: Whether anybody could have sent the token, rather than our own token endpoint.

        Raises:
            JoseError: It is not one of the issuer's keys that signed.
            TransportError: The keys cannot be had.
            DiscoveryError: The issuer publishes none, or ``SIGNING_KEY_UNAVAILABLE``: the key is not among them, yet.
        """
        if jws.header["alg"] == "HS256":
            return jws.verify(VerificationKey.from_secret(self.client_secret or ""))
        began_at = self.discovery.monotonic()
        keys = self.discovery.keys(issuer, deadline)
        while True:
            try:
                return jws.verify(keys.key_set.select(jws.header))
            except JoseError as error:
                failed = error
            is_current = keys.asked_at > began_at
            newer = (
                keys if is_current else self.discovery.newer_keys(issuer, keys, deadline, for_strangers=by_strangers)
            )
            if newer is keys:
                break
            keys = newer
        if isinstance(failed, NoKeyError) and not (by_strangers and is_current):
            raise DiscoveryError("the key that signed the token is not among them", code=KEY_UNAVAILABLE) from None
        raise failed

    def _check_claims(self, claims: Mapping[str, Any], issuer: str, *, needs_subject: bool) -> None:
        if claims.get("iss") != issuer:
            raise _refused("iss", "is not the issuer")
        audience, party, subject = claims.get("aud"), claims.get("azp"), claims.get("sub")
        audiences = audience if isinstance(audience, list) else [audience]
        if self.client_id not in audiences or any(not isinstance(each, str) for each in audiences):
            raise _refused("aud", "is not this application")
        if (party is not None or len(audiences) > 1) and party != self.client_id:
            raise _refused("azp", "is not this application")
        if needs_subject and (not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUB_LENGTH):
            raise _refused("sub", "must be a subject identifier")
        latest = self.clock() + self.leeway
        for name in ("iat", "nbf") if "nbf" in claims else ("iat",):
            moment = read_time(claims.get(name))
            if moment is None or moment > latest:
                raise _refused(name, "must be a time" if moment is None else "is in the future")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _refused(claim: str, fault: str) -> IdTokenError:
    hint = CLOCK_HINT if fault == "is in the future" else ""
    return IdTokenError(f"the token is refused: {claim} {fault}", claim=claim, _hint=hint)


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = read_time(claims.get(name))
    if value is None:
        raise _refused(name, "must be a time")
    return value


def _check_hash(claimed: object, access_token: str) -> None:
    # All algorithms of the allow-list hash with SHA-256; the left half counts (section 3.1.3.6).
    digest = hashlib.sha256(access_token.encode("ascii")).digest()
    if claimed != b64url_encode(digest[:16]):
        raise _refused("at_hash", "is not the access token's")


def actor_chain(claims: Mapping[str, Any]) -> Actor | None:
    """Read the ``act`` claim of verified claims (RFC 8693 section 4.1).

    Returns:
        The current actor, with those before it behind; None without delegation.

    Raises:
        IdTokenError: A level is not an object, has no ``sub``, or there are more than Auth0's five levels.
    """
    try:
        return Actor.from_claim(claims.get("act"))
    except ValueError as error:
        raise _refused("act", str(error)) from None


def read_unverified(token: str) -> tuple[Jws, dict[str, Any]]:
    """Return the parts and the claims of a JSON Web Token whose signature somebody else verifies.

    Raises:
        JoseError: It is not a JSON Web Token.
        ValueError: Its payload is not a JSON object.
    """
    jws = Jws.parse(token)
    return jws, loads_object(jws.payload)


def read_time(value: object) -> float | None:
    """Return a claim that is a time in Unix seconds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_TIME:
        return None
    return float(value)


def id_token_expiry(token: str | None) -> float:
    """Return when an ID token expires, in Unix seconds; 0 for none, or one that does not say."""
    try:
        return read_time(read_unverified(token or "")[1].get("exp")) or 0.0
    except (JoseError, ValueError):
        return 0.0
