"""Grants that count against the tenant's rate limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from auth0_cte.testing.endpoints.grants.on_behalf_of import is_on_behalf_of
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.testing.endpoints.grants.call import Outcome, TokenCall

__all__ = ["limited"]


def limited(handle: Callable[[TokenCall], Outcome]) -> Callable[[TokenCall], Outcome]:
    """Have a grant count against the limits, and its replies tell of them."""

    def within_limits(call: TokenCall) -> Outcome:
        limits = call.state.rate_limits
        headers = limits.take_tenant("on-behalf-of" if is_on_behalf_of(call.request) else "exchanges")
        try:
            headers |= limits.take_client(call.application.client_id)
            outcome = handle(call)
        except RefusalError as refusal:
            refusal.headers = {**headers, **refusal.headers}
            raise
        return evolve(outcome, reply=outcome.reply.with_headers(headers))

    return within_limits
