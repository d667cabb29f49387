"""What an Action of the local tenant sees, may do and may not do."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from auth0_cte.testing import ActionLimitError, ApiCall, FakeClock, LocalTenant, Record
from tests.exchanges import claims_of
from tests.testing.test_exchange import ACCESS_TOKEN, TYPE, ask

CREATE = {"creationBehavior": "create_if_not_exists", "updateBehavior": "none"}
REPLACE = {"creation_behavior": "none", "update_behavior": "replace"}


@pytest.fixture
def tenant() -> LocalTenant:
    made = LocalTenant(clock=FakeClock())
    made.add_user("auth0|jane")
    return made


def run(tenant: LocalTenant, act: Any, **form: Any) -> Any:
    """Exchange once with an Action that calls ``act(api)``."""

    @tenant.action(TYPE)
    def exchange(_event: Any, api: Any) -> None:
        act(api)

    return ask(tenant, **form)


def outcome(reply: Any) -> tuple[int, str]:
    """Return status and error code."""
    return reply.status_code, reply.json().get("error", "")


def event_of(tenant: LocalTenant, headers: Any = None, **form: Any) -> Any:
    """Return the event of one exchange."""
    events = []

    @tenant.action(TYPE, secrets={"api_key": "s3cret"})
    def exchange(event: Any, api: Any) -> None:
        events.append(event)
        api.authentication.set_user_by_id("auth0|jane")

    assert 200 == ask(tenant, headers=headers, **form).status_code
    return events[0]


def test_event_has_the_documented_members(tenant: LocalTenant) -> None:
    """The event has what Auth0 documents, and None for what the request does not have."""
    tenant.add_application(tenant.client_id, tenant.client_secret, name="Tools", metadata={"tier": "gold"})
    event = event_of(tenant, {"User-Agent": "probe/1"}, audience="https://api.acme.example", scope="a b")

    assert {"client_id": "local-client", "name": "Tools", "metadata": {"tier": "gold"}} == event.client
    assert ("127.0.0.1", "POST", "acme.auth0.local") == (
        event.request.ip,
        event.request.method,
        event.request.hostname,
    )
    assert ("probe/1", "https://api.acme.example") == (event.request.user_agent, event.resource_server.identifier)
    assert ({"api_key": "s3cret"}, "acme", None) == (event.secrets, event.tenant.id, event.organization)
    assert {
        "subject_token": "the-token",
        "subject_token_type": TYPE,
        "requested_scopes": ["a", "b"],
        "requested_token_type": None,
    } == event.transaction


def test_absent_members_are_none(tenant: LocalTenant) -> None:
    """A member that the event does not have this time is None as an attribute, and missing as an item."""
    event = event_of(tenant)

    assert [None] * 5 == [
        event.transaction.actor_token,
        event.transaction.actorTokenUser,
        event.request.language,
        event.request.geoip.countryCode,
        event.organization,
    ]
    assert "organization" not in event


def test_event_takes_camel_case_names(tenant: LocalTenant) -> None:
    """Members of the event go by their camelCase names, too."""
    event = event_of(tenant)

    assert ("the-token", "acme.auth0.local") == (event.transaction.subjectToken, event.request["hostname"])
    assert tenant.client_id == event.client.clientId


def test_event_has_the_organization(tenant: LocalTenant) -> None:
    """The organization of the request is in the event."""
    tenant.add_organization("org_123", name="acme", display_name="Acme Inc.", metadata={"plan": "pro"})
    event = event_of(tenant, organization="acme")

    expected = {"id": "org_123", "name": "acme", "display_name": "Acme Inc.", "metadata": {"plan": "pro"}}
    assert expected == event.organization


def test_event_has_further_parameters(tenant: LocalTenant) -> None:
    """Parameters that the tenant does not know reach the Action as they came, repeated ones as a list."""
    body = event_of(tenant, device="tv", role=["a", "b"]).request.body

    assert ("tv", ["a", "b"]) == (body.device, body["role"])


def test_event_has_no_client_secret(tenant: LocalTenant) -> None:
    """The application's secret is not the Action's business."""
    assert "client_secret" not in event_of(tenant).request.body


def test_event_has_the_actor_token(tenant: LocalTenant) -> None:
    """An actor token of a custom type reaches the Action unread."""
    transaction = event_of(tenant, actor_token="agent", actor_token_type="urn:acme:agent").transaction

    assert ("agent", "urn:acme:agent") == (transaction.actor_token, transaction.actor_token_type)


def test_unknown_event_member() -> None:
    """A member that does not exist is an AttributeError that tells what there is."""
    with pytest.raises(AttributeError, match="'colour' does not exist, only 'a'"):
        _ = Record(a=1).colour


def test_deny_with_server_error(tenant: LocalTenant) -> None:
    """Denying with server_error is a 500."""
    reply = run(tenant, lambda api: api.access.deny("server_error", "down"))

    assert (500, {"error": "server_error", "error_description": "down"}) == (reply.status_code, reply.json())


def test_deny_with_a_code_of_ones_own(tenant: LocalTenant) -> None:
    """Denying with any other code is a 400 with that code."""
    reply = run(tenant, lambda api: api.access.deny("no_seat", "buy one"))

    assert (400, {"error": "no_seat", "error_description": "buy one"}) == (reply.status_code, reply.json())


def test_deny_does_not_stop_the_action(tenant: LocalTenant) -> None:
    """After deny the Action goes on, and the exchange is denied all the same."""
    went_on = []

    def act(api: Any) -> None:
        api.access.deny("no_seat", "buy one")
        api.authentication.set_user_by_id("auth0|jane")
        went_on.append(True)

    assert (400, "no_seat") == outcome(run(tenant, act))
    assert [True] == went_on


def test_reject_invalid_subject_token(tenant: LocalTenant) -> None:
    """Rejecting the subject token is an invalid_request with the reason, and counts."""
    reply = run(tenant, lambda api: api.access.rejectInvalidSubjectToken("forged"))

    assert (400, {"error": "invalid_request", "error_description": "forged"}) == (reply.status_code, reply.json())
    assert {"127.0.0.1": 1} == tenant.rejects


def _nothing(api: Any) -> None:
    pass


def _twice(api: Any) -> None:
    api.authentication.set_user_by_id("auth0|jane")
    api.authentication.set_user_by_connection("db", {"user_id": "1"}, CREATE)


@pytest.mark.parametrize("act", [_nothing, _twice])
def test_exactly_one_user(tenant: LocalTenant, act: Any) -> None:
    """An Action that sets no user, or two, is an invalid_request."""
    assert (400, "invalid_request") == outcome(run(tenant, act))


def test_unknown_user(tenant: LocalTenant) -> None:
    """A user set by id must exist."""
    assert (400, "invalid_request") == outcome(run(tenant, lambda api: api.authentication.setUserById("auth0|x")))


def test_action_that_throws(tenant: LocalTenant) -> None:
    """An exception is a server_error; the reply does not repeat it, the log does."""

    def act(_api: Any) -> None:
        raise ZeroDivisionError("by nought")

    reply = run(tenant, act)
    assert (500, "server_error") == outcome(reply)
    assert "nought" not in reply.text
    line = act.__code__.co_firstlineno + 1
    assert f"the Action threw ZeroDivisionError: by nought (test_actions.py:{line})" == tenant.logs[-1].description
    assert "fecte" == tenant.logs[-1].type


def test_action_that_takes_too_long() -> None:
    """An Action that runs for more than 20 seconds of the tenant's clock is a server_error."""
    clock = FakeClock()
    tenant = LocalTenant(clock=clock)
    tenant.add_user("auth0|jane")

    def act(api: Any) -> None:
        api.authentication.set_user_by_id("auth0|jane")
        clock.advance(20.5)

    assert (500, "server_error") == outcome(run(tenant, act))


