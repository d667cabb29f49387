from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from auth0_cte.testing import LocalTenant, TenantServer
from tests.cli.users import TYPE, USER, Terminal, environment, program, run

pytestmark = pytest.mark.usefixtures("served")


@pytest.mark.parametrize("how", ["file", "stdin", "dash", "variable", "environment"])
def test_the_token_comes_from(how: str, tenant: LocalTenant, tmp_path: Path) -> None:
    """The subject token is read from a file, stdin or the environment, without the line break at its end."""
    file = tmp_path / "token"
    file.write_text("the-token\n")
    arguments, stdin, env = {
        "file": (["--token-file", str(file)], None, {}),
        "stdin": ([], "the-token\n", {}),
        "dash": (["--token-file", "-"], "the-token\r\n", {}),
        "variable": (["--token-env", "LEGACY"], None, {"LEGACY": "the-token"}),
        "environment": ([], None, {"AUTH0_SUBJECT_TOKEN": "the-token"}),
    }[how]
    result = run("exchange", "-t", TYPE, *arguments, stdin=stdin, env=env)
    assert (0, "") == (result.exit_code, result.stderr)
    assert "the-token" == tenant.requests[-1].form["subject_token"]


def test_a_token_on_the_command_line_is_warned_about() -> None:
    """--token works, but says on stderr who can read it there."""
    result = run("exchange", "-t", TYPE, "--token", "the-token")
    assert 0 == result.exit_code
    assert "warning: --token shows the token in the process list" in result.stderr
    assert "the-token" not in result.output


def test_two_sources_are_refused() -> None:
    """Naming two sources of a token is a usage error."""
    result = run("exchange", "-t", TYPE, "--token-env", "A", "--token-file", "-")
    assert 2 == result.exit_code
    assert "use one of --token-file, --token-env and --token" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["--token-file", "/nowhere/token"], None, "--token-file: /nowhere/token: No such file or directory"),
        (["--token-env", "NOT_SET"], None, "the environment has no NOT_SET"),
        ([], "", "stdin is empty"),
        ([], "\n", "stdin is empty"),
        ([], b"\xff\xfet\x00", "UTF-16"),
        ([], b"\xc3\x28", "must be UTF-8"),
        ([], b"x" * (1024 * 1024 + 1), "cannot be one token"),
        (["-p", "nothing"], "t", "a parameter must be KEY=VALUE"),
        (["--json", "--raw"], "t", "use one of --json, --raw and --curl"),
        (["--with-tokens"], "t", "--with-tokens requires --json"),
    ],
)
def test_wrong_use_ends_with_2(arguments: list[str], stdin: str | bytes | None, message: str) -> None:
    """What is wrong about the command is told, with status 2, before anything is sent."""
    result = run("exchange", "-t", TYPE, *arguments, stdin=stdin)
    assert 2 == result.exit_code
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], "INVALID_TOKEN_FORMAT"),
        (["--actor-token-type", "urn:acme:actor"], "MISSING_ACTOR_TOKEN"),
        (["--audience", " "], "INVALID_OPTIONS"),
    ],
)
def test_options_that_the_library_refuses_end_with_2(arguments: list[str], code: str, tenant: LocalTenant) -> None:
    """What the library refuses before it sends anything is wrong use, too."""
    token = "t" if arguments else "Bearer t"
    result = run("exchange", "-t", TYPE, *arguments, stdin=token)
    assert 2 == result.exit_code
    assert f"error: {code}: " in result.stderr
    assert [] == tenant.token_requests


def test_every_option_reaches_the_tenant(tenant: LocalTenant) -> None:
    """Each option of an exchange can be given, and repeated parameters become lists."""
    tenant.add_organization("org_acme1234567890a", name="acme")
    result = run(
        *("exchange", "-t", TYPE, "--audience", "https://api.example.com", "--scope", "openid", "--scope", "a b"),
        *("--organization", "org_acme1234567890a", "--resource", "https://r.example", "--forwarded-for", "203.0.113.9"),
        *(
            "--actor-token-type",
            "urn:acme:agent",
            "--actor-token-env",
            "ACTOR",
            "-p",
            "k=1",
            "-p",
            "k=2",
            "-p",
            "l=x=y",
        ),
        *("--requested-token-type", "urn:acme:wanted"),
        stdin="t",
        env={"ACTOR": "the-actor"},
    )
    form = tenant.token_requests[-1].form
    expected = {
        "subject_token_type": TYPE,
        "audience": "https://api.example.com",
        "scope": "openid a b",
        "organization": "org_acme1234567890a",
        "resource": "https://r.example",
        "actor_token": "the-actor",
        "actor_token_type": "urn:acme:agent",
        "k": ["1", "2"],
        "l": "x=y",
        "requested_token_type": "urn:acme:wanted",
    }
    assert expected == {name: form[name] for name in expected}
    assert "203.0.113.9" == tenant.token_requests[-1].headers["auth0-forwarded-for"]
    assert 4 == result.exit_code  # as Auth0 refuses that requested_token_type


