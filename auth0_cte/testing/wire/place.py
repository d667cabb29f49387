"""Where a server listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from auth0_cte.testing.wire.served import AnswersControl

__all__ = ["Place"]


@frozen(kw_only=True)
class Place:
    """Where a server is, and what it goes by.

    Args:
        host: The address that it listens on.
        port: The port; any free one when 0.
        name: The host name of its URL; that of the loopback interface when None.
        control: What answers the control API, or None.
    """

    host: str = "127.0.0.1"
    port: int = 0
    name: str | None = None
    control: AnswersControl | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the certificate is for."""
        own = [self.name] if self.name else []
        bound = [] if self.host in ("0.0.0.0", "::") else [self.host]
        return (*own, *bound, "localhost", "127.0.0.1", "::1")
