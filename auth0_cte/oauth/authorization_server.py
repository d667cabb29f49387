"""The authorization server of an application, or the several that a resolver names: metadata, tokens, verification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from auth0_cte.error import DiscoveryError, IdTokenError, TransportError
from auth0_cte.foundation.concurrency import once
from auth0_cte.foundation.deadline import Deadline
from auth0_cte.oauth.domain import resolve_domain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auth0_cte.auth_types import Actor, DomainResolver
    from auth0_cte.jose import Jws
    from auth0_cte.oauth.client_auth.base import Form
    from auth0_cte.oauth.discovery import Discovery, Issuer
    from auth0_cte.oauth.id_token import IdTokenVerifier
    from auth0_cte.oauth.token_endpoint import TokenEndpoint

__all__ = ["AuthorizationServer", "Call"]


@frozen(kw_only=True, eq=False, repr=False)
class Call:
    """One call of a public method: what is settled once and handed on to every step.

    Args:
        domain: The issuer URL that the call goes to, normalized.
        deadline: When the call ends, retries included.
        forwarded_for: The address of the user who asks, or None.
    """

    domain: str
    deadline: Deadline
    forwarded_for: str | None = None


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
            ConfigurationError: What the resolver returned is not acceptable, or it failed.
        """
        return self.domain if isinstance(self.domain, str) else resolve_domain(self.domain, store_options)

    def call(self, domain: str, forwarded_for: str | None = None) -> Call:
        """Begin a call to a domain: its deadline starts to run.

        Args:
            domain: The issuer URL, as `domain_for` returned it.
            forwarded_for: The address of the user who asks, or None.
        """
        return Call(domain=domain, deadline=Deadline(self.timeout), forwarded_for=forwarded_for)

    def issuer(self, call: Call) -> Issuer:
        """Return the metadata of the domain.

        Raises:
            DiscoveryError: The document is missing, malformed, or another issuer's.
            TransportError: The server could not be reached.
        """
        return self.discovery.issuer(call.domain, call.deadline)

    def request_tokens(self, issuer: Issuer, form: Form, call: Call) -> dict[str, Any]:
        """Ask the token endpoint: see `TokenEndpoint.request_tokens`."""
        headers = None if call.forwarded_for is None else {"auth0-forwarded-for": call.forwarded_for}
        return self.token_endpoint.request_tokens(issuer, form, call.deadline, headers)

    def identify(
        self, issuer: Issuer, id_token: str | None, access_token: str, call: Call
    ) -> tuple[Mapping[str, Any] | None, Actor | None, IdTokenError | None]:
        """Return the claims and the actor of an ID token that is verified, or why it is not."""
        if id_token is None:
            return None, None, None
        from auth0_cte.oauth.id_token import actor_chain

        try:
            claims = self.verifier.verify(id_token, issuer, call.deadline, access_token=access_token)
            return claims, actor_chain(claims), None
        except IdTokenError as error:
            # The frames of its traceback hold the token; whoever reads the response needs the reason alone.
            return None, None, error.with_traceback(None)

    def has_signed(self, jws: Jws, domain: str) -> bool:
        """Tell whether a domain's keys signed a token; True when they cannot be had, because Auth0 will tell."""
        from auth0_cte.jose import JoseError

        call = self.call(domain)
        try:
            self.verifier.verify_signature(jws, self.issuer(call), call.deadline)
        except JoseError:
            return False
        except (TransportError, DiscoveryError):
            return True
        return True
