"""A step of a login, a refresh or a logout fails: neither is it done by half, nor is what was spent lost in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth0_cte import AccessTokenError, CookieStateStore, DictCarrier, MemoryRotations, MemoryStateStore, SessionError
from auth0_cte.session.settings import CookieSettings
from auth0_cte.session.stores.contract import Owner, StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.clients import MakeClient, new_jar, options

API = "https://api.example.com"
LIFETIME = 600


def _fail() -> None:
    raise SessionError("the store is down", code="STORE_UNAVAILABLE")


class BrittleStore(MemoryStateStore):
    """Fails in the methods that a test names."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:
        if "create" in self.broken:
            _fail()
        return super().create(session_id, data, owner, ttl)

    def replace(self, cookie: str, data: str, version: int) -> str | None:
        if "replace" in self.broken:
            _fail()
        return super().replace(cookie, data, version)

    def delete(self, cookie: str) -> None:
        if "delete" in self.broken:
            _fail()
        super().delete(cookie)


class BrittleRotations(MemoryRotations):
    """Fails in the methods that a test names."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()

    def get(self, names: Sequence[str]) -> Mapping[str, str]:
        if "get" in self.broken:
            _fail()
        return super().get(names)

    def put(self, name: str, value: str, ttl: float) -> None:
        if "put" in self.broken:
            _fail()
        super().put(name, value, ttl)


class BrittleCarrier(DictCarrier):
    """Fails at the second cookie that it sets, once."""

    failures = 1
    set_cookies = 0

    def set_cookie(self, name: str, value: str, max_age: int, settings: CookieSettings) -> None:
        if max_age > 0:
            self.set_cookies += 1
            if self.set_cookies == 2 and self.failures:
                self.failures = 0
                raise SessionError("the response has begun", code="RESPONSE_SENT")
        super().set_cookie(name, value, max_age, settings)


@pytest.fixture
def api(tenant: LocalTenant) -> LocalTenant:
    """The tenant, whose access tokens live ten minutes."""
    tenant.add_api(API, token_lifetime=LIFETIME)
    tenant.apis.default_audience = API
    return tenant


@pytest.mark.parametrize("step", ["delete", "create"])
def test_a_login_whose_step_fails_leaves_nothing(step: str, api: LocalTenant, make_client: MakeClient) -> None:
    """When the old session cannot be ended, or the new one not written, there is no new session; the token is spent."""
    store = BrittleStore()
    client, jar = make_client(api, store), new_jar()
    client.login_with_custom_token_exchange(options("auth0|first"), {"cookies": jar})
    store.broken = {step}
    before, sent = dict(jar), len(api.token_requests)
    with pytest.raises(SessionError) as caught:
        client.login_with_custom_token_exchange(options("auth0|second"), {"cookies": jar})
    assert ("STORE_UNAVAILABLE", True) == (caught.value.code, caught.value.subject_token_spent)
    assert "the subject token is spent" in caught.value.message
    assert "Nothing was lost" not in caught.value.hint
    assert sent + 1 == len(api.token_requests)
    store.broken = set()
    assert "auth0|second" not in str(client.get_user({"cookies": jar}))
    if step == "delete":
        assert before == jar
        assert "auth0|first" == (client.get_user({"cookies": jar}) or {})["sub"]
    else:
        assert ({}, 0) == (jar, len(store))


@pytest.mark.parametrize("server_side", [True, False])
def test_a_login_whose_cookies_cannot_be_set_leaves_nothing(
    server_side: bool, api: LocalTenant, make_client: MakeClient
) -> None:
    """Neither a part of the cookies nor a record stays."""
    store = BrittleStore()
    client = make_client(api, store if server_side else None)
    api.add_user("auth0|big", name="n" * 1100)
    carrier = BrittleCarrier({})
    carrier.set_cookies = 1 if server_side else 0
    with pytest.raises(SessionError, match="the response has begun") as caught:
        client.login_with_custom_token_exchange(options("auth0|big", scope="profile"), {"carrier": carrier})
    assert caught.value.subject_token_spent
    assert ({}, 0) == (dict(carrier.jar), len(store))


def test_a_login_over_a_cookie_session_that_cannot_be_ended_leaves_it(
    api: LocalTenant, make_client: MakeClient
) -> None:
    """With sessions in cookies the old one ends in the rotations; when they are down, it goes on."""
    rotations = BrittleRotations()
    client, jar = make_client(api, CookieStateStore(rotations=rotations)), new_jar()
    client.login_with_custom_token_exchange(options("auth0|first"), {"cookies": jar})
    rotations.broken = {"put"}
    before = dict(jar)
    for call in (
        lambda: client.login_with_custom_token_exchange(options("auth0|second"), {"cookies": jar}),
        lambda: client.logout(store_options={"cookies": jar}),
    ):
        with pytest.raises(SessionError) as caught:
            call()
        assert "STORE_UNAVAILABLE" == caught.value.code
        assert before == jar
    rotations.broken = set()
    assert "auth0|first" == (client.get_user({"cookies": jar}) or {})["sub"]


def test_a_refresh_that_cannot_be_written_is_kept_for_the_next_call(
    api: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """The store fails after the refresh token was used: the error says so, and the next call writes what it brought."""
    store = BrittleStore()
    client, jar = make_client(api, store), new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    clock.advance(LIFETIME)
    store.broken = {"replace"}
    sent = len(api.token_requests)
    for _ in range(2):
        with pytest.raises(SessionError, match="refresh token was used") as caught:
            client.get_access_token({"cookies": jar})
        assert "STORE_UNAVAILABLE" == caught.value.code
        assert "Call again" in caught.value.hint
    store.broken = set()
    assert client.get_access_token({"cookies": jar})
    assert sent + 1 == len(api.token_requests)
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert [session.refresh_token] == list(api.refresh_tokens)


def test_what_was_not_written_is_not_lost_by_another_change(
    api: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """The token of a connection is kept beside a rotated refresh token that could not be written before."""
    store = BrittleStore()
    api.add_user("auth0|ada")
    api.connect_account("auth0|ada", "github", access_token="gho_1")
    client, jar = make_client(api, store), new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    clock.advance(LIFETIME)
    store.broken = {"replace"}
    with pytest.raises(SessionError):
        client.get_access_token({"cookies": jar})
    store.broken = set()
    assert "gho_1" == client.get_access_token_for_connection({"connection": "github"}, {"cookies": jar})
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert [session.refresh_token] == list(api.refresh_tokens)
    assert 1 == sum("refresh_token" == request.form["grant_type"] for request in api.token_requests)


def test_what_was_not_written_gives_way_to_what_another_process_wrote(
    api: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """Where refresh tokens do not rotate, the record's version tells that it has changed: nothing in it is lost."""
    api.sessions.rotate_refresh_tokens = False
    store = BrittleStore()
    api.add_user("auth0|ada")
    api.connect_account("auth0|ada", "github", access_token="gho_1")
    first, second, jar = make_client(api, store), make_client(api, store), new_jar()
    first.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    clock.advance(LIFETIME)
    store.broken = {"replace"}
    with pytest.raises(SessionError):
        first.get_access_token({"cookies": jar})
    store.broken = set()
    assert "gho_1" == second.get_access_token_for_connection({"connection": "github"}, {"cookies": jar})
    assert first.get_access_token({"cookies": jar})
    sent = len(api.token_requests)
    assert "gho_1" == second.get_access_token_for_connection({"connection": "github"}, {"cookies": jar})
    assert sent == len(api.token_requests)


