"""What the client was constructed with, and applies where the options of an exchange say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from auth0_cte.error import CustomTokenExchangeError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.foundation.validation import text_fault

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ExchangeDefaults"]

_NO_AUDIENCE = "default"
"""The key of scopes for exchanges without audience, as in auth0-server-python."""


@frozen(kw_only=True, eq=False, repr=False)
class ExchangeDefaults:
    """What the client was constructed with; a call's own options win over it.

    Args:
        organization: The organization, or None.
        authorization_params: Parameters.
        scopes: Scopes by audience, where the parameters have no ``scope`` for all.
    """

    organization: str | None = None
    authorization_params: Mapping[str, Any] = field(factory=dict, repr=False)
    scopes: Mapping[str, str] = field(factory=dict)

    @classmethod
    def of(cls, organization: str | None, params: Mapping[str, Any] | None) -> Self:
        """Make it of the client's arguments; ``scope`` may be a mapping of scopes by audience.

        Raises:
            CustomTokenExchangeError: ``INVALID_AUTHORIZATION_PARAMS``: an audience or its scopes are not text.
        """
        given = dict(params or {})
        if not isinstance(given.get("scope"), Mapping):
            return cls(organization=organization, authorization_params=given)
        scopes = given.pop("scope")
        for audience, scope in scopes.items():
            for name, value in (("an audience", audience), ("scopes", scope)):
                fault = text_fault(value)
                if fault is not None:
                    message = f"authorization_params['scope'] has {name} that {fault}"
                    raise CustomTokenExchangeError(message, code=Code.INVALID_AUTHORIZATION_PARAMS)
        return cls(organization=organization, authorization_params=given, scopes=dict(scopes))

    def scope_for(self, audience: str | None) -> str | None:
        """Return the scopes of an audience, or None where none are known."""
        return self.scopes.get(audience or _NO_AUDIENCE)
