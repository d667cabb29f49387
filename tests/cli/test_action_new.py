from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from auth0_cte.cli.action.rules import check_action, dependencies_of
from auth0_cte.cli.action.templates import KINDS
from tests.cli.users import run
from tests.testing.node import NODES

TYPE = "urn:acme:legacy-session"
VARIANTS = list(itertools.product(KINDS, ("connection", "id"), (False, True)))


def new(kind: str, *arguments: str) -> str:
    result = run("action", "new", kind, "-t", TYPE, "-o", "-", *arguments)
    assert 0 == result.exit_code, result.output
    return result.stdout


@pytest.mark.parametrize(("kind", "user", "delegation"), VARIANTS)
def test_a_written_action_passes_the_check(kind: str, user: str, delegation: bool) -> None:
    """Each kind, with each way to set the user and with or without an actor, is what Auth0 accepts."""
    source = new(kind, "--user", user, *(["--delegation"] if delegation else []))
    assert [] == check_action(source)
    assert f"subject_token_type: {TYPE}" in source
    assert (user == "id") == ("setUserById(" in source)
    assert (user == "connection") == ("setUserByConnection(" in source)
    assert delegation == ("setActor(" in source)
    assert not any(mark in source for mark in ("//#", "@TYPE@", "@URL@", "@ISSUER@", "@CONNECTION@"))
    assert (["jose"] if kind == "jwt" else []) == dependencies_of(source)
    assert max(map(len, source.splitlines())) <= 120


@pytest.mark.parametrize("kind", KINDS)
def test_node_reads_it(kind: str, tmp_path: Path) -> None:
    """Node compiles each as CommonJS."""
    file = tmp_path / "action.cjs"
    file.write_text(new(kind, "--delegation"))
    subprocess.run([NODES["wheel"], "--check", str(file)], check=True, timeout=60)


def test_what_is_given_is_text(tmp_path: Path) -> None:
    """Options are written as string literals, whatever they hold."""
    source = new("jwt", "--connection", 'a"; process.exit(); "', "--audience", "</script>\\")
    assert [] == check_action(source)
    assert r'const CONNECTION = "a\"; process.exit(); \"";' in source


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["jwt", "-t", "urn:ietf:params:oauth:token-type:jwt"], 4, "reserves"),
        (["jwt", "-t", "urn:acme:x*/evil"], 4, "must be a printable ASCII URI"),
        (["jwt", "-t", TYPE, "--issuer", "http://partner.example/"], 2, "--issuer must be an https URL"),
        (["legacy-db", "-t", TYPE, "--url", "file:///etc/passwd"], 2, "--url must be an https URL"),
        (["saml", "-t", TYPE], 2, "saml"),
        (["jwt"], 2, "--subject-token-type"),
        (["jwt", "-t", TYPE, "-o", "-", "--json"], 2, "use one of --json and --output -"),
    ],
)
def test_wrong_use(arguments: list[str], status: int, message: str) -> None:
    """What cannot work is told, and nothing is written."""
    result = run("action", "new", *arguments)
    assert status == result.exit_code
    assert message in " ".join(result.stderr.split())


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    """An existing file needs --force."""
    file = tmp_path / "a.js"
    file.write_text("mine")
    assert 2 == run("action", "new", "hmac", "-t", TYPE, "-o", str(file)).exit_code
    assert "mine" == file.read_text()
    assert 0 == run("action", "new", "hmac", "-t", TYPE, "-o", str(file), "--force").exit_code
    assert "mine" != file.read_text()


def test_the_steps_that_register_it(tmp_path: Path) -> None:
    """Dashboard, Management API and terraform are told, with secrets, dependencies and the profile's type."""
    result = run("action", "new", "jwt", "-t", TYPE, "-o", str(tmp_path / "a.js"), "--delegation")
    assert 0 == result.exit_code
    for text in (
        "Actions > Library > Create Action",
        "Dependencies: jose 5.",
        "OIDC Conformant",
        "auth0 api post actions/actions --data",
        "auth0 api post actions/actions/ACTION_ID/deploy",
        "auth0 api post token-exchange-profiles",
        '"allow_any_profile_of_type": ["custom_authentication"]',
        'resource "auth0_action" "acme_legacy_session"',
        'resource "auth0_token_exchange_profile" "acme_legacy_session"',
        f'subject_token_type = "{TYPE}"',
        "can_act_for_users",
        "next: auth0-cte action check",
    ):
        assert text in result.output


@pytest.mark.skipif(shutil.which("jq") is None, reason="no jq on PATH")
def test_the_call_that_creates_it_is_a_command(tmp_path: Path) -> None:
    """The Management API call's argument, run by bash, is the Action as JSON."""
    file = tmp_path / "it's an action.js"
    told = json.loads(run("action", "new", "hmac", "-t", TYPE, "-o", str(file), "--json").stdout)
    command = told["management_api"][0].replace("auth0 api post actions/actions --data", "printf %s")
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    action = json.loads(done.stdout)
    assert file.read_text() == action["code"]
    assert [{"id": "custom-token-exchange", "version": "v1"}] == action["supported_triggers"]
    assert ["LEGACY_SECRET"] == [secret["name"] for secret in action["secrets"]]
