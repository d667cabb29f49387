"""Post-Login Actions after exchanges and refreshes.

Sources: Auth0, "Actions Triggers: post-login - Event Object" and "- API Object", "Create Custom Claims", "Custom Token
Exchange".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import claims_of
from tests.testing.node import NODES
from tests.testing.test_exchange import ACCESS_TOKEN, TYPE, ask

API = "https://api.acme.example"


@pytest.fixture
def tenant() -> Iterator[LocalTenant]:
    with LocalTenant(clock=FakeClock()) as made:
        made.actions.node = NODES["wheel"]
        made.add_user("auth0|jane", name="Jane", email="jane@acme.example", app_metadata={"plan": "pro"})
        made.accept(TYPE, "auth0|jane")
        yield made


def run(tenant: LocalTenant, act: Any, **form: Any) -> Any:
    """Exchange once with a Post-Login Action that calls ``act(api)``."""

    @tenant.post_login
    def post_login(_event: Any, api: Any) -> None:
        act(api)

    return ask(tenant, **{"audience": API, "scope": "openid", **form})


def tokens(tenant: LocalTenant, reply: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the claims of access and ID token."""
    body = reply.json()
    return claims_of(tenant, body["access_token"]), claims_of(tenant, body["id_token"])


def event_of(tenant: LocalTenant, **form: Any) -> Any:
    events = []
    tenant.post_login(lambda event, _api: events.append(event))
    ask(tenant, **form)
    return events[-1]


def test_event_of_an_exchange(tenant: LocalTenant) -> None:
    """The event tells the exchange, the user, the connection, the roles and the API."""
    tenant.add_role("admin")
    tenant.assign_roles("auth0|jane", ["admin"])
    event = event_of(tenant, audience=API, scope="openid read:a", device="tv")

    assert {
        "protocol": "oauth2-token-exchange",
        "subject_token_type": TYPE,
        "requested_scopes": ["openid", "read:a"],
        "metadata": {},
    } == event.transaction
    assert ("auth0|jane", {"plan": "pro"}) == (event.user.user_id, event.user.app_metadata)
    assert ("Username-Password-Authentication", "auth0") == (event.connection.name, event.connection.strategy)
    assert (["admin"], API, 1) == (
        event.authorization.roles,
        event.resource_server.identifier,
        event.stats.logins_count,
    )
    assert ("tv", None, None) == (event.request.body.device, event.organization, event.session)


def test_event_of_a_delegated_exchange(tenant: LocalTenant) -> None:
    """The event tells the actor and the type of the actor token, never a token."""
    tenant.accept(TYPE, "auth0|jane", actor={"sub": "agent-7"})
    transaction = event_of(tenant, actor_token="agent", actor_token_type="urn:acme:agent").transaction

    assert ({"sub": "agent-7"}, "urn:acme:agent") == (transaction.actor, transaction.actor_token_type)
    assert not {"subject_token", "actor_token"} & transaction.keys()


def test_event_of_a_refresh(tenant: LocalTenant) -> None:
    """A refresh runs the Actions again, with a protocol of its own."""
    token = ask(tenant, scope="offline_access").json()["refresh_token"]
    transaction = event_of(tenant, grant_type="refresh_token", refresh_token=token).transaction

    assert ("oauth2-refresh-token", None) == (transaction.protocol, transaction.subject_token_type)


def test_userinfo_is_no_resource_server(tenant: LocalTenant) -> None:
    """Without an API the event has no resource server (assumption)."""
    assert event_of(tenant).resource_server is None


def test_custom_claims(tenant: LocalTenant) -> None:
    """Each token has the claims that were set for it."""

    def act(api: Any) -> None:
        api.accessToken.setCustomClaim("https://acme.example/plan", {"name": "pro"})
        api.id_token.set_custom_claim("favorite_color", "blue")
        api.idToken.setCustomClaim("gone", 1)
        api.idToken.setCustomClaim("gone", None)

    access, identity = tokens(tenant, run(tenant, act))
    assert {"name": "pro"} == access["https://acme.example/plan"]
    assert ("blue", False) == (identity["favorite_color"], "gone" in identity)
    assert not {"favorite_color"} & access.keys()


