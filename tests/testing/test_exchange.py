"""What an exchange at the local tenant answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from auth0_cte.jose import Jws
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import claims_of

if TYPE_CHECKING:
    import requests

TYPE = "urn:acme:mcp-token"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
UNKNOWN_TYPE = "Invalid subject_token_type and requested_token_type combination."


def ask(tenant: LocalTenant, *, session: Any = None, headers: Any = None, **form: Any) -> requests.Response:
    """Send an exchange in process; a parameter that is None is left out."""
    usual = {
        "grant_type": GRANT,
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
        "subject_token": "the-token",
        "subject_token_type": TYPE,
    }
    data = {name: value for name, value in {**usual, **form}.items() if value is not None}
    with session or tenant.session() as used:
        return used.post(f"{tenant.issuer}oauth/token", data=data, headers=headers)


@pytest.fixture
def tenant() -> LocalTenant:
    made = LocalTenant(clock=FakeClock(1_800_000_000.5))
    made.add_user("auth0|jane", name="Jane", email="jane@acme.example", email_verified=True, department="R&D")
    made.accept(TYPE, "auth0|jane")
    return made


def test_success_has_the_documented_members(tenant: LocalTenant) -> None:
    """A plain exchange answers with access token, type, lifetime and issued type, and nothing else."""
    body = ask(tenant, audience="https://api.acme.example", scope="read:tools").json()

    assert {"access_token", "token_type", "expires_in", "issued_token_type"} == body.keys()
    assert ("Bearer", 86400, ACCESS_TOKEN) == (body["token_type"], body["expires_in"], body["issued_token_type"])


def test_access_token_claims(tenant: LocalTenant) -> None:
    """The access token is a JWT, signed by a published key, for the audience and the user."""
    token = ask(tenant, audience="https://api.acme.example", scope="read:tools write:tools").json()["access_token"]

    assert {
        "iss": "https://acme.auth0.local/",
        "sub": "auth0|jane",
        "aud": "https://api.acme.example",
        "azp": "local-client",
        "iat": 1_800_000_000,
        "exp": 1_800_086_400,
        "scope": "read:tools write:tools",
    } == claims_of(tenant, token)


def test_rfc9068_access_token(tenant: LocalTenant) -> None:
    """An API can have its access tokens in the form of RFC 9068."""
    tenant.add_api("https://api.acme.example", token_dialect="rfc9068_profile")
    token = ask(tenant, audience="https://api.acme.example").json()["access_token"]

    claims = claims_of(tenant, token)
    assert ("at+jwt", "RS256") == (Jws.parse(token).header["typ"], Jws.parse(token).header["alg"])
    assert ("local-client", True, False) == (claims["client_id"], "jti" in claims, "azp" in claims)


def test_id_token_comes_with_openid_only(tenant: LocalTenant) -> None:
    """There is no ID token without the scope openid."""
    assert "id_token" not in ask(tenant, scope="profile email").json()


def test_id_token_claims(tenant: LocalTenant) -> None:
    """The ID token is for the application and has the claims that the scopes ask for."""
    token = ask(tenant, scope="openid profile email").json()["id_token"]

    claims = claims_of(tenant, token)
    assert "JWT" == Jws.parse(token).header["typ"]
    assert claims.pop("sid")
    assert {
        "iss": "https://acme.auth0.local/",
        "sub": "auth0|jane",
        "aud": "local-client",
        "iat": 1_800_000_000,
        "exp": 1_800_036_000,
        "name": "Jane",
        "email": "jane@acme.example",
        "email_verified": True,
    } == claims


@pytest.mark.parametrize("algorithm", ["PS256", "ES256"])
def test_id_token_algorithm_is_the_applications(tenant: LocalTenant, algorithm: str) -> None:
    """An application can have its ID tokens signed with another algorithm."""
    tenant.add_application(tenant.client_id, tenant.client_secret, id_token_alg=algorithm)
    token = ask(tenant, scope="openid").json()["id_token"]

    assert algorithm == Jws.parse(token).header["alg"]
    assert "auth0|jane" == claims_of(tenant, token)["sub"]


def test_client_verifies_hs256_id_tokens(tenant: LocalTenant) -> None:
    """The client of an application with HS256 verifies its ID tokens with the client secret."""
    tenant.add_application("shared", id_token_alg="HS256")
    with tenant.client(client_id="shared") as client:
        response = client.custom_token_exchange(
            {"subject_token": "the-token", "subject_token_type": TYPE, "scope": "openid"}
        )

    assert response.claims is not None
    assert "auth0|jane" == response.claims["sub"]


def test_refresh_token_comes_with_offline_access(tenant: LocalTenant) -> None:
    """offline_access brings an opaque refresh token, and the tenant remembers what it stands for."""
    token = ask(tenant, scope="openid offline_access", audience="https://api.acme.example").json()["refresh_token"]

    grant = tenant.refresh_tokens[token]
    assert ("auth0|jane", "https://api.acme.example") == (grant.user.user_id, grant.api.identifier)


def test_actor_drops_offline_access(tenant: LocalTenant) -> None:
    """With an actor there is no refresh token, and the reply tells the scope that is left."""
    tenant.accept(TYPE, "auth0|jane", actor={"sub": "agent-7"})
    body = ask(tenant, scope="openid offline_access").json()

    assert ("openid", False) == (body["scope"], "refresh_token" in body)


def test_actor_is_in_both_tokens(tenant: LocalTenant) -> None:
    """The actor that an Action sets is the act claim of ID token and access token."""
    actor = {"sub": "agent-7", "team": "ops", "act": {"sub": "orchestrator"}}
    tenant.accept(TYPE, "auth0|jane", actor=actor)
    body = ask(tenant, scope="openid").json()

    assert actor == claims_of(tenant, body["id_token"])["act"] == claims_of(tenant, body["access_token"])["act"]


def test_scope_is_told_when_it_differs(tenant: LocalTenant) -> None:
    """Scopes that the API does not define are not granted, and the reply says what is."""
    tenant.add_api("https://api.acme.example", ["read:tools"])
    body = ask(tenant, audience="https://api.acme.example", scope="read:tools admin:all openid").json()

    assert "read:tools openid" == body["scope"]


def test_default_audience(tenant: LocalTenant) -> None:
    """A request without an audience gets the tenant's default one."""
    tenant.apis.default_audience = "https://default.acme.example"

    token = ask(tenant).json()["access_token"]
    assert "https://default.acme.example" == claims_of(tenant, token)["aud"]


