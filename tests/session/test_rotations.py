"""Sessions in cookies whose refresh tokens rotate: late requests, reordered answers, logouts under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth0_cte import AccessTokenError, CookieStateStore, MemoryRotations, ServerClient, SessionError, SessionSettings
from auth0_cte.session.stores.contract import Rotations
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import TYPE, Gate, sub_of
from tests.session.clients import SECRET, MakeClient, new_jar, options
from tests.session.stores import sql_rotations, threads_inside

API = "https://api.example.com"
OTHER = "https://other.example.com"
LIFETIME = 600
DEADLINE = 30.0


class TestContract:
    """What every place for rotations does."""

    def test_it_is_there(self, rotations: Rotations) -> None:
        """A place that can be reached passes the check."""
        rotations.check()

    def test_what_was_put_is_got(self, rotations: Rotations) -> None:
        """Those names come back that have an entry; the last one put counts."""
        rotations.put("a", "1", 60)
        rotations.put("b", "2", 60)
        rotations.put("a", "3", 60)
        assert {"a": "3", "b": "2"} == dict(rotations.get(["a", "b", "c"]))
        assert {} == dict(rotations.get(["c"]))

    def test_a_large_entry_is_kept(self, rotations: Rotations) -> None:
        """A session with a large access token is one."""
        rotations.put("a", "x" * 200_000, 60)
        assert "x" * 200_000 == rotations.get(["a"])["a"]

    def test_an_entry_expires_however_often_it_is_read(self, rotations: Rotations) -> None:
        """Reading does not prolong it."""
        rotations.put("a", "1", 0.3)
        rotations.put("b", "2", 60)
        end = time.monotonic() + DEADLINE
        while "a" in rotations.get(["a"]):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert {"b": "2"} == dict(rotations.get(["a", "b"]))

    def test_one_holds_the_lock(self, rotations: Rotations) -> None:
        """While one has the lock another waits, and gives up with a clear error; other names are free."""
        with rotations.lock("a", 1), rotations.lock("another", 1):
            with pytest.raises(SessionError, match="another refresh"), rotations.lock("a", 0.1):
                pass
        for _ in range(2):
            with rotations.lock("a", 1):
                pass

    def test_locks_exclude_each_other(self, rotations: Rotations) -> None:
        """Of many threads one at a time is inside."""
        assert [1] * 8 == threads_inside(lambda: rotations.lock("a", DEADLINE))

    def test_an_entry_and_a_lock_of_one_name_are_two(self, rotations: Rotations) -> None:
        """Neither is taken for the other."""
        rotations.put("a", "1", 60)
        with rotations.lock("a", 1):
            assert {"a": "1"} == dict(rotations.get(["a"]))


def test_memory_keeps_no_more_than_it_is_told() -> None:
    """The oldest entries go first, and expired ones whenever another is put."""
    now = [0.0]
    rotations = MemoryRotations(maxsize=3, monotonic=lambda: now[0])
    for name in ("a", "b", "c", "d"):
        rotations.put(name, name, 10)
    assert {"b", "c", "d"} == set(rotations.get(["a", "b", "c", "d"]))
    now[0] = 9.9
    rotations.put("e", "e", 10)
    now[0] = 10.0
    assert {"e"} == set(rotations.get(["b", "c", "d", "e"]))
    rotations.put("f", "f", 10)
    assert 2 == len(rotations)


def test_the_lock_of_a_process_that_died_is_taken(tmp_path: Any) -> None:
    """After half a minute, and not before; expired entries are purged."""
    clock = FakeClock()
    with sql_rotations(f"sqlite:///{tmp_path}/r.db", clock=clock) as rotations, rotations.lock("a", 1):
        clock.advance(29.9)
        with pytest.raises(SessionError), rotations.lock("a", 0.05):
            pass
        clock.advance(0.2)
        with rotations.lock("a", 0.05):
            pass
        rotations.put("b", "1", 10)
        clock.advance(61)
        assert 1 == rotations.purge_expired()


@pytest.fixture
def api(tenant: LocalTenant) -> LocalTenant:
    """The tenant, whose access tokens live ten minutes; it rotates refresh tokens without overlap."""
    return with_apis(tenant)


def with_apis(tenant: LocalTenant) -> LocalTenant:
    for audience in (API, OTHER):
        tenant.add_api(audience, token_lifetime=LIFETIME)
    tenant.apis.default_audience = API
    return tenant


def refreshes(tenant: LocalTenant) -> list[str]:
    forms = [request.form for request in tenant.token_requests]
    return [str(form["refresh_token"]) for form in forms if form["grant_type"] == "refresh_token"]


def log_in(client: ServerClient, **more: Any) -> dict[str, str]:
    jar = new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access", **more), {"cookies": jar})
    return jar


Workers = tuple[ServerClient, ServerClient]


def make_worker(tenant: LocalTenant, rotations: Rotations) -> ServerClient:
    return tenant.client(secret=SECRET, state_store=CookieStateStore(rotations=rotations))


@pytest.fixture
def workers(api: LocalTenant, rotations: Rotations) -> Workers:
    """Two clients that share nothing but the rotations, as two processes do."""
    return make_worker(api, rotations), make_worker(api, rotations)


def test_a_late_request_at_another_worker_gets_what_the_refresh_brought(
    api: LocalTenant, clock: FakeClock, workers: Workers
) -> None:
    """It has the cookie from before, and neither sends the old refresh token nor loses the session."""
    first, second = workers
    jar = log_in(first)
    late, later = dict(jar), dict(jar)
    clock.advance(LIFETIME)
    token = first.get_access_token({"cookies": jar})
    clock.advance(59)
    assert token == second.get_access_token({"cookies": late})
    assert jar == late
    assert "auth0|ada" == (second.get_user({"cookies": later}) or {})["sub"]
    assert jar == later
    assert 1 == len(refreshes(api))


def test_reordered_answers_are_put_right(api: LocalTenant, clock: FakeClock, workers: Workers) -> None:
    """A browser that keeps the answer of the first of two refreshes is given the second one's cookie."""
    first, second = workers
    jar = log_in(first)
    clock.advance(LIFETIME)
    early, late = dict(jar), dict(jar)
    first.get_access_token({"cookies": early})
    second.get_access_token({"cookies": late}, OTHER)
    assert early != late
    browser = dict(early)
    assert first.get_user({"cookies": browser})
    assert late == browser
    clock.advance(LIFETIME)
    assert "auth0|ada" == sub_of(second.get_access_token({"cookies": browser}))
    assert len(refreshes(api)) == len(set(refreshes(api))) == 3


