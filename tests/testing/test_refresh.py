"""The refresh token grant of the local tenant."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import claims_of
from tests.testing.test_exchange import TYPE, ask

if TYPE_CHECKING:
    import requests

API = "https://api.acme.example"
OTHER_API = "https://billing.acme.example"
SCOPE = "openid email offline_access read:tools write:tools"
INVALID = {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_800_000_000.5)


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    made = LocalTenant(clock=clock)
    made.add_user("auth0|jane", name="Jane", email="jane@acme.example")
    made.accept(TYPE, "auth0|jane")
    return made


def login(tenant: LocalTenant, **form: Any) -> dict[str, Any]:
    """Log in by an exchange and return the tokens."""
    body: dict[str, Any] = ask(tenant, **{"scope": SCOPE, "audience": API, **form}).json()
    return body


def refresh(tenant: LocalTenant, token: str | None, **form: Any) -> requests.Response:
    """Send a refresh in process; a parameter that is None is left out."""
    usual = {"grant_type": "refresh_token", "refresh_token": token, "subject_token": None, "subject_token_type": None}
    return ask(tenant, **{**usual, **form})


def test_refresh_has_the_documented_members(tenant: LocalTenant) -> None:
    """A refresh brings new tokens of all kinds and always the scope (source: Use Refresh Tokens)."""
    reply = refresh(tenant, login(tenant)["refresh_token"])

    body = reply.json()
    assert (200, "no-store") == (reply.status_code, reply.headers["Cache-Control"])
    assert {"access_token", "id_token", "refresh_token", "expires_in", "token_type", "scope"} == body.keys()
    assert ("Bearer", 86400, SCOPE) == (body["token_type"], body["expires_in"], body["scope"])


def test_refreshed_access_token(tenant: LocalTenant, clock: FakeClock) -> None:
    """The new access token is like the login's, with new times."""
    first = login(tenant)
    clock.advance(500)
    second = refresh(tenant, first["refresh_token"]).json()

    old, new = (claims_of(tenant, each["access_token"]) for each in (first, second))
    assert {**old, "iat": old["iat"] + 500, "exp": old["exp"] + 500} == new


def test_refreshed_id_token(tenant: LocalTenant, clock: FakeClock) -> None:
    """The new ID token keeps subject, session, organization and further claims, and has new times."""
    tenant.add_organization("org_123", name="acme")
    tenant.sessions.id_token_claims = {"auth_time": 1_700_000_000, "amr": ["pwd"]}
    first = login(tenant, organization="org_123")
    clock.advance(500)
    second = refresh(tenant, first["refresh_token"]).json()

    old, new = (claims_of(tenant, each["id_token"]) for each in (first, second))
    assert {**old, "iat": old["iat"] + 500, "exp": old["exp"] + 500} == new
    assert {"sub", "sid", "org_id", "org_name", "auth_time", "amr"} <= new.keys()


def test_refresh_shows_the_user_of_today(tenant: LocalTenant) -> None:
    """A profile that changed since the login is in the new ID token."""
    token = login(tenant)["refresh_token"]
    tenant.add_user("auth0|jane", email="jane@new.example")

    claims = claims_of(tenant, refresh(tenant, token).json()["id_token"])
    assert "jane@new.example" == claims["email"]


def test_id_token_can_be_switched_off(tenant: LocalTenant) -> None:
    """A refresh brings no ID token when it is switched off, or when openid was not granted."""
    without_openid = login(tenant, scope="offline_access")["refresh_token"]
    with_openid = login(tenant)["refresh_token"]
    replies = [refresh(tenant, without_openid).json()]
    tenant.sessions.refresh_id_token = False
    replies.append(refresh(tenant, with_openid).json())

    assert [False, False] == ["id_token" in reply for reply in replies]


def test_rotation_uses_the_token_up(tenant: LocalTenant) -> None:
    """A refresh replaces the refresh token, and the tenant remembers the new one alone."""
    old = login(tenant)["refresh_token"]
    new = refresh(tenant, old).json()["refresh_token"]

    assert [new] == list(tenant.refresh_tokens)
    assert ("auth0|jane", API) == (tenant.refresh_tokens[new].user.user_id, tenant.refresh_tokens[new].api.identifier)
    assert (1, False) == (len(tenant.refresh_tokens), old in tenant.refresh_tokens)


def test_reuse_revokes_the_family(tenant: LocalTenant) -> None:
    """A token that comes again is refused, and so is every token that came of the same login, but no other."""
    old, other = login(tenant)["refresh_token"], login(tenant)["refresh_token"]
    new = refresh(tenant, old).json()["refresh_token"]
    replies = [refresh(tenant, token) for token in (old, new, other)]

    assert [403, 403, 200] == [reply.status_code for reply in replies]
    assert [INVALID, INVALID] == [reply.json() for reply in replies[:2]]


