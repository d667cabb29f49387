"""Filling a tenant from a seed, and returning to it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from auth0_cte.error import ConfigurationError
from auth0_cte.testing.seeding.document import Seed, SeedDocument
from auth0_cte.testing.seeding.snapshot import Snapshot, forget_what_happened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.testing.seeding.people import People
    from auth0_cte.testing.setup.actions import ActionSetup
    from auth0_cte.testing.setup.apis import ApiSetup
    from auth0_cte.testing.setup.applications import ApplicationSetup
    from auth0_cte.testing.setup.directory import DirectorySetup
    from auth0_cte.testing.state import TenantState

__all__ = ["Seeding"]


class Seeding:
    """Applies seeds.

    Args:
        state: What the tenant holds.
        people: Adds users.
        directory: Registers connections and organizations.
        applications: Registers applications and host names.
        apis: Registers APIs and roles.
        actions: Registers Actions.
    """

    def __init__(
        self,
        state: TenantState,
        people: People,
        directory: DirectorySetup,
        applications: ApplicationSetup,
        apis: ApiSetup,
        actions: ActionSetup,
    ) -> None:
        self._state, self._people, self._directory = state, people, directory
        self._applications, self._apis, self._actions = applications, apis, actions
        self._lock = threading.RLock()
        self._before = self._mark = Snapshot.take(state)

    def begin(self) -> None:
        """Take what is registered now for what the tenant began with."""
        self._before = self._mark = Snapshot.take(self._state)

    def seed(self, seed: Seed) -> None:
        """Register what a seed says, beside what is there already; `reset` returns to this moment.

        Args:
            seed: A mapping, or the path of a JSON file, as the reference "Seed files" describes it. Paths of Actions
                are relative to the file, for a mapping to the current directory.

        Raises:
            ConfigurationError: It does not match the schema, or names a file or an environment variable that does not
                exist. The message tells the JSON path of the fault, and the tenant is as it was.
            OSError: The file cannot be read.
        """
        document = SeedDocument.read(seed)
        with self._lock:
            self._apply(document)

    def replace(self, seed: Seed, then: Callable[[], None] = lambda: None) -> None:
        """Return to what the tenant began with, and apply a seed. When the seed is refused, nothing changes.

        Args:
            seed: As for `seed`.
            then: Registers more, which `reset` returns to as well.

        Raises:
            ConfigurationError: As for `seed`.
            OSError: As for `seed`.
        """
        document = SeedDocument.read(seed)
        with self._lock:
            current = Snapshot.take(self._state)
            self._before.restore(self._state)
            try:
                self._apply(document, then)
            except (OSError, TypeError, ValueError):
                current.restore(self._state)
                raise

    def reset(self) -> None:
        """Return to the moment after the last `seed`; without one, to a new tenant with its default application.

        What was registered since is gone, as is what was issued, counted, recorded and scripted. Keys, settings such as
        ``tenant.sessions``, and the clock stay.
        """
        with self._lock:
            self._mark.restore(self._state)
            forget_what_happened(self._state)

    def _apply(self, document: SeedDocument, then: Callable[[], None] = lambda: None) -> None:
        before = Snapshot.take(self._state)
        try:
            self._register(document)
            then()
        except (OSError, TypeError, ValueError):
            before.restore(self._state)
            raise
        self._mark = Snapshot.take(self._state)

    def _register(self, document: SeedDocument) -> None:
        content = document.content
        if "default_audience" in content:
            self._state.apis.default_audience = content["default_audience"]
        sections: dict[str, Callable[[SeedDocument, Any, str], object]] = {
            "custom_domains": lambda _document, entry, _path: self._applications.add_custom_domain(entry),
            "connections": lambda _document, entry, _path: self._directory.add_connection(**entry),
            "apis": lambda _document, entry, _path: self._apis.add_api(**entry),
            "roles": lambda _document, entry, _path: self._apis.add_role(**entry),
            "users": lambda _document, entry, _path: self._people.add(entry),
            "groups": lambda _document, entry, _path: self._apis.add_group(**entry),
            "organizations": lambda _document, entry, _path: self._add_organization(entry),
            "applications": self._add_application,
            "actions": self._add_action,
            "post_login": self._add_post_login,
        }
        for section, register in sections.items():
            for index, entry in enumerate(content.get(section, ())):
                path = f"$.{section}[{index}]"
                try:
                    register(document, entry, path)
                except ConfigurationError:
                    raise
                except KeyError as error:
                    raise document.fault(path, f"has a role that does not exist: {error.args[0]}") from None
                except (TypeError, ValueError) as error:
                    raise document.fault(path, str(error)) from None

    def _add_organization(self, entry: Mapping[str, Any]) -> None:
        self._directory.add_organization(entry["id"], **{name: value for name, value in entry.items() if name != "id"})

    def _add_application(self, document: SeedDocument, entry: Mapping[str, Any], path: str) -> None:
        given = dict(entry)
        if "client_secret" in given:
            given["client_secret"] = document.secret(given["client_secret"], f"{path}.client_secret")
        self._applications.add_application(**given)

    def _add_action(self, document: SeedDocument, entry: Mapping[str, Any], path: str) -> None:
        if "accept" in entry:
            self._actions.accept(entry["subject_token_type"], entry["accept"])
            return
        file, secrets = document.file(entry, path), document.secrets(entry, path)
        self._actions.action_file(entry["subject_token_type"], file, secrets=secrets)

    def _add_post_login(self, document: SeedDocument, entry: Mapping[str, Any], path: str) -> None:
        self._actions.post_login_file(document.file(entry, path), secrets=document.secrets(entry, path))
