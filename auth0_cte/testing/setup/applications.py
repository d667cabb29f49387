"""Registering applications, and the host names that a tenant goes by."""

from __future__ import annotations

import secrets as random
import ssl
from typing import TYPE_CHECKING, Any

from auth0_cte.testing.endpoints.backchannel_logout import check_loopback_url
from auth0_cte.testing.registry.applications import Application, AuthMethod
from auth0_cte.testing.registry.client_credentials import Credentials
from auth0_cte.testing.registry.keys import ID_TOKEN_ALGORITHMS

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from auth0_cte.testing.state import TenantState

__all__ = ["ApplicationSetup", "check_host_name"]


class ApplicationSetup:
    """Registers applications and host names.

    Args:
        state: What the tenant holds.
    """

    def __init__(self, state: TenantState) -> None:
        self._state = state

    def add_application(
        self,
        client_id: str,
        client_secret: str | None = None,
        *,
        auth_method: AuthMethod = "client_secret_post",
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        backchannel_logout_url: str | None = None,
        token_exchange: bool = True,
        token_vault: bool = True,
        first_party: bool = True,
        trust_forwarded_for: bool = False,
        id_token_alg: str = "RS256",  # noqa: S107 - no password
        allowed_logout_urls: Iterable[str] | None = None,
        resource_server: str | None = None,
        require_proof_of_possession: bool = False,
        public_keys: Iterable[str | bytes | Mapping[str, Any]] = (),
        certificates: Iterable[str | os.PathLike[str]] = (),
        certificate_authority: str | os.PathLike[str] | None = None,
        tls_subject: str | None = None,
    ) -> Application:
        """Register an application; one with the same client id is replaced.

        Args:
            client_id: Its identifier.
            client_secret: Its secret; a random one when None and the method needs one.
            auth_method: The one method that it authenticates by; all others are refused.
            name: Its name; the client id when None.
            backchannel_logout_url: Where logout tokens are sent when a session of a user ends, on a loopback host.
            metadata: What the Action sees as ``event.client.metadata``.
            token_exchange: Whether Custom Token Exchange is enabled for it.
            token_vault: Whether the grant of Token Vault is enabled for it.
            first_party: Whether it is the tenant owner's; third-party applications may exchange no tokens.
            trust_forwarded_for: Whether ``auth0-forwarded-for`` is believed.
            id_token_alg: RS256, PS256, ES256, or HS256 with the client secret.
            allowed_logout_urls: Where browsers may be sent after a logout; a ``*`` stands for a subdomain. Any https
                or loopback URL when None.
            resource_server: The identifier of the API that the application is: On-Behalf-Of takes access tokens for
                that one alone. For any API when None.
            require_proof_of_possession: Whether it is issued no tokens without a DPoP proof.
            public_keys: For private_key_jwt: the public keys of its assertions, PEM or JWK. One without a ``kid`` gets
                its thumbprint; see ``Application.public_keys``.
            certificates: For self_signed_tls_client_auth: its certificates, PEM or paths of PEM files.
            certificate_authority: For tls_client_auth: who issues its certificates, without intermediate ones,
                likewise.
            tls_subject: For tls_client_auth: their subject (RFC 4514), e.g. ``CN=client,O=Acme``.

        Raises:
            ValueError: The algorithm is another one, a public application has a secret or HS256, or what the
                application authenticates by is missing, unusable, or given for another method.
        """
        public = auth_method == "none"
        authorities = () if certificate_authority is None else (certificate_authority,)
        credentials = Credentials.read(auth_method, public_keys, certificates, authorities, tls_subject)
        if id_token_alg not in ID_TOKEN_ALGORITHMS:
            raise ValueError(f"id_token_alg must be one of {', '.join(ID_TOKEN_ALGORITHMS)}, not {id_token_alg!r}")
        if public and (client_secret is not None or id_token_alg == "HS256"):
            raise ValueError("a public application (auth_method='none') has no secret")
        if backchannel_logout_url is not None:
            check_loopback_url(backchannel_logout_url)
        self._state.keys.use(id_token_alg)
        application = Application(
            client_id=client_id,
            client_secret=client_secret or (random.token_urlsafe(48) if "secret" in auth_method else None),
            auth_method=auth_method,
            name=name or client_id,
            metadata=dict(metadata or {}),
            backchannel_logout_url=backchannel_logout_url,
            token_exchange=token_exchange,
            token_vault=token_vault,
            first_party=first_party,
            trust_forwarded_for=trust_forwarded_for,
            id_token_alg=id_token_alg,
            allowed_logout_urls=None if allowed_logout_urls is None else tuple(allowed_logout_urls),
            resource_server=resource_server,
            require_proof_of_possession=require_proof_of_possession,
            public_keys=credentials.public_keys,
            certificates=credentials.certificates,
            tls_subject=tls_subject,
        )
        self._state.client_authorities |= set(map(ssl.DER_cert_to_PEM_cert, credentials.certificates))
        self._state.applications.add(application)
        return application

    def add_custom_domain(self, domain: str) -> None:
        """Let the tenant go by another host name, too, e.g. ``login.acme.example``.

        Tokens that are asked for there have that host as issuer. In process it is reached by clients and sessions that
        are made from now on.

        Args:
            domain: The host name.

        Raises:
            ValueError: It is not a host name.
        """
        check_host_name(domain)
        self._state.custom_domains.append(domain)
        self._state.issuers.add(f"https://{domain}/")


def check_host_name(domain: str) -> None:
    """Raise a `ValueError` for anything but a host name."""
    if not domain or set(domain) & set("/@?# "):
        raise ValueError(f"domain must be a host name, not {domain!r}")
