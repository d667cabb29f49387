"""Client authentication without a shared secret: signed assertions, and TLS certificates."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from attrs import field, frozen

from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.jose import JoseError, Jws, load_public_key
from auth0_cte.testing.registry.certificates import is_issued_by, read_certificates, subject_of
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from auth0_cte.jose import VerificationKey
    from auth0_cte.testing.registry.applications import Application
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["Certificate", "Credentials", "SignedAssertion"]

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ("RS256", "RS384", "PS256", "ES256")
MAX_LIFETIME: Final = 60
"""Seconds from ``iat``, or from now without it; Auth0 itself puts up with 300."""
SKEW: Final = 10
MAX_LENGTH: Final = 64
"""The longest ``iss``, ``sub``, ``jti`` and ``kid``, in characters."""

_NEEDED: Final = {
    "private_key_jwt": ("public_keys",),
    "self_signed_tls_client_auth": ("certificates",),
    "tls_client_auth": ("certificate_authority", "tls_subject"),
}
_CREDENTIALS: Final = frozenset({"client_secret", "client_assertion"})


@frozen
class Credentials:
    """What an application is known by that has no secret."""

    public_keys: tuple[VerificationKey, ...] = field(repr=False)
    certificates: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def read(
        cls,
        method: str,
        public_keys: Iterable[str | bytes | Mapping[str, Any]],
        certificates: Iterable[str | os.PathLike[str]],
        authorities: Iterable[str | os.PathLike[str]],
        tls_subject: str | None,
    ) -> Credentials:
        """Read what was registered for a method.

        Raises:
            ValueError: It cannot be read, is missing, or is for another method.
        """
        try:
            keys = tuple(map(load_public_key, public_keys))
        except JoseError as error:
            raise ValueError(f"public_keys: {error}") from None
        own, issuing = read_certificates(certificates), read_certificates(authorities)
        given = {"public_keys": keys, "certificates": own, "certificate_authority": issuing, "tls_subject": tls_subject}
        for name, value in given.items():
            if bool(value) is not (name in _NEEDED.get(method, ())):
                raise ValueError(f"auth_method={method!r} {'does not go with' if value else 'needs'} {name}")
        return cls(keys, own or issuing)


class SignedAssertion:
    """private_key_jwt (RFC 7523), with the limits that Auth0 sets; remembers what it has seen."""

    method = "private_key_jwt"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], float] = {}

    def claims(self, request: TenantRequest) -> bool:
        """Tell whether a request brings an assertion, and no other proof."""
        return "client_assertion" in request.form

    def client_id(self, request: TenantRequest) -> str | None:
        """Return the client that the assertion is about; the form may name it, too."""
        named, subject = request.one("client_id"), _payload(request).get("sub")
        if named is not None and named != subject:
            raise _refusal("sub is not the client_id")
        return subject if isinstance(subject, str) else None

    def accepts(self, application: Application, request: TenantRequest) -> bool:
        """Verify the assertion, which is good once.

        Raises:
            RefusalError: It fails; the description says why.
        """
        if request.one("client_assertion_type") != ASSERTION_TYPE:
            raise _refusal("client_assertion_type is missing or another one")
        claims = _verified(application, request)
        fault = _fault(claims, application.client_id, request)
        if fault is not None:
            raise _refusal(fault)
        if not self._is_first_use(application.client_id, claims["jti"], claims["exp"], request.date):
            raise _refusal("jti was used before")
        return True

    def _is_first_use(self, client_id: str, jti: str, expires_at: float, now: float) -> bool:
        with self._lock:
            self._seen = {key: end for key, end in self._seen.items() if end + SKEW >= now}
            if (client_id, jti) in self._seen:
                return False
            self._seen[client_id, jti] = expires_at
            return True


def _payload(request: TenantRequest) -> dict[str, Any]:
    try:
        return loads_object(Jws.parse(request.required("client_assertion")).payload)
    except (JoseError, ValueError):
        raise _refusal("it is not a JSON Web Token") from None


def _verified(application: Application, request: TenantRequest) -> dict[str, Any]:
    jws = Jws.parse(request.required("client_assertion"))
    kid, algorithm = jws.header.get("kid"), jws.header.get("alg", "")
    if algorithm not in ALGORITHMS:
        raise _refusal("alg is none that is taken")
    named = [key for key in application.public_keys if kid in (None, key.kid)]
    if not named:
        raise _refusal("kid is none of the application's")
    for key in named:
        try:
            return jws.verify(key)
        except JoseError:
            continue
    raise _refusal("the signature is none of the application's")


def _fault(claims: dict[str, Any], client_id: str, request: TenantRequest) -> str | None:
    now, jti = request.date, claims.get("jti")
    expires_at, issued_at, begins_at = claims.get("exp"), claims.get("iat", now), claims.get("nbf", now)
    if not (_is_time(expires_at) and _is_time(issued_at) and _is_time(begins_at)):
        return "exp is missing, or a time is not a number"
    checks = {
        "iss is not the client": claims.get("iss") == client_id,
        "aud is not the issuer, with one slash behind": claims.get("aud") == request.issuer,
        "jti is missing": isinstance(jti, str) and bool(jti),
        f"jti is longer than {MAX_LENGTH} characters": len(str(jti)) <= MAX_LENGTH,
        "it has expired": expires_at > now - SKEW,
        "it is of the future": max(issued_at, begins_at) <= now + SKEW,
        f"it lives longer than {MAX_LIFETIME} seconds": expires_at - issued_at <= MAX_LIFETIME,
    }
    return next((fault for fault, holds in checks.items() if not holds), None)


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class Certificate:
    """tls_client_auth and self_signed_tls_client_auth (RFC 8705 section 2)."""

    method = "tls_client_auth"

    def claims(self, request: TenantRequest) -> bool:
        """Tell whether a request came over a connection with a certificate, and brings no other proof."""
        other = request.form.keys() & _CREDENTIALS or "authorization" in request.headers
        return request.client_certificate is not None and not other

    def client_id(self, request: TenantRequest) -> str | None:
        """Return the client that the form names."""
        return request.one("client_id")

    def accepts(self, application: Application, request: TenantRequest) -> bool:
        """Compare the certificate: as a whole when it is self-signed, else by its authority and subject.

        Raises:
            RefusalError: It is another one.
        """
        presented = request.client_certificate or b""
        if application.auth_method == "self_signed_tls_client_auth":
            if presented not in application.certificates:
                raise _refusal("the certificate is none of the application's")
            return True
        if not any(is_issued_by(presented, each) for each in application.certificates):
            raise _refusal("the certificate is of another authority")
        if application.tls_subject != subject_of(presented):
            raise _refusal("the certificate has another subject")
        return True


def _refusal(fault: str) -> RefusalError:
    # The client is told no more than this; the tenant log is.
    return RefusalError(401, "invalid_client", "Failed client authentication", detail=fault)
