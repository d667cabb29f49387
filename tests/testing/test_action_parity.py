"""The same Action in Python and in JavaScript gives the same replies, logs and effects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import claims_of
from tests.testing.node import NODES
from tests.testing.test_exchange import ask

PYTHON, JAVASCRIPT = "urn:acme:python", "urn:acme:javascript"

# An Action that makes the calls which the subject token lists, and keeps in the user's metadata what they answer.
SCRIPT = """
exports.onExecuteCustomTokenExchange = async (event, api) => {
  const answers = [];
  for (const [name, ...values] of JSON.parse(event.transaction.subject_token)) {
    const [group, method] = name.replace("?", "").split(".");
    try {
      const answer = api[group][method](...values);
      if (group === "cache") answers.push(answer ?? null);
    } catch (error) {
      if (!name.endsWith("?")) throw error;
      answers.push(error.message);
    }
  }
  if (answers.length > 0) api.user.setUserMetadata("answers", answers);
};
"""


def exchange(event: Any, api: Any) -> None:
    """The same in Python."""
    answers = []
    for name, *values in json.loads(event.transaction.subject_token):
        group, method = name.replace("?", "").split(".")
        try:
            answer = getattr(getattr(api, group), method)(*values)
            if group == "cache":
                answers.append(answer)
        except ValueError as error:
            if not name.endswith("?"):
                raise
            answers.append(str(error))
    if answers:
        api.user.setUserMetadata("answers", answers)


CREATE = {"creationBehavior": "create_if_not_exists", "updateBehavior": "none"}
REPLACE = {"creationBehavior": "none", "updateBehavior": "replace"}
JANE = ["authentication.setUserById", "auth0|jane"]


def by_connection(attributes: Any, options: Any = CREATE, connection: Any = "db") -> list[Any]:
    return ["authentication.setUserByConnection", connection, attributes, options]


def actor(levels: int, **own: Any) -> dict[str, Any]:
    deeper = {"act": actor(levels - 1, **own)} if levels > 1 else {}
    return {"sub": f"agent-{levels}", **own, **deeper}


CASES: dict[str, list[list[Any]]] = {
    "nothing": [],
    "user": [JANE],
    "two users": [JANE, by_connection({"user_id": "1"})],
    "unknown user": [["authentication.setUserById", "auth0|nobody"]],
    "blocked user": [["authentication.setUserById", "auth0|blocked"]],
    "user id at the limit": [["authentication.setUserById", "u" * 512]],
    "user id past the limit": [["authentication.setUserById", "u" * 513]],
    "user id that is empty": [["authentication.setUserById", ""]],
    "user id that is a number": [["authentication.setUserById", 5]],
    "user id that is missing": [["authentication.setUserById"]],
    "deny": [JANE, ["access.deny", "no_seat", "buy one"]],
    "deny twice": [["access.deny", "first", "1"], ["access.deny", "second", "2"]],
    "deny with server_error": [["access.deny", "server_error", "down"]],
    "deny at the limits": [["access.deny", "c" * 1024, "r" * 4096]],
    "deny, code past the limit": [["access.deny", "c" * 1025, "r"]],
    "deny, reason past the limit": [["access.deny", "code", "r" * 4097]],
    "deny without reason": [["access.deny", "code"]],
    "deny with an object": [["access.deny", "code", {"a": 1}]],
    "caught and gone on": [["access.deny?", "", "r"], JANE],
    "reject": [["access.rejectInvalidSubjectToken", "forged"]],
    "reject at the limit": [["access.rejectInvalidSubjectToken", "r" * 4096]],
    "reject past the limit": [["access.rejectInvalidSubjectToken", "r" * 4097]],
    "reject without reason": [["access.rejectInvalidSubjectToken"]],
    "connection": [by_connection({"user_id": "1", "email": "a@b.c", "email_verified": True, "verify_email": False})],
    "connection, every attribute at its limit": [
        by_connection(
            {
                "user_id": "u" * 255,
                "name": "n" * 300,
                "nickname": "n" * 300,
                "given_name": "g" * 150,
                "family_name": "f" * 150,
                "username": "u" * 128,
                "phone_number": "+491701234567",
                "phone_verified": True,
                "picture": "https://acme.example/jane.png",
            }
        )
    ],
    **{
        f"connection, {name} past its limit": [by_connection({"user_id": "1", name: "x" * length})]
        for name, length in {
            "user_id": 256,
            "name": 301,
            "nickname": 301,
            "given_name": 151,
            "family_name": 151,
            "username": 129,
        }.items()
    },
    "connection, name that is empty": [by_connection({"user_id": "1", "name": ""})],
    "connection, email that is a number": [by_connection({"user_id": "1", "email": 5})],
    "connection, email that is null": [by_connection({"user_id": "1", "email": None})],
    "connection, flag that is text": [by_connection({"user_id": "1", "email_verified": "yes"})],
    "connection, 24 attributes": [by_connection({"user_id": "1", **{f"a{each}": each for each in range(23)}})],
    "connection, 25 attributes": [by_connection({"user_id": "1", **{f"a{each}": each for each in range(24)}})],
    "connection without user_id": [by_connection({"email": "a@b.c"})],
    "connection, attributes that are no object": [by_connection("jane")],
    "connection name at the limit": [by_connection({"user_id": "1"}, connection="c" * 512)],
    "connection name past the limit": [by_connection({"user_id": "1"}, connection="c" * 513)],
    "connection without options": [["authentication.setUserByConnection", "db", {"user_id": "1"}]],
    "connection, half the options": [by_connection({"user_id": "1"}, {"creationBehavior": "none"})],
    "connection, unknown option": [by_connection({"user_id": "1"}, {**CREATE, "mergeBehavior": "none"})],
    "connection, wrong option": [by_connection({"user_id": "1"}, {**CREATE, "updateBehavior": "merge"})],
    "connection without creation": [by_connection({"user_id": "404"}, REPLACE)],
    "connection, replaced": [by_connection({"user_id": "known", "email": "k@b.c", "name": "New"}, REPLACE)],
    "connection, replaced without the email": [by_connection({"user_id": "known", "name": "New"}, REPLACE)],
    "connection, other email": [by_connection({"user_id": "known", "email": "x@y.z"}, CREATE)],
    "connection, email of another": [by_connection({"user_id": "2", "email": "k@b.c"}, CREATE)],
    "organization": [JANE, ["authentication.setOrganization", "acme"]],
    "organization that is unknown": [JANE, ["authentication.setOrganization", "o" * 50]],
    "organization past the limit": [JANE, ["authentication.setOrganization", "o" * 51]],
    "actor": [JANE, ["authentication.setActor", actor(1)]],
    "actor at the limits": [
        JANE,
        ["authentication.setActor", actor(5, **{"k" * 64: "v" * 64, "n": 1, "f": 1.5, "t": True, "e": ""})],
    ],
    "actor past the levels": [JANE, ["authentication.setActor", actor(6)]],
    "actor past the properties": [JANE, ["authentication.setActor", actor(1, a=1, b=1, c=1, d=1, e=1, f=1)]],
    "actor, sub at the limit": [JANE, ["authentication.setActor", {"sub": "s" * 512}]],
    "actor, sub past the limit": [JANE, ["authentication.setActor", {"sub": "s" * 513}]],
    "actor, key past the limit": [JANE, ["authentication.setActor", actor(1, **{"k" * 65: 1})]],
    "actor, text past the limit": [JANE, ["authentication.setActor", actor(1, team="t" * 65)]],
    "actor, list": [JANE, ["authentication.setActor", actor(1, teams=["a"])]],
    "actor, null": [JANE, ["authentication.setActor", actor(1, team=None)]],
    "actor without sub": [JANE, ["authentication.setActor", {"name": "agent"}]],
    "actor that is text": [JANE, ["authentication.setActor", "agent"]],
    "metadata": [JANE, ["user.setAppMetadata", "a", [1]], ["user.setUserMetadata", "lang", None]],
    "metadata at the limit": [JANE, ["user.setAppMetadata", "a", "x" * (32 * 1024 - 9)]],
    "metadata past the limit": [JANE, ["user.setAppMetadata", "a", "x" * (32 * 1024 - 8)]],
    "metadata past the limit together": [
        JANE,
        ["user.setUserMetadata", "a", "x" * 20_000],
        ["user.setUserMetadata", "b", "x" * 20_000],
    ],
    "metadata without key": [JANE, ["user.setAppMetadata"]],
    "metadata of a denied exchange": [JANE, ["user.setAppMetadata", "a", 1], ["access.deny", "no", "no"]],
    "transaction": [JANE, ["transaction.setMetadata", "k" * 64, "v"]],
    "transaction, key past the limit": [JANE, ["transaction.setMetadata", "k" * 65, "v"]],
    "transaction, object": [JANE, ["transaction.setMetadata", "k", {"a": 1}]],
    "transaction, value past the limit": [JANE, ["transaction.setMetadata", "k", "v" * 8191]],
    "transaction past the limit together": [
        JANE,
        *(["transaction.setMetadata", key, "v" * 8000] for key in ("a", "b", "c")),
    ],
    "cache": [JANE, ["cache.get", "k"], ["cache.set", "k", "v"], ["cache.get", "k"], ["cache.delete", "k"]],
    "cache, key at the limit": [JANE, ["cache.set", "k" * 64, "v"], ["cache.delete", "k" * 64]],
    "cache, key past the limit": [JANE, ["cache.set", "k" * 65, "v"]],
    "cache, key in bytes past the limit": [JANE, ["cache.set", "ä" * 33, "v"]],
    "cache, value at the limit": [JANE, ["cache.set", "k", "v" * 4096], ["cache.delete", "k"]],
    "cache, value past the limit": [JANE, ["cache.set", "k", "v" * 4097]],
    "cache, value that is an object": [JANE, ["cache.set", "k", {"a": 1}]],
    "cache, too much together": [
        JANE,
        ["cache.set", "a", "v" * 4000],
        ["cache.set", "b", "v" * 4096],
        ["cache.set", "c", "v" * 100],
        ["cache.delete", "a"],
        ["cache.delete", "b"],
    ],
    "cache, too many": [
        JANE,
        *(["cache.set", f"k{each}", "v"] for each in range(21)),
        *(["cache.delete", f"k{each}"] for each in range(20)),
    ],
    "cache, lifetimes": [
        JANE,
        ["cache.set", "k", "v", {"ttl": 86_400_000}],
        ["cache.set", "k", "v", {"ttl": 86_400_001}],
        ["cache.set", "k", "v", {"ttl": -1}],
        ["cache.set", "k", "v", {"expires_at": 1}],
        ["cache.set", "k", "v", {"ttl": "soon"}],
        ["cache.delete", "k"],
    ],
    "cache without arguments": [JANE, ["cache.get"], ["cache.set"], ["cache.delete"]],
    "text that UTF-8 lacks": [["access.deny", "code", "\ud800"]],
    "text of many planes": [["access.deny", "code", "grüße 🦊 \u2028 \x00"]],
}


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTenant]:
    file = tmp_path_factory.mktemp("action") / "action.js"
    file.write_text(SCRIPT)
    with LocalTenant(clock=FakeClock()) as made:
        made.actions.node = NODES["wheel"]
        made.action_file(JAVASCRIPT, file)
        made.action(PYTHON)(exchange)
        made.add_organization("org_123", name="acme")
        yield made


def observe(tenant: LocalTenant, token_type: str, calls: list[list[Any]]) -> dict[str, Any]:
    """Run a case in a tenant that is as new, and return all that can be seen of it."""
    for user_id in list(tenant.users):
        tenant.delete_user(user_id)
    tenant.add_user("auth0|jane", email="jane@acme.example", user_metadata={"lang": "de"})
    tenant.add_user("auth0|blocked", blocked=True)
    tenant.add_user("auth0|known", connection="db", email="k@b.c", email_verified=True, name="Old")
    tenant.attack_protection.clear()
    reply = ask(tenant, subject_token=json.dumps(calls), subject_token_type=token_type, scope="openid offline_access")
    body = reply.json()
    claims = [claims_of(tenant, body.pop(name)) for name in ("access_token", "id_token") if name in body]
    entry = tenant.logs[-1]
    kept = {name: value for name, value in entry.details.items() if name not in ("traceback", "subject_token_type")}
    return {
        "status": reply.status_code,
        "body": {name: value for name, value in body.items() if name != "refresh_token"},
        "refresh_token": "refresh_token" in body,
        "claims": [{name: value for name, value in each.items() if name != "sid"} for each in claims],
        "log": (entry.type, re.sub(r" \([\w.]+:[\d:]+\)", "", entry.description), entry.user_id, kept),
        "rejects": tenant.rejects,
        "users": {
            user.user_id: (user.connection, user.attributes, user.app_metadata, user.user_metadata)
            for user in tenant.users.values()
        },
    }


@pytest.mark.parametrize("calls", CASES.values(), ids=CASES)
def test_both_languages_do_the_same(tenant: LocalTenant, calls: list[list[Any]]) -> None:
    """A call has one meaning, in Python and in JavaScript: reply, claims, log entry, rejects and users."""
    assert observe(tenant, PYTHON, calls) == observe(tenant, JAVASCRIPT, calls)


PAST = [name for name in CASES if "past" in name and "cache" not in name]


@pytest.mark.parametrize("name", PAST)
def test_calls_past_a_limit_fail_the_action(tenant: LocalTenant, name: str) -> None:
    """Every call past a limit of its own fails the Action (source: custom-token-exchange API Object)."""
    assert 500 == observe(tenant, PYTHON, CASES[name])["status"]


AT = [name for name in CASES if "at the limit" in name or "at its limit" in name]


@pytest.mark.parametrize("name", AT)
def test_calls_at_a_limit_are_taken(tenant: LocalTenant, name: str) -> None:
    """No call at a limit fails the Action (source: custom-token-exchange API Object)."""
    assert "the Action threw" not in observe(tenant, PYTHON, CASES[name])["log"][1]
