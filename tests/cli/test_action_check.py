from __future__ import annotations

import json
from pathlib import Path

import pytest

from auth0_cte.cli.action.rules import check_action, dependencies_of
from tests.cli.users import run

SET = 'api.authentication.setUserById("auth0|x");'
HELPERS = """
async function verify(event, api) {
  if (event.transaction.subject_token !== "x") {
    api.access.rejectInvalidSubjectToken("no");
    return null;
  }
  return { sub: "x" };
}
function set(theApi, id) {
  theApi.authentication.setUserById(id);
}
async function check(token) {
  if (!token) throw new Error("no token");
}
"""


def handler(body: str, more: str = "") -> str:
    return f"exports.onExecuteCustomTokenExchange = async (event, api) => {{\n{body}\n}};\n{more}"


def found(source: str, **settings: str) -> list[tuple[str, int, str]]:
    return [(each.severity, each.line, each.message) for each in check_action(source, **settings)]  # type: ignore[arg-type]


DESTRUCTURED = """const { access, authentication: users } = api;
if (event.request.body.a) { access.deny('a', 'b'); return; }
users.setUserById('x');"""
NO_USER = "a path ends here without setUserById, setUserByConnection, deny or rejectInvalidSubjectToken"
TWICE = "a user is set twice on one path"
AFTER_REFUSAL = "a user is set after a refusal on the same path"


@pytest.mark.parametrize(
    "body",
    [
        SET,
        "if (event.request.body.a) {\n" + SET + "\n} else {\napi.access.deny('a', 'b');\n}",
        "if (!event.request.body.a) { api.access.deny('a', 'b'); return; }\n" + SET,
        "if (!event.request.body.a) return api.access.deny('a', 'b');\n" + SET,
        "const claims = await verify(event, api);\nif (!claims) return;\n" + SET,
        "const claims = await verify(event, api);\nif (claims === null) { return; }\n" + SET,
        "const claims = await verify(event, api);\nif (claims) { " + SET + " }",
        "let claims;\ntry { claims = await verify(event, api); } catch (e) { api.access.deny('a', 'b'); return; }\n"
        "if (claims == null) return;\n" + SET,
        "try { await check(event.transaction.subject_token); } catch { return api.access.deny('a', 'b'); }\n" + SET,
        "set(api, 'auth0|x');",
        DESTRUCTURED,
        "event.request.body.a ? " + SET.rstrip(";") + " : api.access.deny('a', 'b');",
        "throw new Error('no');",
        "switch (event.request.body.a) { case 1: case 2: " + SET + " break; default: api.access.deny('a', 'b'); }",
        "while (true) { if (event.request.body.a) { " + SET + " break; } }",
        "do { " + SET + " } while (false);",
        "for (;;) { " + SET + " return; }",
        "for (let n = 0; n < 3; n += 1) { if (event.request.body.a) { continue; } }\n" + SET,
        "try { " + SET + " } catch (e) { api.access.deny('a', 'b'); } finally { console.log('done'); }",
        "await require('elsewhere').run(event, api);",
        "const user = await find();\nif (!user && event.request.body.a) { api.access.deny('a', 'b'); return; }\n" + SET,
        "if (!event.request.body.a || !event.request.body.b) { api.access.deny('a', 'b'); return; }\n" + SET,
        "const ok = event.request.body.a && event.request.body.b;\nif (!ok) { api.access.deny('a', 'b'); }\nif (ok) { "
        + SET
        + " }",
        "return verify(event, api).then((claims) => { " + SET + " });",
    ],
)
def test_handlers_that_are_right(body: str) -> None:
    """Every path sets one user or refuses: nothing is found."""
    assert [] == found(handler(body, HELPERS))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", [("error", 3, NO_USER)]),
        ("if (event.request.body.a) {\n  return;\n}\n" + SET, [("error", 3, NO_USER)]),
        ("if (event.request.body.a) {\n" + SET + "\n}", [("error", 5, NO_USER)]),
        ("event.request.body.a && " + SET, [("error", 3, NO_USER)]),
        ("for (const x of event.request.body.b) {\n" + SET + "\nbreak;\n}", [("error", 6, NO_USER)]),
        ("try {\n" + SET + "\n} catch (e) {\n  console.log('failed');\n}", [("error", 7, NO_USER)]),
        ("switch (event.request.body.a) { case 1: " + SET + " }", [("error", 3, NO_USER)]),
        ("const claims = await verify(event, api);\nif (claims) return;", [("error", 3, NO_USER)]),
        (SET + "\n" + SET, [("error", 3, TWICE)]),
        ("for (const x of event.request.body.b) {\n" + SET + "\n}", [("error", 3, TWICE), ("error", 5, NO_USER)]),
        (SET + "\nset(api, 'y');", [("error", 14, TWICE)]),
        ("for (;;) {\n" + SET + "\n}", [("error", 3, TWICE)]),
        ("while (event.request.body.a) {\n" + SET + "\nreturn;\n}", [("error", 6, NO_USER)]),
        ("if (event.request.body.a) { api.access.deny('a', 'b'); }\n" + SET, [("warning", 3, AFTER_REFUSAL)]),
        ("await verify(event, api);\n" + SET, [("warning", 3, AFTER_REFUSAL)]),
    ],
)
def test_paths_that_are_wrong(body: str, expected: list[tuple[str, int, str]]) -> None:
    """A path that sets no user, or two, or one after a refusal, is found with its line."""
    assert expected == found(handler(body, HELPERS))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("export const onExecuteCustomTokenExchange = 1;", "export makes it an ES module"),
        ("import x from 'y';\n" + handler(SET), "import makes it an ES module"),
        ("const x = await load();\n" + handler(SET), "await outside of a function"),
        ("function f(x: string) {}\n" + handler(SET), "the file is TypeScript"),
        ("interface Claims { sub: string }\n" + handler(SET), "the file is TypeScript"),
        ("const x = y as string;\n" + handler(SET), "the file is TypeScript"),
        ("const = ;\n" + handler(SET), "the syntax is not JavaScript"),
        (handler(SET)[:-5], "the syntax is not JavaScript"),
        ("", "exports.onExecuteCustomTokenExchange is missing"),
        (
            "exports.onExecutePostLogin = async (event, api) => {};",
            "exports.onExecuteCustomTokenExchange is missing; onExecutePostLogin belongs to another trigger",
        ),
        (handler(SET).replace("async ", ""), "onExecuteCustomTokenExchange must be an async function"),
        (
            "exports.onExecuteCustomTokenExchange = async function* (event, api) { " + SET + " };",
            "onExecuteCustomTokenExchange must be an async function, not a generator",
        ),
        ("// " + "x" * 100_000 + "\n" + handler(SET), "at most 100,000 are allowed"),
    ],
)
def test_files_that_auth0_refuses(source: str, expected: str) -> None:
    """ES modules, TypeScript, broken syntax, a missing or plain handler, and too long a file are errors."""
    errors = [message for severity, _, message in found(source) if severity == "error"]
    assert any(expected in message for message in errors), errors


