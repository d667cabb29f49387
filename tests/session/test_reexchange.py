"""Delegated sessions that go on: the exchange is run again, because Auth0 issues no refresh token with an actor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from auth0_cte import (
    AccessTokenError,
    AsyncServerClient,
    ConfigurationError,
    CookieStateStore,
    CustomTokenExchangeOptions,
    MemoryStateStore,
    RateLimitError,
    ServerClient,
    Session,
    SessionSettings,
    TransportError,
)
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.clients import SECRET, MakeClient, new_jar

TYPE = "urn:acme:support-case"
ACTOR_TYPE = "urn:acme:agent"
API = "https://api.example.com"
OTHER = "https://other.example.com"
CHAIN = {"sub": "agent|1", "team": "billing", "act": {"sub": "desk|7"}}
HOUR = 3600
LONG = SessionSettings(absolute_duration=72 * HOUR, inactivity_duration=24 * HOUR)


class Desk:
    """What the application knows of a support case: whom it is about, and who the agent is."""

    def __init__(self) -> None:
        self.asked: list[Session] = []
        self.chain: dict[str, Any] = CHAIN
        self.refusal: tuple[str, str] | None = None
        self.organization: str | None = None
        self.customer = "auth0|ada"

    def options(self, **more: Any) -> dict[str, Any]:
        return {
            "subject_token": f"case of {self.customer}",
            "subject_token_type": TYPE,
            "actor_token": "the agent's token",
            "actor_token_type": ACTOR_TYPE,
            **more,
        }

    def reexchange(self, session: Session) -> dict[str, Any]:
        self.asked.append(session)
        return self.options()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def tenant(clock: FakeClock, desk: Desk) -> LocalTenant:
    """A tenant whose Action lets the agent of a case act for its customer."""
    tenant = LocalTenant(clock=clock)
    tenant.add_api(API, token_lifetime=HOUR)
    tenant.add_api(OTHER, token_lifetime=HOUR)
    tenant.add_organization("org_1", name="acme")
    for user in ("auth0|ada", "auth0|eve"):
        tenant.add_user(user, name="Somebody", email="somebody@example.com")

    @tenant.action(TYPE)
    def act_for(event: Any, api: Any) -> None:
        if desk.refusal is not None:
            api.access.deny(*desk.refusal)
            return
        api.authentication.setUserById(event.transaction.subject_token.removeprefix("case of "))
        if desk.organization:
            api.authentication.setOrganization(desk.organization)
        if desk.chain:
            api.authentication.setActor(desk.chain)

    return tenant


@pytest.fixture
def make_client(make_client: MakeClient, desk: Desk) -> MakeClient:
    def make(tenant: LocalTenant, store: StateStore | None = None, **more: Any) -> ServerClient:
        return make_client(tenant, store, **{"reexchange": desk.reexchange, "session_settings": LONG, **more})

    return make


def log_in(client: ServerClient, jar: dict[str, str], desk: Desk, **more: Any) -> Session:
    options = desk.options(**{"audience": API, "scope": "offline_access profile email read:data", **more})
    return client.login_with_custom_token_exchange(options, {"cookies": jar}).session


def exchanges(tenant: LocalTenant) -> list[Mapping[str, Any]]:
    return [dict(request.form) for request in tenant.token_requests]


def current(client: ServerClient, jar: dict[str, str]) -> Session:
    session = client.get_session({"cookies": jar})
    assert session is not None
    return session


def test_a_support_session_of_two_days(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """API calls every half hour for 48 hours: one exchange a renewal, always the same user and chain of actors."""
    client, jar = make_client(tenant, store), new_jar()
    first = log_in(client, jar, desk)
    tokens = set[str]()
    for _ in range(96):
        tokens.add(client.get_access_token({"cookies": jar}))
        assert client.get_access_token({"cookies": jar}) in tokens
        session = current(client, jar)
        assert (first.sid, first.created_at, first.act) == (session.sid, session.created_at, session.act)
        assert ("auth0|ada", "Somebody") == (session.user["sub"], session.user["name"])
        assert (True, None, 1) == (session.refresh_token_withheld, session.refresh_token, len(session.token_sets))
        clock.advance(HOUR / 2)
    assert 48 == len(tokens) == len(exchanges(tenant))
    assert 47 == len(desk.asked)
    assert first.act is not None
    assert ["agent|1", "desk|7"] == [each.sub for each in first.delegation_chain()]


def test_the_exchange_asks_for_what_the_login_asked_for(
    tenant: LocalTenant, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """Audience, scopes and organization are the session's; the tokens are the function's."""
    client, jar = make_client(tenant), new_jar()
    desk.organization = "org_1"
    log_in(client, jar, desk, organization="org_1")
    clock.advance(HOUR)
    client.get_access_token({"cookies": jar}, forwarded_for="203.0.113.7")
    form = exchanges(tenant)[-1]
    assert ("case of auth0|ada", "the agent's token", ACTOR_TYPE) == (
        form["subject_token"],
        form["actor_token"],
        form["actor_token_type"],
    )
    assert (API, "org_1") == (form["audience"], form["organization"])
    assert {"openid", "profile", "email", "read:data"} <= set(str(form["scope"]).split())
    assert "203.0.113.7" == tenant.token_requests[-1].headers["auth0-forwarded-for"]


def test_the_function_gets_no_tokens(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """It sees whose session it is, and who acts; nothing by which it could act itself."""
    client, jar = make_client(tenant, store), new_jar()
    session = log_in(client, jar, desk)
    clock.advance(HOUR)
    client.get_access_token({"cookies": jar})
    (asked,) = desk.asked
    assert (session.sid, session.act, "auth0|ada") == (asked.sid, asked.act, asked.user["sub"])
    assert (None, None, (), {}) == (asked.id_token, asked.refresh_token, asked.token_sets, asked.extra)


def test_another_api_has_a_token_of_its_own(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """The exchange is run for the other API, and the user keeps the claims of the login's scopes."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar, desk)
    mine, other = client.get_access_token({"cookies": jar}), client.get_access_token({"cookies": jar}, OTHER)
    assert mine != other
    assert (mine, other) == (
        client.get_access_token({"cookies": jar}),
        client.get_access_token({"cookies": jar}, OTHER),
    )
    assert "Somebody" == current(client, jar).user["name"]
    assert 2 == len(exchanges(tenant))


