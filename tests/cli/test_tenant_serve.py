"""The served tenant as a program of its own: each flag, what it prints, and how it ends."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import requests

from auth0_cte import CustomTokenExchangeError, CustomTokenExchangeOptions, ServerClient
from tests.cli.served_tenant import PATH, TYPE, serving
from tests.cli.users import Terminal, program, run, started
from tests.processes import children_of, wait_until

TOKEN = "a-token-of-our-own-choosing"
ACTION = 'exports.onExecuteCustomTokenExchange = async (event, api) => {{ api.authentication.setUserById("{}"); }};'
POST_LOGIN = """
exports.onExecutePostLogin = async (event, api) => { api.accessToken.setCustomClaim("https://acme/x", "y"); };
"""
SEED: dict[str, Any] = {
    "users": [{"user_id": "auth0|ada", "name": "Ada"}, {"user_id": "auth0|bob", "name": "Bob"}],
    "applications": [{"client_id": "shop", "client_secret": {"env": "SHOP_SECRET"}}],
    "actions": [{"subject_token_type": TYPE, "accept": "auth0|ada"}],
}


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    path = tmp_path / "tenant.json"
    path.write_text(json.dumps(SEED))
    return path


@pytest.fixture
def action(tmp_path: Path) -> Path:
    path = tmp_path / "legacy.js"
    path.write_text(ACTION.format("auth0|ada"))
    return path


def test_a_seeded_tenant(seed: Path) -> None:
    """--seed: users and applications are there, secrets come from the environment."""
    with serving("--seed", str(seed), SHOP_SECRET="the-secret-of-the-shop") as served:
        claims = served.exchange(client_id="shop", client_secret="the-secret-of-the-shop").claims
        assert ("auth0|ada", f"{served.url}/") == (claims["sub"], claims["iss"])
        served.ask("users", {"user_id": "auth0|eve"})
        served.ask("reset", {})
        assert ["auth0|ada", "auth0|bob"] == [user["user_id"] for user in served.ask("users").json()["users"]]


def test_actions_of_the_command_line(action: Path, tmp_path: Path) -> None:
    """--action and --post-login: files run, and a reset keeps them."""
    post_login = tmp_path / "post-login.js"
    post_login.write_text(POST_LOGIN)
    with serving("--action", f"{TYPE}={action}", "--post-login", str(post_login)) as served:
        for _ in range(2):
            served.ask("users", {"user_id": "auth0|ada"})
            token = served.exchange().access_token
            assert {"https://acme/x": "y"}.items() <= claims_of(token).items()
            served.ask("reset", {})


def test_secrets_of_the_command_line(tmp_path: Path) -> None:
    """--secrets and --secret-env: the Actions that the command line names see them, and nothing shows them."""
    action, post_login, secrets = tmp_path / "action.js", tmp_path / "post-login.js", tmp_path / "dev.env"
    use = "if (event.secrets.A + event.secrets.B !== 's3cr3t-1s3cr3t-2') throw new Error('no secrets');"
    action.write_text(ACTION.format("auth0|ada").replace("=> {", f"=> {{ {use}", 1))
    post_login.write_text(POST_LOGIN.replace("=> {", f"=> {{ {use}", 1))
    secrets.write_text("A=s3cr3t-1\n")
    files = ("--action", f"{TYPE}={action}", "--post-login", str(post_login))
    with serving(*files, "--secrets", str(secrets), "--secret-env", "B", B="s3cr3t-2") as served:
        served.ask("users", {"user_id": "auth0|ada"})
        assert served.exchange().access_token
        told = served.ask("logs").text + served.ask("requests").text
    assert "s3cr3t" not in told


def claims_of(token: str) -> dict[str, Any]:
    from auth0_cte.oauth.id_token import read_unverified

    return dict(read_unverified(token)[1])


def test_tls_under_a_name(tmp_path: Path, seed: Path) -> None:
    """--tls, --name and --ca-out: the URL has the name, and the CA's certificate is where it was wanted."""
    bundle = tmp_path / "ca.pem"
    arguments = ("--tls", "--name", "tenant.test", "--ca-out", str(bundle), "--seed", str(seed))
    with serving(*arguments, SHOP_SECRET="x") as served:
        port = served.ready["port"]
        assert (f"https://tenant.test:{port}", str(bundle)) == (served.url, served.settings["SSL_CERT_FILE"])
        local = f"https://localhost:{port}"
        assert "auth0|ada" == served.exchange(domain=local, ca_bundle=str(bundle)).claims["sub"]
        served.process.terminate()
        assert served.process.stderr is not None
        assert "--port 443" not in served.process.stderr.read()