def test_leeway(tenant: LocalTenant, clock: FakeClock) -> None:
    """Within the leeway a used token brings a further one; afterwards it costs the family."""
    tenant.sessions.refresh_token_leeway = 10
    old = login(tenant)["refresh_token"]
    refresh(tenant, old)
    clock.advance(9)
    again = refresh(tenant, old).json()["refresh_token"]
    clock.advance(1)

    assert [403, 403] == [refresh(tenant, token).status_code for token in (old, again)]


def test_leeway_is_for_the_token_before_the_newest(tenant: LocalTenant) -> None:
    """A token two generations old costs the family in spite of the leeway."""
    tenant.sessions.refresh_token_leeway = 10
    first = login(tenant)["refresh_token"]
    second = refresh(tenant, first).json()["refresh_token"]
    third = refresh(tenant, second).json()["refresh_token"]

    assert [200, 403, 403] == [refresh(tenant, token).status_code for token in (second, first, third)]


def test_without_rotation_the_token_stays(tenant: LocalTenant) -> None:
    """Without rotation no refresh token comes back, and the old one stays valid."""
    tenant.sessions.rotate_refresh_tokens = False
    token = login(tenant)["refresh_token"]
    replies = [refresh(tenant, token) for _ in range(3)]

    assert [(200, False)] * 3 == [(reply.status_code, "refresh_token" in reply.json()) for reply in replies]


def test_rotation_among_threads(tenant: LocalTenant) -> None:
    """Of eight threads that bring the same token at once, one at most is served."""
    token = login(tenant)["refresh_token"]
    barrier = threading.Barrier(8)

    def work(_: int) -> int:
        barrier.wait(10)
        return refresh(tenant, token).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(work, range(8)))

    assert [200] + [403] * 7 == statuses
    assert 0 == len(tenant.refresh_tokens)


@pytest.mark.parametrize("token", ["v1.unknown", "ünknown"])
def test_unknown_token(tenant: LocalTenant, token: str) -> None:
    """A token that the tenant did not issue is an invalid grant."""
    reply = refresh(tenant, token)

    assert (403, INVALID) == (reply.status_code, reply.json())


def test_missing_token(tenant: LocalTenant) -> None:
    """A refresh without a token is a bad request."""
    reply = refresh(tenant, None)

    assert (400, "Missing required parameter: refresh_token") == (reply.status_code, reply.json()["error_description"])


def test_token_of_another_application(tenant: LocalTenant) -> None:
    """A token is for the application that it was issued to, alone, and survives another one's attempt."""
    tenant.add_application("other", "other-secret")
    token = login(tenant)["refresh_token"]
    stolen = refresh(tenant, token, client_id="other", client_secret="other-secret")

    assert (403, INVALID) == (stolen.status_code, stolen.json())
    assert 200 == refresh(tenant, token).status_code


def test_client_must_authenticate(tenant: LocalTenant) -> None:
    """A refresh needs the client's secret as an exchange does, and a failure does not cost the token."""
    token = login(tenant)["refresh_token"]
    reply = refresh(tenant, token, client_secret="wrong")

    assert (401, "access_denied") == (reply.status_code, reply.json()["error"])
    assert 200 == refresh(tenant, token).status_code


def test_token_lifetime(tenant: LocalTenant, clock: FakeClock) -> None:
    """A refresh token expires so long after the login, rotated or not."""
    tenant.sessions.refresh_token_lifetime = 100
    token = login(tenant)["refresh_token"]
    clock.advance(99)
    rotated = refresh(tenant, token)
    clock.advance(1)
    expired = refresh(tenant, rotated.json()["refresh_token"])

    assert [(200, 403), INVALID] == [(rotated.status_code, expired.status_code), expired.json()]


def test_tokens_live_for_ever_by_default(tenant: LocalTenant, clock: FakeClock) -> None:
    """Without a lifetime no refresh token expires."""
    token = login(tenant)["refresh_token"]
    clock.advance(10 * 365 * 86400)

    assert 200 == refresh(tenant, token).status_code


def test_blocked_user(tenant: LocalTenant) -> None:
    """A blocked user's token is refused, and works again when the user is unblocked."""
    token = login(tenant)["refresh_token"]
    tenant.users["auth0|jane"].blocked = True
    blocked = refresh(tenant, token)
    tenant.users["auth0|jane"].blocked = False

    assert (403, INVALID) == (blocked.status_code, blocked.json())
    assert 200 == refresh(tenant, token).status_code


