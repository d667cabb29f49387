"""The keys of options, for type checkers: they see a key or keyword that is misspelt."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auth0_cte.auth_types.exchange import AuthorizationParams, ForwardedFor, TokenSource
    from auth0_cte.auth_types.logout import LogoutOptions

__all__ = [
    "AccessTokenKeywords",
    "ConnectionTokenKeywords",
    "ExchangeOptionsDict",
    "LogoutKeywords",
    "ResumeLoginKeywords",
]


class ExchangeOptionsDict(TypedDict, total=False):
    """The options of an exchange as a dict or as keywords: the keys and values of `CustomTokenExchangeOptions`."""

    subject_token: TokenSource
    subject_token_type: str
    audience: str | None
    scope: str | Sequence[str] | None
    actor_token: TokenSource | None
    actor_token_type: str | None
    organization: str | None
    resource: str | Sequence[str] | None
    requested_token_type: str | None
    forwarded_for: ForwardedFor
    authorization_params: AuthorizationParams | None


class ResumeLoginKeywords(TypedDict, total=False):
    """What `ServerClient.resume_login` takes by keyword."""

    otp: str | None
    oob_code: str | None
    binding_code: str | None
    recovery_code: str | None
    forwarded_for: ForwardedFor


class AccessTokenKeywords(TypedDict, total=False):
    """What `ServerClient.get_access_token` takes by keyword."""

    forwarded_for: ForwardedFor
    force_refresh: bool
    leeway: float


class ConnectionTokenKeywords(TypedDict, total=False):
    """What `ServerClient.get_access_token_for_connection` takes by keyword."""

    connection: str | None
    login_hint: str | None
    forwarded_for: ForwardedFor


class LogoutKeywords(TypedDict, total=False):
    """What `ServerClient.logout` takes beside ``return_to``."""

    options: LogoutOptions | Mapping[str, object] | None
    revoke: bool