def test_another_name_needs_the_usual_port(tmp_path: Path, seed: Path) -> None:
    """Clients of this library take ports for names under .test alone, which is said."""
    with serving("--tls", "--name", "tenant.internal", "--seed", str(seed), SHOP_SECRET="x") as served:
        served.process.terminate()
        assert served.process.stderr is not None
        assert "tenant.internal needs --port 443" in served.process.stderr.read()


def test_a_taken_port_is_told() -> None:
    """--port: what is taken cannot be listened on, without a traceback."""
    with serving() as served:
        done = program("tenant", "serve", "--port", str(served.ready["port"]))
    assert (2, "") == (done.returncode, done.stdout)
    assert f"cannot listen on 127.0.0.1, port {served.ready['port']}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_machines_need_the_token() -> None:
    """--host: any other address than loopback warns on stderr and has a token, which is printed."""
    with serving("--host", "0.0.0.0") as served:
        token = served.settings["AUTH0_CTE_TENANT_TOKEN"]
        assert 401 == served.ask("users").status_code
        assert 200 == served.ask("users", headers={"Authorization": f"Bearer {token}"}).status_code
        served.process.terminate()
        assert served.process.stderr is not None
        assert (
            "warning: the local tenant listens on 0.0.0.0: other machines can reach it" in served.process.stderr.read()
        )


def test_a_token_of_the_environment_is_not_printed() -> None:
    """AUTH0_CTE_TENANT_TOKEN: whoever set it knows it; on loopback it counts, too."""
    with serving(AUTH0_CTE_TENANT_TOKEN=TOKEN) as served:
        assert "AUTH0_CTE_TENANT_TOKEN" not in served.settings
        assert 401 == served.ask("health").status_code
        assert 200 == served.ask("health", headers={"Authorization": f"Bearer {TOKEN}"}).status_code


def test_strict(action: Path) -> None:
    """--strict: what Auth0 refuses is refused; otherwise it is a warning."""
    reserved = f"urn:ietf:params:oauth:token-type:jwt={action}"
    done = program("tenant", "serve", "--strict", "--action", reserved, PATH=PATH)
    assert (2, True) == (done.returncode, "urn:ietf" in done.stderr)
    with serving("--action", reserved) as served:
        served.process.terminate()
        assert served.process.stderr is not None
        assert "warning: the local tenant is more generous than Auth0" in served.process.stderr.read()


def test_an_edited_seed_is_read_again(seed: Path, action: Path) -> None:
    """--watch: a changed seed or Action holds from then on; one with a fault changes nothing and is told."""
    entry = {"subject_token_type": TYPE, "file": action.name}
    seed.write_text(json.dumps({**SEED, "actions": [entry]}))
    with serving("--watch", "--seed", str(seed), SHOP_SECRET="x") as served:
        assert "auth0|ada" == served.exchange().claims["sub"]
        action.write_text(ACTION.format("auth0|bob"))
        assert "auth0|bob" == served.exchange().claims["sub"]
        seed.write_text('{"users": [{}]}')
        assert served.process.stderr is not None
        for line in served.process.stderr:
            if "stays as it was: tenant.json: $.users[0].user_id is required" in line:
                break
        seed.write_text(json.dumps({"users": [{"user_id": "auth0|new"}]}))
        wait_until(lambda: ["auth0|new"] == [user["user_id"] for user in served.ask("users").json()["users"]])


def test_events_are_lines_of_json(seed: Path) -> None:
    """--json: requests and log entries come as they happen, without credentials."""
    with serving("--seed", str(seed), SHOP_SECRET="the-secret-of-the-shop") as served:
        served.exchange("canary-of-the-exchange")
        request = served.next("request")
        while request["path"] != "/oauth/token":
            request = served.next("request")
        assert ("[redacted]", TYPE) == (request["form"]["subject_token"], request["form"]["subject_token_type"])
        assert ("secte", "auth0|ada") == ((entry := served.next("log"))["type"], entry["user_id"])
        assert "canary" not in json.dumps([request, entry])