def test_without_any_audience_the_token_is_for_userinfo(tenant: LocalTenant) -> None:
    """Without an audience and a default one the token is for the tenant's own userinfo endpoint."""
    token = ask(tenant).json()["access_token"]

    assert "https://acme.auth0.local/userinfo" == claims_of(tenant, token)["aud"]


def test_unknown_audience(tenant: LocalTenant) -> None:
    """Once APIs are registered, no other audience exists."""
    tenant.add_api("https://api.acme.example")
    reply = ask(tenant, audience="https://other.acme.example")

    expected = {"error": "access_denied", "error_description": "Service not found: https://other.acme.example"}
    assert (400, expected) == (reply.status_code, reply.json())


def test_audience_that_is_no_uri(tenant: LocalTenant) -> None:
    """Without registered APIs every absolute URI is an audience, but nothing else."""
    assert "Service not found: tools" == ask(tenant, audience="tools").json()["error_description"]


@pytest.mark.parametrize("name", ["grant_type", "subject_token", "subject_token_type", "client_id"])
def test_missing_parameter(tenant: LocalTenant, name: str) -> None:
    """A required parameter that is missing is named."""
    reply = ask(tenant, **{name: None})

    expected = {"error": "invalid_request", "error_description": f"Missing required parameter: {name}"}
    assert (400, expected) == (reply.status_code, reply.json())


def test_empty_parameter_is_missing(tenant: LocalTenant) -> None:
    """A parameter without a value counts as left out (RFC 6749 section 3.2)."""
    assert 400 == ask(tenant, subject_token="").status_code


@pytest.mark.parametrize("name", ["subject_token", "audience", "scope", "client_id"])
def test_repeated_parameter(tenant: LocalTenant, name: str) -> None:
    """A parameter that may come once is refused when it comes twice."""
    reply = ask(tenant, **{name: ["a", "b"]})

    assert (400, f"Duplicate parameter: {name}") == (reply.status_code, reply.json()["error_description"])


def test_unsupported_grant_type(tenant: LocalTenant) -> None:
    """A grant that the tenant does not have is refused as such."""
    assert "unsupported_grant_type" == ask(tenant, grant_type="password").json()["error"]


