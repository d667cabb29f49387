from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.users import run

HANDLER = (
    "// subject_token_type: urn:acme:legacy\nexports.onExecuteCustomTokenExchange = async (event, api) => {\n%s\n};\n"
)
CREATE = "{ creationBehavior: 'create_if_not_exists', updateBehavior: 'none' }"


@pytest.fixture
def action(tmp_path: Path) -> Any:
    """Write an Action's body to a file and run the command on it."""

    def test(body: str, *arguments: str, token: str = "the-token", **env: str) -> Any:
        file = tmp_path / "action.js"
        file.write_text(HANDLER % body)
        return run("action", "test", str(file), *arguments, stdin=token, env=env)

    return test


def test_a_right_token_shows_everything(action: Any) -> None:
    """Calls, output, reply and log are shown, with status 0, and never the token."""
    result = action(
        "console.log('hello');\nconst answer = api.cache.get('k');\n"
        f"api.authentication.setUserByConnection('legacy', {{ user_id: '7', name: 'Ada' }}, {CREATE});"
    )
    assert 0 == result.exit_code, result.output
    for text in (
        'api.cache.get("k")',
        'api.authentication.setUserByConnection("legacy", {"user_id": "7", "name": "Ada"}, {"creationBehavior"',
        "  hello",
        "status: 200",
        "sub: auth0|7",
        "name: Ada",
        "type: secte",
    ):
        assert text in result.stdout
    assert "the-token" not in result.output


@pytest.mark.parametrize(
    ("body", "status", "texts"),
    [
        ("api.access.rejectInvalidSubjectToken('unknown session');", 3, ["unknown session", "type: fecte"]),
        ("api.access.deny('closed', 'The account is closed.');", 3, ["error: closed", "The account is closed."]),
        ("api.access.deny('server_error', 'later');", 3, ["error: server_error"]),
        ("throw new Error('broken');", 4, ["Failed at", "action.js:3", "broken"]),
        ("const x = ;", 4, ["SyntaxError", "action.js"]),
        ("require('no-such-module');", 4, ["no-such-module"]),
        ("", 3, ["set"]),
        ("api.authentication.setUserById('auth0|nobody');", 3, ["auth0|nobody"]),
        ("api.authentication.setUserById(5);", 4, ["threw: "]),
        ("while (true) {}", 4, ["ran for more than 1 seconds"]),
    ],
)
def test_what_goes_wrong(body: str, status: int, texts: list[str], action: Any) -> None:
    """A refusal ends with 3, an Action that fails with 4, each with its reason and place."""
    result = action(body, *(["--time-limit", "1"] if "while" in body else []))
    assert status == result.exit_code, result.output
    for text in texts:
        assert text in result.stdout
    assert "Traceback" not in result.output


def test_secrets_and_parameters_reach_it(action: Any, tmp_path: Path) -> None:
    """event.secrets come from a file and from the environment, parameters from -p; none is shown."""
    (tmp_path / "dev.env").write_text("ONE=first-secret\n")
    result = action(
        "const { ONE, TWO } = event.secrets;\n"
        "if (ONE !== 'first-secret' || TWO !== 'second-secret' || event.request.body.campaign !== '2026')\n"
        "  return api.access.deny('wrong', 'not what was given');\n"
        f"api.authentication.setUserByConnection('legacy', {{ user_id: '7' }}, {CREATE});",
        *("--secrets", str(tmp_path / "dev.env"), "--secret-env", "TWO", "-p", "campaign=2026"),
        TWO="second-secret",
    )
    assert 0 == result.exit_code, result.output
    assert not any(secret in result.output for secret in ("first-secret", "second-secret"))


def test_users_and_an_actor(action: Any) -> None:
    """Users are there on request, with their metadata, and one of them acts by its ID token."""
    result = action(
        "const actor = event.transaction.actor_token_user;\n"
        "if (!actor.app_metadata.can_act_for_users) return api.access.deny('no', 'no');\n"
        "api.authentication.setUserById('auth0|ada');\napi.authentication.setActor({ sub: actor.user_id });",
        *("--user", 'auth0|ada={"name": "Ada"}', "--actor", "auth0|agent", "--json"),
        *("--user", 'auth0|agent={"app_metadata": {"can_act_for_users": true}}'),
    )
    told = json.loads(result.stdout)
    assert ("auth0|ada", {"sub": "auth0|agent"}) == (told["claims"]["sub"], told["claims"]["act"])
    assert ["api.authentication.setUserById", "api.authentication.setActor"] == [call["call"] for call in told["trace"]]


def test_a_post_login_action_runs_afterwards(action: Any, tmp_path: Path) -> None:
    """--post-login shows what an API sees in the end."""
    after = tmp_path / "post-login.js"
    after.write_text(
        "exports.onExecutePostLogin = async (event, api) => { api.idToken.setCustomClaim('https://x/plan', 'gold'); };"
    )
    result = action("api.authentication.setUserById('auth0|ada');", "--user", "auth0|ada", "--post-login", str(after))
    assert "https://x/plan: gold" in result.stdout


def test_strict_is_as_auth0(action: Any) -> None:
    """--strict refuses a reserved type."""
    result = action("", "-t", "urn:ietf:params:oauth:token-type:jwt", "--strict")
    assert 2 == result.exit_code
    assert "reserves" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", "auth0|ada={"], "--user must be ID"),
        (["--user", "auth0|ada=[1]"], "--user must be ID"),
        (["--user", 'auth0|ada={"user_id": "x"}'], "user_id"),
        (["--secret-env", "NOT_SET"], "the environment has no NOT_SET"),
        (["--token-file", "/nowhere"], "/nowhere"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, action: Any) -> None:
    """What is wrong about the command is told with status 2."""
    result = action("", *arguments)
    assert 2 == result.exit_code, result.output
    assert message in " ".join(result.stderr.split())


def test_a_file_without_a_type(tmp_path: Path) -> None:
    """Without a type in the file or an option there is nothing to exchange."""
    file = tmp_path / "a.js"
    file.write_text("exports.onExecuteCustomTokenExchange = async () => {};")
    result = run("action", "test", str(file), stdin="t")
    assert (2, True) == (result.exit_code, "names no subject_token_type" in result.stderr)