LEVELS = {"sub": "1", "act": {"sub": "2", "act": {"sub": "3", "act": {"sub": "4", "act": {"sub": "5"}}}}}

WITHIN = {
    "code": lambda api: api.access.deny("c" * 1024, "r"),
    "reason": lambda api: api.access.deny("code", "r" * 4096),
    "reject reason": lambda api: api.access.reject_invalid_subject_token("r" * 4096),
}
BEYOND = {
    "code": lambda api: api.access.deny("c" * 1025, "r"),
    "empty code": lambda api: api.access.deny("", "r"),
    "reason": lambda api: api.access.deny("code", "r" * 4097),
    "empty reason": lambda api: api.access.deny("code", ""),
    "reason of another type": lambda api: api.access.deny("code", 5),
    "reject reason": lambda api: api.access.reject_invalid_subject_token("r" * 4097),
    "user id": lambda api: api.authentication.set_user_by_id("u" * 513),
    "empty user id": lambda api: api.authentication.set_user_by_id(""),
    "attributes": lambda api: api.authentication.set_user_by_connection(
        "db", {"user_id": "1", **{f"a{number}": 1 for number in range(24)}}, CREATE
    ),
    "no user_id": lambda api: api.authentication.set_user_by_connection("db", {"email": "a@b.c"}, CREATE),
    "long user_id": lambda api: api.authentication.set_user_by_connection("db", {"user_id": "u" * 256}, CREATE),
    "no options": lambda api: api.authentication.set_user_by_connection("db", {"user_id": "1"}),
    "half the options": lambda api: api.authentication.set_user_by_connection(
        "db", {"user_id": "1"}, {"creationBehavior": "none"}
    ),
    "wrong option": lambda api: api.authentication.set_user_by_connection(
        "db", {"user_id": "1"}, {"creationBehavior": "always", "updateBehavior": "none"}
    ),
    "organization": lambda api: api.authentication.set_organization("o" * 51),
    "actor levels": lambda api: api.authentication.set_actor({"sub": "0", "act": LEVELS}),
    "actor properties": lambda api: api.authentication.set_actor({"sub": "0", **dict.fromkeys("abcdef", 1)}),
    "actor without sub": lambda api: api.authentication.set_actor({"name": "agent"}),
    "actor that is not an object": lambda api: api.authentication.set_actor("agent"),
    "actor that is not JSON": lambda api: api.authentication.set_actor({"sub": "0", "set": {1}}),
    "unknown call": lambda api: api.access.allow(),
}


