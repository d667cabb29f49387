"""An embedded Auth0 tenant for tests and demonstrations: real keys, real signed tokens, programmable Actions.

For example::

    from auth0_cte.testing import LocalTenant

    tenant = LocalTenant()
    tenant.add_user("auth0|jane", name="Jane")

    @tenant.action("urn:acme:mcp-token")
    def exchange(event, api):
        if event.transaction.subject_token != "expected":
            return api.access.rejectInvalidSubjectToken("unknown token")
        api.authentication.setUserById("auth0|jane")

    client = tenant.client()

Nothing is imported until it is asked for, so that the pytest plugin costs a test run nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auth0_cte.testing.actions.api import ActionApi
    from auth0_cte.testing.actions.guard import ApiCall
    from auth0_cte.testing.actions.limits import ActionLimitError
    from auth0_cte.testing.actions.records import Record
    from auth0_cte.testing.clock import FakeClock, RunningClock
    from auth0_cte.testing.issued.session_transfers import TransferredSession
    from auth0_cte.testing.journal import Journal, LogEntry
    from auth0_cte.testing.registry.apis import Api
    from auth0_cte.testing.registry.applications import Application
    from auth0_cte.testing.registry.factors import Factor
    from auth0_cte.testing.registry.organizations import Organization
    from auth0_cte.testing.registry.users import Connection, User
    from auth0_cte.testing.tenant import LocalTenant
    from auth0_cte.testing.wire.in_process import TenantAdapter
    from auth0_cte.testing.wire.messages import Reply, TenantRequest
    from auth0_cte.testing.wire.server import TenantServer

__all__ = [
    "ActionApi",
    "ActionLimitError",
    "Api",
    "ApiCall",
    "Application",
    "Connection",
    "Factor",
    "FakeClock",
    "Journal",
    "LocalTenant",
    "LogEntry",
    "Organization",
    "Record",
    "Reply",
    "RunningClock",
    "TenantAdapter",
    "TenantRequest",
    "TenantServer",
    "TransferredSession",
    "User",
]

_MODULES = {
    "ActionApi": "actions.api",
    "ActionLimitError": "actions.limits",
    "Api": "registry.apis",
    "ApiCall": "actions.guard",
    "Application": "registry.applications",
    "Connection": "registry.users",
    "Factor": "registry.factors",
    "FakeClock": "clock",
    "Journal": "journal",
    "LocalTenant": "tenant",
    "LogEntry": "journal",
    "Organization": "registry.organizations",
    "Record": "actions.records",
    "Reply": "wire.messages",
    "RunningClock": "clock",
    "TenantAdapter": "wire.in_process",
    "TenantRequest": "wire.messages",
    "TenantServer": "wire.server",
    "TransferredSession": "issued.session_transfers",
    "User": "registry.users",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
