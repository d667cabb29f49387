"""Actions in JavaScript: how they run, fail, end, and what they cannot do to each other."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auth0_cte import ConfigurationError
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import claims_of
from tests.processes import children_of, wait_until
from tests.testing.node import NODES, WHEEL
from tests.testing.test_exchange import TYPE, ask

Write = Callable[[str], Path]

HANDLER = "exports.onExecuteCustomTokenExchange = async (event, api) => {{ {} }};\n"
SET_USER = 'api.authentication.setUserById("auth0|jane");'


@pytest.fixture
def tenant() -> Iterator[LocalTenant]:
    with LocalTenant() as made:
        made.add_user("auth0|jane")
        made.actions.node = NODES["wheel"]
        yield made


@pytest.fixture
def write(tenant: LocalTenant, tmp_path: Path) -> Write:
    """Write the body of the handler to a file, and make the file the tenant's Action."""
    file = tmp_path / "action.js"

    def write(body: str) -> Path:
        file.write_text(HANDLER.format(body))
        if TYPE not in tenant.actions.profiles:
            tenant.action_file(TYPE, file, secrets={"KEY": "s3cret"})
        return file

    return write


def processes() -> set[int]:
    """Return the children of this process."""
    return set(children_of(os.getpid()))


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
def test_file_runs_as_it_is_deployed(tenant: LocalTenant, tmp_path: Path, node: str) -> None:
    """The file's exported function decides, with event and secrets, on the wheel's Node.js and the machine's own."""
    file = tmp_path / "action.js"
    file.write_text(
        HANDLER.format(
            """const { transaction, secrets, client, request } = event;
            if (transaction.subject_token !== "right") return api.access.deny("wrong", `not ${secrets.KEY}`);
            api.user.setUserMetadata("seen", [client.client_id, request.body.device, transaction.requested_scopes]);
            api.authentication.setUserById("auth0|jane");"""
        )
    )
    tenant.actions.node = node
    tenant.action_file(TYPE, file, secrets={"KEY": "s3cret"})

    wrong = ask(tenant, subject_token="wrong").json()
    right = ask(tenant, subject_token="right", device="tv", scope="a b").json()
    assert {"error": "wrong", "error_description": "not s3cret"} == wrong
    assert "auth0|jane" == claims_of(tenant, right["access_token"])["sub"]
    assert {"seen": ["local-client", "tv", ["a", "b"]]} == tenant.users["auth0|jane"].user_metadata


def test_absent_members_are_undefined(tenant: LocalTenant, write: Write) -> None:
    """What the event does not have is undefined; requested_token_type alone is null (source: Event Object)."""
    write(
        SET_USER + 'api.user.setUserMetadata("types", [typeof event.organization, typeof event.request.geoip.cityName,'
        " typeof event.transaction.actor_token_user, event.transaction.requested_token_type]);"
    )
    ask(tenant)

    assert {"types": ["undefined", "undefined", "undefined", None]} == tenant.users["auth0|jane"].user_metadata


def test_limits_throw_at_the_call(tenant: LocalTenant, write: Write) -> None:
    """A call beyond a limit throws where it stands and can be caught there; the Action goes on."""
    write(SET_USER + 'try { api.access.deny("", "r"); } catch (error) { console.log(error.message); }')

    assert 200 == ask(tenant).status_code
    assert "code must have 1 to 1024 characters, not 0\n" == tenant.logs[-1].details["console"]


def test_numbers_that_json_lacks_throw(tenant: LocalTenant, write: Write) -> None:
    """NaN does not become null, which would remove a member, but throws at the call (assumption)."""
    write(SET_USER + 'api.user.setAppMetadata("n", NaN);')

    assert 500 == ask(tenant).status_code
    assert "ActionLimitError: numbers must be finite" in tenant.logs[-1].description


def test_calls_can_be_chained(tenant: LocalTenant, write: Write) -> None:
    """A call returns the api, as in the documentation's types."""
    write('api.user.setAppMetadata("a", 1).authentication.setUserById("auth0|jane");')

    assert 200 == ask(tenant).status_code
    assert {"a": 1} == tenant.users["auth0|jane"].app_metadata


