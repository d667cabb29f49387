"""Revoking refresh tokens at the tenant (source: Auth0, Authentication API, "Revoke Refresh Token"; RFC 7009)."""

from __future__ import annotations

from typing import Any

import pytest

from auth0_cte.testing import LocalTenant
from tests.testing.test_exchange import TYPE, ask


@pytest.fixture
def tenant() -> LocalTenant:
    made = LocalTenant()
    made.accept(TYPE, "auth0|jane")
    return made


def log_in(tenant: LocalTenant, **form: Any) -> str:
    return str(ask(tenant, scope="offline_access", **form).json()["refresh_token"])


def refresh(tenant: LocalTenant, token: str, **form: Any) -> Any:
    return ask(tenant, grant_type="refresh_token", refresh_token=token, **form)


def revoke(tenant: LocalTenant, as_json: bool = False, **form: Any) -> Any:
    usual = {"client_id": tenant.client_id, "client_secret": tenant.client_secret}
    data = {name: value for name, value in {**usual, **form}.items() if value is not None}
    with tenant.session() as session:
        url = f"{tenant.issuer}oauth/revoke"
        return session.post(url, json=data) if as_json else session.post(url, data=data)


@pytest.mark.parametrize("as_json", [True, False])
def test_revoked_token_is_dead(tenant: LocalTenant, as_json: bool) -> None:
    """A revoked token refreshes no more; the reply is empty, the log has srrt."""
    token = log_in(tenant)
    reply = revoke(tenant, as_json, token=token)

    assert (200, b"") == (reply.status_code, reply.content)
    assert ("srrt", "auth0|jane", "local-client") == (
        tenant.logs[-1].type,
        tenant.logs[-1].user_id,
        tenant.logs[-1].client_id,
    )
    assert (403, "invalid_grant") == (refresh(tenant, token).status_code, refresh(tenant, token).json()["error"])


def test_family_falls_with_any_of_its_tokens(tenant: LocalTenant) -> None:
    """Revoking a token that was rotated away revokes those that came of it (assumption)."""
    first = log_in(tenant)
    second = refresh(tenant, first).json()["refresh_token"]
    revoke(tenant, token=first)

    assert 403 == refresh(tenant, second).status_code


@pytest.mark.parametrize(("deletes_grant", "status"), [(False, 200), (True, 403)])
def test_siblings_fall_by_setting(tenant: LocalTenant, deletes_grant: bool, status: int) -> None:
    """Another login's token falls only with the setting "Refresh Token Revocation Deletes Grant" (source: its page)."""
    tenant.sessions.revocation_deletes_grant = deletes_grant
    token, sibling = log_in(tenant), log_in(tenant)
    revoke(tenant, token=token)

    assert status == refresh(tenant, sibling).status_code


@pytest.mark.parametrize("token", ["v1.unknown", "not a token"])
def test_dead_tokens_are_200(tenant: LocalTenant, token: str) -> None:
    """A token that is unknown, or was revoked before, is answered alike, without a log entry (source: RFC 7009)."""
    live = log_in(tenant)
    revoke(tenant, token=live)
    entries = len(tenant.logs)

    assert [200, 200] == [revoke(tenant, token=each).status_code for each in (token, live)]
    assert entries == len(tenant.logs)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"token": None}, 400),
        ({"token": "t", "client_secret": "wrong"}, 401),
        ({"token": "t", "client_id": "nobody"}, 401),
        ({"token": "t", "client_id": None, "client_secret": None}, 400),
    ],
)
def test_bad_requests(tenant: LocalTenant, form: Any, status: int) -> None:
    """A request without a token is a 400, one without the right credentials a 401."""
    assert status == revoke(tenant, **form).status_code


def test_public_application_revokes_by_its_id(tenant: LocalTenant) -> None:
    """A public application needs no secret."""
    tenant.add_application("mobile", auth_method="none")
    token = log_in(tenant, client_id="mobile", client_secret=None)

    assert 200 == revoke(tenant, token=token, client_id="mobile", client_secret=None).status_code
    assert 403 == refresh(tenant, token, client_id="mobile", client_secret=None).status_code


def test_another_applications_token_is_left_alone(tenant: LocalTenant) -> None:
    """An application cannot revoke another one's token (source: RFC 7009 section 2.1; status: assumption)."""
    tenant.add_application("mobile", auth_method="none")
    token = log_in(tenant)

    assert 400 == revoke(tenant, token=token, client_id="mobile", client_secret=None).status_code
    assert 200 == refresh(tenant, token).status_code
