"""Whose tokens an answer brings: the organization and the actor are checked at each exchange, login and refresh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from auth0_cte import AccessTokenError, Auth0CTEError, IdTokenError, OrganizationError, ServerClient
from auth0_cte.testing import FakeClock, LocalTenant
from tests.mirrored import mirrored
from tests.session.clients import SECRET

TYPE = "urn:acme:mcp-token"
USER = "auth0|ada"
LIFETIME = 600


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    tenant = LocalTenant(clock=clock)
    tenant.accept(TYPE, USER)
    tenant.add_organization("org_1", name="acme")
    return tenant


@pytest.fixture
def client(tenant: LocalTenant, new_client: type[ServerClient]) -> ServerClient:
    return mirrored(new_client, tenant.client(secret=SECRET))


def options(**more: Any) -> dict[str, Any]:
    return {"subject_token": "t", "subject_token_type": TYPE, **more}


def answer(tenant: LocalTenant, *, grant_type: str | None = None, id_token: str | None = "", **claims: Any) -> None:
    """Script the tokens of the next answer, with an ID token of these claims unless another one is given."""
    body = {"access_token": "a", "expires_in": LIFETIME, "refresh_token": "r"}
    token = tenant.id_token(USER, **claims) if id_token == "" else id_token
    tenant.fail_next(200, body=body if token is None else {**body, "id_token": token}, grant_type=grant_type)


@pytest.mark.parametrize("asked", ["org_1", "acme"])
@pytest.mark.parametrize("claims", [{"org_id": "org_2", "org_name": "other"}, {}], ids=["another", "none"])
def test_an_exchange_for_another_organization_is_refused(
    asked: str, claims: dict[str, Any], tenant: LocalTenant, client: ServerClient
) -> None:
    """An ID token of another organization, or of none, fails the exchange that asked for one."""
    answer(tenant, **claims)
    with pytest.raises(OrganizationError):
        client.custom_token_exchange(options(organization=asked))


def test_an_exchange_without_an_id_token_has_nothing_to_check(tenant: LocalTenant, client: ServerClient) -> None:
    """The access token alone is returned, and an ID token of the right organization as well."""
    answer(tenant, id_token=None)
    assert "a" == client.custom_token_exchange(options(organization="org_1")).access_token
    answer(tenant, org_id="org_1")
    assert "org_1" == (client.custom_token_exchange(options(organization="org_1")).claims or {})["org_id"]


def test_an_unverified_id_token_fails_only_where_it_was_to_tell_something(
    tenant: LocalTenant, client: ServerClient
) -> None:
    """Where an organization was asked for it does; otherwise the response says why it has no claims."""
    answer(tenant, id_token="not.a.token")
    with pytest.raises(IdTokenError):
        client.custom_token_exchange(options(organization="org_1"))
    answer(tenant, id_token="not.a.token")
    assert client.custom_token_exchange(options()).id_token_error is not None


def logged_in(client: ServerClient, tenant: LocalTenant, **claims: Any) -> dict[str, str]:
    jar: dict[str, str] = {}
    answer(tenant, **claims)
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    return jar


ACTOR = {"sub": "agent|1", "act": {"sub": "agent|0"}}
REFRESHED: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "same": ({"org_id": "org_1", "act": ACTOR}, {"org_id": "org_1", "act": ACTOR}, None),
    "plain": ({}, {}, None),
    "renamed": ({"org_id": "org_1", "org_name": "a"}, {"org_id": "org_1", "org_name": "b"}, None),
    "another organization": ({"org_id": "org_1"}, {"org_id": "org_2"}, "ORGANIZATION_MISMATCH"),
    "no organization": ({"org_id": "org_1"}, {}, "ORGANIZATION_MISMATCH"),
    "an organization": ({}, {"org_id": "org_1"}, "ORGANIZATION_MISMATCH"),
    "an actor": ({}, {"act": ACTOR}, "ACTOR_MISMATCH"),
    "another actor": ({"act": ACTOR}, {"act": {"sub": "agent|2"}}, "ACTOR_MISMATCH"),
    "a shorter chain": ({"act": ACTOR}, {"act": {"sub": "agent|1"}}, "ACTOR_MISMATCH"),
    "no actor": ({"act": ACTOR}, {}, "ACTOR_MISMATCH"),
}


@pytest.mark.parametrize(("before", "after", "code"), REFRESHED.values(), ids=REFRESHED.keys())
def test_a_refresh_brings_the_same_organization_and_actor(
    before: dict[str, Any],
    after: dict[str, Any],
    code: str | None,
    tenant: LocalTenant,
    clock: FakeClock,
    client: ServerClient,
) -> None:
    """A refreshed ID token that names another organization or actor is refused, and the session ends."""
    jar = logged_in(client, tenant, **before)
    clock.advance(LIFETIME)
    answer(tenant, grant_type="refresh_token", **after)
    if code is None:
        assert "a" == client.get_access_token({"cookies": jar})
        return
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert (code, {}) == (caught.value.code, jar)


@pytest.mark.parametrize(("before", "is_refused"), [({}, False), ({"org_id": "org_1"}, True), ({"act": ACTOR}, True)])
def test_a_refreshed_id_token_that_cannot_be_verified(
    before: dict[str, Any], is_refused: bool, tenant: LocalTenant, clock: FakeClock, client: ServerClient
) -> None:
    """It is refused where it was to confirm an organization or an actor."""
    jar = logged_in(client, tenant, **before)
    clock.advance(LIFETIME)
    answer(tenant, grant_type="refresh_token", id_token="not.a.token")
    if not is_refused:
        assert "a" == client.get_access_token({"cookies": jar})
        return
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert "INVALID_ID_TOKEN" == caught.value.code


@pytest.mark.parametrize(("claims", "is_refused"), [({}, True), ({"act": ACTOR}, False)], ids=["none", "named"])
def test_a_resumed_login_with_an_actor_is_delegated(
    claims: dict[str, Any], is_refused: bool, tenant: LocalTenant, client: ServerClient
) -> None:
    """After a second factor the actor is checked as it would have been before it."""
    jar: dict[str, str] = {}
    tenant.fail_next(403, body={"error": "mfa_required", "mfa_token": "m"})
    actor = {"actor_token": "agent", "actor_token_type": "urn:acme:agent"}
    with pytest.raises(Auth0CTEError) as caught:
        client.login_with_custom_token_exchange(options(**actor), {"cookies": jar})
    answer(tenant, **claims)
    pending: str = caught.value.pending_login  # type: ignore[attr-defined]
    resume: Callable[[], Any] = lambda: client.resume_login(pending, {"cookies": jar}, otp="123456")  # noqa: E731
    if not is_refused:
        assert ACTOR == resume().session.user["act"]
        return
    with pytest.raises(IdTokenError) as refused:
        resume()
    assert ("MISSING_ACTOR", {}) == (refused.value.code, jar)
