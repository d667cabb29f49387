from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from auth0_cte import CustomTokenExchangeError
from auth0_cte.batch import claims as module
from auth0_cte.batch.claims import RedisClaims, StoppedError
from tests.services import RedisServer, free_port


@pytest.fixture
def connection(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url, socket_timeout=5) as client:
        client.flushall()
        yield client


@pytest.fixture
def claims(connection: redis.Redis) -> RedisClaims:
    return RedisClaims(connection, "users")


def test_one_machine_has_a_row(claims: RedisClaims) -> None:
    """A row is claimed by one; who has it may claim it again, e.g. for a second attempt."""
    assert [None, "in_flight", None] == [claims.claim("a", owner) for owner in ("m1", "m2", "m1")]


@pytest.mark.parametrize("state", ["ok", "failed", "unknown"])
def test_a_settled_row_is_done_for_all(state: str, claims: RedisClaims) -> None:
    """What became of a row is known to everybody, who settled it included."""
    claims.claim("a", "m1")
    claims.settle("a", "m1", state)  # type: ignore[arg-type]
    assert [state, state] == [claims.claim("a", owner) for owner in ("m1", "m2")]
    assert state == claims.state_of("a")


def test_a_row_given_back_is_free(claims: RedisClaims) -> None:
    """A pending row can be claimed by another."""
    claims.claim("a", "m1")
    claims.settle("a", "m1", "pending")
    assert None is claims.claim("a", "m2")


def test_nobody_settles_the_row_of_another(claims: RedisClaims) -> None:
    """Who lost a row cannot say what became of it."""
    claims.claim("a", "m1")
    claims.settle("a", "m2", "ok")
    assert "in_flight" == claims.state_of("a")


def test_a_row_of_a_machine_that_died_is_unknown(claims: RedisClaims, connection: redis.Redis) -> None:
    """A row that has been in flight for longer than any call takes is unknown, and sent again on request alone."""
    claims.claim("a", "m1")
    (key,) = connection.keys("*rows")
    since = int(connection.time()[0]) - module.ABANDONED_SECONDS - 1
    connection.hset(key, "a", f"in_flight m1 {since}")
    assert ["unknown", "unknown"] == [claims.claim("a", "m2"), claims.state_of("a")]
    assert None is claims.claim("a", "m2", retry_unknown=True)


def test_a_stop_is_for_everybody(claims: RedisClaims, connection: redis.Redis) -> None:
    """After a stop nobody claims anything until it is over, and the error says when."""
    claims.stop(600)
    with pytest.raises(StoppedError) as caught:
        RedisClaims(connection, "users").claim("a", "m2")
    assert 590 < (caught.value.retry_after or 0) <= 600
    assert not caught.value.may_have_reached_server
    claims.resume()
    assert None is claims.claim("a", "m1")


def test_batches_do_not_meet(claims: RedisClaims, connection: redis.Redis) -> None:
    """Another batch has rows and stops of its own, and forgetting one leaves it alone."""
    other = RedisClaims(connection, "others")
    other.claim("a", "m1")
    claims.stop(600)
    assert None is other.claim("b", "m1")
    claims.forget()
    assert (None, "in_flight") == (claims.claim("a", "m2"), other.state_of("a"))


def test_a_redis_that_is_away_is_told() -> None:
    """Without Redis nothing is claimed, by a typed error that says that nothing was sent."""
    nowhere = redis.Redis(port=free_port(), socket_timeout=1)
    with pytest.raises(CustomTokenExchangeError, match="nothing was sent") as caught:
        RedisClaims(nowhere, "users").claim("a", "m1")
    assert ("CLAIMS_UNAVAILABLE", True) == (caught.value.code, caught.value.is_retryable)
