"""Row by row, where the local tenant answers as Auth0 does. Each test names its source, or says "assumption"."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import anyio
import pytest

from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import claims_of
from tests.raw_server import RawServer, reply, send
from tests.testing.test_exchange import ACCESS_TOKEN, GRANT, ID_TOKEN, TYPE, ask

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its models are written in pydantic's old way
    from auth0_server_python.auth_server import server_client as sibling  # type: ignore[import-untyped]

API = "https://api.acme.example"
SESSION_TRANSFER = "urn:acme.auth0.local:session_transfer"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_800_000_000)


@pytest.fixture
def tenant(clock: FakeClock) -> Iterator[LocalTenant]:
    with LocalTenant(clock=clock) as made:
        made.add_user("auth0|jane", name="Jane", email="jane@acme.example")
        made.accept(TYPE, "auth0|jane")
        yield made


def outcome(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


def set_user(tenant: LocalTenant, connection: str, attributes: Any, *, replace: bool = False) -> Any:
    """Exchange with an Action that sets the user by connection."""
    options = {"creationBehavior": "create_if_not_exists", "updateBehavior": "replace" if replace else "none"}

    @tenant.action(TYPE)
    def exchange(_event: Any, api: Any) -> None:
        api.authentication.setUserByConnection(connection, attributes, options)

    return ask(tenant)


# --- token types


@pytest.mark.parametrize("actor_type", [ACCESS_TOKEN, "urn:auth0:agent", "https://okta.com/agent"])
@pytest.mark.parametrize(("strict", "status"), [(False, 200), (True, 400)])
def test_reserved_actor_types(caplog: pytest.LogCaptureFixture, actor_type: str, strict: bool, status: int) -> None:
    """A reserved actor type is refused by a strict tenant and warned of by another (source: Custom Token Exchange)."""
    tenant = LocalTenant(strict=strict)
    tenant.accept(TYPE, "auth0|jane")

    assert status == ask(tenant, actor_token="agent", actor_token_type=actor_type).status_code
    assert ("more generous than Auth0" in caplog.text) is not strict


def test_id_token_is_no_reserved_actor_type() -> None:
    """The tenant's own ID tokens are actor tokens for a strict tenant, too (source: Custom Token Exchange)."""
    tenant = LocalTenant(strict=True)
    tenant.accept(TYPE, "auth0|jane")
    tenant.add_user("auth0|agent")
    actor_token = tenant.id_token("auth0|agent")

    assert 200 == ask(tenant, actor_token=actor_token, actor_token_type=ID_TOKEN).status_code


def test_strict_tenant_refuses_undocumented_attributes() -> None:
    """A strict tenant takes documented attributes alone; otherwise others pass (source: @auth0/actions)."""
    statuses = [
        set_user(LocalTenant(strict=strict), "db", {"user_id": "1", "department": "R&D"}).status_code
        for strict in (True, False)
    ]

    assert [500, 200] == statuses


# --- session transfer


@pytest.mark.parametrize(("actor", "status"), [({"sub": "a"}, 200), ({"sub": "a", "act": {"sub": "b"}}, 400)])
def test_session_transfer_has_one_actor(tenant: LocalTenant, actor: Any, status: int) -> None:
    """A session transfer token has one level of actors (source: Session Delegation)."""
    tenant.accept(TYPE, "auth0|jane", actor=actor)

    assert status == ask(tenant, audience=SESSION_TRANSFER).status_code


# --- resource


@pytest.mark.parametrize(
    ("profile", "form", "expected"),
    [
        ("audience", {"resource": API}, "https://acme.auth0.local/userinfo"),
        ("compatibility", {"resource": API}, API),
        ("compatibility", {"resource": API, "audience": "https://other.acme.example"}, "https://other.acme.example"),
    ],
)
def test_resource(tenant: LocalTenant, profile: Any, form: Any, expected: str) -> None:
    """The parameter counts with the profile compatibility alone (source: tenant settings), behind audience."""
    tenant.apis.resource_parameter_profile = profile

    assert expected == claims_of(tenant, ask(tenant, **form).json()["access_token"])["aud"]


# --- On-Behalf-Of


def on_behalf_of(tenant: LocalTenant, subject: str, **form: Any) -> Any:
    usual = {"subject_token_type": ACCESS_TOKEN, "requested_token_type": ACCESS_TOKEN, "audience": API}
    return ask(tenant, subject_token=subject, **{**usual, **form})