def test_cache_answers_with_records(tenant: LocalTenant, write: Write) -> None:
    """The cache gives undefined, records and error codes, never an exception (source: @auth0/actions)."""
    write(
        SET_USER + 'const first = api.cache.get("k"); const set = api.cache.set("k", "v", { ttl: 1000 });'
        ' const bad = api.cache.set("k".repeat(65), "v");'
        ' api.user.setUserMetadata("cache", [typeof first, set.type, set.record.value, api.cache.get("k").value,'
        " bad.code]);"
    )
    ask(tenant)

    expected = ["undefined", "success", "v", "v", "CacheKeySizeExceeded"]
    assert {"cache": expected} == tenant.users["auth0|jane"].user_metadata


FAILURES = {
    "throw": ('throw new RangeError("no");', "the Action threw RangeError: no (action.js:1:70)"),
    "throw a string": ('throw "no";', "the Action threw 'no' (action.js)"),
    "mistake": ("event.nothing.here;", "(reading 'here') (action.js:1:78)"),
    "syntax": ("if (;", "the Action does not compile: SyntaxError: Unexpected token ';' (action.js:1)"),
    "rejection that nobody handles": ('Promise.reject(new Error("stray"));', "the Action threw Error: stray"),
    "exception in a timer": (
        'setTimeout(() => { throw new TypeError("in a timer"); }, 1); await new Promise(() => {});',
        "the Action threw TypeError: in a timer (action.js:1:89)",
    ),
    "exit": ("process.exit(3);", "the Action ended its process with status 3 (action.js)"),
    "kill": ("process.kill(process.pid, 'SIGKILL');await new Promise(() => {});", "ended its process by signal 9"),
}


@pytest.mark.parametrize(("body", "expected"), FAILURES.values(), ids=FAILURES)
def test_failures_are_told(
    tenant: LocalTenant, write: Write, caplog: pytest.LogCaptureFixture, body: str, expected: str
) -> None:
    """Each way to fail is a server_error, with its own message and place in the tenant log and on the logger."""
    write(body)
    reply = ask(tenant)

    assert (500, "server_error") == (reply.status_code, reply.json()["error"])
    assert expected in tenant.logs[-1].description
    assert ("auth0_cte.testing", logging.ERROR) == caplog.record_tuples[-1][:2]
    assert expected in caplog.text


SOURCES = {
    "missing export": ("exports.onExecutePostLogin = async () => {};", "does not export onExecuteCustomTokenExchange"),
    "plain function": (
        "exports.onExecuteCustomTokenExchange = (event, api) => {};",
        "exports.onExecuteCustomTokenExchange must be an async function (action.js)",
    ),
    "missing module": (
        'const { x } = require("no-such-module");',
        "the Action requires 'no-such-module', which is not installed: run npm install no-such-module in",
    ),
    "ES module": (
        "export const onExecuteCustomTokenExchange = async () => {};",
        "the Action does not compile: Auth0 runs CommonJS, so use require and exports",
    ),
    "import": ('import jose from "jose";', "Auth0 runs CommonJS"),
    "TypeScript": (
        "exports.onExecuteCustomTokenExchange = async (event: Event, api: Api) => {};",
        "the Action does not compile: Auth0 does not run TypeScript, so compile it to JavaScript first",
    ),
    "throw at module level": ('\nthrow new Error("early");', "Error: early (action.js:2:7) while it was loaded"),
    "too large": ("//" + "x" * 100_000, "the Action has 100002 bytes, more than 100000 (action.js)"),
}


@pytest.mark.parametrize(("source", "expected"), SOURCES.values(), ids=SOURCES)
def test_files_that_cannot_be_loaded(tenant: LocalTenant, write: Write, source: str, expected: str) -> None:
    """What Auth0 would not deploy or load is a server_error whose log entry says what to do."""
    write(SET_USER).write_text(source)

    assert 500 == ask(tenant).status_code
    assert expected in tenant.logs[-1].description