@pytest.mark.parametrize("act", WITHIN.values(), ids=WITHIN)
def test_at_a_limit(tenant: LocalTenant, act: Any) -> None:
    """What is just within a limit is taken."""
    assert 400 == run(tenant, act).status_code


@pytest.mark.parametrize("act", BEYOND.values(), ids=BEYOND)
def test_beyond_a_limit(tenant: LocalTenant, act: Any) -> None:
    """A call that Auth0 does not take fails the Action."""
    assert (500, "server_error") == outcome(run(tenant, act))


def test_actor_at_its_limits(tenant: LocalTenant) -> None:
    """Five levels with five properties each are taken."""
    actor: dict[str, Any] = {}
    for level in "54321":
        actor = {"sub": level, **dict.fromkeys("abcde", level), **({"act": actor} if actor else {})}

    def act(api: Any) -> None:
        api.authentication.set_user_by_id("auth0|jane")
        api.authentication.set_actor(actor)

    assert actor == claims_of(tenant, run(tenant, act).json()["access_token"])["act"]


def test_connection_creates_a_user(tenant: LocalTenant) -> None:
    """create_if_not_exists makes the user, under the id that Auth0 would form."""
    attributes = {"user_id": "u-1", "email": "new@acme.example", "verify_email": False}
    reply = run(tenant, lambda api: api.authentication.setUserByConnection("legacy", attributes, CREATE))

    assert "auth0|u-1" == claims_of(tenant, reply.json()["access_token"])["sub"]
    assert {"email": "new@acme.example"} == tenant.users["auth0|u-1"].attributes