@pytest.mark.parametrize(
    "source",
    [
        "module.exports = { onExecuteCustomTokenExchange: async (event, api) => { " + SET + " } };",
        "module.exports = { async onExecuteCustomTokenExchange(event, api) { " + SET + " } };",
        "async function run(e, a) { a.authentication.setUserById('x'); }\nexports.onExecuteCustomTokenExchange = run;",
        "const run = async function (event, api) { "
        + SET
        + " };\nmodule.exports = { onExecuteCustomTokenExchange: run };",
        "module.exports.onExecuteCustomTokenExchange = async (event, api) => " + SET,
        "exports.onExecuteCustomTokenExchange = require('actions:shared').run;",
    ],
)
def test_ways_to_export(source: str) -> None:
    """Every way to export the handler is understood."""
    assert [] == found(source)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("api.access.deny('a')", "api.access.deny requires reason"),
        ("api.access.deny('', 'b')", "the code of api.access.deny must not be empty"),
        (f"api.access.deny('{'x' * 1025}', 'b')", "the code of api.access.deny has 1,025 characters; at most 1,024"),
        (f"api.access.deny('a', '{'x' * 4097}')", "the reason of api.access.deny has 4,097 characters"),
        ("api.access.deny(403, 'b')", "the code of api.access.deny must be a string"),
        (f"api.access.rejectInvalidSubjectToken('{'x' * 4097}')", "at most 4,096 are allowed"),
        ("api.access.reject_invalid_subject_token('x')", "is not a call of this trigger"),
        (f"api.authentication.setOrganization('{'x' * 51}')", "at most 50 are allowed"),
        ("api.idToken.setCustomClaim('a', 'b')", "api.idToken.setCustomClaim is not a call of this trigger"),
        (f"api.cache.set('{'é' * 33}', 'v')", "the key of api.cache.set has 66 bytes; at most 64"),
        (f"api.cache.set('k', '{'v' * 4097}')", "the value of api.cache.set has 4,097 bytes"),
        ("api.transaction.setMetadata('k', { a: 1 })", "must be a string, a number or a boolean"),
        (f"api.transaction.setMetadata('{'k' * 65}', 1)", "has 65 characters; at most 64"),
        (f"api.transaction.setMetadata('k', '{'v' * 8193}')", "at most 8,192 bytes"),
        (f"api.transaction.setMetadata('k', '{'é' * 5000}')", "at most 8,192 bytes"),
        ("api.transaction.setMetadata('k')", "requires value"),
        ("api.cache.set('k', 5)", "the value of api.cache.set must be a string"),
        ("api.cache.set('k', 'v', { ttl: 86400001 })", "at most 24 hours"),
        ("api.cache.set('k', 'v', { expires: 1 })", "api.cache.set has no option expires"),
        ("api.authentication.setActor({ name: 'x' })", "an actor requires sub"),
        ("api.authentication.setActor({ sub: '' })", "the sub of an actor must not be empty"),
        ("api.authentication.setActor({ sub: 's', a: { b: 1 } })", "the property a of an actor must be"),
        (f"api.authentication.setActor({{ sub: 's', a: '{'x' * 65}' }})", "the property a of an actor must be"),
        ("api.authentication.setActor({ sub: 's', a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 })", "6 custom properties"),
        (
            "api.authentication.setActor(" + "{ sub: 's', act: " * 5 + "{ sub: 's' }" + " }" * 5 + ")",
            "the chain of actors has more than 5 levels",
        ),
    ],
)
def test_calls_that_throw(call: str, message: str) -> None:
    """A written-out argument beyond a limit of Auth0, and a call that does not exist, are errors."""
    errors = [each for severity, _, each in found(handler(f"{call};\n{SET}")) if severity == "error"]
    assert any(message in each for each in errors), errors


