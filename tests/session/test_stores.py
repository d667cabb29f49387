"""The contract of all stores, held by one class for each of them."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import redis
from sqlalchemy.dialects import mysql, postgresql

from auth0_cte import SessionError
from auth0_cte.session.stores.contract import Owner, Record, StateStore, file_name
from auth0_cte.session.stores.cookie import CookieStateStore
from auth0_cte.session.stores.memory import MemoryStateStore
from auth0_cte.session.stores.redis import RedisStateStore
from auth0_cte.session.stores.sql import SQLStateStore
from auth0_cte.session.stores.sql_engine import LargeText
from auth0_cte.testing import FakeClock
from tests.services import RedisServer
from tests.session.stores import redis_store, sql_store, threads_inside

ISSUER = "https://tenant.auth0.com/"


def owner(sid: str = "sid-1", sub: str = "auth0|1", issuer: str = ISSUER, since: float = 0.0) -> Owner:
    return Owner(issuer, sid, sub, since)


class TestContract:
    """What every store does."""

    def test_it_is_there(self, store: StateStore) -> None:
        """A store that can be reached passes the check."""
        store.check()

    def test_what_was_kept_is_found(self, store: StateStore) -> None:
        """The cookie that creating returns leads to the record."""
        cookie = store.create("id-1", "sealed", owner(), 60)
        assert Record("sealed", 0) == store.get(cookie)

    def test_a_record_is_replaced(self, store: StateStore) -> None:
        """Replacing the version that was read succeeds, and the new cookie leads to the new record."""
        cookie = store.replace(store.create("id-1", "sealed", owner(), 60), "again", 0)
        assert cookie is not None
        found = store.get(cookie)
        assert found is not None
        assert "again" == found.data

    def test_deleting_twice_does_no_harm(self, store: StateStore) -> None:
        """A record that is not there can be deleted."""
        cookie = store.create("id-1", "sealed", owner(), 60)
        store.delete(cookie)
        store.delete(cookie)

    def test_touching_what_is_not_there_does_no_harm(self, store: StateStore) -> None:
        """A record that is not there can be touched."""
        store.touch("unknown", 60)

    def test_a_lock_can_be_taken_again(self, store: StateStore) -> None:
        """A lock is free after it was released."""
        cookie = store.create("id-1", "sealed", owner(), 60)
        for _ in range(2):
            with store.lock(cookie, 1):
                pass


class TestServerSideContract:
    """What every store does that keeps records itself."""

    def test_ids_do_not_stand_in_the_store(self, server_store: StateStore) -> None:
        """The cookie is the id, and the store files it under a hash."""
        assert "id-1" == server_store.create("id-1", "sealed", owner(), 60)
        assert file_name("id-1") != "id-1"
        assert server_store.get(file_name("id-1")) is None

    @pytest.mark.parametrize("cookie", ["", "unknown", "\0", "é\ud800", "x" * 100_000, "'; DROP TABLE x; --", "*"])
    def test_a_foreign_cookie_is_no_record(self, cookie: str, server_store: StateStore) -> None:
        """Whatever a browser sends, at worst there is no record."""
        server_store.create("id-1", "sealed", owner(), 60)
        assert server_store.get(cookie) is None
        assert server_store.replace(cookie, "x", 0) is None

    def test_a_deleted_record_is_gone_and_stays_gone(self, server_store: StateStore) -> None:
        """A record that was deleted is not found, nor brought back by replacing or touching it."""
        cookie = server_store.create("id-1", "sealed", owner(), 60)
        server_store.delete(cookie)
        assert server_store.get(cookie) is None
        assert server_store.replace(cookie, "again", 0) is None
        server_store.touch(cookie, 60)
        assert server_store.get(cookie) is None

    def test_an_older_version_does_not_replace_a_newer(self, server_store: StateStore) -> None:
        """Of two writers that read the same version one fails, and learns it."""
        cookie = server_store.create("id-1", "sealed", owner(), 60)
        assert cookie == server_store.replace(cookie, "first", 0)
        assert server_store.replace(cookie, "second", 0) is None
        assert Record("first", 1) == server_store.get(cookie)
        assert cookie == server_store.replace(cookie, "third", 1)

    def test_a_record_expires(self, server_store: StateStore) -> None:
        """After its time to live a record is not found, nor replaced."""
        cookie = server_store.create("id-1", "sealed", owner(), 0.05)
        _until_gone(server_store, cookie)
        assert server_store.replace(cookie, "x", 0) is None

    def test_touching_moves_the_end(self, server_store: StateStore) -> None:
        """A touched record lives as long as it was told then."""
        cookie = server_store.create("id-1", "sealed", owner(), 60)
        other = server_store.create("id-2", "sealed", owner(), 1.0)
        server_store.touch(other, 60)
        server_store.touch(cookie, 0.05)
        _until_gone(server_store, cookie)
        time.sleep(1.0)
        assert server_store.get(other) is not None

    def test_logout_by_sid_ends_that_session(self, server_store: StateStore) -> None:
        """Only the issuer's sessions with the sid are ended."""
        mine = server_store.create("id-1", "a", owner("sid-1"), 60)
        same_user = server_store.create("id-2", "b", owner("sid-2"), 60)
        other_issuer = server_store.create("id-3", "c", owner("sid-1", issuer="https://other.auth0.com/"), 60)
        assert 1 == server_store.delete_by_owner(ISSUER, sid="sid-1", sub="auth0|1")
        assert server_store.get(mine) is None
        assert server_store.get(same_user) is not None
        assert server_store.get(other_issuer) is not None

    def test_logout_by_sub_ends_all_sessions_of_a_user(self, server_store: StateStore) -> None:
        """All of the issuer's sessions of the user are ended, and nobody else's."""
        mine = [server_store.create(f"id-{number}", "a", owner(f"sid-{number}"), 60) for number in range(3)]
        other_user = server_store.create("id-8", "b", owner("sid-8", "auth0|2"), 60)
        other_issuer = server_store.create("id-9", "c", owner("sid-9", issuer="https://other.auth0.com/"), 60)
        assert 3 == server_store.delete_by_owner(ISSUER, sid=None, sub="auth0|1")
        assert [None] * 3 == [server_store.get(cookie) for cookie in mine]
        assert server_store.get(other_user) is not None
        assert server_store.get(other_issuer) is not None
        assert 0 == server_store.delete_by_owner(ISSUER, sid=None, sub="auth0|1")

    @pytest.mark.parametrize("by_sid", [True, False], ids=["sid", "sub"])
    def test_a_logout_leaves_sessions_that_began_later(self, by_sid: bool, server_store: StateStore) -> None:
        """What began until the moment of the logout ends, what began after it goes on, however often it is repeated."""
        named = {"sid": "sid-1" if by_sid else None, "sub": "auth0|1"}
        old, same, new = (
            server_store.create(f"id-{since}", "a", owner(since=since), 60) for since in (99.0, 100.0, 100.5)
        )
        assert 2 == server_store.delete_by_owner(ISSUER, **named, until=100.0)
        newer = server_store.create("id-newer", "a", owner(since=130.0), 60)
        assert 0 == server_store.delete_by_owner(ISSUER, **named, until=100.0)
        assert [None, None] == [server_store.get(cookie) for cookie in (old, same)]
        assert [Record("a")] * 2 == [server_store.get(cookie) for cookie in (new, newer)]
        assert 1 == server_store.delete_by_owner(ISSUER, **named, until=120.0)
        assert [None, Record("a")] == [server_store.get(cookie) for cookie in (new, newer)]

    def test_a_touched_session_is_found_by_its_owner(self, server_store: StateStore) -> None:
        """A session that was touched past its first end is ended by a logout that comes after that."""
        cookie = server_store.create("id-1", "a", owner(), 1.0)
        server_store.touch(cookie, 60)
        time.sleep(1.1)
        server_store.create("id-2", "b", owner("sid-2"), 60)
        assert 1 == server_store.delete_by_owner(ISSUER, sid="sid-1", sub=None)
        assert server_store.get(cookie) is None

    def test_a_deleted_session_is_in_no_index(self, server_store: StateStore) -> None:
        """Logout counts only sessions that are there."""
        server_store.delete(server_store.create("id-1", "a", owner(), 60))
        assert 0 == server_store.delete_by_owner(ISSUER, sid="sid-1", sub=None)
        assert 0 == server_store.delete_by_owner(ISSUER, sid=None, sub="auth0|1")

    def test_one_holds_the_lock(self, server_store: StateStore) -> None:
        """While one has the lock another waits, and gives up with a clear error."""
        cookie = server_store.create("id-1", "sealed", owner(), 60)
        with server_store.lock(cookie, 1):
            with pytest.raises(SessionError, match="another refresh"), server_store.lock(cookie, 0.1):
                pass

    def test_locks_exclude_each_other(self, server_store: StateStore) -> None:
        """Of many threads one at a time is inside."""
        cookie = server_store.create("id-1", "sealed", owner(), 60)
        assert [1] * 8 == threads_inside(lambda: server_store.lock(cookie, 30))

    def test_a_lock_of_another_session_is_free(self, server_store: StateStore) -> None:
        """Sessions do not wait for each other."""
        first = server_store.create("id-1", "sealed", owner(), 60)
        second = server_store.create("id-2", "sealed", owner("sid-2"), 60)
        with server_store.lock(first, 1), server_store.lock(second, 1):
            pass

    def test_locking_a_session_that_has_ended_does_not_wait(self, server_store: StateStore) -> None:
        """There is nothing to wait for."""
        with server_store.lock("gone", 1):
            pass


