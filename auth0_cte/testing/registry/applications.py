"""Applications, and how they prove who they are at the token endpoint (RFC 6749 section 2.3)."""

from __future__ import annotations

import base64
import binascii
import hmac
import threading
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias
from urllib.parse import unquote_plus

from attrs import field, frozen

from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auth0_cte.jose import VerificationKey
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = [
    "BUILT_IN_AUTHENTICATORS",
    "Application",
    "Applications",
    "AuthMethod",
    "ClientAuthenticator",
    "authenticate",
]

AuthMethod: TypeAlias = Literal[
    "client_secret_basic",
    "client_secret_post",
    "none",
    "private_key_jwt",
    "self_signed_tls_client_auth",
    "tls_client_auth",
]
"""The methods that the tenant knows (OpenID Connect Core 1.0, section 9)."""


@frozen(kw_only=True)
class Application:
    """An application (a client).

    Args:
        client_id: Its identifier.
        client_secret: Its secret; None for a public one.
        auth_method: The one method that it authenticates by.
        name: Its name.
        backchannel_logout_url: Where it is told of logouts, on a loopback host; None when it is not.
        metadata: What the Action sees as ``event.client.metadata``.
        token_exchange: Whether Custom Token Exchange is enabled for it.
        token_vault: Whether the grant of Token Vault is enabled for it.
        first_party: Whether it is the tenant owner's; others may exchange no tokens.
        trust_forwarded_for: Auth0's "Trust Token Endpoint IP Header": whether ``auth0-forwarded-for`` is believed.
        id_token_alg: The algorithm of its ID tokens.
        allowed_logout_urls: Where browsers may be sent after a logout; None for any https or loopback URL.
        resource_server: The identifier of the API that it is ("Custom API Client"), whose access tokens it may exchange
            On-Behalf-Of; None for any.
        require_proof_of_possession: Whether it is issued no tokens without a DPoP proof.
        public_keys: The keys that its assertions are verified with (private_key_jwt).
        certificates: Its certificates, DER (self_signed_tls_client_auth), or its authority's (tls_client_auth).
        tls_subject: The subject of its certificates (tls_client_auth).
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    auth_method: AuthMethod = "client_secret_post"
    name: str = ""
    backchannel_logout_url: str | None = None
    metadata: Mapping[str, str] = field(factory=dict)
    token_exchange: bool = True
    token_vault: bool = True
    first_party: bool = True
    trust_forwarded_for: bool = False
    id_token_alg: str = "RS256"
    allowed_logout_urls: tuple[str, ...] | None = None
    resource_server: str | None = None
    require_proof_of_possession: bool = False
    public_keys: tuple[VerificationKey, ...] = field(default=(), repr=False)
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    tls_subject: str | None = None

    def has_secret(self, secret: str | None) -> bool:
        """Tell whether a secret is the application's."""
        if secret is None or self.client_secret is None:
            return False
        return hmac.compare_digest(secret.encode(), self.client_secret.encode())


class ClientAuthenticator(Protocol):
    """A method of client authentication; another one is another class, added to the tenant's list."""

    @property
    def method(self) -> str:
        """Its registered name, as in `Application.auth_method`."""
        ...

    def claims(self, request: TenantRequest) -> bool:
        """Tell whether a request uses the method."""
        ...

    def client_id(self, request: TenantRequest) -> str | None:
        """Return the client that the request claims to come from."""
        ...

    def accepts(self, application: Application, request: TenantRequest) -> bool:
        """Tell whether the request proves it."""
        ...


class _Post:
    method = "client_secret_post"

    def claims(self, request: TenantRequest) -> bool:
        return "client_secret" in request.form

    def client_id(self, request: TenantRequest) -> str | None:
        return request.one("client_id")

    def accepts(self, application: Application, request: TenantRequest) -> bool:
        return application.has_secret(request.one("client_secret"))


class _Basic:
    method = "client_secret_basic"

    def claims(self, request: TenantRequest) -> bool:
        return request.headers.get("authorization", "").lower().startswith("basic ")

    def client_id(self, request: TenantRequest) -> str | None:
        return self._read(request)[0]

    def accepts(self, application: Application, request: TenantRequest) -> bool:
        named = request.one("client_id")
        return named in (None, application.client_id) and application.has_secret(self._read(request)[1])

    def _read(self, request: TenantRequest) -> tuple[str, str]:
        encoded = request.headers["authorization"][len("basic ") :].strip()
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise _unauthorized("the Basic credentials are malformed") from None
        # Both parts were form-urlencoded before they were joined: RFC 6749 section 2.3.1.
        return unquote_plus(user), unquote_plus(password)


class _Public:
    method = "none"

    def claims(self, request: TenantRequest) -> bool:
        return (
            not request.form.keys() & {"client_secret", "client_assertion"}
            and "authorization" not in request.headers
            and request.client_certificate is None
        )

    def client_id(self, request: TenantRequest) -> str | None:
        return request.one("client_id")

    def accepts(self, application: Application, request: TenantRequest) -> bool:  # noqa: ARG002 - nothing to prove
        return True


BUILT_IN_AUTHENTICATORS: Final[Sequence[ClientAuthenticator]] = (_Post(), _Basic(), _Public())


_ACCEPTED: Final[Mapping[str, tuple[str, ...]]] = {
    "client_secret_post": ("client_secret_post", "client_secret_basic"),
    "self_signed_tls_client_auth": ("tls_client_auth",),
}
"""The methods that do for an application's registered one, where that is not that one alone."""


class Applications:
    """The applications of a tenant by client id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._applications: dict[str, Application] = {}

    def add(self, application: Application) -> None:
        """Register an application; one with the same client id is replaced."""
        with self._lock:
            self._applications[application.client_id] = application

    def copy(self) -> Applications:
        """Copy the applications."""
        other = Applications()
        with self._lock:
            other._applications = dict(self._applications)
        return other

    def all(self) -> list[Application]:
        """Return the applications."""
        with self._lock:
            return list(self._applications.values())

    def get(self, client_id: str | None) -> Application | None:
        """Return an application, or None."""
        return self._applications.get(client_id or "")


def authenticate(
    request: TenantRequest, applications: Applications, authenticators: Sequence[ClientAuthenticator]
) -> Application:
    """Find out which application sent a request.

    An application has one method and is refused with any other, or with several at once; but where the secret is
    expected in the form, Basic does as well (assumption: Auth0's own SDKs send it to such applications).

    Raises:
        RefusalError: 400 without a client id, 401 ``access_denied`` when the proof fails; the tenant log tells why.
    """
    used = [each for each in authenticators if each.claims(request)]
    if len(used) != 1:
        raise _unauthorized(f"{len(used)} known methods of client authentication are used, not one")
    client_id = used[0].client_id(request)
    if client_id is None:
        raise RefusalError(400, "invalid_request", "Missing required parameter: client_id")
    application = applications.get(client_id)
    if application is None:
        raise _unauthorized(f"the application {client_id!r} does not exist")
    if used[0].method not in _ACCEPTED.get(application.auth_method, (application.auth_method,)):
        raise _unauthorized(f"the application authenticates by {application.auth_method}, not by {used[0].method}")
    if not used[0].accepts(application, request):
        raise _unauthorized("the credentials are wrong")
    return application


def _unauthorized(detail: str) -> RefusalError:
    return RefusalError(401, "access_denied", "Unauthorized", detail=detail)