def test_a_chain_of_refreshes_is_followed_to_its_end(api: LocalTenant, clock: FakeClock, workers: Workers) -> None:
    """Each step of it may be old; each is remembered from when it was made."""
    first, second = workers
    jar = log_in(first)
    oldest = dict(jar)
    for number in range(5):
        api.add_api(f"{API}/{number}", token_lifetime=LIFETIME)
        workers[number % 2].get_access_token({"cookies": jar}, f"{API}/{number}")
        clock.advance(10)
    assert second.get_session({"cookies": oldest}) == first.get_session({"cookies": jar})
    assert jar == oldest


def test_afterwards_the_old_token_goes_to_auth0(api: LocalTenant, clock: FakeClock, workers: Workers) -> None:
    """After a minute, however often it was read: Auth0 detects the reuse, and the session ends everywhere."""
    first, second = workers
    jar = log_in(first)
    stolen = dict(jar)
    clock.advance(LIFETIME)
    first.get_access_token({"cookies": jar})
    for _ in range(3):
        clock.advance(19)
        assert second.get_user({"cookies": dict(stolen)})
    clock.advance(4)
    with pytest.raises(AccessTokenError) as caught:
        second.get_access_token({"cookies": stolen})
    assert "invalid_grant" == caught.value.code
    assert {} == stolen
    assert first.get_user({"cookies": jar}) is None
    assert 0 == len(api.refresh_tokens)


@pytest.mark.parametrize(("remembered", "waited", "is_late"), [(300, 299, False), (300, 301, True), (5, 6, True)])
def test_how_long_is_a_setting(
    remembered: float,
    waited: float,
    is_late: bool,
    api: LocalTenant,
    clock: FakeClock,
    make_client: MakeClient,
) -> None:
    """Up to five minutes, and as short as wanted."""
    check_late_request(make_client(api, CookieStateStore(remembered=remembered)), clock, waited, is_late=is_late)


def check_late_request(client: ServerClient, clock: FakeClock, waited: float, *, is_late: bool) -> None:
    """Check what a request gets that comes with the cookie from before a refresh, some seconds after it."""
    jar = log_in(client)
    late = dict(jar)
    clock.advance(LIFETIME)
    client.get_access_token({"cookies": jar})
    clock.advance(waited)
    if not is_late:
        assert client.get_access_token({"cookies": late})
        return
    with pytest.raises(AccessTokenError, match="refresh token"):
        client.get_access_token({"cookies": late})


def test_a_tenant_that_does_not_rotate_is_served_alike(api: LocalTenant, clock: FakeClock, workers: Workers) -> None:
    """The refresh token stays; late requests find the newest access tokens, and all of them."""
    api.sessions.rotate_refresh_tokens = False
    first, second = workers
    jar = log_in(first)
    late = dict(jar)
    clock.advance(LIFETIME)
    mine = first.get_access_token({"cookies": jar})
    other = second.get_access_token({"cookies": late}, OTHER)
    assert (mine, other) == (
        second.get_access_token({"cookies": late}),
        first.get_access_token({"cookies": jar}, OTHER),
    )
    assert 2 == len(refreshes(api))