def _until_gone(store: StateStore, cookie: str) -> None:
    end = time.monotonic() + 10
    while store.get(cookie) is not None:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_cookies_cannot_be_reached_from_outside() -> None:
    """Back-channel logout with the cookie store is refused with the way out."""
    with pytest.raises(SessionError, match="server-side store") as caught:
        CookieStateStore().delete_by_owner(ISSUER, sid="x", sub=None)
    assert "UNSUPPORTED_BY_STORE" == caught.value.code


def test_memory_is_bounded() -> None:
    """The least recently used session goes first."""
    store = MemoryStateStore(maxsize=2)
    for number in range(3):
        store.create(str(number), "x", owner(), 60)
        store.get("0")
    assert 2 == len(store)
    assert store.get("0") is not None
    assert store.get("1") is None


def test_redis_indices_are_cleaned(redis_server: RedisServer) -> None:
    """A session that expired leaves its indices at the user's next login, and the last leaves none."""
    with redis_store(redis_server.url, "{clean}") as store:
        _until_gone(store, store.create("id-1", "x", owner("sid-1"), 0.05))
        cookie = store.create("id-2", "x", owner("sid-2"), 60)
        with redis.Redis.from_url(redis_server.url) as kept:
            indices = [key for key in kept.scan_iter("{clean}:*") if kept.type(key) == b"zset"]
            assert [[file_name("id-2").encode()]] * 2 == [kept.zrange(key, 0, -1) for key in indices]
            assert all(0 < int(kept.pttl(key)) <= 60_000 for key in indices)
            store.delete(cookie)
            assert [] == kept.keys("{clean}:*")


