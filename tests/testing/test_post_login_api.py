"""What Post-Login Actions can ask and change besides claims: groups, roles, refresh tokens, sessions, the primary user.

Sources: Auth0, "Actions Triggers: post-login - API Object" and "- Event Object", "Actions Limitations", "Manage Refresh
Tokens with Actions", "Refresh Token Metadata".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import claims_of
from tests.testing.node import NODES
from tests.testing.test_exchange import TYPE, ask

API = "https://api.acme.example"
OFFLINE = "openid offline_access"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_800_000_000)


@pytest.fixture
def tenant(clock: FakeClock) -> Iterator[LocalTenant]:
    with LocalTenant(clock=clock) as made:
        made.actions.node = NODES["wheel"]
        made.add_user("auth0|jane", name="Jane")
        made.accept(TYPE, "auth0|jane")
        yield made


def refresh(tenant: LocalTenant, token: str) -> Any:
    return ask(tenant, grant_type="refresh_token", refresh_token=token)


def add_groups(tenant: LocalTenant) -> None:
    tenant.add_role("admin")
    tenant.add_role("editor", {API: ["write:a"]})
    tenant.assign_roles("auth0|jane", ["admin"])
    tenant.add_group("staff", members=["auth0|jane"], roles=["editor"])
    tenant.add_group("board", members=["auth0|jane", "auth0|max"])
    tenant.add_group("others", members=["auth0|max"])


def answers(tenant: LocalTenant, act: Callable[[Any], Any]) -> Any:
    """Return what an Action's calls answer."""
    told: list[Any] = []
    tenant.post_login(lambda _event, api: told.append(act(api)))
    assert 200 == ask(tenant).status_code, tenant.logs[-1].description
    return told[0]


def names(members: Any) -> list[str]:
    return [member["name"] for member in members]


# --- groups and roles


def test_groups_of_the_user(tenant: LocalTenant) -> None:
    """A page of the user's own groups, with ids and names (source: API Object; shape: assumption)."""
    add_groups(tenant)
    page = answers(tenant, lambda api: api.groups.getUserGroups())

    assert (["board", "staff"], "grp_") == (names(page.groups), page.groups[0].id[:4])
    assert "next" not in page


def test_pages_of_groups(tenant: LocalTenant) -> None:
    """``next`` of a page is ``from`` of the following one (source: API Object, checkpoint pagination)."""
    add_groups(tenant)
    first = answers(tenant, lambda api: api.groups.getUserGroups({"take": 1}))
    tenant.actions.post_login.clear()
    second = answers(tenant, lambda api: api.groups.getUserGroups({"take": 1, "from": first.next}))

    assert (["board"], ["staff"], False) == (names(first.groups), names(second.groups), "next" in second)


@pytest.mark.parametrize(("asked", "found"), [(["staff", "others"], ["staff"]), (["others"], []), ([], [])])
def test_group_membership(tenant: LocalTenant, asked: list[str], found: list[str]) -> None:
    """Whether the user belongs to one of several groups, and to which (source: API Object; names: assumption)."""
    add_groups(tenant)
    told = answers(tenant, lambda api: api.groups.hasGroupMembership(asked))

    assert (found != [], found) == (told.isMember, names(told.groups))


def test_group_membership_by_id(tenant: LocalTenant) -> None:
    """Groups are named by their ids, too."""
    add_groups(tenant)
    staff = answers(tenant, lambda api: api.groups.getUserGroups()).groups[1]
    tenant.actions.post_login.clear()

    assert ["staff"] == names(answers(tenant, lambda api: api.groups.hasGroupMembership([staff.id])).groups)


def test_effective_roles(tenant: LocalTenant) -> None:
    """Roles that the user has directly and by groups; the event has the direct ones (source: API Object)."""
    add_groups(tenant)
    direct: list[Any] = []
    tenant.post_login(lambda event, _api: direct.extend(event.authorization.roles))
    roles = answers(tenant, lambda api: api.roles.getUserEffectiveRoles()).roles

    assert (["admin", "editor"], ["admin"]) == (names(roles), direct)


