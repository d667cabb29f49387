"""The pages about seeds and the control API name all that there is, and their seed is one."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from auth0_cte.cli.tenant.serve import command
from auth0_cte.testing import LocalTenant
from auth0_cte.testing.seeding.schema import check, schema
from tests.cli.served_tenant import serving
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
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", GUIDE)) - {"--cacert"}  # an option of curl
    assert {"--seed", "--tls", "--ca-out", "--host", "--port", "--name"} <= shown
    assert set() == shown - serve_options


ACTION = 'exports.onExecuteCustomTokenExchange = async (event, api) => api.authentication.setUserById("auth0|ada");'


def test_the_compose_file_of_the_guide_works(tmp_path: Path) -> None:
    """Its command serves the seed of the guide, its check of health passes, and the application's settings exchange."""
    services = yaml.safe_load(block("yaml"))["services"]
    tenant, app = services["tenant"], services["app"]
    shared, seed = tmp_path / "shared", tmp_path / "seed"
    (seed / "actions").mkdir(parents=True)
    shared.mkdir()
    (seed / "tenant.json").write_text(block("json"))
    (seed / "actions" / "legacy.js").write_text(ACTION)
    inside = {"/shared/": f"{shared}/", "/seed/": f"{seed}/"}

    _, _, command = shlex.split(tenant["command"])[-1].partition("auth0-cte tenant serve ")
    environment = {name: value for name, value in tenant["environment"].items() if name != "AUTH0_CTE_TENANT_TOKEN"}
    token = tenant["environment"]["AUTH0_CTE_TENANT_TOKEN"]
    arguments = shlex.split(_replaced(command, {**inside, "0.0.0.0": "127.0.0.1"}))
    with serving(*arguments, AUTH0_CTE_TENANT_TOKEN=token, **environment) as served:
        port = served.ready["port"]
        check_command = _replaced(tenant["healthcheck"]["test"], {**inside, "$$": "$", ":8443": f":{port}"})
        done = subprocess.run(
            ["sh", "-c", check_command.replace("curl", f"curl --resolve tenant.test:{port}:127.0.0.1", 1)],
            env={"PATH": os.environ["PATH"], "AUTH0_CTE_TENANT_TOKEN": token},
            capture_output=True,
            text=True,
            check=True,
        )
        claims = served.exchange(
            domain=f"https://localhost:{port}",
            client_id=app["environment"]["AUTH0_CLIENT_ID"],
            client_secret=app["environment"]["AUTH0_CLIENT_SECRET"],
            ca_bundle=_replaced(app["environment"]["SSL_CERT_FILE"], inside),
        ).claims

    assert ("ok", "auth0|ada") == (json.loads(done.stdout)["status"], claims["sub"])
    assert "tenant.test:8443" == app["environment"]["AUTH0_DOMAIN"]
    assert ["tenant.test"] == tenant["networks"]["default"]["aliases"]


def _replaced(text: str, parts: Mapping[str, str]) -> str:
    for old, new in parts.items():
        text = text.replace(old, new)
    return text