@pytest.mark.parametrize(
    "name",
    ["iss", "sub", "aud", "exp", "iat", "act", "sid", "azp", "org_id", "permissions", "roles", "cnf", "client_id"],
)
def test_reserved_claims_are_ignored(tenant: LocalTenant, name: str) -> None:
    """A claim that belongs to the tenant is dropped without a word, in both tokens (source: Create Custom Claims)."""

    def act(api: Any) -> None:
        api.accessToken.setCustomClaim(name, "evil")
        api.idToken.setCustomClaim(name, "evil")

    assert ["evil" not in str(claims.get(name)) for claims in tokens(tenant, run(tenant, act))] == [True, True]


def test_claims_follow_a_refresh(tenant: LocalTenant) -> None:
    """Custom claims are those of the moment, not of the login."""
    tenant.post_login(lambda event, api: api.accessToken.setCustomClaim("protocol", event.transaction.protocol))
    first = ask(tenant, scope="openid offline_access").json()
    second = ask(tenant, grant_type="refresh_token", refresh_token=first["refresh_token"]).json()

    assert ["oauth2-token-exchange", "oauth2-refresh-token"] == [
        claims_of(tenant, each["access_token"])["protocol"] for each in (first, second)
    ]


def test_scopes_can_be_added_and_removed(tenant: LocalTenant) -> None:
    """Scopes that Actions add or remove win over RBAC, and the reply tells them."""
    tenant.add_api(API, ["read:a", "read:b"], enforce_policies=True)
    tenant.assign_permissions("auth0|jane", API, ["read:a"])

    def act(api: Any) -> None:
        api.accessToken.addScope("read:b")
        api.accessToken.addScope("admin:all")
        api.accessToken.removeScope("read:a")

    reply = run(tenant, act, scope="openid read:a")
    assert "openid read:b admin:all" == reply.json()["scope"] == tokens(tenant, reply)[0]["scope"]


def test_denial_stops_later_actions(tenant: LocalTenant) -> None:
    """After a denial no Action runs; metadata is written all the same; the reply is access_denied (assumption)."""
    ran = []

    def act(api: Any) -> None:
        api.user.setUserMetadata("attempts", 1)
        api.access.deny("not on weekends")
        ran.append("this one goes on")

    tenant.post_login(lambda _event, api: api.user.setAppMetadata("seen", True))
    tenant.post_login(lambda _event, api: act(api))
    tenant.post_login(lambda _event, _api: ran.append("the next one"))
    reply = ask(tenant)

    assert (403, {"error": "access_denied", "error_description": "not on weekends"}) == (
        reply.status_code,
        reply.json(),
    )
    assert ["this one goes on"] == ran
    assert ({"plan": "pro", "seen": True}, {"attempts": 1}) == (
        tenant.users["auth0|jane"].app_metadata,
        tenant.users["auth0|jane"].user_metadata,
    )
    assert ("fecte", "a Post-Login Action denied: not on weekends") == (
        tenant.logs[-1].type,
        tenant.logs[-1].description,
    )


def test_denied_refresh_keeps_the_refresh_token(tenant: LocalTenant) -> None:
    """A refresh that is denied does not use the refresh token up."""
    token = ask(tenant, scope="offline_access").json()["refresh_token"]
    tenant.post_login(lambda _event, api: api.access.deny("no"))
    refused = ask(tenant, grant_type="refresh_token", refresh_token=token)
    tenant.actions.post_login.clear()

    assert (403, "access_denied") == (refused.status_code, refused.json()["error"])
    assert 200 == ask(tenant, grant_type="refresh_token", refresh_token=token).status_code


