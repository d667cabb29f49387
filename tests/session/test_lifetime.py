"""When sessions end: by the upstream session that they rest on, whatever its end is written like."""

from __future__ import annotations

from typing import Any

import pytest

from auth0_cte import AccessTokenError, ServerClient, SessionError, SessionSettings
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.clients import MakeClient, new_jar, options


def log_in(client: ServerClient, tenant: LocalTenant, session_expiry: object, **claims: Any) -> dict[str, str]:
    tenant.add_user("auth0|ada")
    jar, id_token = new_jar(), tenant.id_token("auth0|ada", session_expiry=session_expiry, **claims)
    tenant.fail_next(200, body={"access_token": "a", "expires_in": 600_000, "id_token": id_token})
    client.login_with_custom_token_exchange(options(), {"cookies": jar})
    return jar


def text_of(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.mark.parametrize(
    "written",
    [int, float, str, lambda end: end * 1000, lambda end: f"{end}000", lambda end: f" {end}.0 ", text_of],
    ids=["int", "float", "text", "milliseconds", "milliseconds as text", "decimal text", "date"],
)
def test_the_end_is_read_however_it_is_written(
    written: Any, tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """A number or text, in seconds or milliseconds, or a date is the time that it is, to the second."""
    client = make_client(tenant)
    jar = log_in(client, tenant, written(int(clock()) + 100))
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert int(clock()) + 100 == session.expires_at
    clock.advance(99)
    assert client.get_user({"cookies": jar})
    clock.advance(1)
    assert client.get_user({"cookies": jar}) is None


@pytest.mark.parametrize("past", [0, -1, 1.5, "0", "-5", "2001-01-01", 0.0, 15_000_000_000, "NOW", "NOW as date"])
def test_an_end_in_the_past_refuses_the_login(
    past: Any, tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """0 is a time like any other, and long ago; seconds of centuries to come are milliseconds."""
    client = make_client(tenant)
    given = {"NOW": int(clock()), "NOW as date": text_of(clock())}.get(past, past)
    with pytest.raises(SessionError) as caught:
        log_in(client, tenant, given)
    assert "SESSION_EXPIRED" == caught.value.code


@pytest.mark.parametrize("nonsense", ["soon", "", True, False, [], {}, "inf", "nan", "9" * 400, 10**400, 1e14, "1e300"])
def test_an_end_that_cannot_be_read_gives_the_shortest_life(
    nonsense: Any,
    tenant: LocalTenant,
    clock: FakeClock,
    make_client: MakeClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The shortest of all ends that are known counts, and the log says so."""
    settings = SessionSettings(absolute_duration=500, inactivity_duration=300)
    client = make_client(tenant, session_settings=settings)
    jar = log_in(client, tenant, nonsense)
    assert "session_expiry cannot be read" in caplog.text
    for _ in range(2):
        clock.advance(149)
        assert client.get_user({"cookies": jar})
    clock.advance(2)
    assert client.get_user({"cookies": jar}) is None


def test_the_id_tokens_own_end_is_among_the_known_ones(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """An ID token that is good for a minute vouches for no longer."""
    client = make_client(tenant)
    jar = log_in(client, tenant, "soon", exp=int(clock()) + 60)
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert int(clock()) + 60 == session.expires_at


def test_no_end_is_none(tenant: LocalTenant, make_client: MakeClient) -> None:
    """A claim that is null tells nothing."""
    session = make_client(tenant).get_session({"cookies": log_in(make_client(tenant), tenant, None)})
    assert session is not None
    assert session.expires_at is None


def test_an_access_token_after_the_end_is_told_apart(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """After the upstream end it is SESSION_EXPIRED, each time that it is asked; without a session it is not."""
    client = make_client(tenant, store)
    jar = log_in(client, tenant, int(clock()) + 100)
    assert "a" == client.get_access_token({"cookies": jar})
    clock.advance(100)
    for _ in range(2):
        assert client.get_user({"cookies": jar}) is None
        with pytest.raises(AccessTokenError) as caught:
            client.get_access_token({"cookies": jar})
        assert "SESSION_EXPIRED" == caught.value.code
        assert "Log the user in again." == caught.value.hint
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": {}})
    assert "MISSING_SESSION" == caught.value.code


def test_a_session_that_ended_otherwise_is_missing(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """The application's own limits end a session without a word about another one."""
    client = make_client(tenant, session_settings=SessionSettings(absolute_duration=50))
    jar = log_in(client, tenant, None)
    clock.advance(50)
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert "MISSING_SESSION" == caught.value.code


def test_sessions_last_three_days_and_a_day_unused(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """By default a session that is not used ends after a day, and one in use after three days, to the second."""
    client, day = make_client(tenant), 24 * 3600
    kept, unused, used = new_jar(), new_jar(), new_jar()
    for jar in (kept, unused, used):
        client.login_with_custom_token_exchange(options(), {"cookies": jar})
    clock.advance(day - 1)
    assert client.get_user({"cookies": kept})
    assert client.get_user({"cookies": used})
    clock.advance(1)
    assert client.get_user({"cookies": unused}) is None
    for seconds in (day - 2, day - 1, 2):
        clock.advance(seconds)
        assert client.get_user({"cookies": used})
    clock.advance(1)
    assert client.get_user({"cookies": used}) is None
