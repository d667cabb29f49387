"""What ``auth0-cte tenant serve`` prints: how to reach the tenant, then what arrives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.cli.shared.log_lines import log_lines
from auth0_cte.testing.control.views import Views

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from auth0_cte.cli.shared.output import Output
    from auth0_cte.testing import LocalTenant, TenantServer

__all__ = ["Console"]

_WAIT_SECONDS: Final = 0.1
_SHOWN: Final = ("grant_type", "client_id", "subject_token_type", "audience", "scope", "organization")


class Console:
    """Shows what happens at a tenant.

    Args:
        out: Where to.
        tenant: The tenant.
    """

    def __init__(self, out: Output, tenant: LocalTenant) -> None:
        self._out, self._tenant, self._views = out, tenant, Views(tenant.state)
        self._requests = self._logs = 0

    def telling_warnings(self) -> AbstractContextManager[None]:
        """Tell what the tenant warns of on stderr."""
        return log_lines(lambda _level, message: self._warn(message))

    def tell_ready(self, server: TenantServer, ca_bundle: str | None, *, own_token: bool) -> None:
        """Print the settings by which applications and tests reach the tenant.

        Args:
            server: The server.
            ca_bundle: The path of its CA's certificate, or None.
            own_token: Whether the token of the control API was made here, and nobody knows it yet.
        """
        settings = {
            "AUTH0_DOMAIN": server.domain,
            "AUTH0_CLIENT_ID": self._tenant.client_id,
            "AUTH0_CLIENT_SECRET": self._tenant.client_secret,
        }
        if ca_bundle is not None:
            settings["SSL_CERT_FILE"] = ca_bundle
        if server.control_token is not None and own_token:
            settings["AUTH0_CTE_TENANT_TOKEN"] = server.control_token
        if self._out.as_json:
            self._json("ready", {"url": server.url, "port": server.port, "settings": settings})
        else:
            for name, value in settings.items():
                self._out.line(f"{name}={value}")
        self._out.say(f"the tenant listens at {server.url} (control API: {server.url}/_tenant/health); Ctrl-C ends it")

    def tell_news(self) -> None:
        """Print what came since the last call; wait a moment when there is nothing."""
        requests, self._requests = self._tenant.requests.follow(self._requests, _WAIT_SECONDS)
        for request in requests:
            self._tell("request", self._views.request(request))
        entries, self._logs = self._tenant.logs.follow(self._logs)
        for entry in entries:
            self._tell("log", self._views.log(entry))

    def _tell(self, event: str, shown: Mapping[str, Any]) -> None:
        if self._out.as_json:
            self._json(event, shown)
        elif event == "request":
            form = shown["form"]
            words = [f"{name}={form[name]}" for name in _SHOWN if form.get(name)]
            self._out.line(" ".join([shown["date"], "request", shown["method"], shown["path"], *words]))
        else:
            words = [str(shown[name]) for name in ("type", "description", "user_id") if shown.get(name)]
            style = "red" if shown["type"].startswith(("f", "limit", "api_limit")) else "green"
            self._out.line(" ".join([shown["date"], "log", *words]), style)

    def _json(self, event: str, told: Mapping[str, Any]) -> None:
        self._out.raw(json.dumps({"event": event, **told}, default=str))

    def _warn(self, message: str) -> None:
        self._out.warn(self._views.text(message))
