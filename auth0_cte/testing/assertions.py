"""What a test asserts of the exchanges that its application made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auth0_cte.testing.journal import LogEntry
    from auth0_cte.testing.state import TenantState

__all__ = ["Assertions"]

EXCHANGES = {"secte": "succeeded", "fecte": "failed"}


class Assertions:
    """Asserts what happened at a tenant.

    Args:
        state: What the tenant holds.
    """

    def __init__(self, state: TenantState) -> None:
        self._state = state

    def assert_exchanged(
        self,
        *,
        subject_token_type: str | None = None,
        audience: str | None = None,
        organization: str | None = None,
        user_id: str | None = None,
        times: int | None = None,
    ) -> None:
        """Assert that tokens were exchanged, successfully, as is described.

        Args:
            subject_token_type: The type of the subject token; any when None.
            audience: The API of the access token; any when None.
            organization: The organization, by id or name; any when None.
            user_id: The user whom the Action set; any when None.
            times: How often, exactly; at least once when None.

        Raises:
            AssertionError: There were more or fewer; the message lists the exchanges that arrived, without tokens.
        """
        wanted = {
            "subject_token_type": subject_token_type,
            "audience": audience,
            "organization": organization,
            "user_id": user_id,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        entries = [entry for entry in self._state.logs if entry.type in EXCHANGES]
        found = sum(entry.type == "secte" and _fits(entry, given) for entry in entries)
        if found == times or (times is None and found > 0):
            return
        expected = "at least 1 exchange" if times is None else f"{times} exchange{'s' * (times != 1)}"
        described = ", ".join(f"{name}={value!r}" for name, value in given.items())
        arrived = "\n".join(f"  {_line(entry)}" for entry in entries) or "  none"
        raise AssertionError(f"expected {expected} ({described or 'of any kind'}), found {found}; arrived:\n{arrived}")


def _facts(entry: LogEntry) -> dict[str, Any]:
    told = entry.details
    return {
        "subject_token_type": told.get("subject_token_type"),
        "audience": told.get("resource_server", told.get("audience")),
        "organization": entry.organization_name,
        "user_id": entry.user_id,
    }


def _fits(entry: LogEntry, wanted: dict[str, str]) -> bool:
    facts = _facts(entry)
    organization = (entry.organization_id, entry.organization_name)
    return all(
        value in organization if name == "organization" else value == facts[name] for name, value in wanted.items()
    )


def _line(entry: LogEntry) -> str:
    facts = ", ".join(f"{name}={value!r}" for name, value in _facts(entry).items() if value)
    reason = "" if entry.type == "secte" else f": {entry.description}"
    return f"{EXCHANGES[entry.type]} ({facts}){reason}"