def test_roles_by_ids_and_names(tenant: LocalTenant) -> None:
    """Those of the asked roles that the user has."""
    add_groups(tenant)
    tenant.add_role("nobody")
    editor = answers(tenant, lambda api: api.roles.getUserEffectiveRoles()).roles[1]
    tenant.actions.post_login.clear()
    found = answers(
        tenant,
        lambda api: [
            names(api.roles.getUserEffectiveRolesByIds([editor.id, "rol_unknown"]).roles),
            names(api.roles.get_user_effective_roles_by_names(["admin", "nobody"]).roles),
        ],
    )

    assert [["editor"], ["admin"]] == found


def test_permissions_by_groups(tenant: LocalTenant) -> None:
    """A role that a group brings counts in role-based access control (assumption)."""
    add_groups(tenant)
    tenant.add_api(API, ["write:a", "delete:a"], enforce_policies=True)
    reply = ask(tenant, audience=API, scope="write:a delete:a")

    assert "write:a" == reply.json()["scope"]


def test_group_with_an_unknown_role(tenant: LocalTenant) -> None:
    """A role that does not exist is refused."""
    with pytest.raises(KeyError, match="boss"):
        tenant.add_group("staff", roles=["boss"])


WRONG = {
    "take of nothing": lambda api: api.groups.getUserGroups({"take": 0}),
    "take past 100": lambda api: api.roles.getUserEffectiveRoles({"take": 101}),
    "take as text": lambda api: api.roles.getUserEffectiveRoles({"take": "5"}),
    "from of nowhere": lambda api: api.groups.getUserGroups({"from": "page two"}),
    "params of text": lambda api: api.groups.getUserGroups("all"),
    "groups of text": lambda api: api.groups.hasGroupMembership("staff"),
    "groups of numbers": lambda api: api.groups.hasGroupMembership([1]),
    "101 ids": lambda api: api.roles.getUserEffectiveRolesByIds(["r"] * 101),
    "51 names": lambda api: api.roles.getUserEffectiveRolesByNames(["r"] * 51),
}


@pytest.mark.parametrize("act", WRONG.values(), ids=WRONG)
def test_wrong_questions(tenant: LocalTenant, act: Any) -> None:
    """A question that Auth0 does not take fails the Action."""
    tenant.post_login(lambda _event, api: act(api))

    assert 500 == ask(tenant).status_code
    assert "the Action threw ActionLimitError" in tenant.logs[-1].description


PROMISES = """
exports.onExecutePostLogin = async (event, api) => {
  const pending = api.groups.getUserGroups({ take: 1 });
  const { groups, next } = await pending;
  const later = await api.groups.getUserGroups({ take: 1, from: next });
  const member = await api.groups.hasGroupMembership(["staff"]);
  const { roles } = await api.roles.getUserEffectiveRoles();
  const caught = await api.roles.getUserEffectiveRolesByNames("admin").catch((error) => error.message);
  api.accessToken.setCustomClaim("told", [
    pending instanceof Promise, groups[0].name, later.groups[0].name, later.next === undefined, member.isMember,
    roles.map((role) => role.name), caught, api.redirect.canRedirect(), api.rules.wasExecuted("rul_1"),
  ]);
};
"""


def test_promises_in_javascript(tenant: LocalTenant, tmp_path: Path) -> None:
    """What is asked of groups and roles is a promise, which a broken limit rejects; plain answers are values."""
    add_groups(tenant)
    (tmp_path / "post-login.js").write_text(PROMISES)
    tenant.post_login_file(tmp_path / "post-login.js")
    token = ask(tenant, audience=API).json()["access_token"]

    limit = "names must be an array of at most 50 strings"
    expected = [True, "board", "staff", True, True, ["admin", "editor"], limit, False, False]
    assert expected == claims_of(tenant, token)["told"]


def test_promises_in_python(tenant: LocalTenant) -> None:
    """An async Action awaits the same calls."""
    add_groups(tenant)
    told = []

    @tenant.post_login
    async def post_login(_event: Any, api: Any) -> None:
        told.append((await api.groups.getUserGroups()).groups[0].name)

    ask(tenant)
    assert ["board"] == told


# --- the event