def test_deleted_user(tenant: LocalTenant) -> None:
    """A deleted user's token is refused, even when the same user is added again."""
    token = login(tenant)["refresh_token"]
    tenant.delete_user("auth0|jane")
    gone = refresh(tenant, token)
    tenant.add_user("auth0|jane")

    assert [INVALID, INVALID] == [gone.json(), refresh(tenant, token).json()]
    with pytest.raises(KeyError):
        tenant.delete_user("auth0|john")


def test_membership_that_ended(tenant: LocalTenant) -> None:
    """A user who left the organization of the login is refused."""
    tenant.add_organization("org_123", name="acme")
    token = login(tenant, organization="org_123")["refresh_token"]
    tenant.add_organization("org_123", name="acme", members=[])

    assert INVALID == refresh(tenant, token).json()


def test_mfa_on_refresh(tenant: LocalTenant) -> None:
    """A second factor that is asked for on refresh comes with a token to go on with, and does not cost the refresh."""
    token = login(tenant)["refresh_token"]
    tenant.add_user("auth0|jane", mfa_required=True, mfa_requirements={"challenge": [{"type": "otp"}]})
    reply = refresh(tenant, token)
    tenant.add_user("auth0|jane")

    body = reply.json()
    assert (403, "mfa_required") == (reply.status_code, body["error"])
    assert body["mfa_token"] in tenant.state.mfa_tokens
    assert 200 == refresh(tenant, token).status_code


def test_scope_narrows(tenant: LocalTenant) -> None:
    """A refresh can ask for less than the login had, gets no more than that, and is told what it got."""
    token = login(tenant)["refresh_token"]
    body = refresh(tenant, token, scope="read:tools admin:all").json()

    claims = claims_of(tenant, body["access_token"])
    assert ("read:tools", "read:tools", API) == (claims["scope"], body["scope"], claims["aud"])


def test_narrowing_is_for_one_refresh(tenant: LocalTenant) -> None:
    """The next refresh has the login's scopes again."""
    narrowed = refresh(tenant, login(tenant)["refresh_token"], scope="read:tools").json()
    body = refresh(tenant, narrowed["refresh_token"]).json()

    assert (SCOPE, SCOPE) == (claims_of(tenant, body["access_token"])["scope"], body["scope"])


def test_another_audience(tenant: LocalTenant) -> None:
    """A refresh token brings access tokens for other APIs, with their scopes."""
    tenant.add_api(API)
    tenant.add_api(OTHER_API, ["read:bills", "pay:bills"], token_lifetime=600)
    body = refresh(tenant, login(tenant)["refresh_token"], audience=OTHER_API, scope="read:bills admin:all").json()

    claims = claims_of(tenant, body["access_token"])
    assert (OTHER_API, "read:bills", 600) == (claims["aud"], claims["scope"], body["expires_in"])
    assert "read:bills" == body["scope"]


def test_another_audience_without_scope(tenant: LocalTenant) -> None:
    """Without a scope another API gives all that it defines, beside what the login had of OpenID's."""
    tenant.add_api(API)
    tenant.add_api(OTHER_API, ["read:bills", "pay:bills"])
    body = refresh(tenant, login(tenant)["refresh_token"], audience=OTHER_API).json()

    assert "openid email offline_access pay:bills read:bills" == body["scope"]
    assert [OTHER_API, f"{tenant.issuer}userinfo"] == claims_of(tenant, body["access_token"])["aud"]


def test_another_audience_brings_no_further_identity_scopes(tenant: LocalTenant) -> None:
    """What the login did not have of OpenID's scopes cannot be had with another audience."""
    token = login(tenant, scope="offline_access")["refresh_token"]
    body = refresh(tenant, token, audience=OTHER_API, scope="openid email read:bills").json()

    assert ("read:bills", False) == (body["scope"], "id_token" in body)


def test_the_logins_audience_comes_back(tenant: LocalTenant) -> None:
    """After a refresh for another API the login's is the usual one still."""
    other = refresh(tenant, login(tenant)["refresh_token"], audience=OTHER_API, scope="read:bills").json()
    body = refresh(tenant, other["refresh_token"], scope="read:tools").json()

    assert API == claims_of(tenant, body["access_token"])["aud"]


def test_unknown_audience(tenant: LocalTenant) -> None:
    """An audience that does not exist is refused and does not cost the token."""
    tenant.add_api(API)
    token = login(tenant)["refresh_token"]
    reply = refresh(tenant, token, audience=OTHER_API)

    assert (400, f"Service not found: {OTHER_API}") == (reply.status_code, reply.json()["error_description"])
    assert 200 == refresh(tenant, token).status_code


