"""The authorization server of an application, or the several that a resolver names: metadata, tokens, verification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from auth0_cte.error import DiscoveryError, TransportError
from auth0_cte.foundation.concurrency import once
from auth0_cte.foundation.store_options import check_store_options
from auth0_cte.oauth.call import Call
from auth0_cte.oauth.domain import resolve_domain
from auth0_cte.oauth.peer import peer_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from auth0_cte.auth_types import DomainResolver
    from auth0_cte.auth_types.exchange import ForwardedFor
    from auth0_cte.jose import Jws
    from auth0_cte.oauth.discovery import Discovery
    from auth0_cte.oauth.id_token import IdTokenVerifier
    from auth0_cte.oauth.issuer import Issuer
    from auth0_cte.oauth.token_endpoint import TokenEndpoint

__all__ = ["AuthorizationServer"]


@frozen(kw_only=True, eq=False, repr=False, slots=False)
class AuthorizationServer:
    """What one application asks of its tenant, or of the one that a resolver names.

    Args:
        client_id: The application.
        domain: The issuer URL, or a function that names the domain for a request.
        discovery: The metadata and the keys.
        token_endpoint: The token endpoint.
        clock: The time in Unix seconds.
        timeout: The total deadline of a call, in seconds.
        leeway: How far clocks may differ, in seconds.
        id_token_algorithms: The signature algorithms accepted of ID tokens.
        client_secret: The key of HS256, when that is among them.
        dpop_thumbprint: The thumbprint of the key that tokens are asked to be bound to, or None.
        trusted_proxies: The networks of the proxies in front of the application.
    """

    client_id: str
    domain: str | DomainResolver
    discovery: Discovery
    token_endpoint: TokenEndpoint
    clock: Callable[[], float]
    timeout: float
    leeway: float
    id_token_algorithms: Sequence[str]
    client_secret: str | None
    dpop_thumbprint: str | None
    trusted_proxies: Sequence[IPv4Network | IPv6Network] = ()

    @once
    def fixed_domain(self) -> str | None:
        """The issuer URL of every call; None when a function names it."""
        return self.domain if isinstance(self.domain, str) else None

    @once
    def verifier(self) -> IdTokenVerifier:
        """Verifies the ID tokens and logout tokens of the application."""
        from auth0_cte.oauth.id_token import IdTokenVerifier  # it brings jwcrypto, which is slow to import

        return IdTokenVerifier(
            client_id=self.client_id,
            discovery=self.discovery,
            clock=self.clock,
            algorithms=self.id_token_algorithms,
            client_secret=self.client_secret,
            leeway=self.leeway,
        )

    def domain_for(self, store_options: Mapping[str, Any] | None) -> str:
        """Return the issuer URL for a request; a resolver is asked, so do so once a call.

        Raises:
            ConfigurationError: What the resolver returned is not acceptable, or it failed; or the store options are
                something else than a dict.
        """
        if store_options is not None:
            check_store_options(store_options)
        return self.fixed_domain or resolve_domain(self.domain, store_options)

    def address_for(self, forwarded_for: ForwardedFor, store_options: Mapping[str, Any] | None) -> str | None:
        """Return the address to tell Auth0: the one that is given, or for True that of the request.

        Raises:
            ConfigurationError: The request is missing, or its address cannot be told.
        """
        return peer_address(store_options, self.trusted_proxies) if forwarded_for is True else forwarded_for

    def issuer(self, call: Call) -> Issuer:
        """Return the metadata of the domain of a call.

        Raises:
            DiscoveryError: The document is missing, malformed, or another issuer's.
            TransportError: The server could not be reached.
        """
        return self.discovery.issuer(call.domain, call.deadline)

    def has_signed(self, jws: Jws, domain: str) -> bool:
        """Tell whether a domain's keys signed a token; True when they cannot be had, because Auth0 will tell."""
        from auth0_cte.jose import JoseError

        call = Call(domain, self.timeout)
        try:
            self.verifier.verify_signature(jws, self.issuer(call), call.deadline, by_strangers=True)
        except JoseError:
            return False
        except (TransportError, DiscoveryError):
            return True
        return True