@pytest.mark.parametrize(
    ("parameters", "body"),
    [
        ("event, api", "const { authentication: { setUserById } } = api;\nsetUserById('x');"),
        ("event, api", "const { authentication: { setUserById: set } = {} } = api;\nset('x');"),
        ("event, api", "api['authentication']['setUserById']('x');"),
        ("event, api", "api?.authentication?.setUserById?.('x');"),
        (
            "{ transaction }, { access, authentication }",
            "if (!transaction.actor_token) return access.deny('a', 'b');\nauthentication.setUserById('x');",
        ),
        ("_event, { authentication: { setUserById } }", "setUserById('x');"),
        ("event, { access, authentication = {} }", "authentication.setUserById('x');"),
    ],
)
def test_ways_to_name_the_api(parameters: str, body: str) -> None:
    """What is taken out of event and api, at any depth, is followed."""
    assert [] == found(f"exports.onExecuteCustomTokenExchange = async ({parameters}) => {{\n{body}\n}};")


@pytest.mark.parametrize(
    ("body", "message", "advice"),
    [
        ("const f = api.authentication.setUserbyId;", "api.authentication.setUserbyId", "setUserById"),
        ("const { setUserByID } = api.authentication;", "api.authentication.setUserByID", "setUserById"),
        ("const { access: { denied: no } } = api;", "api.access.denied", ""),
        ("api['cache']['put']('k', 'v');", "api.cache.put", ""),
        ("api.user.set_app_metadata('k', 'v');", "api.user.set_app_metadata", "setAppMetadata"),
        ("api.session.revoke('no');", "api.session.revoke", "Post-Login Action"),
    ],
)
def test_members_of_api_that_do_not_exist(body: str, message: str, advice: str) -> None:
    """A method that api lacks is an error wherever it is named, with the one that was meant."""
    findings = [each for each in check_action(handler(f"{body}\n{SET}")) if each.severity == "error"]
    assert [f"{message} is not a call of this trigger"] == [each.message for each in findings]
    assert advice in findings[0].advice


@pytest.mark.parametrize(
    ("body", "message", "advice"),
    [
        ("f(event.transaction.subjectToken);", "event.transaction.subjectToken", "event.transaction.subject_token"),
        ("const { subject_tokn: t } = event.transaction;", "event.transaction.subject_tokn", "subject_token"),
        ("const { transaction: { actorToken } } = event;", "event.transaction.actorToken", "actor_token"),
        ("f(event.request.headers);", "event.request.headers", ""),
        ("f(event['tennant'].id);", "event.tennant", "event.tenant"),
        ("f(event.connection);", "event.connection", ""),
    ],
)
def test_members_of_the_event_that_are_undefined(body: str, message: str, advice: str) -> None:
    """A member that the event lacks is a warning, with the one that was meant."""
    findings = check_action(handler(f"{body}\n{SET}"))
    assert [("warning", f"{message} is undefined in this trigger")] == [
        (each.severity, each.message) for each in findings
    ]
    assert advice in findings[0].advice