def test_claims_and_lifetimes_are_shown() -> None:
    """Claims, times in words and what tokens came are there to read; no token is."""
    result = run("exchange", "-t", TYPE, "--scope", "openid profile offline_access", stdin="the-token")
    for text in ("sub: auth0|jane", "name: Jane", "lifetime: 24 hours", ", in ", "refresh token: yes", "verified"):
        assert text in result.stdout
    assert "ey" not in result.output


def test_the_actor_chain_is_a_tree(tenant: LocalTenant) -> None:
    """Who acts for whom is a tree from the user to the original actor."""
    tenant.accept(TYPE, USER, actor={"sub": "agent|1", "act": {"sub": "service|2"}})
    result = run("exchange", "-t", TYPE, "--scope", "openid", stdin="t")
    lines = result.stdout.splitlines()
    at = lines.index("Who acts")
    expected = ["  auth0|jane  (the user)", "  └─ agent|1  (acts for the user)", "     └─ service|2  (acted before)"]
    assert expected == lines[at + 1 : at + 4]


def test_json_is_for_programs() -> None:
    """--json prints one object with claims, and no token."""
    result = run("exchange", "-t", TYPE, "--scope", "openid", "--json", stdin="t")
    told = json.loads(result.stdout)
    assert USER == told["claims"]["sub"] == told["access_token_claims"]["sub"]
    assert not {"access_token", "id_token", "refresh_token"} & set(told)


def test_json_has_tokens_on_request() -> None:
    """--with-tokens adds the tokens."""
    result = run("exchange", "-t", TYPE, "--scope", "openid offline_access", "--json", "--with-tokens", stdin="t")
    told = json.loads(result.stdout)
    assert all(told[name] for name in ("access_token", "id_token", "refresh_token"))


def test_raw_is_the_access_token_alone() -> None:
    """--raw prints nothing but the access token."""
    result = run("exchange", "-t", TYPE, "--raw", stdin="t")
    assert ("", 3, 1) == (result.stderr, len(result.stdout.split(".")), len(result.stdout.splitlines()))


def test_curl_is_the_request_without_its_secrets(tenant: LocalTenant, served: TenantServer) -> None:
    """--curl prints what would be sent, secrets as variables, and sends nothing."""
    result = run(
        *("exchange", "-t", TYPE, "--curl", "-p", "pin=4711", "-p", "evil=$(id)", "--forwarded-for", "203.0.113.9"),
        *("--audience", "https://api.example.com"),
        stdin="t",
        env={"AUTH0_SUBJECT_TOKEN": "secret-subject"},
    )
    words = shlex.split(result.stdout)
    assert ["curl", "--request", "POST", f"{served.url}/oauth/token"] == words[:4]
    for data in ("subject_token=$SUBJECT_TOKEN", "client_secret=$AUTH0_CLIENT_SECRET", "pin=$PIN", "evil=$(id)"):
        assert data in words
    assert "auth0-forwarded-for: 203.0.113.9" in words
    assert "'evil=$(id)'" in result.stdout  # not for the shell to run
    assert [] == list(tenant.requests)
    assert not any(each in result.output for each in ("secret-subject", tenant.client_secret, "4711"))


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        ("any", 0, ""),
        ("reject", 3, "invalid_request"),
        ("deny", 3, "account_closed"),
        ("mfa", 3, "mfa_required"),
        ("throw", 3, "server_error"),
    ],
)
def test_the_local_tenant_shows_success_and_failures(token: str, status: int, code: str) -> None:
    """--local needs no settings, and has a token for each kind of failure."""
    result = run("exchange", "-t", "urn:x-acme:mine", "--local", stdin=token)
    assert status == result.exit_code
    assert code in result.stderr


def test_an_action_that_throws_is_told_in_a_line() -> None:
    """What the library logs is told on stderr, without a traceback."""
    done = program("exchange", "-t", "urn:x-acme:mine", "--local", "--json", stdin="throw")
    assert 3 == done.returncode
    assert "the Action threw RuntimeError: the legacy system does not answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert "server_error" == json.loads(done.stdout)["error"]["code"]


def test_settings_that_are_missing_end_with_4() -> None:
    """Without settings the command names all that are missing, with status 4."""
    done = program("exchange", "-t", TYPE, stdin="t")
    assert (4, "") == (done.returncode, done.stdout)
    for name in ("AUTH0_DOMAIN", "AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET"):
        assert name in done.stderr


def test_wrong_credentials_end_with_4() -> None:
    """A refused client secret is a configuration error."""
    result = run("exchange", "-t", TYPE, stdin="t", env={"AUTH0_CLIENT_SECRET": "wrong"})
    assert 4 == result.exit_code


def test_a_type_without_a_profile_ends_with_4() -> None:
    """A token type that the tenant does not know is a configuration error."""
    assert 4 == run("exchange", "-t", "urn:acme:unknown", stdin="t").exit_code