def test_packages_are_required_from_the_files_folder(tenant: LocalTenant, write: Write, tmp_path: Path) -> None:
    """Packages are found in the node_modules beside the file."""
    package = tmp_path / "node_modules" / "answer"
    package.mkdir(parents=True)
    (package / "index.js").write_text("module.exports = 42;")
    write(SET_USER + 'api.user.setAppMetadata("answer", require("answer"));')

    assert 200 == ask(tenant).status_code
    assert {"answer": 42} == tenant.users["auth0|jane"].app_metadata


def test_an_actions_module(tenant: LocalTenant, write: Write, tmp_path: Path) -> None:
    """``require("actions:name")`` loads modules/name.js beside the Action; an edit counts at once."""
    module = tmp_path / "modules" / "greeting.js"
    module.parent.mkdir()
    module.write_text("exports.greet = (name) => `Hello, ${name}`;")
    write(SET_USER + 'api.user.setAppMetadata("said", require("actions:greeting").greet("Ada"));')
    assert 200 == ask(tenant).status_code
    assert {"said": "Hello, Ada"} == tenant.users["auth0|jane"].app_metadata
    module.write_text("exports.greet = (name) => `Bye, ${name}`;")
    assert 200 == ask(tenant).status_code
    assert {"said": "Bye, Ada"} == tenant.users["auth0|jane"].app_metadata


def add_module(folder: Path, name: str, source: str) -> None:
    (folder / "modules").mkdir(exist_ok=True)
    (folder / "modules" / f"{name}.js").write_text(source)


def test_an_actions_module_has_secrets_and_packages(tenant: LocalTenant, write: Write, tmp_path: Path) -> None:
    """A module sees ``actions.secrets`` from its first line on, and requires packages; the Action lacks ``actions``."""
    package = tmp_path / "node_modules" / "answer"
    package.mkdir(parents=True)
    (package / "index.js").write_text("module.exports = 42;")
    add_module(tmp_path, "logger", 'const key = actions.secrets.KEY; module.exports = { key, n: require("answer") };')
    write(
        SET_USER
        + 'const { key, n } = require("actions:logger"); api.user.setAppMetadata("x", [key, n, typeof actions]);'
    )
    ask(tenant)

    assert {"x": ["s3cret", 42, "undefined"]} == tenant.users["auth0|jane"].app_metadata


def test_an_actions_module_is_loaded_once(tenant: LocalTenant, write: Write, tmp_path: Path) -> None:
    """Its state is kept by an instance, as that of the Action."""
    add_module(tmp_path, "counter", "let count = 0; exports.next = () => String(++count);")
    write(
        'const { next } = require("actions:counter"); api.access.deny("n", require("actions:counter").next() + next());'
    )

    assert ["12", "34"] == [ask(tenant).json()["error_description"] for _ in range(2)]


def test_actions_modules_do_not_nest(tenant: LocalTenant, write: Write, tmp_path: Path) -> None:
    """A module has packages, and no other modules (source: Actions Limitations)."""
    add_module(tmp_path, "inner", "exports.x = 1;")
    add_module(tmp_path, "outer", 'exports.x = require("actions:inner").x;')
    write(SET_USER + 'require("actions:outer");')

    assert 500 == ask(tenant).status_code
    assert "an Actions Module cannot require another one" in tenant.logs[-1].description


def test_actions_modules_are_common_js(tenant: LocalTenant, write: Write, tmp_path: Path) -> None:
    """A module is compiled as strictly as the Action."""
    add_module(tmp_path, "modern", "export const x = 1;")
    write(SET_USER + 'require("actions:modern");')

    assert 500 == ask(tenant).status_code
    assert "SyntaxError" in tenant.logs[-1].description


def test_a_missing_actions_module(tenant: LocalTenant, write: Write, tmp_path: Path) -> None:
    """The log says where the module is expected."""
    file = write(SET_USER)
    file.write_text('const lost = require("actions:lost");\n' + HANDLER.format(SET_USER))
    assert 500 == ask(tenant).status_code
    assert f"write it to {tmp_path / 'modules' / 'lost.js'}" in tenant.logs[-1].description