def test_twenty_threads_make_one_exchange(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """However many ask at the same time, with cookies from before, the exchange is run once."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar, desk)
    clock.advance(HOUR)
    ready = threading.Barrier(20)

    def ask(_: int) -> str:
        own = dict(jar)
        ready.wait(30)
        return client.get_access_token({"cookies": own})

    with ThreadPoolExecutor(20) as pool:
        tokens = set(pool.map(ask, range(20)))
    assert (1, 2) == (len(tokens), len(exchanges(tenant)))
    assert 1 == len(desk.asked)


def test_two_processes_make_one_exchange(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """Clients that share a store share the exchange."""
    first, second, jar = make_client(tenant, store), make_client(tenant, store), new_jar()
    log_in(first, jar, desk)
    clock.advance(HOUR)
    late = dict(jar)
    assert first.get_access_token({"cookies": jar}) == second.get_access_token({"cookies": late})
    assert 2 == len(exchanges(tenant))


@pytest.mark.parametrize(
    ("status_and_code", "description"),
    [("invalid_grant", "the agent has left"), ("agent_revoked", "no longer on the case"), ("access_denied", "no")],
)
def test_a_revoked_agent_ends_the_session(
    status_and_code: str,
    description: str,
    tenant: LocalTenant,
    store: StateStore,
    clock: FakeClock,
    desk: Desk,
    make_client: MakeClient,
) -> None:
    """When the Action denies the agent the session is over, and the error says so."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar, desk)
    kept = dict(jar)
    desk.refusal = (status_and_code, description)
    clock.advance(HOUR)
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert (status_and_code, description, True) == (
        caught.value.code,
        caught.value.error_description,
        caught.value.session_ended,
    )
    assert caught.value.__cause__ is not None
    assert {} == jar
    assert client.get_session({"cookies": kept}) is None


ANSWERS: dict[str, tuple[Callable[[Desk], None], str]] = {
    "another user": (lambda desk: setattr(desk, "customer", "auth0|eve"), "SUBJECT_MISMATCH"),
    "another actor": (lambda desk: setattr(desk, "chain", {**CHAIN, "sub": "agent|2"}), "ACTOR_MISMATCH"),
    "another actor behind": (
        lambda desk: setattr(desk, "chain", {**CHAIN, "act": {"sub": "desk|8"}}),
        "ACTOR_MISMATCH",
    ),
    "another property": (lambda desk: setattr(desk, "chain", {**CHAIN, "team": "sales"}), "ACTOR_MISMATCH"),
    "a shorter chain": (lambda desk: setattr(desk, "chain", {"sub": "agent|1", "team": "billing"}), "ACTOR_MISMATCH"),
    "no actor": (lambda desk: setattr(desk, "chain", {}), "ACTOR_MISMATCH"),
    "an organization": (lambda desk: setattr(desk, "organization", "org_1"), "ORGANIZATION_MISMATCH"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_about_others_ends_the_session(
    case: str, tenant: LocalTenant, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """The ID token must be about the same user, organization and whole chain of actors."""
    client, jar = make_client(tenant, MemoryStateStore()), new_jar()
    log_in(client, jar, desk)
    kept = dict(jar)
    change, code = ANSWERS[case]
    change(desk)
    clock.advance(HOUR)
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert (code, True) == (caught.value.code, caught.value.session_ended)
    assert client.get_session({"cookies": kept}) is None


def test_an_id_token_is_owed(tenant: LocalTenant, clock: FakeClock, desk: Desk, make_client: MakeClient) -> None:
    """An answer without ID token proves nobody's identity: it is refused, and the session ended."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar, desk)
    clock.advance(HOUR)
    tenant.fail_next(200, body={"access_token": "new", "token_type": "Bearer", "expires_in": 3600})
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert ("MISSING_ID_TOKEN", True, {}) == (caught.value.code, caught.value.session_ended, jar)


def test_an_id_token_that_fails_is_refused(
    tenant: LocalTenant, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """One that does not verify is worse than none."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar, desk)
    clock.advance(HOUR)
    tenant.fail_next(200, body={"access_token": "new", "expires_in": 3600, "id_token": "not.a.token"})
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert ("INVALID_ID_TOKEN", True, {}) == (caught.value.code, caught.value.session_ended, jar)


def test_what_is_not_final_leaves_the_session(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """Rate limits, server errors, a lost connection and faults of the application do not end it."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar, desk)
    clock.advance(HOUR)
    failures: list[tuple[type[Exception], dict[str, Any]]] = [
        (RateLimitError, {"status": 429, "error": "too_many_requests", "headers": {"retry-after": "60"}}),
        (AccessTokenError, {"status": 500, "error": "server_error"}),
        (AccessTokenError, {"status": 401, "error": "access_denied"}),
        (AccessTokenError, {"status": 403, "error": "unauthorized_client"}),
        (TransportError, {"fault": "close"}),
    ]
    for kind, script in failures:
        tenant.fail_next(**script)
        with pytest.raises(kind) as caught:
            client.get_access_token({"cookies": jar})
        assert not getattr(caught.value, "session_ended", False)
    assert client.get_access_token({"cookies": jar})


def test_a_refusal_of_another_api_leaves_the_session(
    tenant: LocalTenant, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """That this API may not be called says nothing of the delegation that the login rests on."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar, desk)
    tenant.fail_next(403, "access_denied", "Service not found: https://typo.example")
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar}, "https://typo.example")
    assert ("access_denied", False) == (caught.value.code, caught.value.session_ended)
    clock.advance(HOUR)
    assert client.get_access_token({"cookies": jar})


@pytest.mark.parametrize(("end", "code"), [("absolute", "MISSING_SESSION"), ("upstream", "SESSION_EXPIRED")])
def test_no_exchange_moves_the_end(
    end: str, code: str, tenant: LocalTenant, store: StateStore, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """After the session's own end, or that of the session upstream, nothing is exchanged."""
    hours = {"absolute": 3, "upstream": 2}[end]
    if end == "upstream":
        tenant.users["auth0|ada"].session_expiry = int(clock()) + 2 * HOUR + 10
    settings = SessionSettings(absolute_duration=3 * HOUR + 10, inactivity_duration=9 * HOUR)
    client, jar = make_client(tenant, store, session_settings=settings), new_jar()
    log_in(client, jar, desk)
    for _ in range(hours):
        clock.advance(HOUR)
        assert client.get_access_token({"cookies": jar})
        tenant.users["auth0|ada"].session_expiry = int(clock()) + 900 * HOUR
    made = len(exchanges(tenant))
    clock.advance(20)
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert code == caught.value.code
    assert made == len(exchanges(tenant))


def test_what_the_function_raises_is_the_cause(
    tenant: LocalTenant, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """The error is typed, nothing was sent, and the session is as it was."""

    def fail(session: Session) -> dict[str, Any]:
        raise LookupError(session.sid)

    client, jar = make_client(tenant, reexchange=fail), new_jar()
    log_in(client, jar, desk)
    clock.advance(HOUR)
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert ("REEXCHANGE_FAILED", LookupError) == (caught.value.code, type(caught.value.__cause__))
    assert 1 == len(exchanges(tenant))
    assert current(client, jar)


def test_an_error_of_another_client_does_not_end_the_session(
    tenant: LocalTenant, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """What the function met elsewhere, such as invalid_grant, is not about this session."""

    def fail(_: Session) -> dict[str, Any]:
        raise AccessTokenError("elsewhere", code="invalid_grant")

    client, jar = make_client(tenant, reexchange=fail), new_jar()
    log_in(client, jar, desk)
    clock.advance(HOUR)
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert ("REEXCHANGE_FAILED", False) == (caught.value.code, caught.value.session_ended)
    assert current(client, jar)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, "INVALID_OPTIONS"),
        ({"subject_token": "t"}, "INVALID_TOKEN_FORMAT"),
        ({"subject_token": "t", "subject_token_type": TYPE, "actor_token": "a"}, "MISSING_ACTOR_TOKEN_TYPE"),
        ({"subject_token": "t", "subject_token_type": TYPE, "audience": OTHER}, "REEXCHANGE_FAILED"),
        ({"subject_token": "t", "subject_token_type": TYPE, "scope": "admin"}, "REEXCHANGE_FAILED"),
        ({"subject_token": "t", "subject_token_type": TYPE, "organization": "org_2"}, "REEXCHANGE_FAILED"),
        (
            {"subject_token": "t", "subject_token_type": TYPE, "authorization_params": {"scope": "a"}},
            "REEXCHANGE_FAILED",
        ),
        ({"subject_token": lambda: "", "subject_token_type": TYPE}, "INVALID_TOKEN_FORMAT"),
    ],
)
def test_options_that_cannot_be_exchanged(
    given: Any, code: str, tenant: LocalTenant, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """They are refused before anything is sent, and the session is as it was."""
    client, jar = make_client(tenant, reexchange=lambda _: given), new_jar()
    log_in(client, jar, desk)
    clock.advance(HOUR)
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert (code, False) == (caught.value.code, caught.value.session_ended)
    assert 1 == len(exchanges(tenant))


def test_options_and_suppliers_are_taken(
    tenant: LocalTenant, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """The function may return options as well as a dict, and tokens that are functions."""

    def again(_: Session) -> CustomTokenExchangeOptions:
        return CustomTokenExchangeOptions(
            subject_token=lambda: "case of auth0|ada",
            subject_token_type=TYPE,
            actor_token=lambda: "a later token",
            actor_token_type=ACTOR_TYPE,
        )

    client, jar = make_client(tenant, reexchange=again), new_jar()
    log_in(client, jar, desk)
    clock.advance(HOUR)
    assert client.get_access_token({"cookies": jar})
    assert "a later token" == exchanges(tenant)[-1]["actor_token"]


def test_a_users_own_session_is_not_exchanged_again(
    tenant: LocalTenant, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """Without an actor a session goes on by its refresh token, or not at all."""
    client, jar = make_client(tenant), new_jar()
    desk.chain = {}
    options = {"subject_token": "case of auth0|ada", "subject_token_type": TYPE, "audience": API}
    client.login_with_custom_token_exchange(options, {"cookies": jar})
    clock.advance(HOUR)
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert "MISSING_REFRESH_TOKEN" == caught.value.code
    client.login_with_custom_token_exchange({**options, "scope": "offline_access"}, {"cookies": jar})
    clock.advance(HOUR)
    assert client.get_access_token({"cookies": jar})
    assert ([], "refresh_token") == (desk.asked, exchanges(tenant)[-1]["grant_type"])


def test_a_cookie_from_before_gets_what_did_not_fit(
    tenant: LocalTenant, clock: FakeClock, desk: Desk, make_client: MakeClient
) -> None:
    """When the renewed session is too large for cookies, requests that come late do not exchange again."""
    client, jar = make_client(tenant, CookieStateStore()), new_jar()
    log_in(client, jar, desk)
    apis = [f"https://api-{number}.example.com" for number in range(8)]
    for api in apis:
        tenant.add_api(api)
        client.get_access_token({"cookies": jar}, api)
    assert len(current(client, jar).token_sets) == 9
    made = len(exchanges(tenant))
    for api in apis:
        client.get_access_token({"cookies": dict(jar)}, api)
    assert made == len(exchanges(tenant))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_async_function_of_the_mirror(backend: str, tenant: LocalTenant, clock: FakeClock, desk: Desk) -> None:
    """It is awaited in the event loop of the call."""

    async def again(session: Session) -> dict[str, Any]:
        await anyio.sleep(0)
        return desk.reexchange(session)

    settings: dict[str, Any] = {"session": tenant.session(), "clock": clock, "secret": SECRET}
    client = AsyncServerClient(tenant.domain, tenant.client_id, tenant.client_secret, reexchange=again, **settings)

    async def main() -> tuple[str, str]:
        jar = new_jar()
        options = desk.options(audience=API)
        await client.login_with_custom_token_exchange(options, {"cookies": jar})
        first = await client.get_access_token({"cookies": jar})
        clock.advance(HOUR)
        return first, await client.get_access_token({"cookies": jar})

    first, second = anyio.run(main, backend=backend)
    assert first != second
    assert 1 == len(desk.asked)


async def _asynchronous(_: Session) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("given", [5, "name", _asynchronous])
def test_what_is_not_a_plain_function_is_refused_at_construction(given: Any) -> None:
    """The message says where an async one belongs."""
    with pytest.raises(ConfigurationError, match="AsyncServerClient"):
        ServerClient("tenant.auth0.com", "id", "secret", reexchange=given)
