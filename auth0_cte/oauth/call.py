"""One call of a public method: what is settled once and handed on to every step."""

from __future__ import annotations

from attrs import field, frozen

from auth0_cte.foundation.deadline import Deadline

__all__ = ["Call"]


@frozen(eq=False, repr=False)
class Call:
    """One call of a public method.

    Args:
        domain: The issuer URL that the call goes to, normalized.
        deadline: When the call ends, retries included: given in seconds from now.
        forwarded_for: The address of the user who asks, or None.
    """

    domain: str
    deadline: Deadline = field(converter=Deadline)
    forwarded_for: str | None = None