def test_connection_strategy_forms_the_user_id(tenant: LocalTenant) -> None:
    """An enterprise connection's name is part of the user id."""
    tenant.add_connection("acme-saml", strategy="samlp")
    run(tenant, lambda api: api.authentication.setUserByConnection("acme-saml", {"user_id": "7"}, CREATE))

    assert "samlp|acme-saml|7" in tenant.users


def test_unregistered_connection(tenant: LocalTenant) -> None:
    """Once connections are registered, no other exists."""
    tenant.add_connection("acme-saml", strategy="samlp")
    reply = run(tenant, lambda api: api.authentication.setUserByConnection("legacy", {"user_id": "7"}, CREATE))

    assert (400, "invalid_request") == outcome(reply)


def test_connection_without_creation(tenant: LocalTenant) -> None:
    """With creation off, a user who does not exist is refused."""
    reply = run(tenant, lambda api: api.authentication.setUserByConnection("legacy", {"user_id": "7"}, REPLACE))

    assert (400, "invalid_request") == outcome(reply)


def test_connection_finds_added_users(tenant: LocalTenant) -> None:
    """A user who was added is found by connection and id, and left alone when the update is off."""
    tenant.add_user("google-oauth2|9", name="Old")
    attributes = {"user_id": "9", "name": "New"}
    reply = run(tenant, lambda api: api.authentication.setUserByConnection("google-oauth2", attributes, CREATE))

    assert "google-oauth2|9" == claims_of(tenant, reply.json()["access_token"])["sub"]
    assert {"name": "Old"} == tenant.users["google-oauth2|9"].attributes


def test_replace_drops_what_is_not_given(tenant: LocalTenant) -> None:
    """With replace, attributes that are not given go; verification flags stay."""
    tenant.add_user("auth0|1", connection="db", email="a@b.c", email_verified=True, nickname="al", name="Old")
    attributes = {"user_id": "1", "email": "a@b.c", "name": "New"}
    run(tenant, lambda api: api.authentication.setUserByConnection("db", attributes, REPLACE))

    assert {"email": "a@b.c", "email_verified": True, "name": "New"} == tenant.users["auth0|1"].attributes


@pytest.mark.parametrize(
    "changed",
    [
        {"email": "x@y.z"},
        {"username": "bert"},
        {"phone_number": "+491"},
        {"email_verified": False},
        {"phone_verified": True},
    ],
)
def test_immutable_attributes(tenant: LocalTenant, changed: dict[str, Any]) -> None:
    """Email, user name, phone number and their verification cannot be changed; nothing else is changed then.

    Source: Auth0, "Actions Triggers: custom-token-exchange - API Object".
    """
    tenant.add_user("auth0|1", connection="db", email="a@b.c", email_verified=True, username="al", name="Old")
    attributes = {"user_id": "1", "email": "a@b.c", "username": "al", "name": "New", **changed}
    reply = run(tenant, lambda api: api.authentication.setUserByConnection("db", attributes, REPLACE))

    assert (400, "invalid_request") == outcome(reply)
    assert "Old" == tenant.users["auth0|1"].attributes["name"]


def test_blocked_user_by_connection(tenant: LocalTenant) -> None:
    """A blocked user is refused by connection, too."""
    tenant.add_user("auth0|1", connection="db", blocked=True)
    reply = run(tenant, lambda api: api.authentication.setUserByConnection("db", {"user_id": "1"}, CREATE))

    assert (400, "invalid_request") == outcome(reply)


def test_options_as_keywords(tenant: LocalTenant) -> None:
    """The options may be keyword arguments, as Python has them."""
    reply = run(
        tenant,
        lambda api: api.authentication.set_user_by_connection(
            "db", {"user_id": "1"}, creation_behavior="create_if_not_exists", update_behavior="none"
        ),
    )

    assert 200 == reply.status_code