def test_a_redis_without_timeouts_is_warned_of(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """A client that could hang for ever is told in the log."""
    with redis.Redis.from_url(redis_server.url, socket_timeout=None, decode_responses=True) as client:
        store = RedisStateStore(client, prefix="{warned}")
        assert Record("x") == store.get(store.create("id", "x", owner(), 60))
    assert "socket_timeout" in caplog.text


def test_expired_rows_are_purged(tmp_path: Path) -> None:
    """Rows whose time has passed go, at a later login or on request."""
    clock = FakeClock()
    with sql_store(f"sqlite:///{tmp_path}/s.db", clock=clock) as store:
        store.create("id-1", "x", owner(), 10)
        clock.advance(61)
        store.create("id-2", "x", owner(), 10)
        assert 0 == store.purge_expired()
        clock.advance(11)
        assert 1 == store.purge_expired()


def test_a_missing_table_is_said() -> None:
    """A store without its table fails the check before a token is spent on it."""
    import sqlalchemy as sa

    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    with pytest.raises(SessionError) as caught:
        SQLStateStore(engine).check()
    engine.dispose()
    assert "STORE_UNAVAILABLE" == caught.value.code
    assert caught.value.__cause__ is not None


def test_a_replacement_whose_answer_got_lost_counts(redis_server: RedisServer) -> None:
    """A client that sends the same replacement again, because the answer got lost, is told that it succeeded."""
    with redis_store(redis_server.url, "{lost}") as store:
        cookie = store.create("id-1", "sealed", owner(), 60)
        assert cookie == store.replace(cookie, "again", 0)
        assert cookie == store.replace(cookie, "again", 0)
        assert Record("again", 1) == store.get(cookie)


@pytest.mark.parametrize(("seconds", "is_free"), [(29.9, False), (30.1, True)])
def test_the_lock_of_a_process_that_died_expires(seconds: float, is_free: bool, tmp_path: Path) -> None:
    """A lock that nobody gives back is taken after half a minute, and not before."""
    clock = FakeClock()
    with sql_store(f"sqlite:///{tmp_path}/s.db", clock=clock) as store:
        cookie = store.create("id-1", "sealed", owner(), 60)
        with store.lock(cookie, 1):
            clock.advance(seconds)
            with nullcontext() if is_free else pytest.raises(SessionError, match="another refresh"):
                with store.lock(cookie, 0.05):
                    pass


def test_no_record_shows_what_it_holds() -> None:
    """With sessions in cookies the record is the session."""
    assert "Record(version=3)" == repr(Record("sealed", 3))


def test_large_sessions_have_a_column_that_holds_them() -> None:
    """MySQL's and MariaDB's TEXT ends at 64 KiB."""
    assert "LONGTEXT" == LargeText.compile(dialect=mysql.dialect())
    assert "TEXT" == LargeText.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
