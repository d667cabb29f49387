"""What stands between a grant and its tokens: the user's consent, and a second factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auth0_cte.testing.issued.tokens import TokenGrant
    from auth0_cte.testing.state import TenantState

__all__ = ["ask_for_more", "ask_for_second_factor"]

_NO_MFA_WITH_ACTOR: Final = "MFA is not supported using actor_token with the requested token exchange profile."


def ask_for_more(state: TenantState, grant: TokenGrant, requested: Sequence[str]) -> None:
    """Let a grant pass that needs nothing more of the user.

    Args:
        state: The tenant.
        grant: What is to be granted.
        requested: The scopes that the request named.

    Raises:
        RefusalError: The API needs consent, or the user a second factor.
    """
    user = grant.user
    if not grant.api.skip_consent:
        raise RefusalError(403, "consent_required", "Consent required", user_id=user.user_id)
    if user.mfa_required:
        ask_for_second_factor(state, grant, requested)


def ask_for_second_factor(state: TenantState, grant: TokenGrant, requested: Sequence[str]) -> None:
    """Interrupt a grant until its user has given a second factor.

    Args:
        state: The tenant.
        grant: What is granted then.
        requested: The scopes that the request named.

    Raises:
        RefusalError: In any case.
    """
    user = grant.user
    if grant.act is not None:
        raise RefusalError(400, "invalid_request", _NO_MFA_WITH_ACTOR, user_id=user.user_id)
    members: dict[str, Any] = {"mfa_token": state.mfa_tokens.interrupt(grant, tuple(requested))}
    requirements = user.mfa_requirements or state.factors.requirements(user.user_id)
    if requirements is not None:
        members["mfa_requirements"] = requirements
    raise RefusalError(
        403,
        "mfa_required",
        "Multifactor authentication required",
        user_id=user.user_id,
        members=members,
        further_logs=("mfar",),
    )
