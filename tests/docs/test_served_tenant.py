"""The pages about seeds and the control API name all that there is, and their seed is one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from auth0_cte.cli.tenant.serve import command
from auth0_cte.testing import LocalTenant
from auth0_cte.testing.seeding.schema import check, schema
from tests.docs.pages import DOCS

SEEDS = (DOCS / "reference" / "seed-files.rst").read_text()
CONTROL = (DOCS / "reference" / "control-api.rst").read_text()
GUIDE = (DOCS / "guides" / "other-programs.rst").read_text()


def members(wanted: Mapping[str, Any]) -> Iterator[str]:
    """Return the names of all members of a schema and its definitions."""
    yield from wanted.get("properties", {})
    for definition in wanted.get("$defs", {}).values():
        yield from members(definition)


def block(language: str) -> str:
    found = re.search(rf"code-block:: {language}\n\n((?:    .*\n|\n)+)", GUIDE)
    assert found is not None
    return re.sub("(?m)^    ", "", found[1])


def test_every_member_of_a_seed_is_in_the_reference() -> None:
    """Outside of the schema that the page includes."""
    assert set() == {name for name in members(schema()) if f"``{name}``" not in SEEDS} - {"$schema", "env"}


def test_every_path_of_the_control_api_is_in_the_reference() -> None:
    """The ones that an unknown path is answered with."""
    import requests

    with LocalTenant() as tenant, tenant.serve(control=True) as server:
        told = requests.get(f"{server.url}/_tenant/nothing", timeout=30).json()["error_description"]
    paths = told.removeprefix("Use one of ").rstrip(".").split(", ")
    assert len(paths) >= 9
    assert [] == [path for path in paths if f" {path.replace('*', 'ID')}" not in CONTROL]


def test_the_seed_of_the_guide_is_one() -> None:
    """It matches the schema."""
    check(json.loads(block("json")))


def test_the_options_of_the_guide_exist() -> None:
    """In its commands and in its file for Docker Compose."""
    serve_options = {option for parameter in command.params for option in parameter.opts}
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", GUIDE)) - {"--cacert"}
    assert {"--seed", "--tls", "--ca-out", "--host", "--port", "--name"} <= shown
    assert set() == shown - serve_options