def test_on_behalf_of_has_log_types_of_its_own(tenant: LocalTenant) -> None:
    """On-Behalf-Of writes its own types, and a bad subject token is a 401 (source: On-Behalf-Of Token Exchange)."""
    subject = ask(tenant, audience=API).json()["access_token"]
    statuses = [on_behalf_of(tenant, each).status_code for each in (subject, "bad")]

    assert [200, 401] == statuses
    assert ["success_on_behalf_of_token_exchange", "failed_on_behalf_of_token_exchange"] == [
        entry.type for entry in tenant.logs[-2:]
    ]


def test_log_entries_of_on_behalf_of(tenant: LocalTenant) -> None:
    """They tell both token types, a success the chain of actors, a failure no user (source: schema of tenant logs)."""
    subject = ask(tenant, audience=API).json()["access_token"]
    on_behalf_of(tenant, subject)
    on_behalf_of(tenant, "bad")
    success, failure = (entry.as_dict() for entry in tenant.logs[-2:])
    types = {"subject_token_type": ACCESS_TOKEN, "requested_token_type": ACCESS_TOKEN}

    assert REQUIRED <= success.keys() & failure.keys()
    chain = {"sub": "local-client", "act": {"sub": "local-client"}}
    assert {**types, "actor": chain}.items() <= success["details"].items()
    assert types.items() <= failure["details"].items()
    assert ("auth0|jane", False) == (success["user_id"], "user_id" in failure)
    assert ("acme.auth0.local", False) == (failure["hostname"], "hostname" in success)


def test_on_behalf_of_has_a_rate_limit_of_its_own(tenant: LocalTenant) -> None:
    """Exchanges and On-Behalf-Of do not use each other's limit up (source: Rate Limit Policy, own buckets)."""
    subject = ask(tenant, audience=API).json()["access_token"]
    tenant.limit_exchanges(1)
    tenant.limit_on_behalf_of(1)

    statuses = [on_behalf_of(tenant, subject).status_code, ask(tenant).status_code]
    statuses += [on_behalf_of(tenant, subject).status_code, ask(tenant).status_code]
    assert [200, 200, 429, 429] == statuses
    assert ["api_limit", "api_limit"] == [entry.type for entry in tenant.logs[-2:]]
    assert {"kind": "on-behalf-of", "per_second": 1} == tenant.logs[-2].details["limit"]


def test_on_behalf_of_without_scope_grants_all_that_rbac_does(tenant: LocalTenant) -> None:
    """No scope stands for all that the user may have; nothing at all is a 403 (source: On-Behalf-Of Token Exchange)."""
    tenant.add_api(API, ["read:a", "read:b", "write:a"], enforce_policies=True)
    subject = ask(tenant).json()["access_token"]
    nothing = on_behalf_of(tenant, subject)
    tenant.assign_permissions("auth0|jane", API, ["read:a", "read:b"])
    everything = on_behalf_of(tenant, subject).json()["scope"]
    too_much = on_behalf_of(tenant, subject, scope="write:a")

    assert (403, "read:a read:b", 403) == (nothing.status_code, everything, too_much.status_code)


# --- users


def test_email_is_unique_in_a_database(tenant: LocalTenant) -> None:
    """Another user's e-mail address cannot be created again in a database, in any case (source: API Object)."""
    tenant.add_connection("db")
    tenant.add_connection("saml", strategy="samlp")
    tenant.add_user("auth0|1", connection="db", email="A@b.c")

    answers = [set_user(tenant, name, {"user_id": "2", "email": "a@B.C"}).status_code for name in ("db", "saml")]
    assert [400, 200] == answers
    assert "the e-mail address is that of 'auth0|1' already" == tenant.logs[-2].description


@pytest.mark.parametrize("replace", [True, False])
def test_other_email_is_a_mismatch_without_update(tenant: LocalTenant, replace: bool) -> None:
    """A differing immutable attribute is an error even when nothing is updated (source: CTE, setUserByConnection)."""
    tenant.add_user("auth0|1", connection="db", email="a@b.c")

    assert (400, "invalid_request") == outcome(
        set_user(tenant, "db", {"user_id": "1", "email": "x@y.z"}, replace=replace)
    )