def test_a_logged_out_session_is_not_brought_back(api: LocalTenant, clock: FakeClock, workers: Workers) -> None:
    """No cookie of it opens it at any worker, to its absolute end; the user's other sessions go on."""
    first, second = workers
    jar, other = log_in(first), log_in(first)
    old = dict(jar)
    clock.advance(LIFETIME)
    first.get_access_token({"cookies": jar})
    new = dict(jar)
    first.logout(store_options={"cookies": jar})
    assert {} == jar
    assert second.get_user({"cookies": other})
    for waited in (0, 3600, 20 * 3600):
        clock.advance(waited)
        for cookies in (old, new):
            assert second.get_user({"cookies": dict(cookies)}) is None
            with pytest.raises(AccessTokenError) as caught:
                first.get_access_token({"cookies": dict(cookies)})
            assert "MISSING_SESSION" == caught.value.code
    assert 1 == len(refreshes(api))


def test_a_login_ends_the_session_before_it(api: LocalTenant, clock: FakeClock, workers: Workers) -> None:
    """The late answer of the old session's refresh restores nobody."""
    first, second = workers
    jar = log_in(first)
    old = dict(jar)
    second.login_with_custom_token_exchange(options("auth0|eve"), {"cookies": jar})
    assert first.get_user({"cookies": old}) is None
    assert "auth0|eve" == (first.get_user({"cookies": jar}) or {})["sub"]


@pytest.mark.parametrize("how", ["logout", "login as another"])
def test_a_session_that_ends_during_its_refresh_stays_ended(how: str, clock: FakeClock, rotations: Rotations) -> None:
    """While the tenant takes its time to refresh, the session ends at another worker: the answer restores nothing."""
    gate = Gate()
    tenant = with_apis(LocalTenant(clock=clock, sleep=gate))
    tenant.accept(TYPE, "auth0|ada")
    first, second = make_worker(tenant, rotations), make_worker(tenant, rotations)
    jar = log_in(first)
    clock.advance(LIFETIME)
    tenant.fail_next(delay=1, grant_type="refresh_token")
    under_way = dict(jar)
    with ThreadPoolExecutor(1) as pool:
        refresh = pool.submit(first.get_access_token, {"cookies": under_way})
        assert gate.reached.wait(DEADLINE)
        before = dict(jar)
        if how == "logout":
            second.logout(store_options={"cookies": jar})
        else:
            second.login_with_custom_token_exchange(options(), {"cookies": jar})
        gate.opened.set()
        error = refresh.exception(DEADLINE)
    assert isinstance(error, AccessTokenError)
    assert "MISSING_SESSION" == error.code
    assert second.get_user({"cookies": before}) is None
    assert first.get_user({"cookies": under_way}) is None


def test_two_workers_make_one_refresh(api: LocalTenant, clock: FakeClock, workers: Workers) -> None:
    """However many threads of both ask at the same time, the refresh token is sent once."""
    jar = log_in(workers[0])
    clock.advance(LIFETIME)
    barrier = threading.Barrier(12)

    def ask(number: int) -> tuple[str, dict[str, str]]:
        mine = dict(jar)
        barrier.wait(DEADLINE)
        return workers[number % 2].get_access_token({"cookies": mine}), mine

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(ask, range(12)))
    assert 1 == len({token for token, _ in found})
    assert 1 == len(refreshes(api))
    assert 1 == len({str(mine) for _, mine in found})


