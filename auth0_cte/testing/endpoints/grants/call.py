"""What the token endpoint hands to a grant, and what it gets back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.testing.registry.applications import Application
    from auth0_cte.testing.registry.organizations import Organization
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import Reply, TenantRequest

__all__ = ["Grant", "Outcome", "TokenCall", "caller_ip"]


@frozen(kw_only=True)
class Outcome:
    """What a grant that succeeded leads to.

    Args:
        reply: The reply.
        user_id: Whom the tokens are about.
        description: What the tenant log says.
        details: What the tenant log tells beyond that.
        organization: The organization that they are for, or None.
    """

    reply: Reply
    user_id: str | None
    description: str
    details: Mapping[str, Any] = field(factory=dict)
    organization: Organization | None = None


@frozen(kw_only=True)
class TokenCall:
    """A request of an application that has authenticated.

    Args:
        state: The tenant.
        request: The request.
        application: The application.
        jkt: The thumbprint of the key of its DPoP proof, which was checked; None without a proof.
        notes: What the log entry tells besides, whether the grant succeeds or not.
    """

    state: TenantState
    request: TenantRequest
    application: Application
    jkt: str | None = None
    notes: dict[str, Any] = field(factory=dict)

    def note_console(self, text: str) -> None:
        """Note what an Action printed."""
        if text:
            self.notes["console"] = self.notes.get("console", "") + text

    @property
    def ip(self) -> str:
        """The address that attack protection counts."""
        return caller_ip(self.application, self.request)


@frozen(kw_only=True)
class Grant:
    """A grant of the token endpoint.

    Args:
        handle: Answers the requests of applications that may use it.
        is_enabled: Tells whether an application may.
        log_types: Returns the types of the log entries of a success and of a failure.
    """

    handle: Callable[[TokenCall], Outcome]
    is_enabled: Callable[[Application], bool]
    log_types: Callable[[TenantRequest], tuple[str, str]]

    @classmethod
    def make(
        cls,
        handle: Callable[[TokenCall], Outcome],
        success_log: str,
        failure_log: str,
        *,
        is_enabled: Callable[[Application], bool] = lambda _application: True,
    ) -> Grant:
        """Make a grant whose log entries have the same types for every request."""
        return cls(handle=handle, is_enabled=is_enabled, log_types=lambda _request: (success_log, failure_log))


def caller_ip(application: Application, request: TenantRequest) -> str:
    """Return the address that attack protection counts: of the caller, or what it says if it is trusted."""
    forwarded = request.headers.get("auth0-forwarded-for", "").strip()
    return forwarded if forwarded and application.trust_forwarded_for else request.ip