def test_replace_without_the_email(tenant: LocalTenant) -> None:
    """An immutable attribute that is left out stays (assumption)."""
    tenant.add_user("auth0|1", connection="db", email="a@b.c", nickname="al")

    assert 200 == set_user(tenant, "db", {"user_id": "1", "name": "New"}, replace=True).status_code
    assert {"email": "a@b.c", "name": "New"} == tenant.users["auth0|1"].attributes


def test_importing_connections_are_for_set_user_by_id(tenant: LocalTenant) -> None:
    """A database in import mode does not take setUserByConnection (source: CTE, limitations)."""
    tenant.add_connection("db", import_mode=True)
    tenant.add_user("auth0|1", connection="db")
    refused = set_user(tenant, "db", {"user_id": "1"})
    tenant.accept(TYPE, "auth0|1")

    assert (400, 200) == (refused.status_code, ask(tenant).status_code)


def test_connection_must_be_enabled_for_the_application(tenant: LocalTenant) -> None:
    """A user of a connection that is not enabled for the application is refused (source: Configure CTE)."""
    tenant.add_application("other", "other-secret")
    tenant.add_connection("db", enabled_clients=["other"])
    tenant.add_user("auth0|1", connection="db")
    answers = [set_user(tenant, "db", {"user_id": "1"})]
    tenant.accept(TYPE, "auth0|1")
    answers += [ask(tenant), ask(tenant, client_id="other", client_secret="other-secret")]

    assert [400, 400, 200] == [answer.status_code for answer in answers]
    assert "the connection 'db' is not enabled for the application 'local-client'" == tenant.logs[-2].description


def test_third_party_applications_exchange_nothing(tenant: LocalTenant) -> None:
    """A third-party application may not use the grant (source: Configure CTE, prerequisites; code: assumption)."""
    tenant.add_application("tpc_other", "other-secret", first_party=False)

    assert (403, "unauthorized_client") == outcome(ask(tenant, client_id="tpc_other", client_secret="other-secret"))


# --- actors and refresh tokens


@pytest.mark.parametrize(("drops", "has_token"), [(False, True), (True, False)])
def test_actor_token_alone(tenant: LocalTenant, drops: bool, has_token: bool) -> None:
    """Whether an actor token alone withholds the refresh token is a setting: Auth0's pages disagree (assumption)."""
    tenant.sessions.actor_token_drops_refresh_token = drops
    body = ask(tenant, scope="offline_access", actor_token="a", actor_token_type="urn:acme:agent").json()

    assert (has_token, False) == ("refresh_token" in body, "act" in claims_of(tenant, body["access_token"]))


def test_idle_refresh_token(tenant: LocalTenant, clock: FakeClock) -> None:
    """A refresh token that is used keeps its family alive, another one expires (source: Refresh Token Expiration)."""
    tenant.sessions.refresh_token_idle_lifetime = 100
    token = ask(tenant, scope="offline_access").json()["refresh_token"]
    statuses = []
    for wait in (99, 99, 100):
        clock.advance(wait)
        answer = ask(tenant, grant_type="refresh_token", refresh_token=token)
        token = answer.json().get("refresh_token", token)
        statuses.append(answer.status_code)

    assert [200, 200, 403] == statuses


def test_oldest_of_201_refresh_tokens_goes(tenant: LocalTenant) -> None:
    """A user and an application have 200 live refresh tokens (source: Refresh Tokens, limitations)."""
    tokens = [ask(tenant, scope="offline_access").json()["refresh_token"] for _ in range(201)]

    assert [403, 200] == [
        ask(tenant, grant_type="refresh_token", refresh_token=each).status_code for each in tokens[:2]
    ]


# --- events


def test_actor_token_user(tenant: LocalTenant) -> None:
    """The user of an actor's ID token is in the event with identities and times (source: CTE Event Object)."""
    tenant.add_user("google-oauth2|7", email="agent@acme.example", app_metadata={"team": "ops"})
    users = []

    @tenant.action(TYPE)
    def exchange(event: Any, api: Any) -> None:
        users.append(event.transaction.actor_token_user)
        api.authentication.setUserById("auth0|jane")

    ask(tenant, actor_token=tenant.id_token("google-oauth2|7"), actor_token_type=ID_TOKEN)
    identity = {"connection": "google-oauth2", "provider": "google-oauth2", "user_id": "7", "isSocial": True}
    assert [
        {
            "user_id": "google-oauth2|7",
            "email": "agent@acme.example",
            "email_verified": False,
            "created_at": "2027-01-15T08:00:00.000Z",
            "updated_at": "2027-01-15T08:00:00.000Z",
            "identities": [identity],
            "app_metadata": {"team": "ops"},
            "user_metadata": {},
        }
    ] == users


