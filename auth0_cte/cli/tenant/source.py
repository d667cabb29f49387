"""What a served tenant is filled from: a seed, and the Actions that the command line names."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from auth0_cte.error import ConfigurationError
from auth0_cte.testing.seeding.document import SeedDocument
from auth0_cte.testing.seeding.seeding import Seeding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auth0_cte.cli.shared.output import Output
    from auth0_cte.testing import LocalTenant

__all__ = ["Source", "read_profile"]

_LOOK_SECONDS: Final = 0.5


def read_profile(text: str) -> tuple[str, Path]:
    """Read ``TYPE=FILE``.

    Raises:
        click.UsageError: It is written otherwise, or the file does not exist.
    """
    token_type, _, file = text.partition("=")
    if not token_type or not file:
        raise click.UsageError(f"--action must be TYPE=FILE, e.g. urn:acme:legacy=legacy.js, not {text!r}")
    if not Path(file).is_file():
        raise click.UsageError(f"--action: the file does not exist: {file}")
    return token_type, Path(file)


class Source:
    """Fills a tenant, and does so again when a file changes.

    Args:
        tenant: The tenant.
        seed: The path of the seed, or None.
        actions: The types of profiles, and their Actions.
        post_login: The Post-Login Actions, which run after those of the seed.
        secrets: What these Actions see as ``event.secrets``.
    """

    def __init__(
        self,
        tenant: LocalTenant,
        seed: Path | None,
        actions: Sequence[tuple[str, Path]],
        post_login: Sequence[Path],
        secrets: Mapping[str, str],
    ) -> None:
        self._tenant, self._seed, self._actions, self._post_login = tenant, seed, actions, post_login
        self._secrets = secrets
        self._stamps: dict[Path, object] = {}
        self._looked = time.monotonic()

    def read(self) -> None:
        """Fill the tenant.

        Raises:
            ConfigurationError: As for `LocalTenant.seed`.
            OSError: A file cannot be read.
            ValueError: The tenant is strict, and Auth0 would refuse the type of a profile.
        """
        self._stamps = self._look()
        self._tenant.part(Seeding).replace({} if self._seed is None else self._seed, self._add_actions)

    def read_again(self, out: Output) -> None:
        """Fill the tenant again when a file has changed; one with a fault changes nothing.

        Args:
            out: Where that is told.
        """
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        if self._look() == self._stamps:
            return
        try:
            self.read()
        except (OSError, TypeError, ValueError) as error:
            out.warn(f"the tenant stays as it was: {error}")
        else:
            out.say("the seed was read again")

    def _add_actions(self) -> None:
        for token_type, file in self._actions:
            self._tenant.action_file(token_type, file, secrets=self._secrets)
        for file in self._post_login:
            self._tenant.post_login_file(file, secrets=self._secrets)

    def _look(self) -> dict[Path, object]:
        files = [*(file for _, file in self._actions), *self._post_login]
        if self._seed is not None:
            files += [self._seed, *_files_of(self._seed)]
        return {file: _stamp(file) for file in files}


def _files_of(seed: Path) -> list[Path]:
    try:
        return SeedDocument.read(seed).action_files
    except (ConfigurationError, OSError):
        return []  # told when it is applied


def _stamp(file: Path) -> object:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