def test_members_that_a_token_request_lacks(tenant: LocalTenant) -> None:
    """What only browsers, agents and Auth0's edge bring is absent, the query is an object (source: Event Object)."""
    events: list[Any] = []
    tenant.post_login(lambda event, _api: events.append(event))
    ask(tenant)
    (event,) = events

    optional = ("agent", "authentication", "custom_domain", "prompt", "refresh_token", "security_context", "session")
    assert [None] * 8 == [getattr(event, name) for name in (*optional, "session_transfer_token")]
    assert not set(optional) & event.keys()
    assert ({}, None) == (event.request.query, event.request.asn)


def test_custom_domain(tenant: LocalTenant) -> None:
    """A request to a custom domain tells which (source: Event Object)."""
    tenant.add_custom_domain("login.acme.example")
    events: list[Any] = []
    tenant.post_login(lambda event, _api: events.append(event))
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "client_id": tenant.client_id}
    form |= {"client_secret": tenant.client_secret, "subject_token": "x", "subject_token_type": TYPE}
    with tenant.session() as session:
        session.post("https://login.acme.example/oauth/token", data=form)

    assert {"domain": "login.acme.example", "domain_metadata": {}} == events[0].custom_domain


LIVE = """
exports.onExecutePostLogin = async (event, api) => {
  api.transaction.setMetadata("order", `${event.transaction.metadata.order}-js`);
  const seen = [event.transaction.metadata.order];
  api.transaction.setMetadata("gone", 1).transaction.setMetadata("gone", null);
  api.accessToken.setCustomClaim("seen", [...seen, "gone" in event.transaction.metadata]);
};
"""


def test_transaction_metadata_is_live(tenant: LocalTenant, tmp_path: Path) -> None:
    """An Action sees at once what it sets, in both languages (source: API Object, "updated in real-time")."""
    seen = []

    @tenant.post_login
    def post_login(event: Any, api: Any) -> None:
        api.transaction.setMetadata("order", "py")
        seen.append(dict(event.transaction.metadata))

    (tmp_path / "post-login.js").write_text(LIVE)
    tenant.post_login_file(tmp_path / "post-login.js")
    token = ask(tenant, audience=API).json()["access_token"]

    assert ([{"order": "py"}], ["py-js", False]) == (seen, claims_of(tenant, token)["seen"])


@pytest.mark.parametrize("number", [2**53, -(2**53), 1e300])
def test_unsafe_numbers_are_refused(tenant: LocalTenant, number: float) -> None:
    """An integer that JavaScript cannot tell from its neighbours is refused (source: Actions Limitations)."""
    tenant.post_login(lambda _event, api: api.transaction.setMetadata("n", number))

    assert 500 == ask(tenant).status_code
    assert "value must be a safe integer" in tenant.logs[-1].description


@pytest.mark.parametrize("number", [2**53 - 1, -(2**53) + 1, 0.5, 1e-300])
def test_safe_numbers_are_taken(tenant: LocalTenant, number: float) -> None:
    """All other numbers are taken."""
    tenant.post_login(lambda _event, api: api.transaction.setMetadata("n", number))

    assert 200 == ask(tenant).status_code


# --- time


def test_all_actions_share_the_time(tenant: LocalTenant, clock: FakeClock) -> None:
    """The limit holds for an execution of the trigger, all of its Actions together (source: Actions Limitations)."""
    for _ in range(3):
        tenant.post_login(lambda _event, _api: clock.advance(8))
    refused = ask(tenant)
    tenant.actions.post_login.pop()

    assert (500, 200) == (refused.status_code, ask(tenant).status_code)
    assert "the Actions of the trigger ran for more than 20 seconds" == tenant.logs[0].description


def test_what_is_left_ends_an_endless_action(tenant: LocalTenant, tmp_path: Path) -> None:
    """An Action that never ends gets no more than what those before it left."""
    tenant.actions.time_limit = 1
    file = tmp_path / "post-login.js"
    file.write_text("exports.onExecutePostLogin = async () => new Promise((done) => setTimeout(done, 700));")
    tenant.post_login_file(file)
    tenant.post_login_file(file)

    assert 500 == ask(tenant).status_code
    assert "the Actions of the trigger ran for more than 1 seconds" == tenant.logs[-1].description