# --- the log

REQUIRED = {
    *("log_id", "type", "tenant_name", "environment_name", "description", "ip", "client_name", "audience", "details")
}


def test_log_entry_of_a_success(tenant: LocalTenant) -> None:
    """An entry has the members that Auth0 documents for it (source: Log Event Type Codes, secte)."""
    tenant.add_organization("org_123", name="acme")
    told = {"name": "auth0-cte", "version": "1"}
    header = base64.urlsafe_b64encode(json.dumps(told).encode()).decode()
    ask(tenant, audience=API, scope="read:a", organization="acme", headers={"Auth0-Client": header})
    entry = tenant.logs[-1].as_dict()

    assert REQUIRED <= entry.keys()
    assert ("secte", "acme", API, "read:a", told) == (
        entry["type"],
        entry["tenant_name"],
        entry["audience"],
        entry["scope"],
        entry["auth0_client"],
    )
    assert ("auth0|jane", "Jane", "jane") == (entry["user_id"], entry["user_name"], entry["identity_user_id"])
    assert ("org_123", "acme") == (entry["organization_id"], entry["organization_name"])
    assert ("Username-Password-Authentication", "con_") == (entry["connection"], entry["connection_id"][:4])
    assert TYPE == entry["details"]["subject_token_type"]
    assert 1_800_000_000 == datetime.fromisoformat(entry["date"]).timestamp()


def test_log_entry_of_a_failure(tenant: LocalTenant) -> None:
    """A failed exchange names no user, connection or organization, but the host (source: schema of tenant logs)."""
    tenant.users["auth0|jane"].blocked = True
    ask(tenant)
    entry = tenant.logs[-1].as_dict()

    assert REQUIRED <= entry.keys()
    assert not {"user_id", "user_name", "connection", "organization_id"} & entry.keys()
    assert ("fecte", "acme.auth0.local") == (entry["type"], entry["hostname"])


def test_second_factors_are_logged(tenant: LocalTenant) -> None:
    """A second factor that is asked for leaves mfar beside the failure (source: Log Event Type Codes)."""
    tenant.users["auth0|jane"].mfa_required = True
    ask(tenant)

    assert ["mfar", "fecte"] == [entry.type for entry in tenant.logs]


def test_blocked_address_is_logged_once(tenant: LocalTenant) -> None:
    """The reject that blocks an address leaves limit_mu beside the failure (source: Log Event Type Codes)."""
    tenant.attack_protection.max_attempts = 2

    @tenant.action(TYPE)
    def exchange(_event: Any, api: Any) -> None:
        api.access.rejectInvalidSubjectToken("forged")

    for _ in range(3):
        ask(tenant)
    assert ["fecte", "limit_mu", "fecte", "fecte"] == [entry.type for entry in tenant.logs]


# --- endpoints


def test_key_set_needs_a_user_agent(tenant: LocalTenant) -> None:
    """Without User-Agent the key set is a 403 (seen at Auth0's edge)."""
    with tenant.session() as session:
        session.headers["User-Agent"] = ""
        refused = session.get(f"{tenant.issuer}.well-known/jwks.json")

    assert 403 == refused.status_code


def test_authorize_says_what_this_is_not(tenant: LocalTenant) -> None:
    """/authorize answers a page, not a login."""
    with tenant.session() as session:
        page = session.get(f"{tenant.issuer}authorize?client_id=x", allow_redirects=False)

    assert (501, "text/html; charset=utf-8") == (page.status_code, page.headers["Content-Type"])
    assert "It has no login page" in page.text


# --- back-channel logout


@pytest.fixture
def listening(tenant: LocalTenant, raw_server: RawServer) -> RawServer:
    """An application that registered a back-channel logout URL, and logged Jane in."""
    url = f"{raw_server.url}/backchannel-logout"
    tenant.add_application(tenant.client_id, tenant.client_secret, backchannel_logout_url=url)
    return raw_server


def log_in(tenant: LocalTenant) -> dict[str, Any]:
    body: dict[str, Any] = ask(tenant, scope="openid").json()
    return body