ENDLESS = {
    "loop": "for (;;) ;",
    "promise": "await new Promise(() => {});",
    "loop at module level": None,
}


SPOILT = {
    "JSON": 'JSON.stringify = () => "null"; JSON.parse = () => null;',
    "output": 'require("fs").writeSync(1, "{\\"done\\":true}\\n");',
}


@pytest.mark.parametrize("body", SPOILT.values(), ids=SPOILT)
def test_actions_that_spoil_what_is_shared(tenant: LocalTenant, write: Write, body: str) -> None:
    """An Action that replaces what all code shares is run all the same, and so is the next one."""
    write(f"{body} {SET_USER}")

    assert [200, 200] == [ask(tenant).status_code for _ in range(2)]


def test_an_exception_that_cannot_be_shown(tenant: LocalTenant, write: Write) -> None:
    """What throws when it is looked at fails the Action at once, not at the limit."""
    write('throw { get message() { throw 1; }, get stack() { return "s"; }, get name() { throw 2; } };')

    assert 500 == ask(tenant).status_code
    assert "the Action threw something that cannot be shown (action.js)" == tenant.logs[-1].description


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
def test_endless_actions_are_ended(tenant: LocalTenant, write: Write, body: str | None) -> None:
    """An Action that does not end is ended at the limit, its process too, and the next exchange works."""
    file = write(body or "")
    if body is None:
        file.write_text("for (;;) ;")
    before = processes()
    tenant.actions.time_limit = 0.5
    started = time.monotonic()
    reply = ask(tenant)
    took = time.monotonic() - started
    left = processes() - before
    tenant.actions.time_limit = 20
    write(SET_USER)

    assert (500, True, set()) == (reply.status_code, took >= 0.5, left)
    assert "the Action ran for more than 0.5 seconds" == tenant.logs[-1].description
    assert 200 == ask(tenant).status_code


def test_late_calls_are_ignored(tenant: LocalTenant, write: Write, caplog: pytest.LogCaptureFixture) -> None:
    """A call from a timer that outlives its exchange is a warning, and never answers for the next one."""
    write(
        SET_USER + 'if (event.transaction.subject_token === "late") '
        'setTimeout(() => { console.log("late"); api.access.deny("late", "late"); }, 50);'
        " else await new Promise((done) => setTimeout(done, 100));"
    )
    replies = [ask(tenant, subject_token=token) for token in ("late", "next")]
    wait_until(lambda: "came after the Action had ended" in caplog.text)

    assert [200, 200] == [reply.status_code for reply in replies]
    assert "api.access.deny came after the Action had ended, and is ignored" in caplog.text
    assert [False, False] == ["console" in entry.details for entry in tenant.logs]


def test_late_failures_are_ignored(tenant: LocalTenant, write: Write, caplog: pytest.LogCaptureFixture) -> None:
    """An exception in a timer that outlives its exchange is a warning; the process goes on."""
    write(SET_USER + 'if (event.transaction.subject_token === "a") setTimeout(() => { throw new Error("late"); }, 10);')
    ask(tenant, subject_token="a")
    wait_until(lambda: "Error late came after" in caplog.text)

    assert 200 == ask(tenant).status_code


def test_console_is_kept_up_to_the_limit(tenant: LocalTenant, write: Write) -> None:
    """256 characters of output are kept for the log entry, of a failed exchange too (source: Actions Limitations)."""
    write('console.log("x".repeat(300)); console.error({ a: 1 }); process.stdout.write("more"); throw new Error("no");')
    ask(tenant)
    tenant.actions.console_limit = 1000
    ask(tenant)

    short, long = (entry.details["console"] for entry in tenant.logs)
    assert "x" * 256 == short
    assert "x" * 300 + "\n{ a: 1 }\nmore" == long


def test_edited_file_is_used_by_the_next_exchange(tenant: LocalTenant, write: Write) -> None:
    """A change of the file, even one of the same length, is taken up at once."""
    codes = []
    for code in ("one", "two", "one"):
        write(f'api.access.deny("{code}", "reason");')
        codes.append(ask(tenant).json()["error"])

    assert ["one", "two", "one"] == codes