def test_a_rate_limit_ends_with_5(tenant: LocalTenant) -> None:
    """429 ends with status 5."""
    tenant.fail_next(429, "too_many_attempts", "blocked")
    result = run("exchange", "-t", TYPE, stdin="t")
    assert 5 == result.exit_code
    assert "too_many_attempts" in result.stderr


@pytest.mark.parametrize("kind", ["refused", "page", "broken"])
def test_network_failures_end_with_6(kind: str, tenant: LocalTenant) -> None:
    """Nobody there, a web page for an answer, and a broken connection end with status 6."""
    if kind == "page":
        tenant.fail_next(200, body="<html>", content_type="text/html")
    if kind == "broken":
        tenant.fail_next(fault="close")
    env = {"AUTH0_DOMAIN": "http://127.0.0.1:9"} if kind == "refused" else {}
    assert 6 == run("exchange", "-t", TYPE, stdin="t", env=env).exit_code


def test_a_failure_in_json(tenant: LocalTenant) -> None:
    """With --json a failure is an object on stdout, with the exit code, beside the words on stderr."""
    tenant.fail_next(400, "invalid_request", "no such session")
    result = run("exchange", "-t", TYPE, "--json", stdin="t")
    told = json.loads(result.stdout)
    assert (3, "invalid_request", 400) == (told["exit_code"], told["error"]["code"], told["error"]["status_code"])
    assert "error: invalid_request: " in result.stderr


def test_what_a_server_says_cannot_drive_the_terminal(tenant: LocalTenant) -> None:
    """Escape sequences in claims and error descriptions are spelt out."""
    tenant.add_user(USER, name="Jane\x1b]0;owned\x07\u202e")
    result = run("exchange", "-t", TYPE, "--scope", "openid profile", stdin="t")
    assert r"name: Jane\x1b]0;owned\x07\u202e" in result.stdout


class TestAtATerminal:
    """What a person sees."""

    def test_the_token_is_asked_for_and_not_shown(self, tenant: LocalTenant, served: TenantServer) -> None:
        """Without a token the command asks, without echo."""
        terminal = Terminal("exchange", "-t", TYPE, "--scope", "openid", **environment(tenant, served))
        terminal.read_until("Subject token: ")
        terminal.type("the-token\n")
        assert 0 == terminal.wait()
        assert "the-token" not in terminal.output
        assert "the-token" == tenant.token_requests[-1].form["subject_token"]

    def test_output_is_coloured_and_fits_80_columns(self, tenant: LocalTenant, served: TenantServer) -> None:
        """At a terminal there are colours, and no line is wider than it."""
        terminal = Terminal(
            "exchange", "-t", TYPE, "--scope", "openid profile", AUTH0_SUBJECT_TOKEN="t", **environment(tenant, served)
        )
        assert 0 == terminal.wait()
        assert "\x1b[" in terminal.output
        assert max(map(len, terminal.plain.splitlines())) <= 80

    def test_no_color_is_plain(self, tenant: LocalTenant, served: TenantServer) -> None:
        """NO_COLOR makes it plain text."""
        terminal = Terminal(
            "exchange", "-t", TYPE, AUTH0_SUBJECT_TOKEN="t", NO_COLOR="1", **environment(tenant, served)
        )
        assert 0 == terminal.wait()
        assert "\x1b" not in terminal.output

    def test_a_raw_token_at_a_terminal_is_warned_about(self, tenant: LocalTenant, served: TenantServer) -> None:
        """--raw says that the token stays in the terminal's history."""
        terminal = Terminal("exchange", "-t", TYPE, "--raw", AUTH0_SUBJECT_TOKEN="t", **environment(tenant, served))
        assert 0 == terminal.wait()
        assert "the access token stays in the terminal's history" in terminal.plain

    def test_ctrl_c_ends_with_130(self, tenant: LocalTenant, served: TenantServer) -> None:
        """Ctrl-C at the prompt ends quietly."""
        terminal = Terminal("exchange", "-t", TYPE, **environment(tenant, served))
        terminal.read_until("Subject token: ")
        terminal.type("\x03")
        assert 130 == terminal.wait()
        assert "Traceback" not in terminal.output


def test_a_strict_local_tenant_refuses_what_auth0_refuses() -> None:
    """--strict beside --local: a reserved token type is told; without --local it is wrong usage."""
    reserved = "urn:auth0:mine"
    assert 0 == run("exchange", "-t", reserved, "--local", stdin="x").exit_code
    refused = run("exchange", "-t", reserved, "--local", "--strict", stdin="x")
    assert (2, True) == (refused.exit_code, "reserves" in refused.stderr)
    assert 0 == run("exchange", "-t", "urn:acme:mine", "--local", "--strict", stdin="x").exit_code
    alone = run("exchange", "-t", "urn:acme:mine", "--strict", stdin="x")
    assert (2, True) == (alone.exit_code, "--strict requires --local" in alone.stderr)