def test_audience_that_needs_consent(tenant: LocalTenant) -> None:
    """An API whose consent cannot be skipped is not to be had by a refresh."""
    tenant.add_api(API)
    tenant.add_api(OTHER_API, skip_consent=False)
    reply = refresh(tenant, login(tenant)["refresh_token"], audience=OTHER_API)

    assert "consent_required" == reply.json()["error"]


def test_refresh_by_another_address(tenant: LocalTenant) -> None:
    """The issuer of refreshed tokens is the address of the refresh, also where it names the userinfo endpoint."""
    token = login(tenant, audience=None)["refresh_token"]
    with tenant.serve() as server, tenant.session() as session:
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": tenant.client_id}
        reply = session.post(f"{server.url}/oauth/token", data={**form, "client_secret": tenant.client_secret})
        claims = claims_of(tenant, reply.json()["access_token"])

    assert (f"{server.url}/", f"{server.url}/userinfo") == (claims["iss"], claims["aud"])


def test_revoking_a_users_tokens(tenant: LocalTenant) -> None:
    """The tokens of one user can be revoked, wherever rotation has brought them; or everybody's."""
    tenant.sessions.refresh_token_leeway = 10
    rotated = login(tenant)["refresh_token"]
    token = refresh(tenant, rotated).json()["refresh_token"]
    tenant.accept(TYPE, "auth0|john")
    other = login(tenant)["refresh_token"]

    assert 1 == tenant.revoke_refresh_tokens("auth0|jane")
    assert [403, 403] == [refresh(tenant, each).status_code for each in (rotated, token)]
    assert ([other], 1, []) == (
        list(tenant.refresh_tokens),
        tenant.revoke_refresh_tokens(),
        list(tenant.refresh_tokens),
    )


def test_tokens_of_ones_own_making(tenant: LocalTenant) -> None:
    """A grant that is put into the tenant's tokens by hand can be refreshed, and taken out again."""
    grant = tenant.refresh_tokens[login(tenant)["refresh_token"]]
    tenant.state.refresh_tokens["v1.mine"] = grant
    tenant.state.refresh_tokens["v1.other"] = grant
    del tenant.state.refresh_tokens["v1.other"]

    assert [200, 403] == [refresh(tenant, token).status_code for token in ("v1.mine", "v1.other")]


def test_tokens_are_not_shown(tenant: LocalTenant) -> None:
    """The repr of the tenant's tokens is a number."""
    token = login(tenant)["refresh_token"]

    assert ("<RefreshTokens: 1>", False) == (repr(tenant.refresh_tokens), token in repr(tenant.logs))


def test_refreshes_are_logged(tenant: LocalTenant) -> None:
    """A refresh leaves sertft, fertft or (reuse) ferrt, and a reason that the reply lacks (source: log types)."""
    token = login(tenant)["refresh_token"]
    for each in (token, token, "v1.unknown"):
        refresh(tenant, each)

    success, reuse, failure = tenant.logs[-3:]
    assert ("sertft", "auth0|jane", "local-client") == (success.type, success.user_id, success.client_id)
    assert ("ferrt", "auth0|jane") == (reuse.type, reuse.user_id)
    assert "the refresh token was used before; its family is revoked" == reuse.description
    assert ("fertft", None) == (failure.type, failure.user_id)


def test_failing_the_next_refresh(tenant: LocalTenant) -> None:
    """A scripted failure of the refresh grant waits for a refresh, and lets exchanges pass."""
    token = login(tenant)["refresh_token"]
    tenant.fail_next(503, grant_type="refresh_token")

    assert [200, 503, 200] == [
        ask(tenant).status_code,
        refresh(tenant, token).status_code,
        refresh(tenant, token).status_code,
    ]


def test_failures_of_any_grant_keep_their_order(tenant: LocalTenant) -> None:
    """Failures for any grant and for one are used up in the order of their scripting, as far as they fit."""
    token = login(tenant)["refresh_token"]
    tenant.fail_next(500, grant_type="refresh_token")
    tenant.fail_next(502)
    tenant.fail_next(503)

    statuses = [refresh(tenant, token).status_code, ask(tenant).status_code, refresh(tenant, token).status_code]
    assert [500, 502, 503] == statuses


def test_metadata_names_the_grant(tenant: LocalTenant) -> None:
    """The metadata names the refresh token grant."""
    with tenant.session() as session:
        metadata = session.get(f"{tenant.issuer}.well-known/openid-configuration").json()

    assert "refresh_token" in metadata["grant_types_supported"]
