"""``manage.py auth0_cte_check``: whether the configuration works, told before users find out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.core.checks import ERROR
from django.core.management.base import CommandError

from auth0_cte.auth_server.checks import check_sessions, check_tenant
from auth0_cte.django import checks
from auth0_cte.django.clients import get_client
from auth0_cte.django.settings import given_options, names, source_of
from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from auth0_cte.auth_server.checks import Check
    from auth0_cte.foundation.untyped import Untyped as BaseCommand
else:
    from django.core.management.base import BaseCommand

__all__ = ["Command"]

SHOWN: Final = frozenset(
    {
        *("domain", "client_id", "organization", "audience", "scope", "state_identifier", "create_users"),
        *("cookie_domain", "cookie_path", "cookie_secure", "cookie_same_site"),
        *("timeout", "connect_timeout", "read_timeout", "pool_size", "leeway", "rate_limit", "telemetry"),
    }
)
"""Settings whose values are not secret; of all others the report says that they are set."""
TOLD: Final = frozenset({"secret"})
"""What the system checks have told already."""


class Command(BaseCommand):
    """Checks settings, tenant and store, and reports."""

    help: str = "Checks the settings of auth0_cte, the Auth0 tenant and the session store."
    style: Any
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own way; a fault is to be reported, not to end this

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--no-network", action="store_true", help="ask neither the tenant nor the store")
        parser.add_argument("--domain", help="the domain to ask, where a function chooses it for each request")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Report, and fail if there is a fault."""
        self._faults: list[str] = []
        self._report_settings()
        self._report_checks()
        client = None if self._faults else get_client()  # as the checks have done
        if client is not None and not options["no_network"]:
            for check in (*check_tenant(client, options["domain"]), *check_sessions(client)):
                self._report(check)
        if self._faults:
            raise CommandError(f"{len(self._faults)} fault(s):\n" + "\n".join(f"- {each}" for each in self._faults))
        asked = " as far as it can be told without the network" if options["no_network"] else ""
        self.stdout.write(self.style.SUCCESS(f"Everything is in order{asked}."))

    def _report_settings(self) -> None:
        try:
            given = given_options()
        except ConfigurationError:
            given = {}
        for name, value in sorted(given.items(), key=lambda item: str(item[0])):
            self._tell(f'AUTH0_CTE["{name}"]', _shown(str(name), value))
        for name, value in sorted(names().items()):
            if name != "AUTH0_CTE":
                self._tell(f"{name} ({source_of(name)})", _shown(name.removeprefix("AUTH0_").lower(), value))

    def _report_checks(self) -> None:
        every = (checks.check_settings, checks.check_middleware, checks.check_backend, checks.check_client)
        for message in [message for check in every for message in check()]:
            text = f"{message.msg}. {message.hint}" if message.hint else str(message.msg)
            if message.level >= ERROR:
                self._faults.append(text)
            else:
                self._tell("warning", self.style.WARNING(text))

    def _report(self, check: Check) -> None:
        text = f"{check.message}. {check.advice}" if check.advice else check.message
        if check.status == "fault":
            self._faults.append(f"{check.name}: {text}")
            self._tell(check.name, self.style.ERROR("fault, see below"))
        elif check.name not in TOLD:
            self._tell(check.name, self.style.WARNING(f"warning: {text}") if check.status == "warning" else text)

    def _tell(self, what: str, result: str) -> None:
        self.stdout.write(f"{what}: {result}")


def _shown(name: str, value: object) -> str:
    is_plain = name in SHOWN and isinstance(value, str | int | float)
    return repr(value) if is_plain else "set" if value else "empty"