def test_module_level_is_kept_by_an_instance(tenant: LocalTenant, write: Write) -> None:
    """What stands outside the function is run once for several exchanges, as at Auth0."""
    file = write("")
    file.write_text("let count = 0;\n" + HANDLER.format('api.access.deny("count", String(++count));'))

    assert ["1", "2", "3"] == [ask(tenant).json()["error_description"] for _ in range(3)]


def test_date_follows_the_tenants_clock(tmp_path: Path) -> None:
    """In an Action of a tenant with a clock of its own, Date tells that clock's time."""
    clock = FakeClock(1_900_000_000)
    file = tmp_path / "action.js"
    file.write_text(
        HANDLER.format(SET_USER + 'api.user.setAppMetadata("at", [Date.now(), +new Date(), new Date(0).getTime()]);')
    )
    with LocalTenant(clock=clock) as tenant:
        tenant.add_user("auth0|jane")
        tenant.action_file(TYPE, file)
        ask(tenant)
        clock.advance(-100_000)
        first = tenant.users["auth0|jane"].app_metadata["at"]
        ask(tenant)
        second = tenant.users["auth0|jane"].app_metadata["at"]

    assert [True, True, 0] == [0 <= first[0] - 1.9e12 < 60_000, 0 <= first[1] - 1.9e12 < 60_000, first[2]]
    assert 0 <= second[0] - 1.8999e12 < 60_000