def test_members_that_are_the_users_own() -> None:
    """Secrets, metadata and the body of the request have whatever the user gives them."""
    body = "f(event.secrets.X === 1, event.client.metadata.a, event.request.body.b, event.organization?.metadata.c);"
    assert [] == found(handler(f"{body}\n{SET}"))


@pytest.mark.parametrize(
    ("attributes", "message", "advice"),
    [
        ("emial: 'a@b.c'", "Auth0 does not document the attribute emial", "Use email."),
        ("givenName: 'A'", "Auth0 does not document the attribute givenName", "Use given_name."),
        ("department: 'R&D'", "Auth0 does not document the attribute department", "setAppMetadata"),
    ],
)
def test_unknown_attributes(attributes: str, message: str, advice: str) -> None:
    """An attribute that Auth0 does not document is a warning: the library lets it pass."""
    call = f"api.authentication.setUserByConnection('c', {{ user_id: 'x', {attributes} }}, {OPTIONS});"
    (finding,) = check_action(handler(call))
    assert ("warning", message) == (finding.severity, finding.message)
    assert advice in finding.advice


@pytest.mark.parametrize("value", ["'v'", "5", "true", "null", "name", "`${name}`"])
def test_transaction_metadata(value: str) -> None:
    """Strings, numbers and booleans can be kept for Post-Login Actions, and null removes."""
    assert [] == found(handler(f"api.transaction.setMetadata('k', {value});\n{SET}"))


OPTIONS = "{ creationBehavior: 'none', updateBehavior: 'none' }"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'c', { user_id: 'x' }", "requires connection, attributes and options"),
        ("'c', { email: 'x' }, " + OPTIONS, "the attribute user_id is required"),
        ("'c', { user_id: 5 }, " + OPTIONS, "the attribute user_id must be a string"),
        (f"'c', {{ user_id: '{'x' * 256}' }}, {OPTIONS}", "the attribute user_id has 256 characters; at most 255"),
        ("'c', { user_id: 'x', email_verified: 'true' }, " + OPTIONS, "email_verified must be true or false"),
        (f"'c', {{ user_id: 'x', given_name: '{'x' * 151}' }}, {OPTIONS}", "at most 150 are allowed"),
        (
            f"'c', {{ user_id: 'x', {', '.join(f'a{n}: 1' for n in range(24))} }}, {OPTIONS}",
            "25 attributes; at most 24",
        ),
        ("'c', { user_id: 'x' }, { updateBehavior: 'none' }", "the option creationBehavior is required"),
        (
            "'c', { user_id: 'x' }, { creationBehavior: 'always', updateBehavior: 'none' }",
            "the option creationBehavior must be create_if_not_exists or none",
        ),
        (
            "'c', { user_id: 'x' }, { creationBehavior: 'none', updateBehavior: 'none', verify: true }",
            "unknown option verify",
        ),
        (
            "'', { user_id: 'x' }, " + OPTIONS,
            "the connection of api.authentication.setUserByConnection must not be empty",
        ),
    ],
)
def test_users_that_cannot_be_set(arguments: str, message: str) -> None:
    """What setUserByConnection throws for is an error."""
    errors = [each for _, _, each in found(handler(f"api.authentication.setUserByConnection({arguments});"))]
    assert any(message in each for each in errors), errors


@pytest.mark.parametrize(
    "body",
    [
        "api.authentication.setUserByConnection(name, attributes, options);",
        "api.authentication.setUserByConnection(`c`, { user_id: id, ...rest }, { ...options });",
        "api.authentication.setUserByConnection('c', { ...all }, " + OPTIONS + ");",
        "api.authentication.setActor(actor);\n" + SET,
        "api.cache.set(key, value, { ttl: 60_000 });\n" + SET,
        "console.log('subject', typeof event.transaction.subject_token === 'string' ? 1 : 2);\n" + SET,
    ],
)
def test_what_cannot_be_known_is_left_alone(body: str) -> None:
    """Values that are computed are not guessed about."""
    assert [] == [each for each in found(handler(body)) if "log" not in each[2]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("console.log(event.transaction.subject_token);", "the log would show event.transaction.subject_token"),
        ("console.log('x', event);", "the log would show event"),
        ("console.error(`t: ${event.secrets.KEY}`);", "the log would show event.secrets.KEY"),
        ("if (event.user) { api.access.deny('a', 'b'); return; }", "event.user is undefined in this trigger"),
    ],
)
def test_what_is_unwise_is_warned_about(body: str, message: str) -> None:
    """Secrets in the log, and members of other triggers, are warnings."""
    assert message in [each for severity, _, each in found(handler(f"{body}\n{SET}")) if severity == "warning"]