# --- refusals


def test_validation_error(tenant: LocalTenant) -> None:
    """A validation error refuses the tokens with its message (reply: assumption)."""
    tenant.post_login(lambda _event, api: api.validation.error("too_young", "You must be 18."))
    reply = ask(tenant)

    assert (403, {"error": "access_denied", "error_description": "You must be 18."}) == (
        reply.status_code,
        reply.json(),
    )


def test_revoked_session(tenant: LocalTenant) -> None:
    """Revoking the session refuses the tokens (assumption: there is no session to end)."""
    tenant.post_login(lambda _event, api: api.session.revoke("risky"))

    assert (403, "risky") == ((reply := ask(tenant)).status_code, reply.json()["error_description"])


@pytest.mark.parametrize(
    "call",
    [
        lambda api: api.session.setExpiresAt(1),
        lambda api: api.session.setIdleExpiresAt(1),
        lambda api: api.session.setCookieMode("persistent"),
        lambda api: api.session.setMetadata("a", "b"),
        lambda api: api.session.deleteMetadata("a"),
        lambda api: api.session.evictMetadata(),
    ],
)
def test_session_settings_change_nothing(tenant: LocalTenant, caplog: pytest.LogCaptureFixture, call: Any) -> None:
    """What shapes a session is a warning, because a token request has none (assumption)."""
    tenant.post_login(lambda _event, api: call(api))

    assert 200 == ask(tenant).status_code
    assert "changes nothing: a token request has no session" in caplog.text


SAML = """
exports.onExecutePostLogin = async (event, api) => {
  api.samlResponse.setAttribute("email", event.user.email).samlResponse.setAudience("urn:a");
  api.samlResponse.setNameIdentifierProbes(["a"]);
  api.samlResponse.setEncryptionAlgorithm("aes256-gcm");
  api.accessToken.setCustomClaim("done", Object.keys(api.samlResponse).length);
};
"""


def test_saml_settings_change_nothing(tenant: LocalTenant, tmp_path: Path) -> None:
    """What shapes a SAML response is ignored, so that an Action for both kinds of login runs (assumption)."""
    (tmp_path / "post-login.js").write_text(SAML)
    tenant.post_login_file(tmp_path / "post-login.js")

    assert 25 == claims_of(tenant, ask(tenant, audience=API).json()["access_token"])["done"]


@pytest.mark.parametrize(
    "call",
    [
        lambda api: api.authentication.recordMethod("https://acme.example/method"),
        lambda api: api.redirect.encodeToken({"secret": "s", "payload": {}}),
        lambda api: api.redirect.validateToken({"secret": "s"}),
    ],
)
def test_the_way_back_from_a_redirect_is_fatal(tenant: LocalTenant, call: Any) -> None:
    """What belongs to redirects fails the request (assumption)."""
    tenant.post_login(lambda _event, api: call(api))

    assert 500 == ask(tenant).status_code
    assert "which a token request cannot do" in tenant.logs[-1].description


# --- the primary user


def test_primary_user_once(tenant: LocalTenant) -> None:
    """SetPrimaryUser can be called once in a request (source: Actions Limitations)."""
    tenant.add_user("auth0|max")
    for _ in range(2):
        tenant.post_login(lambda _event, api: api.authentication.setPrimaryUser("auth0|max"))

    assert 500 == ask(tenant).status_code
    assert "setPrimaryUser can be called once" in tenant.logs[-1].description


@pytest.mark.parametrize(("length", "status"), [(128, 200), (129, 500)])
def test_length_of_the_primary_user(tenant: LocalTenant, length: int, status: int) -> None:
    """A primary user's id has at most 128 characters (source: Actions Limitations)."""
    user_id = "auth0|" + "m" * (length - 6)
    tenant.add_user(user_id)
    tenant.post_login(lambda _event, api: api.authentication.setPrimaryUser(user_id))

    assert status == ask(tenant).status_code


