"""The keys of an exchange's options, for type checkers: they see a key or keyword that is misspelt."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auth0_cte.auth_types.exchange import AuthorizationParams, ForwardedFor, TokenSource

__all__ = ["ExchangeOptionsDict"]


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