def log_out(tenant: LocalTenant, **query: str) -> None:
    with tenant.session() as session:
        session.get(f"{tenant.issuer}oidc/logout", params=query, allow_redirects=False)
    tenant.close()  # waits for the deliveries


def sent_claims(tenant: LocalTenant, server: RawServer) -> dict[str, Any]:
    (request,) = server.everything
    (token,) = parse_qs(request.body)["logout_token"]
    return claims_of(tenant, token)


def test_logout_tells_the_application(tenant: LocalTenant, listening: RawServer) -> None:
    """RP-initiated logout sends a logout token by itself (source: OIDC Back-Channel Logout Initiators, rp-logout)."""
    listening.scripts = [send(reply("{}"))]
    identity = log_in(tenant)["id_token"]
    log_out(tenant, id_token_hint=identity)

    claims = sent_claims(tenant, listening)
    assert claims_of(tenant, identity)["sid"] == claims["sid"]
    assert ("auth0|jane", "local-client", tenant.issuer) == (claims["sub"], claims["aud"], claims["iss"])
    assert 120 == claims["exp"] - claims["iat"]
    assert "oidc_backchannel_logout_succeeded" == tenant.logs[-1].type


@pytest.mark.parametrize("end", [LocalTenant.block_user, LocalTenant.delete_user])
def test_blocking_a_user_tells_the_application(tenant: LocalTenant, listening: RawServer, end: Any) -> None:
    """A user who is blocked or deleted is logged out everywhere (source: Initiators, account events)."""
    listening.scripts = [send(reply("{}"))]
    log_in(tenant)
    end(tenant, "auth0|jane")

    assert "auth0|jane" == sent_claims(tenant, listening)["sub"]


def test_logout_that_the_application_refuses_is_logged(tenant: LocalTenant, listening: RawServer) -> None:
    """An application that answers 400 leaves oidc_backchannel_logout_failed, and is not asked again."""
    listening.scripts = [send(reply("{}", "400 Bad Request"))]
    log_in(tenant)
    tenant.block_user("auth0|jane")
    tenant.block_user("auth0|jane")

    assert ["oidc_backchannel_logout_failed"] == [entry.type for entry in tenant.logs if "logout" in entry.type]


def test_application_that_cannot_be_reached(tenant: LocalTenant) -> None:
    """An application that is down fails the delivery alone."""
    url = "http://127.0.0.1:9/backchannel-logout"
    tenant.add_application(tenant.client_id, tenant.client_secret, backchannel_logout_url=url)
    log_in(tenant)
    tenant.block_user("auth0|jane")

    assert "oidc_backchannel_logout_failed" == tenant.logs[-1].type


def test_application_without_a_url_is_not_told(tenant: LocalTenant) -> None:
    """Applications that registered no URL are left alone."""
    log_in(tenant)
    tenant.block_user("auth0|jane")

    assert [] == [entry for entry in tenant.logs if "logout" in entry.type]


def test_logout_urls_are_on_loopback_hosts(tenant: LocalTenant) -> None:
    """Another host than a loopback one is refused at registration."""
    with pytest.raises(ValueError, match="loopback"):
        tenant.add_application("other", backchannel_logout_url="https://app.example/logout")


# --- auth0-server-python


def test_auth0_server_python_exchanges(monkeypatch: pytest.MonkeyPatch) -> None:
    """auth0-server-python, which always sends Basic, exchanges at the default application: the real package."""
    tenant = LocalTenant()
    tenant.accept(TYPE, "auth0|jane")

    async def exchange(domain: str) -> Any:
        client = sibling.ServerClient(
            domain=domain,
            client_id=tenant.client_id,
            client_secret=tenant.client_secret,
            secret="a-long-random-secret-of-32-bytes-or-more",
        )
        options = sibling.CustomTokenExchangeOptions(subject_token="custom-token", subject_token_type=TYPE)
        return await client.custom_token_exchange(options)

    with tenant, tenant.serve(tls=True) as server:
        monkeypatch.setenv("SSL_CERT_FILE", server.ca_bundle or "")
        answer = anyio.run(exchange, server.domain.removeprefix("https://"))

    assert "auth0|jane" == claims_of(tenant, answer.access_token)["sub"]
    assert tenant.token_requests[-1].headers["authorization"].startswith("Basic ")
    assert GRANT == tenant.token_requests[-1].form["grant_type"]
