"""Reading a seed: from a file or a mapping, with its secrets and paths resolved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from attrs import frozen

from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.testing.seeding.schema import SchemaError, check

__all__ = ["Seed", "SeedDocument"]

Seed: TypeAlias = Mapping[str, Any] | str | os.PathLike[str]
"""A seed, or the path of a JSON file that holds one."""

_KEYS = {
    "connections": "name",
    "apis": "identifier",
    "roles": "name",
    "users": "user_id",
    "groups": "name",
    "organizations": "id",
    "applications": "client_id",
    "actions": "subject_token_type",
}
"""What the entries of each list are told apart by."""


@frozen(kw_only=True)
class SeedDocument:
    """A seed that matches the schema.

    Args:
        name: What messages call it.
        folder: What paths in it are relative to.
        content: The seed.
    """

    name: str
    folder: Path
    content: Mapping[str, Any]

    @classmethod
    def read(cls, seed: Seed) -> SeedDocument:
        """Read a seed, and check it.

        Raises:
            ConfigurationError: It does not match the schema; the message names the JSON path of the fault.
            OSError: The file cannot be read.
        """
        if isinstance(seed, Mapping):
            document = cls(name="seed", folder=Path.cwd(), content=seed)
        else:
            path = Path(seed).absolute()
            document = cls(name=path.name, folder=path.parent, content=_load(path))
        try:
            check(document.content)
            _check_unique(document.content)
        except SchemaError as error:
            raise document.fault(error.path, error.problem) from None
        return document

    def fault(self, path: str, problem: str) -> ConfigurationError:
        """Make the error that tells of a fault."""
        return ConfigurationError(f"{self.name}: {path} {problem}")

    def file(self, entry: Mapping[str, Any], path: str) -> Path:
        """Return the path of an Action's file.

        Raises:
            ConfigurationError: The file does not exist.
        """
        found: Path = self.folder / entry["file"]
        if not found.is_file():
            raise self.fault(f"{path}.file", f"must be a file: {found} does not exist")
        return found

    def secret(self, value: object, path: str) -> str:
        """Return a secret, out of the environment when it is ``{"env": "NAME"}``.

        Raises:
            ConfigurationError: The environment variable is not set.
        """
        if not isinstance(value, Mapping):
            return str(value)
        name: str = value["env"]
        if not os.environ.get(name):
            raise self.fault(path, f"requires the environment variable {name}, which is not set")
        return os.environ[name]

    def secrets(self, entry: Mapping[str, Any], path: str) -> dict[str, str]:
        """Return the secrets of an Action, as `secret` does."""
        given = entry.get("secrets", {})
        return {name: self.secret(value, f"{path}.secrets.{name}") for name, value in given.items()}

    @property
    def action_files(self) -> list[Path]:
        """The files of the Actions."""
        entries = [*self.content.get("actions", ()), *self.content.get("post_login", ())]
        return [self.folder / entry["file"] for entry in entries if "file" in entry]


def _load(path: Path) -> dict[str, Any]:
    try:
        return loads_object(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        raise ConfigurationError(f"{path.name}: {error}") from None


def _check_unique(content: Mapping[str, Any]) -> None:
    for section, key in _KEYS.items():
        seen = set[str]()
        for index, entry in enumerate(content.get(section, ())):
            if entry[key] in seen:
                raise SchemaError(f"$.{section}[{index}].{key}", "must be unique")
            seen.add(entry[key])
    for index, entry in enumerate(content.get("actions", ())):
        if ("file" in entry) == ("accept" in entry):
            raise SchemaError(f"$.actions[{index}]", "must have one of file and accept")
        if "accept" in entry and "secrets" in entry:
            raise SchemaError(f"$.actions[{index}].secrets", "must belong to a file")
