"""The APIs (resource servers) that access tokens are for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from attrs import frozen

from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auth0_cte.testing.registry.dpop_settings import ProofOfPossession
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["OIDC_SCOPES", "Api", "Apis", "TokenDialect"]

OIDC_SCOPES: Final = frozenset({"openid", "profile", "email", "phone", "address", "offline_access"})
"""Scopes that belong to no API (OpenID Connect Core 1.0, section 5.4 and 11)."""

_BUILT_IN: Final = (
    ("mfa/", frozenset({"enroll", "read:authenticators", "remove:authenticators"}), 600),
    (
        "me/",
        frozenset(f"{act}:me:connected_accounts" for act in ("create", "delete", "read")),
        86400,
    ),
)
"""The APIs that every tenant has: where below the issuer, their scopes, and how long their access tokens live."""

TokenDialect: TypeAlias = Literal["access_token", "access_token_authz", "rfc9068_profile", "rfc9068_profile_authz"]
"""Auth0's names for the forms of an access token: its own, or RFC 9068; with the user's permissions or without."""


@frozen(kw_only=True)
class Api:
    """An API.

    Args:
        identifier: Its audience.
        scopes: The scopes that it defines; None when it takes any.
        token_lifetime: How long its access tokens live, in seconds.
        token_dialect: Auth0's own profile (``typ: JWT``, ``azp``) or RFC 9068 (``typ: at+jwt``, ``client_id``,
            ``jti``); with ``_authz``, the user's ``permissions`` are in it.
        skip_consent: Whether first-party applications need no consent; without, exchanges are refused.
        enforce_policies: Whether scopes are granted by role-based access control alone.
        proof_of_possession: Whether its access tokens are bound to a DPoP key: never, when there is a proof, or always.
    """

    identifier: str
    scopes: frozenset[str] | None = None
    token_lifetime: int = 86400
    token_dialect: TokenDialect = "access_token"
    skip_consent: bool = True
    enforce_policies: bool = False
    proof_of_possession: ProofOfPossession = "allowed"

    @property
    def is_rfc9068(self) -> bool:
        """Whether its access tokens follow RFC 9068."""
        return self.token_dialect.startswith("rfc9068_profile")

    @property
    def has_permissions_claim(self) -> bool:
        """Whether its access tokens tell the user's permissions."""
        return self.token_dialect.endswith("_authz")

    def grant(self, requested: Sequence[str]) -> tuple[str, ...]:
        """Return those of the requested scopes that can be granted, each once and in the order asked for."""
        scopes = tuple(dict.fromkeys(requested))
        if self.scopes is None:
            return scopes
        return tuple(scope for scope in scopes if scope in OIDC_SCOPES | self.scopes)


class Apis:
    """The APIs of a tenant. Until one is registered, every absolute URI is an API that takes any scope.

    Args:
        default_audience: The API of requests that name none, or None for the userinfo endpoint; it can be set:
            ``tenant.apis.default_audience = "https://api.acme.example"``.

    Attributes:
        resource_parameter_profile: Auth0's setting of that name: ``"audience"`` ignores the parameter ``resource``,
            with ``"compatibility"`` it stands for an ``audience`` that is not there.
    """

    def __init__(self, default_audience: str | None = None) -> None:
        self.default_audience: str | None = default_audience
        self.resource_parameter_profile: Literal["audience", "compatibility"] = "audience"
        self._lock = threading.Lock()
        self._apis: dict[str, Api] = {}

    def add(self, api: Api) -> None:
        """Register an API; one with the same identifier is replaced."""
        with self._lock:
            self._apis[api.identifier] = api

    def copy(self) -> Apis:
        """Copy the APIs, and which one is the default."""
        other = Apis(self.default_audience)
        other.resource_parameter_profile = self.resource_parameter_profile
        with self._lock:
            other._apis = dict(self._apis)
        return other

    def requested(self, request: TenantRequest) -> str | None:
        """Return the audience that a request names, as ``audience`` or, with that profile, as ``resource``."""
        resource = request.one("resource") if self.resource_parameter_profile == "compatibility" else None
        return request.one("audience") or resource

    def find(self, audience: str | None, issuer: str) -> Api:
        """Return the API of an audience; without one, the tenant's own userinfo endpoint, as at Auth0.

        Raises:
            RefusalError: The API does not exist.
        """
        userinfo = f"{issuer}userinfo"
        if audience is None or audience == userinfo:
            return Api(identifier=userinfo, scopes=frozenset())
        for path, scopes, lifetime in _BUILT_IN:
            if audience == f"{issuer}{path}":
                return Api(identifier=audience, scopes=scopes, token_lifetime=lifetime)
        if audience in self._apis:
            return self._apis[audience]
        if self._apis or not urlsplit(audience).scheme:
            raise RefusalError(400, "access_denied", f"Service not found: {audience}")
        return Api(identifier=audience)