@pytest.mark.parametrize("form", [{"actor_token": "a"}, {"actor_token_type": "urn:acme:agent"}])
def test_actor_token_and_type_come_together(tenant: LocalTenant, form: dict[str, str]) -> None:
    """An actor token without its type, or a type without a token, is a 400."""
    reply = ask(tenant, **form)

    assert (400, "invalid_request") == (reply.status_code, reply.json()["error"])


@pytest.mark.parametrize(
    "form", [{"subject_token_type": "urn:acme:other-token"}, {"requested_token_type": ACCESS_TOKEN}]
)
def test_unknown_type_and_requested_token_type(tenant: LocalTenant, form: dict[str, str]) -> None:
    """A type without a profile, and any requested_token_type, are refused with the same sentence."""
    reply = ask(tenant, **form)

    assert (400, "invalid_request") == (reply.status_code, reply.json()["error"])
    assert UNKNOWN_TYPE == reply.json()["error_description"]


def test_delegation_with_access_tokens(tenant: LocalTenant) -> None:
    """The documented delegation example, access tokens for subject and actor, works once it is registered."""
    tenant.accept(ACCESS_TOKEN, "auth0|jane", actor={"sub": "agent-7"})
    reply = ask(tenant, subject_token_type=ACCESS_TOKEN, actor_token="the-agent", actor_token_type=ACCESS_TOKEN)

    assert {"sub": "agent-7"} == claims_of(tenant, reply.json()["access_token"])["act"]


def test_mfa_required(tenant: LocalTenant) -> None:
    """A user with MFA gets mfa_required with a token to go on with, and what is asked for."""
    requirements = {"challenge": [{"type": "otp"}]}
    tenant.add_user("auth0|jane", mfa_required=True, mfa_requirements=requirements)
    reply = ask(tenant)

    body = reply.json()
    assert (403, "mfa_required", requirements) == (reply.status_code, body["error"], body["mfa_requirements"])
    assert body["mfa_token"] in tenant.state.mfa_tokens


def test_mfa_with_an_actor(tenant: LocalTenant) -> None:
    """MFA and an actor do not go together."""
    tenant.add_user("auth0|jane", mfa_required=True)
    tenant.accept(TYPE, "auth0|jane", actor={"sub": "agent-7"})
    reply = ask(tenant)

    expected = "MFA is not supported using actor_token with the requested token exchange profile."
    assert (400, "invalid_request") == (reply.status_code, reply.json()["error"])
    assert expected == reply.json()["error_description"]


def test_consent_required(tenant: LocalTenant) -> None:
    """An API whose consent cannot be skipped refuses exchanges."""
    tenant.add_api("https://api.acme.example", skip_consent=False)

    assert "consent_required" == ask(tenant, audience="https://api.acme.example").json()["error"]


def test_organization_by_id_and_by_name(tenant: LocalTenant) -> None:
    """Both tokens carry the organization's id and name, however the request named it."""
    tenant.add_organization("org_123", name="acme")
    for named in ("org_123", "acme"):
        body = ask(tenant, organization=named, scope="openid").json()
        for token in (body["id_token"], body["access_token"]):
            claims = claims_of(tenant, token)
            assert ("org_123", "acme") == (claims["org_id"], claims["org_name"])


def test_unknown_organization(tenant: LocalTenant) -> None:
    """An organization that does not exist is a 400."""
    reply = ask(tenant, organization="org_404")

    assert (400, "invalid_request") == (reply.status_code, reply.json()["error"])


def test_organization_membership(tenant: LocalTenant) -> None:
    """A user who is not a member of the organization is refused, and only the log says why."""
    tenant.add_organization("org_123", name="acme", members=["auth0|john"])
    reply = ask(tenant, organization="org_123")

    assert (400, "Invalid organization.") == (reply.status_code, reply.json()["error_description"])
    assert "the user 'auth0|jane' is not a member of the organization 'org_123'" == tenant.logs[-1].description


def test_success_is_logged(tenant: LocalTenant) -> None:
    """A success leaves a secte entry that says who, for which application, and when."""
    ask(tenant, scope="openid", audience="https://api.acme.example")

    entry = tenant.logs[-1]
    assert ("secte", "auth0|jane", "local-client") == (entry.type, entry.user_id, entry.client_id)
    assert (1_800_000_000.5, "127.0.0.1") == (entry.date, entry.ip)
    assert "https://api.acme.example" == entry.details["resource_server"]