@pytest.mark.parametrize(
    ("token_type", "message"),
    [
        ("urn:ietf:params:oauth:token-type:jwt", "reserves"),
        ("https://auth0.com/token", "reserves"),
        ("urn:okta:x", "reserves"),
        ("urn:a:b", "Auth0 allows 8 to 100"),
        ("urn:acme:" + "x" * 100, "Auth0 allows 8 to 100"),
        ("ftp://acme.example/x", "must begin with https:// or urn:"),
        ("no-uri", "URI"),
    ],
)
def test_token_types_that_no_profile_can_have(token_type: str, message: str) -> None:
    """A reserved or impossible type is an error, wherever it is said."""
    compared = (
        f"if (event.transaction.subject_token_type !== '{token_type}') {{ api.access.deny('a', 'b'); return; }}\n"
    )
    for errors in (
        found(handler(SET), token_type=token_type),
        found(f"// subject_token_type: {token_type}\n" + handler(SET)),
        found(handler(compared + SET)),
    ):
        assert [message in each for _, _, each in errors] == [True]


def test_the_actors_id_token_is_no_reserved_type() -> None:
    """An ID token of the tenant is the one reserved type that an actor may have."""
    body = (
        "if (event.transaction.actor_token_type !== 'urn:ietf:params:oauth:token-type:id_token') throw new Error('x');"
    )
    assert [] == found(handler(f"{body}\n{SET}"))


def test_dependencies_and_files_of_ones_own(tmp_path: Path) -> None:
    """Npm packages are told, files beside the Action are errors, and ES modules are warned about."""
    folder = tmp_path / "node_modules" / "jose"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"type": "module", "exports": {".": {"import": "./x.js"}}}))
    requires = "require('jose'); require('@acme/x/y'); require('fs'); require('node:net'); require('actions:shared');"
    source = f"{requires} require('./helper');\n{handler(SET)}"
    assert ["@acme/x", "jose"] == dependencies_of(source)
    findings = check_action(source, path=tmp_path / "a.js")
    assert [
        ("error", "./helper is not deployed with the Action"),
        ("warning", "the installed jose is an ES module"),
    ] == [(each.severity, each.message) for each in findings]


class TestTheCommand:
    """``auth0-cte action check``."""

    def test_a_right_file_ends_with_0(self, tmp_path: Path) -> None:
        """Nothing found is said, with status 0."""
        file = tmp_path / "a.js"
        file.write_text(handler(SET))
        result = run("action", "check", str(file))
        assert (0, f"{file}: nothing found that Auth0 would refuse\n") == (result.exit_code, result.stdout)

    def test_errors_end_with_4(self, tmp_path: Path) -> None:
        """Each finding has file, line and advice."""
        file = tmp_path / "a.js"
        file.write_text(handler("return;"))
        result = run("action", "check", str(file))
        assert 4 == result.exit_code
        assert f"{file}:2: error: {NO_USER}\n    Set the user or refuse on every path" in result.stdout

    def test_warnings_end_with_0(self, tmp_path: Path) -> None:
        """A warning does not fail a build."""
        file = tmp_path / "a.js"
        file.write_text(handler(f"console.log(event);\n{SET}"))
        assert 0 == run("action", "check", str(file)).exit_code

    def test_json(self, tmp_path: Path) -> None:
        """--json has the findings and dependencies."""
        file = tmp_path / "a.js"
        file.write_text("require('jose');\n" + handler(""))
        told = json.loads(run("action", "check", str(file), "--json").stdout)
        assert (["jose"], [("error", 4)]) == (
            told["dependencies"],
            [(each["severity"], each["line"]) for each in told["findings"]],
        )

    def test_a_typescript_file(self, tmp_path: Path) -> None:
        """A file with TypeScript's suffix is refused as such."""
        file = tmp_path / "a.ts"
        file.write_text(handler(SET))
        result = run("action", "check", str(file))
        assert (4, True) == (result.exit_code, "the file is TypeScript" in result.stdout)

    def test_a_binary_file_ends_with_2(self, tmp_path: Path) -> None:
        """What is no text is wrong use."""
        file = tmp_path / "a.js"
        file.write_bytes(b"\xff\xfe\x00")
        assert 2 == run("action", "check", str(file)).exit_code