def test_several_actions_share_transaction_metadata(tenant: LocalTenant) -> None:
    """What the exchange's Action and earlier Post-Login Actions left, later ones find, in order."""
    seen = []

    @tenant.action(TYPE)
    def exchange(_event: Any, api: Any) -> None:
        api.authentication.setUserById("auth0|jane")
        api.transaction.setMetadata("order", "a")

    def add(name: str) -> None:
        @tenant.post_login
        def post_login(event: Any, api: Any) -> None:
            seen.append(dict(event.transaction.metadata))
            api.transaction.setMetadata("order", event.transaction.metadata["order"] + name)

    add("b")
    add("c")
    ask(tenant)

    assert [{"order": "a"}, {"order": "ab"}] == seen


def test_second_factor(tenant: LocalTenant) -> None:
    """multifactor.enable ends in mfa_required, and the tokens that come of it have the custom claims."""
    factor = tenant.enroll_factor("auth0|jane", "otp")
    tenant.users["auth0|jane"].mfa_required = False

    def act(api: Any) -> None:
        api.multifactor.enable("any")
        api.accessToken.setCustomClaim("color", "blue")

    refused = run(tenant, act)
    finished = ask(
        tenant,
        grant_type="http://auth0.com/oauth/grant-type/mfa-otp",
        mfa_token=refused.json()["mfa_token"],
        otp=factor.code(),
    )
    assert (403, "mfa_required") == (refused.status_code, refused.json()["error"])
    assert "blue" == tokens(tenant, finished)[0]["color"]


def test_second_factor_with_an_actor(tenant: LocalTenant) -> None:
    """A second factor and an actor do not go together."""
    tenant.accept(TYPE, "auth0|jane", actor={"sub": "agent-7"})

    assert 400 == run(tenant, lambda api: api.multifactor.enable("any")).status_code


@pytest.mark.parametrize(
    "call",
    [
        lambda api: api.authentication.challengeWith({"type": "otp"}),
        lambda api: api.authentication.challengeWithAny([{"type": "otp"}]),
        lambda api: api.authentication.enrollWith({"type": "otp"}),
        lambda api: api.authentication.enrollWithAny([{"type": "otp"}]),
        lambda api: api.redirect.sendUserTo("https://acme.example"),
        lambda api: api.prompt.render("ap_1"),
    ],
)
def test_what_needs_a_browser_is_fatal(tenant: LocalTenant, call: Any) -> None:
    """Challenges, enrolments, redirects and forms fail the request, caught or not (source: CTE and MFA)."""
    reply = run(tenant, call)

    assert (500, "server_error") == (reply.status_code, reply.json()["error"])
    assert "which a token request cannot do" in tenant.logs[-1].description


def test_primary_user(tenant: LocalTenant) -> None:
    """The tokens are about the primary user that an Action sets (assumption)."""
    tenant.add_user("auth0|primary")
    reply = run(tenant, lambda api: api.authentication.setPrimaryUser("auth0|primary"))

    assert ["auth0|primary"] * 2 == [claims["sub"] for claims in tokens(tenant, reply)]


BEYOND = {
    "scope as a claim": lambda api: api.accessToken.setCustomClaim("scope", "admin"),
    "claims": lambda api: api.idToken.setCustomClaim("big", "x" * 102_400),
    "claims together": lambda api: [api.idToken.setCustomClaim(each, "x" * 60_000) for each in "ab"],
    "claim without name": lambda api: api.idToken.setCustomClaim("", 1),
    "claim that is not JSON": lambda api: api.idToken.setCustomClaim("a", {1, 2}),
    "scope": lambda api: api.accessToken.addScope("s" * 281),
    "scope with a blank": lambda api: api.accessToken.addScope("a b"),
    "scopes": lambda api: [api.accessToken.addScope(f"s{each}") for each in range(1001)],
    "empty reason": lambda api: api.access.deny(""),
    "factor without name": lambda api: api.multifactor.enable(),
}