def test_metadata_of_the_primary_user(tenant: LocalTenant) -> None:
    """User metadata that the same Action sets is lost; later Actions set the primary user's (source: Limitations)."""
    tenant.add_user("auth0|max")

    @tenant.post_login
    def link(_event: Any, api: Any) -> None:
        api.authentication.setPrimaryUser("auth0|max")
        api.user.setUserMetadata("lost", 1)

    tenant.post_login(lambda _event, api: api.user.setUserMetadata("kept", 2))
    ask(tenant)

    assert ({}, {"kept": 2}) == (tenant.users["auth0|jane"].user_metadata, tenant.users["auth0|max"].user_metadata)


# --- refresh tokens


def test_event_of_a_refresh(tenant: LocalTenant, clock: FakeClock) -> None:
    """A refresh tells of its refresh token: ids, dates and devices (source: Event Object)."""
    tenant.sessions.refresh_token_lifetime = 1000
    token = ask(tenant, scope=OFFLINE, headers={"User-Agent": "phone/1"}).json()["refresh_token"]
    events: list[Any] = []
    tenant.post_login(lambda event, _api: events.append(event.refresh_token))
    clock.advance(60)
    token = ask(tenant, grant_type="refresh_token", refresh_token=token, headers={"User-Agent": "phone/2"}).json()[
        "refresh_token"
    ]
    clock.advance(60)
    refresh(tenant, token)
    first, second = events

    assert ("2027-01-15T08:00:00.000Z", "2027-01-15T08:16:40.000Z", None, None) == (
        first.created_at,
        first.expires_at,
        first.idle_expires_at,
        first.last_exchanged_at,
    )
    assert (first.id, "2027-01-15T08:01:00.000Z") == (second.id, second.last_exchanged_at)
    assert ("phone/1", "phone/2") == (second.device.initial_user_agent, second.device.last_user_agent)
    assert (True, "local-client", "auth0|jane", {}) == (
        second.rotating,
        second.client_id,
        second.user_id,
        second.metadata,
    )


def test_revoked_refresh_token(tenant: LocalTenant) -> None:
    """Revoking answers 403 access_denied with the reason, writes srrt, and the token is dead (source: Manage)."""
    token = ask(tenant, scope=OFFLINE).json()["refresh_token"]
    tenant.post_login(lambda _event, api: api.refreshToken.revoke("Invalid IP change"))
    reply = refresh(tenant, token)
    tenant.actions.post_login.clear()

    assert (403, {"error": "access_denied", "error_description": "Invalid IP change"}) == (
        reply.status_code,
        reply.json(),
    )
    assert ["srrt", "fertft"] == [entry.type for entry in tenant.logs[-2:]]
    assert "invalid_grant" == refresh(tenant, token).json()["error"]


def test_revoking_outside_of_a_refresh(tenant: LocalTenant) -> None:
    """Without a refresh token there is nothing to revoke: the call throws (assumption)."""
    tenant.post_login(lambda _event, api: api.refreshToken.revoke("no"))

    assert 500 == ask(tenant, scope=OFFLINE).status_code


@pytest.mark.parametrize("rotate", [True, False])
@pytest.mark.parametrize("method", ["setExpiresAt", "setIdleExpiresAt"])
def test_earlier_end(tenant: LocalTenant, clock: FakeClock, method: str, rotate: bool) -> None:
    """An Action of the exchange brings the end forward; the earliest of several counts (source: Manage)."""
    tenant.sessions.rotate_refresh_tokens = rotate

    @tenant.post_login
    def post_login(event: Any, api: Any) -> None:
        if event.refresh_token is None:
            for seconds in (300, 100, 200):
                getattr(api.refreshToken, method)((clock() + seconds) * 1000)

    tokens = [ask(tenant, scope=OFFLINE).json()["refresh_token"] for _ in range(2)]
    clock.advance(99)
    early = refresh(tenant, tokens[0])
    clock.advance(1)

    assert (200, 403) == (early.status_code, refresh(tenant, tokens[1]).status_code)
    # A refresh overwrites the idle end, not the absolute one.
    again = early.json().get("refresh_token", tokens[0])
    assert (200 if method == "setIdleExpiresAt" else 403) == refresh(tenant, again).status_code


