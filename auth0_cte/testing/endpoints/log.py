"""Entries of the tenant log, out of the request that they are about."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from auth0_cte.testing.journal import LogEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.testing.registry.applications import Application
    from auth0_cte.testing.registry.organizations import Organization
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["write_log"]


def write_log(
    state: TenantState,
    request: TenantRequest,
    kind: str,
    description: str,
    *,
    application: Application | None = None,
    client_id: str | None = None,
    user_id: str | None = None,
    organization: Organization | None = None,
    ip: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry to the tenant log.

    Args:
        state: The tenant.
        request: The request that it is about.
        kind: The type of the entry.
        description: What happened.
        application: The application, once it has authenticated.
        client_id: The application that the request names, otherwise.
        user_id: The user, as far as one was found.
        organization: The organization, or None.
        ip: The address that attack protection counts; the connection's when None.
        details: What else there is to tell.
    """
    state.logs.append(
        LogEntry(
            type=kind,
            date=request.date,
            description=description,
            tenant_name=state.name,
            client_id=application.client_id if application else client_id,
            client_name=application.name if application else None,
            organization_id=None if organization is None else organization.id,
            organization_name=None if organization is None else organization.name,
            ip=ip or request.ip,
            hostname=request.hostname,
            user_agent=request.headers.get("user-agent"),
            auth0_client=_telemetry(request.headers.get("auth0-client")),
            details=details or {},
            request=request,
            **_about(state, user_id),
        )
    )


def _about(state: TenantState, user_id: str | None) -> dict[str, Any]:
    user = None if user_id is None else state.users.get(user_id)
    if user is None:
        return {"user_id": user_id}
    connection = state.users.connection(user)
    return {
        "user_id": user_id,
        "user_name": user.attributes.get("name") or user.attributes.get("email"),
        "identity_user_id": user.identity,
        "connection": connection.name,
        "connection_id": connection.id,
    }


def _telemetry(header: str | None) -> Mapping[str, Any] | None:
    try:
        told = json.loads(base64.urlsafe_b64decode((header or "") + "=" * (-len(header or "") % 4)))
    except ValueError:
        return None
    return told if isinstance(told, dict) else None
