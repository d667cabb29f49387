"""What Actions see of a request: the members that the events of all triggers share.

Source: Auth0, "Actions Triggers: custom-token-exchange - Event Object" and "post-login - Event Object".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auth0_cte.testing.actions.records import ABSENT

if TYPE_CHECKING:
    from auth0_cte.testing.endpoints.grants.call import TokenCall
    from auth0_cte.testing.registry.apis import Api
    from auth0_cte.testing.registry.organizations import Organization

__all__ = ["or_absent", "request_event"]

# The proof of the application's identity is not the Action's business.
_HIDDEN: Final = frozenset({"client_secret", "client_assertion"})
# A loopback address is nowhere on earth.
_GEOIP: Final = dict.fromkeys(
    (
        *("cityName", "continentCode", "countryCode", "countryCode3", "countryName", "latitude", "longitude"),
        *("subdivisionCode", "subdivisionName", "timeZone"),
    ),
    ABSENT,
)


def or_absent(value: Any) -> Any:
    """Return a value, or what stands for an absent member in place of None."""
    return ABSENT if value is None else value


def request_event(call: TokenCall, api: Api, organization: Organization | None) -> dict[str, Any]:
    """Return the members about the application, the organization, the request, the API and the tenant."""
    application, request = call.application, call.request
    return {
        "client": {
            "client_id": application.client_id,
            "name": application.name,
            "metadata": application.metadata,
        },
        "organization": ABSENT if organization is None else organization.as_event(),
        "request": {
            "body": {name: value for name, value in request.form.items() if name not in _HIDDEN},
            "geoip": _GEOIP,
            "hostname": request.hostname,
            "ip": call.ip,
            "language": or_absent(request.headers.get("accept-language")),
            "method": request.method,
            "user_agent": or_absent(request.headers.get("user-agent")),
        },
        "resource_server": {"identifier": api.identifier},
        "tenant": {"id": call.state.name},
    }