def test_ends_are_not_put_off(tenant: LocalTenant, clock: FakeClock) -> None:
    """A date past the settings, or past an earlier one, changes nothing (source: Manage, Limitations)."""
    tenant.sessions.refresh_token_lifetime = 100
    tenant.post_login(lambda _event, api: api.refreshToken.setExpiresAt((clock() + 1000) * 1000))
    token = ask(tenant, scope=OFFLINE).json()["refresh_token"]
    clock.advance(100)

    assert 403 == refresh(tenant, token).status_code


@pytest.mark.parametrize("rotate", [True, False])
def test_a_refresh_keeps_the_token_alive(tenant: LocalTenant, clock: FakeClock, rotate: bool) -> None:
    """Each refresh begins the idle time anew, with and without rotation (source: Refresh Token Expiration)."""
    tenant.sessions.rotate_refresh_tokens, tenant.sessions.refresh_token_idle_lifetime = rotate, 100
    token = ask(tenant, scope=OFFLINE).json()["refresh_token"]
    statuses = []
    for wait in (99, 99, 100):
        clock.advance(wait)
        answer = refresh(tenant, token)
        token = answer.json().get("refresh_token", token)
        statuses.append(answer.status_code)

    assert [200, 200, 403] == statuses


METADATA = """
exports.onExecutePostLogin = async (event, api) => {
  const count = Number(event.refresh_token?.metadata?.count ?? "0") + 1;
  api.refreshToken.setMetadata("count", String(count)).refreshToken.setMetadata("gone", "x");
  api.refreshToken.deleteMetadata("gone");
  if (event.request.body.forget) api.refreshToken.evictMetadata();
  api.accessToken.setCustomClaim("count", [count, Object.keys(event.refresh_token?.metadata ?? {})]);
};
"""


def test_metadata_of_a_refresh_token(tenant: LocalTenant, tmp_path: Path) -> None:
    """Metadata is set from the first exchange on, read at refreshes, and can be deleted (source: Metadata)."""
    (tmp_path / "post-login.js").write_text(METADATA)
    tenant.post_login_file(tmp_path / "post-login.js")
    body = ask(tenant, scope=OFFLINE, audience=API).json()
    counts = [claims_of(tenant, body["access_token"])["count"]]
    for more in ({}, {"forget": "1"}, {}):
        body = ask(tenant, grant_type="refresh_token", refresh_token=body["refresh_token"], **more).json()
        counts.append(claims_of(tenant, body["access_token"])["count"])

    assert [[1, []], [2, ["count"]], [3, ["count"]], [1, []]] == counts


BEYOND = {
    "key": lambda api: api.refreshToken.setMetadata("k" * 256, "v"),
    "key with a blank": lambda api: api.refreshToken.setMetadata("a b", "v"),
    "value": lambda api: api.refreshToken.setMetadata("k", "v" * 256),
    "value that is a number": lambda api: api.refreshToken.setMetadata("k", 1),
    "entries": lambda api: [api.refreshToken.setMetadata(f"k{each}", "v") for each in range(26)],
    "date": lambda api: api.refreshToken.setExpiresAt("tomorrow"),
    "date of nothing": lambda api: api.refreshToken.setIdleExpiresAt(),
    "rule": lambda api: api.rules.wasExecuted(),
    "validation": lambda api: api.validation.error("code"),
}


@pytest.mark.parametrize("act", BEYOND.values(), ids=BEYOND)
def test_beyond_a_limit(tenant: LocalTenant, act: Any) -> None:
    """A call that Auth0 does not take fails the request (source: Refresh Token Metadata, limitations)."""
    tenant.post_login(lambda _event, api: act(api))

    assert 500 == ask(tenant).status_code
    assert "the Action threw ActionLimitError" in tenant.logs[-1].description


def test_metadata_at_the_limits(tenant: LocalTenant) -> None:
    """25 entries with keys and values of 255 characters are taken."""

    def act(api: Any) -> None:
        for number in range(25):
            api.refreshToken.setMetadata(f"{number:02}" + "k" * 253, "v" * 255)

    tenant.post_login(lambda _event, api: act(api))
    assert 200 == ask(tenant, scope=OFFLINE).status_code
