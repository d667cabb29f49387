"""The options of a login; importable from ``auth0_cte.auth_types``, too."""

from __future__ import annotations

from attrs import frozen

from auth0_cte.auth_types.exchange import CustomTokenExchangeOptions

__all__ = ["LoginWithCustomTokenExchangeOptions"]


@frozen(kw_only=True)
class LoginWithCustomTokenExchangeOptions(CustomTokenExchangeOptions):
    """What to exchange for a login: the options of an exchange; ``openid`` is always added to the scope."""