def test_metadata_merges(tenant: LocalTenant) -> None:
    """Metadata merges into what there is; None removes."""
    tenant.add_user("auth0|jane", app_metadata={"a": 1, "b": 2}, user_metadata={"lang": "de"})

    def act(api: Any) -> None:
        api.authentication.set_user_by_id("auth0|jane")
        api.user.setAppMetadata("a", None)
        api.user.set_app_metadata("c", [3])
        api.user.setUserMetadata("theme", "dark")

    run(tenant, act)
    user = tenant.users["auth0|jane"]
    assert ({"b": 2, "c": [3]}, {"lang": "de", "theme": "dark"}) == (user.app_metadata, user.user_metadata)


def test_metadata_of_a_denied_exchange_is_not_kept(tenant: LocalTenant) -> None:
    """Nothing that a denied Action asked for is done."""

    def act(api: Any) -> None:
        api.authentication.set_user_by_id("auth0|jane")
        api.user.set_app_metadata("c", 3)
        api.access.deny("no_seat", "buy one")

    run(tenant, act)
    assert {} == tenant.users["auth0|jane"].app_metadata


def test_set_organization(tenant: LocalTenant) -> None:
    """The organization that the Action sets is the tokens'."""
    tenant.add_organization("org_123", name="acme")

    def act(api: Any) -> None:
        api.authentication.setOrganization("acme")
        api.authentication.set_user_by_id("auth0|jane")

    assert "org_123" == claims_of(tenant, run(tenant, act).json()["access_token"])["org_id"]


def test_organization_mismatch(tenant: LocalTenant) -> None:
    """The Action cannot set another organization than the request names."""
    tenant.add_organization("org_123", name="acme")
    tenant.add_organization("org_456", name="other")

    def act(api: Any) -> None:
        api.authentication.set_organization("org_456")
        api.authentication.set_user_by_id("auth0|jane")

    assert (400, "invalid_request") == outcome(run(tenant, act, organization="org_123"))
    assert 200 == run(tenant, act, organization="other").status_code


def test_cache_outlives_the_exchange(tenant: LocalTenant) -> None:
    """What one exchange caches, the next one finds, until its time is over."""
    clock = tenant.clock
    assert isinstance(clock, FakeClock)
    found = []

    def act(api: Any) -> None:
        entry = api.cache.get("key")
        found.append(None if entry is None else entry.value)
        if entry is None:
            api.cache.set("key", "value")

    for wait in (0, 899, 2):
        clock.advance(wait)
        run(tenant, act)
    assert [None, "value", None] == found


def test_cache_lifetime_in_milliseconds(tenant: LocalTenant) -> None:
    """The earlier of ttl and expires_at holds, both in milliseconds as in JavaScript."""
    now = tenant.clock() * 1000
    entries: list[Any] = []

    def act(api: Any) -> None:
        api.cache.set("key", "value", {"ttl": 5000, "expiresAt": now + 2000})
        entries.append(api.cache.get("key"))

    run(tenant, act)
    assert [now + 2000] == [entry.expires_at for entry in entries]


def test_cache_delete(tenant: LocalTenant) -> None:
    """A deleted entry is gone, and the result tells whether there was one."""
    results = []

    def act(api: Any) -> None:
        api.cache.set("key", "value")
        results.extend([api.cache.delete("key").type, api.cache.get("key"), api.cache.delete("key").type])

    run(tenant, act)
    assert ["success", None, "error"] == results