@pytest.mark.parametrize("act", BEYOND.values(), ids=BEYOND)
def test_beyond_a_limit(tenant: LocalTenant, act: Any) -> None:
    """A call that Auth0 does not take fails the request."""
    assert 500 == run(tenant, act).status_code
    assert "the Action threw ActionLimitError" in tenant.logs[-1].description


def test_at_the_limits(tenant: LocalTenant) -> None:
    """The largest claims and the longest and most scopes are taken."""

    def act(api: Any) -> None:
        api.idToken.setCustomClaim("a", "x" * (102_400 - 9))
        api.accessToken.addScope("s" * 280)
        for number in range(999):
            api.accessToken.addScope(f"s{number}")

    assert 200 == run(tenant, act).status_code


def test_cache_is_the_triggers_own(tenant: LocalTenant) -> None:
    """Post-Login Actions have a cache of their own, which exchanges do not see."""
    found = []

    @tenant.action(TYPE)
    def exchange(_event: Any, api: Any) -> None:
        api.authentication.setUserById("auth0|jane")
        api.cache.set("key", "of the exchange")

    @tenant.post_login
    def post_login(_event: Any, api: Any) -> None:
        found.append(api.cache.get("key"))
        api.cache.set("key", "of the login")

    ask(tenant)
    ask(tenant)

    assert [None, "of the login"] == [each and each.value for each in found]


def test_on_behalf_of_runs_the_actions(tenant: LocalTenant) -> None:
    """An On-Behalf-Of exchange runs the Actions as well (assumption: they see the chain of actors)."""
    subject = ask(tenant, audience=API).json()["access_token"]
    actors = []

    @tenant.post_login
    def post_login(event: Any, api: Any) -> None:
        actors.append(event.transaction.actor)
        api.accessToken.setCustomClaim("c", 1)

    reply = ask(
        tenant,
        subject_token=subject,
        subject_token_type=ACCESS_TOKEN,
        requested_token_type=ACCESS_TOKEN,
        audience="https://next.acme.example",
    )

    assert 1 == claims_of(tenant, reply.json()["access_token"])["c"]
    assert [{"sub": "local-client", "act": {"sub": "local-client"}}] == actors


SCRIPT = """
exports.onExecutePostLogin = async (event, api) => {
  if (event.transaction.protocol !== "oauth2-token-exchange" || event.organization !== undefined) return;
  api.accessToken.setCustomClaim("https://acme.example/roles", event.authorization.roles);
  api.idToken.setCustomClaim("plan", event.user.app_metadata.plan).accessToken.addScope(event.secrets.SCOPE);
  if (event.transaction.requested_scopes.includes("forbidden")) api.access.deny("no");
};
"""


def test_javascript_file(tenant: LocalTenant, tmp_path: Path) -> None:
    """A JavaScript file runs as it is deployed, among Actions in Python, in the order of registration."""
    file = tmp_path / "post-login.js"
    file.write_text(SCRIPT)
    order = []
    tenant.add_role("admin")
    tenant.assign_roles("auth0|jane", ["admin"])
    tenant.post_login_file(file, secrets={"SCOPE": "added"})
    tenant.post_login(secrets={"KEY": "k"})(lambda event, _api: order.append(event.secrets.KEY))
    access, identity = tokens(tenant, ask(tenant, audience=API, scope="openid"))
    denied = ask(tenant, audience=API, scope="forbidden")

    assert (["admin"], "openid added", "pro") == (
        access["https://acme.example/roles"],
        access["scope"],
        identity["plan"],
    )
    assert ((403, "no"), ["k"]) == ((denied.status_code, denied.json()["error_description"]), order)


def test_failing_action(tenant: LocalTenant) -> None:
    """An Action that throws fails the exchange, and the log tells where."""

    def act(_api: Any) -> None:
        raise LookupError("nothing")

    assert 500 == run(tenant, act).status_code
    assert "the Action threw LookupError: nothing (test_post_login.py:" in tenant.logs[-1].description