def test_what_was_not_written_never_overwrites_what_was(
    api: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """A write that failed by its answer alone has been done: what is kept for it is dropped."""

    class Deaf(BrittleStore):
        def replace(self, cookie: str, data: str, version: int) -> str | None:
            done = super(BrittleStore, self).replace(cookie, data, version)
            if "answer" in self.broken:
                _fail()
            return done

    store = Deaf()
    client, jar = make_client(api, store), new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    clock.advance(LIFETIME)
    store.broken = {"answer"}
    with pytest.raises(SessionError):
        client.get_access_token({"cookies": jar})
    store.broken = set()
    first = client.get_access_token({"cookies": jar})
    clock.advance(LIFETIME)
    assert first != client.get_access_token({"cookies": jar})
    assert 2 == sum("refresh_token" == request.form["grant_type"] for request in api.token_requests)


def test_a_refresh_that_cannot_be_shared_is_the_callers(
    api: LocalTenant, clock: FakeClock, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """When the rotations fail after the refresh, the cookie has what it brought, and the log says what may follow."""
    rotations = BrittleRotations()
    client, jar = make_client(api, CookieStateStore(rotations=rotations)), new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    clock.advance(LIFETIME)
    rotations.broken = {"put"}
    token = client.get_access_token({"cookies": jar})
    assert "could not be shared" in caplog.text
    assert token == client.get_access_token({"cookies": jar})
    clock.advance(LIFETIME)
    assert client.get_access_token({"cookies": jar})
    assert 1 == len(api.refresh_tokens)


def test_rotations_that_are_down_are_told(api: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """A session that may have been logged out is not taken for a live one, nor a refresh token sent twice."""
    rotations = BrittleRotations()
    client, jar = make_client(api, CookieStateStore(rotations=rotations)), new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    clock.advance(LIFETIME)
    rotations.broken = {"get"}
    sent = len(api.requests)
    for call in (client.get_user, client.get_access_token):
        with pytest.raises(SessionError) as caught:
            call({"cookies": jar})
        assert "STORE_UNAVAILABLE" == caught.value.code
    assert sent == len(api.requests)
    rotations.broken = set()
    assert client.get_access_token({"cookies": jar})


def test_a_refused_refresh_is_told_although_the_store_fails(
    api: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """The session has ended at Auth0: that is the news, and the browser's cookies are gone."""
    store = BrittleStore()
    client, jar = make_client(api, store), new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    api.revoke_refresh_tokens()
    clock.advance(LIFETIME)
    store.broken = {"delete"}
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert ("invalid_grant", {}) == (caught.value.code, jar)


def test_threads_that_share_a_failure_have_errors_of_their_own(
    api: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """One refused refresh ends all who waited for it, and each raises its own error."""
    client, jar = make_client(api, store), new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    api.revoke_refresh_tokens()
    clock.advance(LIFETIME)
    api.fail_next(delay=0.3, grant_type="refresh_token")

    def ask(each: dict[str, str]) -> Any:
        with pytest.raises(AccessTokenError) as caught:
            client.get_access_token({"cookies": each})
        return caught.value

    with ThreadPoolExecutor(4) as pool:
        errors = list(pool.map(ask, [dict(jar) for _ in range(4)]))
    assert {"invalid_grant", "MISSING_SESSION"} >= {error.code for error in errors}
    assert 4 == len({id(error) for error in errors})
