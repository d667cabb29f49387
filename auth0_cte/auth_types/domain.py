"""What a domain resolver is told; importable from ``auth0_cte.auth_types``, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DomainResolverContext"]


@frozen(kw_only=True)
class DomainResolverContext:
    """What a ``domain`` callable is told about the request that it resolves the domain for.

    Args:
        request_url: The URL of the current request, or None outside of one.
        request_headers: Its headers, names in lower case; empty outside of a request.
    """

    request_url: str | None = None
    request_headers: Mapping[str, str] = field(factory=dict, repr=False)