@pytest.mark.parametrize("difference", ["application", "secret", "identifier", "user", "session", "domain"])
def test_entries_are_bound(difference: str, api: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """What one application, secret, user or session left there is nothing to another, in the same place."""
    api.add_application("another")
    api.add_custom_domain("login.acme.example")
    rotations = MemoryRotations()
    client = make_client(api, CookieStateStore(rotations=rotations))
    jar = log_in(client)
    session = client.get_session({"cookies": jar})
    assert session is not None
    clock.advance(LIFETIME)
    client.get_access_token({"cookies": dict(jar)})
    client.logout(store_options={"cookies": jar})
    others: dict[str, dict[str, Any]] = {
        "application": {"client_id": "another"},
        "secret": {"secret": "another-secret-of-more-than-32-bytes"},
        "identifier": {"session_settings": SessionSettings(identifier="_other")},
        "domain": {"domain": "login.acme.example"},
    }
    other = make_client(api, CookieStateStore(rotations=rotations), **others.get(difference, {}))
    user = "auth0|eve" if difference == "user" else "auth0|ada"
    mine = new_jar()
    other.login_with_custom_token_exchange(options(user, scope="offline_access"), {"cookies": mine})
    assert user == (other.get_user({"cookies": mine}) or {})["sub"]
    clock.advance(LIFETIME)
    assert user == sub_of(other.get_access_token({"cookies": mine}))


class RecordingRotations(MemoryRotations):
    """Shows what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, tuple[str, float]] = {}
        self.locked: list[str] = []

    def put(self, name: str, value: str, ttl: float) -> None:
        self.kept[name] = value, ttl
        super().put(name, value, ttl)


def test_nothing_can_be_read_from_what_is_kept(api: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """Names and values show neither a token nor whose it is, and are no cookies."""
    rotations = RecordingRotations()
    client = make_client(api, CookieStateStore(rotations=rotations))
    jar = log_in(client)
    before = client.get_session({"cookies": jar})
    clock.advance(LIFETIME)
    client.get_access_token({"cookies": jar})
    after = client.get_session({"cookies": jar})
    client.logout(store_options={"cookies": dict(jar)})
    assert before is not None
    assert after is not None
    [(name, (entry, seconds)), (ended, (mark, ended_seconds))] = rotations.kept.items()
    text = f"{name} {entry} {ended} {mark}"
    secrets = [before.refresh_token, after.refresh_token, after.id_token, "auth0|ada", before.sid, *jar.values()]
    assert not any(str(secret) in text for secret in secrets)
    assert {64} == {len(name), len(ended)}
    assert (60, 3 * 24 * 3600 - LIFETIME) == (seconds, ended_seconds)
    for value in (entry, mark, name):
        cookies = {f"_a0_session_{number}": value[start : start + 3800] for number, start in enumerate((0, 3800))}
        assert client.get_user({"cookies": {name: value for name, value in cookies.items() if value}}) is None


@pytest.mark.parametrize("changed", ["moved", "flipped", "a cookie", "text"])
def test_an_entry_that_was_tampered_with_is_none(
    changed: str, api: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """An entry of another name, or changed, or anything else there, gives nobody a session."""
    rotations = RecordingRotations()
    client = make_client(api, CookieStateStore(rotations=rotations))
    mine, theirs = log_in(client), log_in(client)
    old = dict(mine)
    clock.advance(LIFETIME)
    client.get_access_token({"cookies": mine})
    client.get_access_token({"cookies": theirs})
    first, second = rotations.kept
    entry = rotations.kept[first][0]
    values = {"moved": rotations.kept[second][0], "flipped": entry[:-5] + "AAAAA", "a cookie": "".join(theirs.values())}
    rotations.put(first, values.get(changed, "nonsense"), 60)
    session = client.get_session({"cookies": old})
    assert session is not None
    assert old != mine
    assert session.refresh_token == refreshes(api)[0]


def test_secrets_rotate_over_entries(api: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """What was filed under the secret before is found, and a logout under it is remembered."""
    rotations = MemoryRotations()
    old, new = "o" * 40, "n" * 40

    def make(*secrets: str) -> ServerClient:
        return make_client(api, CookieStateStore(rotations=rotations), secret=list(secrets))

    before, after = make(old), make(new, old)
    jar, gone = log_in(before), log_in(before)
    late, later = dict(jar), dict(gone)
    clock.advance(LIFETIME)
    token = before.get_access_token({"cookies": jar})
    before.logout(store_options={"cookies": gone})
    assert token == after.get_access_token({"cookies": late})
    assert after.get_user({"cookies": later}) is None
    assert 1 == len(refreshes(api))


def test_a_stale_cookie_is_read_without_a_response(api: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """Where no cookie can be set, the newest session is read all the same."""

    class Request:
        url = "https://app.example/"
        headers: dict[str, str] = {}

        def __init__(self, cookies: dict[str, str]) -> None:
            self.cookies = cookies

    client = make_client(api)
    jar = log_in(client)
    late = dict(jar)
    clock.advance(LIFETIME)
    client.get_access_token({"cookies": jar})
    calls: list[Callable[[Any], Any]] = [client.get_session, client.get_user]
    for call in calls:
        assert call({"cookies": jar}) == call({"request": Request(late)})
    assert client.get_access_token({"cookies": jar}) == client.get_access_token({"request": Request(late)})


class OwnStore:
    """A stateless store of an application's own, which says nothing of rotations."""

    stateless = True

    def __init__(self) -> None:
        self._store = CookieStateStore()

    def __getattr__(self, name: str) -> Any:
        if name in ("rotations", "remembered"):
            raise AttributeError(name)
        return getattr(self._store, name)


@pytest.mark.parametrize(("waited", "is_late"), [(59, False), (61, True)])
def test_a_store_of_ones_own_remembers_for_a_minute(
    waited: float, is_late: bool, api: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """A late request gets what the refresh brought within a minute, and its old token goes to Auth0 afterwards."""
    own: Any = OwnStore()
    check_late_request(make_client(api, own), clock, waited, is_late=is_late)
