"""How the local tenant throttles invalid subject tokens."""

from __future__ import annotations

from typing import Any

import pytest

from auth0_cte.testing import FakeClock, LocalTenant
from tests.testing.test_exchange import TYPE, ask

BLOCKED = {
    "error": "too_many_attempts",
    "error_description": (
        "We have detected suspicious login behavior and further attempts will be blocked. "
        "Please contact the administrator."
    ),
}


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    made = LocalTenant(clock=clock)
    made.add_user("auth0|jane")

    @made.action(TYPE)
    def exchange(event: Any, api: Any) -> None:
        if event.transaction.subject_token == "forged":
            api.access.rejectInvalidSubjectToken("forged")
        api.authentication.setUserById("auth0|jane")

    return made


def forge(tenant: LocalTenant, times: int, ip: str = "127.0.0.1", **more: Any) -> list[int]:
    """Send forged tokens and return the statuses."""
    return [
        ask(tenant, session=tenant.session(ip=ip), subject_token="forged", **more).status_code for _ in range(times)
    ]


def test_ten_rejects_are_allowed(tenant: LocalTenant) -> None:
    """The eleventh forged token from an address is blocked."""
    assert [400] * 10 + [429] == forge(tenant, 11)


def test_attack_protection_can_be_set(tenant: LocalTenant, clock: FakeClock) -> None:
    """The attempts, and how fast they come back, can be set (Management API, suspicious IP throttling)."""
    tenant.attack_protection.max_attempts = 2
    tenant.attack_protection.seconds_per_attempt = 5

    assert [400, 400, 429] == forge(tenant, 3)
    clock.advance(5)
    assert [400, 429] == forge(tenant, 2)


def test_attack_protection_can_be_off(tenant: LocalTenant) -> None:
    """Without attack protection no address is blocked."""
    tenant.attack_protection.enabled = False

    assert [400] * 12 == forge(tenant, 12)


def test_block_has_the_documented_text(tenant: LocalTenant) -> None:
    """A blocked address gets too_many_attempts, whatever it sends."""
    forge(tenant, 10)
    reply = ask(tenant)

    assert (429, BLOCKED) == (reply.status_code, reply.json())
    assert ("fecte", "127.0.0.1 is blocked after 10 invalid subject tokens") == (
        tenant.logs[-1].type,
        tenant.logs[-1].description,
    )


def test_block_is_by_address(tenant: LocalTenant) -> None:
    """Other addresses are not concerned."""
    forge(tenant, 10, ip="203.0.113.1")

    assert 200 == ask(tenant, session=tenant.session(ip="203.0.113.2")).status_code
    assert {"203.0.113.1": 10} == tenant.rejects


def test_one_attempt_comes_back_each_ten_minutes(tenant: LocalTenant, clock: FakeClock) -> None:
    """After ten minutes there is one more attempt, and only one."""
    forge(tenant, 10)
    clock.advance(599)
    early = forge(tenant, 1)
    clock.advance(1)

    assert ([429], [400, 429]) == (early, forge(tenant, 2))


def test_attempts_come_back_until_all_are(tenant: LocalTenant, clock: FakeClock) -> None:
    """All ten attempts are back after a hundred minutes, never more."""
    forge(tenant, 10)
    clock.advance(1_000_000)

    assert {} == tenant.rejects
    assert [400] * 10 + [429] == forge(tenant, 11)


def test_good_tokens_do_not_count(tenant: LocalTenant) -> None:
    """Only rejected subject tokens count; other failures do not."""
    for _ in range(12):
        ask(tenant)
        ask(tenant, client_secret="wrong")

    assert {} == tenant.rejects


def test_forwarded_address_counts_when_it_is_trusted(tenant: LocalTenant) -> None:
    """With trust_forwarded_for the end user's address counts, not the server's."""
    tenant.add_application("web", "secret", trust_forwarded_for=True)
    credentials = {"client_id": "web", "client_secret": "secret"}
    forge(tenant, 10, headers={"auth0-forwarded-for": "198.51.100.7"}, **credentials)

    assert {"198.51.100.7": 10} == tenant.rejects
    assert "198.51.100.7" == tenant.logs[-1].ip
    assert 200 == ask(tenant, headers={"auth0-forwarded-for": "198.51.100.8"}, **credentials).status_code


def test_forwarded_address_is_ignored_otherwise(tenant: LocalTenant) -> None:
    """Without trust_forwarded_for the header is only a header."""
    forge(tenant, 3, headers={"auth0-forwarded-for": "198.51.100.7"})

    assert {"127.0.0.1": 3} == tenant.rejects