def test_environment_is_as_bare_as_at_auth0(tenant: LocalTenant, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's environment reaches an Action but what Node.js needs."""
    monkeypatch.setenv("AUTH0_CLIENT_SECRET", "the-secret")
    monkeypatch.setenv("NODE_OPTIONS", "--no-such-option")
    write(SET_USER + 'api.user.setAppMetadata("env", [process.env.AUTH0_CLIENT_SECRET ?? null, process.env.TZ]);')
    ask(tenant)

    assert {"env": [None, "UTC"]} == tenant.users["auth0|jane"].app_metadata


def test_many_threads_do_not_mix(tenant: LocalTenant, write: Write) -> None:
    """2,000 exchanges of 8 threads each get the reply to their own token, and no process is left."""
    before = processes()
    write('await null; api.access.deny("echo", event.transaction.subject_token);')
    replies: Counter[bool] = Counter()

    def work(name: int) -> None:
        with tenant.session() as session:
            for number in range(250):
                token = f"{name}-{number}"
                form = {
                    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                    "client_id": tenant.client_id,
                    "client_secret": tenant.client_secret,
                    "subject_token": token,
                    "subject_token_type": TYPE,
                }
                reply = session.post(f"{tenant.issuer}oauth/token", data=form)
                replies[token == reply.json()["error_description"]] += 1

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running = processes() - before
    tenant.close()

    assert {True: 2000} == replies
    assert 1 <= len(running) <= 8
    assert set() == processes() - before


def test_close_ends_processes_and_the_tenant_goes_on(tenant: LocalTenant, write: Write) -> None:
    """Closing the tenant ends the processes; a later exchange begins anew."""
    before = processes()
    write(SET_USER)
    statuses = [ask(tenant).status_code]
    tenant.close()
    left = processes() - before
    statuses.append(ask(tenant).status_code)

    assert ([200, 200], set()) == (statuses, left)


def test_forgotten_tenant_leaves_no_process(tmp_path: Path) -> None:
    """The processes of a tenant that nobody closed end with it."""
    before = processes()
    file = tmp_path / "action.js"
    file.write_text(HANDLER.format(SET_USER))
    forgotten = LocalTenant()
    forgotten.add_user("auth0|jane")
    forgotten.action_file(TYPE, file)
    ask(forgotten)
    del forgotten

    gc.collect()
    assert set() == processes() - before


SCRIPT = """
import os, sys
from auth0_cte.testing import LocalTenant
from tests.testing.test_exchange import TYPE, ask
tenant = LocalTenant()
tenant.add_user("auth0|jane")
tenant.action_file(TYPE, sys.argv[1])
assert 200 == ask(tenant).status_code
{}
"""


def descendants(tmp_path: Path) -> list[str]:
    """Return the processes whose Action is the one in this test's folder."""
    listed = subprocess.run(["ps", "-ewwo", "pid=,args="], capture_output=True, text=True).stdout
    pids = [line.split()[0] for line in listed.splitlines() if "bridge.js" in line]
    return [pid for pid in pids if _folder(pid) == str(tmp_path)]


def _folder(pid: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


@pytest.mark.parametrize("ending", ["", "os.kill(os.getpid(), 9)", "sys.exit(1)"])
def test_processes_end_with_the_interpreter(tmp_path: Path, ending: str) -> None:
    """No process outlives the interpreter, however that ends."""
    file = tmp_path / "action.js"
    file.write_text(HANDLER.format(SET_USER))
    subprocess.run([sys.executable, "-c", SCRIPT.format(ending), str(file)], capture_output=True)

    wait_until(lambda: descendants(tmp_path) == [])


def test_endless_action_ends_with_a_killed_interpreter(tmp_path: Path) -> None:
    """Not even an Action in an endless loop outlives an interpreter that was killed."""
    file = tmp_path / "action.js"
    file.write_text(HANDLER.format(SET_USER + 'if (event.transaction.subject_token === "loop") for (;;) ;'))
    program = SCRIPT.format("ask(tenant, subject_token='loop')")
    with subprocess.Popen([sys.executable, "-c", program, str(file)]) as running:
        wait_until(lambda: len(descendants(tmp_path)) == 1)
        time.sleep(0.2)
        running.send_signal(signal.SIGKILL)

    wait_until(lambda: descendants(tmp_path) == [])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_has_processes_of_its_own(tenant: LocalTenant, write: Write) -> None:
    """After a fork the processes are the parent's alone: the child makes its own, and ends none of the parent's."""
    write('api.access.deny("pid", String(process.pid));')
    before = ask(tenant).json()["error_description"]
    context = multiprocessing.get_context("fork")
    answers: Any = context.SimpleQueue()

    def child() -> None:
        answers.put(ask(tenant).json()["error_description"])
        tenant.close()

    process = context.Process(target=child)
    process.start()
    inside = answers.get()
    process.join(30)
    after = ask(tenant).json()["error_description"]

    assert (before, True, 0) == (after, inside != before, process.exitcode)


def test_missing_file(tenant: LocalTenant, tmp_path: Path) -> None:
    """A file that does not exist is refused when it is registered; one that vanished, at the exchange."""
    file = tmp_path / "action.js"
    with pytest.raises(FileNotFoundError, match=re.escape(str(file))):
        tenant.action_file(TYPE, file)
    file.write_text(HANDLER.format(SET_USER))
    tenant.action_file(TYPE, file)
    file.unlink()

    assert 500 == ask(tenant).status_code
    assert "the file of the Action cannot be read" in tenant.logs[-1].description


@pytest.mark.parametrize("version", ["exit 1", "echo v16.20.0"])
def test_missing_node(tenant: LocalTenant, tmp_path: Path, version: str) -> None:
    """Without a Node.js of version 18 or newer, the error says what to install."""
    old = tmp_path / "node"
    old.write_text(f"#!/bin/sh\n{version}\n")
    old.chmod(0o755)
    (tmp_path / "action.js").write_text(HANDLER.format(SET_USER))
    tenant.actions.node = str(old)

    with pytest.raises(ConfigurationError, match=r"need Node.js 18 or newer .* pip install 'auth0-cte\[js\]'"):
        tenant.action_file(TYPE, tmp_path / "action.js")


def test_node_of_the_wheel_is_found(
    tenant: LocalTenant, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without node on PATH, that of the extra js is used."""
    monkeypatch.setenv("PATH", str(tmp_path))
    tenant.actions.node = None
    write('api.access.deny("node", process.execPath);')

    assert str(Path(WHEEL).resolve()) == ask(tenant).json()["error_description"]