def test_failure_is_logged_with_more_detail(tenant: LocalTenant) -> None:
    """A failure leaves a fecte entry that tells what the reply does not."""
    tenant.add_user("auth0|jane", blocked=True)
    reply = ask(tenant)

    entry = tenant.logs[-1]
    assert "The user could not be set." == reply.json()["error_description"]
    assert ("fecte", "the user 'auth0|jane' is blocked") == (entry.type, entry.description)
    assert ("invalid_request", 400) == (entry.details["error"], entry.details["status"])


def test_logs_hold_no_token(tenant: LocalTenant) -> None:
    """Neither the entry nor its details repeat the subject token or the secret."""
    ask(tenant, subject_token="very-secret-token")

    text = repr(tenant.logs[-1]) + repr(tenant.logs[-1].details)
    assert not [each for each in ("very-secret-token", tenant.client_secret) if each in text]


def test_json_requests_are_taken(tenant: LocalTenant) -> None:
    """The token endpoint takes a JSON object as well as a form, as Auth0's does."""
    with tenant.session() as session:
        reply = session.post(
            f"{tenant.issuer}oauth/token",
            json={
                "grant_type": GRANT,
                "client_id": tenant.client_id,
                "client_secret": tenant.client_secret,
                "subject_token": "the-token",
                "subject_token_type": TYPE,
            },
        )

    assert 200 == reply.status_code


def test_actor_id_token_is_validated_by_the_tenant(tenant: LocalTenant) -> None:
    """An ID token of the tenant is taken as actor token, and the Action sees its user."""
    seen = []

    @tenant.action(TYPE)
    def exchange(event: Any, api: Any) -> None:
        seen.append(event.transaction.actor_token_user)
        api.authentication.setUserById("auth0|jane")

    tenant.add_user("auth0|agent", name="Agent")
    reply = ask(tenant, actor_token=tenant.id_token("auth0|agent"), actor_token_type=ID_TOKEN)

    assert 200 == reply.status_code
    assert [("auth0|agent", "Agent")] == [(user.user_id, user.name) for user in seen]


def test_issued_id_token_serves_as_actor_token(tenant: LocalTenant) -> None:
    """The ID token of one exchange is an actor token of the next."""
    token = ask(tenant, scope="openid").json()["id_token"]

    assert 200 == ask(tenant, actor_token=token, actor_token_type=ID_TOKEN).status_code


def _expired(tenant: LocalTenant) -> str:
    return tenant.id_token("auth0|jane", lifetime=-1)


def _of_another_tenant(tenant: LocalTenant) -> str:
    other = LocalTenant(tenant.domain, clock=tenant.clock)
    other.add_user("auth0|jane")
    return other.id_token("auth0|jane")


def _of_another_issuer(tenant: LocalTenant) -> str:
    return tenant.id_token("auth0|jane", iss="https://evil.example/")


def _for_another_application(tenant: LocalTenant) -> str:
    tenant.add_application("other")
    return tenant.id_token("auth0|jane", client_id="other")


def _with_another_algorithm(tenant: LocalTenant) -> str:
    tenant.add_application(tenant.client_id, tenant.client_secret, id_token_alg="HS256")
    return tenant.id_token("auth0|jane")


def _of_nobody(tenant: LocalTenant) -> str:
    return tenant.id_token("auth0|jane", sub="auth0|nobody")


def _garbage(_tenant: LocalTenant) -> str:
    return "not.a.token"


@pytest.mark.parametrize(
    "make",
    [
        _expired,
        _of_another_tenant,
        _of_another_issuer,
        _for_another_application,
        _with_another_algorithm,
        _of_nobody,
        _garbage,
    ],
)
def test_invalid_actor_id_token(tenant: LocalTenant, make: Any) -> None:
    """An ID token that proves nothing about an actor here is refused before the Action runs."""
    reply = ask(tenant, actor_token=make(tenant), actor_token_type=ID_TOKEN)

    assert (400, "Invalid actor_token.") == (reply.status_code, reply.json()["error_description"])
    assert tenant.logs[-1].description.startswith("the actor token is invalid: ")