def test_plain_lines_when_piped(seed: Path) -> None:
    """Settings first, which an env file can hold, then a line for each request and log entry."""
    with started(
        "tenant", "serve", "--port", "0", "--seed", str(seed), PATH=PATH, SHOP_SECRET="x", PYTHONUNBUFFERED="1"
    ) as process:
        assert process.stdout is not None
        settings = dict(process.stdout.readline().strip().split("=", 1) for _ in range(3))
        with ServerClient(
            domain=settings["AUTH0_DOMAIN"],
            client_id=settings["AUTH0_CLIENT_ID"],
            client_secret=settings["AUTH0_CLIENT_SECRET"],
        ) as client:
            client.custom_token_exchange(
                CustomTokenExchangeOptions(subject_token="canary-4711", subject_token_type=TYPE)
            )
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert 0 == process.wait(30)
    assert "request POST /oauth/token grant_type=urn:ietf:params:oauth:grant-type:token-exchange" in rest
    assert " log secte " in rest
    assert "canary" not in rest
    assert "\x1b" not in rest


def test_colours_at_a_terminal(seed: Path) -> None:
    """At a terminal a failed exchange is red; Ctrl-C ends it with status 0."""
    terminal = Terminal("tenant", "serve", "--port", "0", "--seed", str(seed), PATH=PATH, SHOP_SECRET="x")
    terminal.read_until("Ctrl-C ends it")
    url = next(word for word in terminal.plain.split() if word.startswith("AUTH0_DOMAIN=")).partition("=")[2]
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "client_id": "nobody"}
    requests.post(f"{url}/oauth/token", data=form, timeout=30)
    terminal.read_until("fecte")
    assert "\x1b[31m" in terminal.output
    terminal.interrupt()
    assert 0 == terminal.wait()
    assert "Traceback" not in terminal.plain


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_all_of_its_processes(number: signal.Signals, action: Path, tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM end it with status 0, the Action's process and the files of the CA with it."""
    own = tmp_path / "own"
    own.mkdir()
    with serving("--tls", TMPDIR=str(own)) as served:
        assert served.process.stderr is not None
        assert list(own.iterdir())
        served.process.send_signal(number)
        assert 0 == served.process.wait(30)
        assert "Traceback" not in served.process.stderr.read()
    assert [] == list(own.iterdir())
    with serving("--action", f"{TYPE}={action}") as served:
        served.ask("users", {"user_id": "auth0|ada"})
        served.exchange()
        children = children_of(served.process.pid)
        assert children
        served.process.send_signal(number)
        assert 0 == served.process.wait(30)
        wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ca-out", "ca.pem"], "--ca-out requires --tls"),
        (["--action", "legacy.js"], "--action must be TYPE=FILE"),
        (["--action", "urn:acme:x=absent.js"], "the file does not exist: absent.js"),
        (["--seed", "absent.json"], "absent.json"),
        (["--port", "70000"], "70000"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    """What cannot work is refused with status 2, before anything is served."""
    done = run("tenant", "serve", *arguments)
    assert (2, "") == (done.exit_code, done.stdout)
    assert message in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("text", "env", "message"),
    [
        ('{"users": [{"user_id": 1}]}', {}, "tenant.json: $.users[0].user_id must be a string"),
        (json.dumps(SEED), {}, "requires the environment variable SHOP_SECRET, which is not set"),
        ("{}", {"AUTH0_CTE_TENANT_TOKEN": "short"}, "control_token must have 16"),
    ],
)
def test_wrong_configuration(text: str, env: dict[str, str], message: str, seed: Path) -> None:
    """A seed with a fault is told with its place, and ends with status 4."""
    seed.write_text(text)
    done = run("tenant", "serve", "--port", "0", "--seed", str(seed), env=env)
    assert 4 == done.exit_code
    assert message in done.stderr


def test_a_failed_exchange_is_the_clients_error() -> None:
    """A type without a profile is refused over the network as in process."""
    with serving() as served, pytest.raises(CustomTokenExchangeError):
        served.exchange()