CACHE_ERRORS = {
    "key": ("k" * 65, "v", {}, "CacheKeySizeExceeded"),
    "key of two-byte characters": ("ä" * 33, "v", {}, "CacheKeySizeExceeded"),
    "empty key": ("", "v", {}, "CacheKeySizeExceeded"),
    "value": ("k", "v" * 4097, {}, "CacheValueSizeExceeded"),
    "number": ("k", 5, {}, "CacheValueSizeExceeded"),
    "lifetime": ("k", "v", {"ttl": 86_400_001}, "InvalidExpiry"),
    "lifetime that is text": ("k", "v", {"ttl": "1"}, "InvalidExpiry"),
    "no lifetime": ("k", "v", {"ttl": 0}, "ItemAlreadyExpired"),
    "the past": ("k", "v", {"expires_at": 1}, "ItemAlreadyExpired"),
}


@pytest.mark.parametrize(("key", "value", "options", "code"), CACHE_ERRORS.values(), ids=CACHE_ERRORS)
def test_cache_answers_with_errors(tenant: LocalTenant, key: str, value: Any, options: Any, code: str) -> None:
    """The cache does not throw at a limit but answers with Auth0's code, and keeps nothing (source: @auth0/actions)."""
    results: list[Any] = []

    def act(api: Any) -> None:
        results.extend([api.cache.set(key, value, options), api.cache.get(key)])

    run(tenant, act)
    assert [{"type": "error", "code": code}, None] == results


def test_cache_at_its_limits(tenant: LocalTenant) -> None:
    """A key of 64 bytes, a value of 4096 and 24 hours are taken; the answer has the record."""
    results: list[Any] = []
    run(tenant, lambda api: results.append(api.cache.set("k" * 64, "v" * 4096, {"ttl": 86_400_000})))

    expires_at = (tenant.clock() + 86_400) * 1000
    assert [{"type": "success", "record": {"value": "v" * 4096, "expires_at": expires_at}}] == results


def test_cache_is_full(tenant: LocalTenant) -> None:
    """20 entries or 8 kB together are all that fits; what is there can be replaced still (source: Auth0, limits)."""
    codes: list[Any] = []

    def act(api: Any) -> None:
        for number in range(20):
            api.cache.set(f"key-{number:02}", "value")
        codes.append([api.cache.set("one-more", "value").get("code"), api.cache.set("key-00", "other").type])
        for number in range(18):
            api.cache.delete(f"key-{number:02}")
        codes.append([api.cache.set("a", "v" * 4000).type, api.cache.set("b", "v" * 4096).type])
        codes.append([api.cache.set("c", "v" * 75).get("code"), api.cache.set("c", "v" * 60).type])
        codes.append(api.cache.delete("no-such").code)

    run(tenant, act)
    assert [
        ["CacheSizeExceeded", "success"],
        ["success", "success"],
        ["CacheSizeExceeded", "success"],
        "CacheKeyDoesNotExist",
    ] == codes


@pytest.mark.parametrize(
    "subject_token_type",
    [
        ACCESS_TOKEN,
        "urn:auth0:token",
        "urn:okta:token",
        "https://auth0.com/token",
        "http://okta.com/token",
        "urn:a:b",
        "urn:acme:" + "x" * 100,
        "http://acme.example/token",
        "mcp-token",
    ],
)
def test_types_that_auth0_refuses(
    tenant: LocalTenant, subject_token_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A profile of a type that Auth0 would refuse works here, and the log says so."""
    tenant.accept(subject_token_type, "auth0|jane")
    assert "more generous than Auth0" in caplog.text
    assert 200 == ask(tenant, subject_token_type=subject_token_type).status_code


@pytest.mark.parametrize("subject_token_type", [ACCESS_TOKEN, "urn:auth0:token", "http://acme.example/token"])
def test_strict_tenant_refuses_types_that_auth0_refuses(subject_token_type: str) -> None:
    """A strict tenant takes no profile of a type that Auth0 would refuse (source: Configure Custom Token Exchange)."""
    strict = LocalTenant(strict=True)

    with pytest.raises(ValueError, match="Auth0"):
        strict.accept(subject_token_type, "auth0|jane")


def test_async_functions_are_awaited(tenant: LocalTenant) -> None:
    """An Action can be an async function."""

    @tenant.action(TYPE)
    async def exchange(_event: Any, api: Any) -> None:
        await asyncio.sleep(0)
        api.authentication.set_user_by_id("auth0|jane")

    assert 200 == ask(tenant).status_code


def test_endless_action_is_ended(tenant: LocalTenant) -> None:
    """An Action that does not end is ended at the limit, and the next exchange works."""
    tenant.actions.time_limit = 0.2
    threads: list[threading.Thread] = []

    @tenant.action(TYPE)
    def exchange(event: Any, api: Any) -> None:
        api.authentication.set_user_by_id("auth0|jane")
        while event.transaction.subject_token == "endless":
            threads[:] = [threading.current_thread()]

    endless = ask(tenant, subject_token="endless")
    threads[0].join(10)
    tenant.actions.time_limit = 20

    assert (500, "server_error") == outcome(endless)
    assert "the Action ran for more than 0.2 seconds" == tenant.logs[-1].description
    assert (200, False) == (ask(tenant).status_code, threads[0].is_alive())


def test_late_calls_are_ignored(tenant: LocalTenant, caplog: pytest.LogCaptureFixture) -> None:
    """An api call after the Action has returned does nothing and is a warning in the log (assumption)."""
    apis: list[Any] = []

    def act(api: Any) -> None:
        api.authentication.set_user_by_id("auth0|jane")
        apis.append(api)

    reply = run(tenant, act)
    apis[0].access.deny("late", "late")

    assert 200 == reply.status_code
    assert "api.access.deny was called after the Action had ended" in caplog.text


@pytest.mark.parametrize("secrets", [{"k" * 129: "v"}, {"k": "v" * 4097}, {"": "v"}])
def test_secrets_beyond_a_limit(tenant: LocalTenant, secrets: dict[str, str]) -> None:
    """A secret whose name or value Auth0 does not take is refused at once (source: Actions Limitations)."""
    with pytest.raises(ValueError, match="secrets must have names"):
        tenant.action(TYPE, secrets=secrets)


def test_action_context_is_the_callers(tenant: LocalTenant) -> None:
    """Context variables that a test sets are seen by its Actions."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("from the test")
    seen = []
    run(tenant, lambda _api: seen.append(variable.get()))

    assert ["from the test"] == seen


def test_the_decorator_returns_the_function(tenant: LocalTenant) -> None:
    """The decorated function stays what it was, so that one Action can serve several profiles."""

    @tenant.action("urn:acme:one")
    @tenant.action("urn:acme:two")
    def exchange(_event: Any, api: Any) -> None:
        api.authentication.set_user_by_id("auth0|jane")

    assert [200, 200] == [ask(tenant, subject_token_type=each).status_code for each in ("urn:acme:one", "urn:acme:two")]


def test_accept_adds_the_user(tenant: LocalTenant) -> None:
    """The short way to an Action adds the user who is missing."""
    tenant.accept(TYPE, "auth0|john")

    assert "auth0|john" == claims_of(tenant, ask(tenant).json()["access_token"])["sub"]


def test_calls_are_told(tenant: LocalTenant) -> None:
    """Each call that an Action makes is told, in JavaScript's names, with its arguments and what came of it."""
    calls: list[ApiCall] = []
    tenant.actions.on_call = calls.append

    @tenant.action(TYPE)
    def exchange(event: Any, api: Any) -> None:
        api.cache.set("k", "v")
        with pytest.raises(ActionLimitError):
            api.access.deny("", "reason")
        api.authentication.set_user_by_id("auth0|jane")

    ask(tenant)
    told = [(call.name, call.arguments, call.error is None) for call in calls]
    assert [
        ("api.cache.set", ("k", "v"), True),
        ("api.access.deny", ("", "reason"), False),
        ("api.authentication.setUserById", ("auth0|jane",), True),
    ] == told
    assert "success" == calls[0].result["type"]
