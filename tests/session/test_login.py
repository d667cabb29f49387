"""Logging in: who is refused before the token is spent, what a session is, and how it is read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from auth0_cte import (
    ConfigurationError,
    CookieSettings,
    CustomTokenExchangeError,
    IdTokenError,
    MemoryStateStore,
    OrganizationError,
    ServerClient,
    SessionError,
    SessionSettings,
)
from auth0_cte.jose import Sealer
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.clients import SECRET, MakeClient, new_jar, options


class Request:
    """What is asked of a request without cookies."""

    cookies: dict[str, str] = {}
    url = "https://app.example/"
    headers: dict[str, str] = {}


def test_a_login_gives_a_user_and_a_session(tenant: LocalTenant, store: StateStore, make_client: MakeClient) -> None:
    """The user of the verified ID token is logged in, and found again by the cookies."""
    client, jar = make_client(tenant, store), new_jar()
    result = client.login_with_custom_token_exchange(options(audience="https://api.example.com"), {"cookies": jar})
    assert "auth0|ada" == result.state_data["user"]["sub"] == result.user["sub"] == result.session.user["sub"]
    assert "openid" in str(tenant.token_requests[-1].form["scope"]).split()
    user = client.get_user({"cookies": jar})
    assert user is not None
    assert "auth0|ada" == user["sub"]
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert session == client.get_session({"cookies": dict(jar)})
    assert ("auth0|ada", tenant.domain) == (session["user"]["sub"], session.domain)
    assert "https://api.example.com" == session.token_sets[0].audience == session.default_audience
    assert result.session.token_sets[0].access_token == client.get_access_token({"cookies": jar})


def test_the_state_data_is_the_siblings(tenant: LocalTenant, make_client: MakeClient) -> None:
    """state_data has the keys of auth0-server-python, and the tokens."""
    state = make_client(tenant).login_with_custom_token_exchange(options(), {"cookies": {}}).state_data
    keys = {"user", "id_token", "refresh_token", "token_sets", "connection_token_sets", "domain", "internal"}
    assert keys == set(state)
    assert {"audience", "access_token", "scope", "expires_at"} == set(state["token_sets"][0])
    assert {"sid", "created_at"} <= set(state["internal"])
    assert "default" == state["token_sets"][0]["audience"]


@pytest.mark.parametrize(
    ("settings", "store_options", "code"),
    [
        ({"secret": None}, {"cookies": {}}, "SECRET_MISSING"),
        ({}, None, "REQUEST_MISSING"),
        ({}, {}, "REQUEST_MISSING"),
        ({}, {"request": Request()}, "RESPONSE_MISSING"),
        ({}, {"response": object()}, "REQUEST_MISSING"),
    ],
)
def test_what_could_not_be_kept_is_refused_before_the_token_is_spent(
    settings: dict[str, Any], store_options: Any, code: str, tenant: LocalTenant, make_client: MakeClient
) -> None:
    """Without a secret, a request or a response no subject token is sent, nor fetched."""
    fetched: list[int] = []

    def fetch() -> str:
        fetched.append(1)
        return "auth0|ada"

    with pytest.raises(SessionError) as caught:
        make_client(tenant, **settings).login_with_custom_token_exchange(
            options(fetch),
            store_options,
        )
    assert code == caught.value.code
    assert caught.value.hint
    assert ([], []) == (fetched, list(tenant.requests))


def test_bad_options_are_refused_first(tenant: LocalTenant, make_client: MakeClient) -> None:
    """The rules of an exchange hold for a login."""
    with pytest.raises(CustomTokenExchangeError) as caught:
        make_client(tenant).login_with_custom_token_exchange(options("Bearer x"), {"cookies": {}})
    assert "INVALID_TOKEN_FORMAT" == caught.value.code


def test_a_script_needs_no_request(tenant: LocalTenant, make_client: MakeClient) -> None:
    """With a store for it a script logs in, reads, and logs out without any request."""
    client = make_client(tenant, MemoryStateStore(script=True))
    client.login_with_custom_token_exchange(options())
    assert "auth0|ada" == (client.get_user() or {})["sub"] == (client.get_user({}) or {})["sub"]
    client.logout()
    assert client.get_user() is None


@pytest.mark.parametrize("store_options", [None, {}, {"response": object()}], ids=["none", "empty", "response"])
def test_a_store_is_no_scripts_unless_it_says_so(
    store_options: Any, tenant: LocalTenant, server_store: StateStore, make_client: MakeClient
) -> None:
    """Forgotten store_options are an error with every store, before anything is sent, also after a login with some."""
    client = make_client(tenant, server_store)
    client.login_with_custom_token_exchange(options(), {"cookies": {}})
    sent = len(tenant.requests)
    calls: list[Callable[[], object]] = [
        lambda: client.login_with_custom_token_exchange(options(), store_options),
        lambda: client.get_user(store_options),
        lambda: client.get_session(store_options),
        lambda: client.get_access_token(store_options),
        lambda: client.logout(store_options=store_options),
    ]
    for call in calls:
        with pytest.raises(SessionError, match=r"script=True") as caught:
            call()
        assert "REQUEST_MISSING" == caught.value.code
    assert sent == len(tenant.requests)


def test_a_server_never_shares_the_scripts_session(tenant: LocalTenant, make_client: MakeClient) -> None:
    """A client that has served a request refuses calls without one: forgotten store_options are no session."""
    client = make_client(tenant, MemoryStateStore(script=True))
    client.login_with_custom_token_exchange(options())
    client.get_user({"request": Request()})
    with pytest.raises(SessionError, match="store_options"):
        client.get_user()


def test_a_login_without_an_id_token_is_refused(tenant: LocalTenant, make_client: MakeClient) -> None:
    """No ID token, no user: nothing is written."""
    jar: dict[str, str] = {}
    tenant.fail_next(200, body={"access_token": "a", "expires_in": 60})
    with pytest.raises(IdTokenError) as caught:
        make_client(tenant).login_with_custom_token_exchange(options(), {"cookies": jar})
    assert "MISSING_ID_TOKEN" == caught.value.code
    assert {} == jar


def test_a_login_with_a_forged_id_token_is_refused(tenant: LocalTenant, make_client: MakeClient) -> None:
    """An ID token that fails verification ends the login, where an exchange would go on."""
    jar: dict[str, str] = {}
    forged = LocalTenant(tenant.domain, clock=tenant.clock, client_id=tenant.client_id)
    forged.add_user("auth0|ada")
    tenant.fail_next(200, body={"access_token": "a", "id_token": forged.id_token("auth0|ada")})
    with pytest.raises(IdTokenError) as caught:
        make_client(tenant).login_with_custom_token_exchange(options(), {"cookies": jar})
    assert {} == jar
    frames = caught.traceback
    assert 2 == len([frame for frame in frames if "auth0_cte" in str(frame.path)] + [None])


@pytest.mark.parametrize(
    ("asked", "org_id", "org_name", "accepted"),
    [
        ("org_1", "org_1", "acme", True),
        ("org_1", "org_2", "acme", False),
        ("org_1", None, None, False),
        ("ORG_1", "org_1", "acme", False),
        ("acme", "org_1", "acme", True),
        ("ACME", "org_1", "acme", True),
        ("straße", "org_1", "STRASSE", True),
        ("cafe\u0301", "org_1", "caf\u00e9", True),
        ("acme", "org_1", "other", False),
        ("acme", "org_1", None, False),
        ("acme", "acme", None, False),
        ("acme\u00b2", "org_1", "acme2", False),
        ("\uff41cme", "org_1", "acme", False),
        (None, "org_1", "acme", True),
    ],
)
def test_the_organization_is_checked(
    asked: str | None, org_id: str | None, org_name: str | None, accepted: bool
) -> None:
    """An id is compared exactly, a name after normalization; without a request there is nothing to check."""
    from auth0_cte.session.serialization import check_organization

    claims = {name: value for name, value in {"org_id": org_id, "org_name": org_name}.items() if value is not None}
    if accepted:
        check_organization(claims, asked)
        return
    with pytest.raises(OrganizationError):
        check_organization(claims, asked)


def test_the_organization_of_the_login_is_the_one_asked_for(tenant: LocalTenant, make_client: MakeClient) -> None:
    """The organization of the options, or the client's, is checked against the ID token, and nothing is written."""
    tenant.add_organization("org_1", name="acme")
    jar: dict[str, str] = {}
    client = make_client(tenant, organization="org_1")
    assert "org_1" == client.login_with_custom_token_exchange(options(), {"cookies": jar}).user["org_id"]
    jar.clear()
    id_token = tenant.id_token("auth0|ada", org_id="org_2")
    tenant.fail_next(200, body={"access_token": "a", "id_token": id_token})
    with pytest.raises(OrganizationError):
        client.login_with_custom_token_exchange(options(), {"cookies": jar})
    assert {} == jar


def test_a_delegated_session_keeps_its_actor(tenant: LocalTenant, make_client: MakeClient) -> None:
    """The claim act stays on the session's user."""
    tenant.accept("urn:acme:support", "auth0|ada", actor={"sub": "agent|1"})
    jar: dict[str, str] = {}
    client = make_client(tenant)
    client.login_with_custom_token_exchange(
        {"subject_token": "t", "subject_token_type": "urn:acme:support"}, {"cookies": jar}
    )
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert session.act is not None
    assert {"sub": "agent|1"} == dict(session.act) == session.user["act"]


def test_each_login_has_a_new_id_and_the_old_record_is_gone(
    tenant: LocalTenant, server_store: StateStore, make_client: MakeClient
) -> None:
    """Neither a client's own id nor the one from before the login is adopted."""
    client, jar = make_client(tenant, server_store), {"_a0_session_0": "chosen-by-mallory"}
    client.login_with_custom_token_exchange(options("auth0|first"), {"cookies": jar})
    before = dict(jar)
    assert "chosen-by-mallory" != before["_a0_session_0"]
    client.login_with_custom_token_exchange(options("auth0|second"), {"cookies": jar})
    assert before != jar
    assert client.get_user({"cookies": before}) is None
    assert "auth0|second" == (client.get_user({"cookies": jar}) or {})["sub"]


def test_a_login_as_another_leaves_nothing_of_the_first(
    tenant: LocalTenant, store: StateStore, make_client: MakeClient
) -> None:
    """User, tokens and claims are the second user's alone."""
    tenant.add_user("auth0|first", email="first@example.com")
    client, jar = make_client(tenant, store), new_jar()
    client.login_with_custom_token_exchange(options("auth0|first", scope="email offline_access"), {"cookies": jar})
    client.login_with_custom_token_exchange(options("auth0|second"), {"cookies": jar})
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert ("auth0|second", None, None) == (session.user["sub"], session.user.get("email"), session.refresh_token)
    assert 1 == len(session.token_sets)


def test_records_at_rest_are_sealed_and_bound(
    tenant: LocalTenant, server_store: StateStore, make_client: MakeClient
) -> None:
    """A store's reader sees no token, and a record moved to another id opens nothing."""
    client, jar, other = make_client(tenant, server_store), new_jar(), new_jar()
    result = client.login_with_custom_token_exchange(options("auth0|ada"), {"cookies": jar})
    client.login_with_custom_token_exchange(options("auth0|eve"), {"cookies": other})
    record = server_store.get(jar["_a0_session_0"])
    assert record is not None
    assert result.session.token_sets[0].access_token not in record.data
    assert "auth0|ada" not in record.data
    server_store.replace(other["_a0_session_0"], record.data, 0)
    assert client.get_user({"cookies": other}) is None


def test_secrets_rotate(tenant: LocalTenant, make_client: MakeClient) -> None:
    """The newest secret seals, all open; once a secret is gone, so are its sessions."""
    jar: dict[str, str] = {}
    old, new = "o" * 40, "n" * 40
    make_client(tenant, secret=old).login_with_custom_token_exchange(options(), {"cookies": jar})
    both = make_client(tenant, secret=[new, old])
    assert both.get_user({"cookies": jar})
    assert make_client(tenant, secret=new).get_user({"cookies": jar}) is None
    both.login_with_custom_token_exchange(options(), {"cookies": jar})
    assert make_client(tenant, secret=new).get_user({"cookies": jar})


def test_every_changed_character_ends_the_session(tenant: LocalTenant, make_client: MakeClient) -> None:
    """No character of a sealed cookie can change."""
    client, jar = make_client(tenant), new_jar()
    client.login_with_custom_token_exchange(options(), {"cookies": jar})
    value = jar["_a0_session_0"]
    for index in range(0, len(value), 11):
        changed = value[:index] + ("A" if value[index] != "A" else "B") + value[index + 1 :]
        assert client.get_user({"cookies": {"_a0_session_0": changed}}) is None


def test_a_session_of_another_tenant_is_none_here(
    tenant: LocalTenant, make_client: MakeClient, new_client: type[ServerClient]
) -> None:
    """The same secret does not make one tenant's session another's."""
    jar: dict[str, str] = {}
    make_client(tenant).login_with_custom_token_exchange(options(), {"cookies": jar})
    more: dict[str, Any] = {"client_secret": "s", "secret": SECRET, "clock": tenant.clock}
    assert new_client("other.auth0.com", tenant.client_id, **more).get_user({"cookies": jar}) is None
    assert new_client(tenant.domain, tenant.client_id, **more).get_user({"cookies": jar})


def test_a_cookie_under_another_name_is_no_session(tenant: LocalTenant, make_client: MakeClient) -> None:
    """The identifier is part of the key: renaming a cookie makes it worthless."""
    jar: dict[str, str] = {}
    make_client(tenant).login_with_custom_token_exchange(options(), {"cookies": jar})
    renamed = {name.replace("_a0_session", "_admin"): value for name, value in jar.items()}
    assert make_client(tenant, state_identifier="_admin").get_user({"cookies": renamed}) is None


def test_large_sessions_are_chunked_and_shrink(tenant: LocalTenant, make_client: MakeClient) -> None:
    """What one cookie cannot hold goes into several; those that are not needed any more are removed."""
    tenant.add_user("auth0|big", name="x" * 1100)
    client, jar = make_client(tenant), {"other": "cookie"}
    client.login_with_custom_token_exchange(options("auth0|big", scope="profile"), {"cookies": jar})
    big = dict(jar)
    assert {"other", "_a0_session_0", "_a0_session_1"} == set(big)
    assert all(len(name) + len(value) <= 4096 for name, value in big.items())
    assert "auth0|big" == (client.get_user({"cookies": jar}) or {})["sub"]
    client.login_with_custom_token_exchange(options("auth0|ada"), {"cookies": jar})
    assert {"other", "_a0_session_0"} == set(jar)
    for broken in (
        {"_a0_session_0": big["_a0_session_0"]},
        {"_a0_session_1": big["_a0_session_1"]},
        {"_a0_session_0": big["_a0_session_1"], "_a0_session_1": big["_a0_session_0"]},
        {**big, "_a0_session_1": big["_a0_session_1"][:-1]},
    ):
        assert client.get_user({"cookies": broken}) is None


def test_a_session_too_large_for_cookies_is_refused_with_the_way_out(
    tenant: LocalTenant, server_store: StateStore, make_client: MakeClient
) -> None:
    """The error names the stores that would do, nothing is half written, and those stores do."""
    tenant.add_user("auth0|huge", name="x" * 9000)
    jar: dict[str, str] = {}
    asked = options("auth0|huge", scope="profile")
    with pytest.raises(SessionError, match="RedisStateStore") as caught:
        make_client(tenant).login_with_custom_token_exchange(asked, {"cookies": jar})
    assert "SESSION_TOO_LARGE" == caught.value.code
    assert {} == jar
    client = make_client(tenant, server_store)
    client.login_with_custom_token_exchange(asked, {"cookies": jar})
    assert "auth0|huge" == (client.get_user({"cookies": jar}) or {})["sub"]


def test_a_session_ends_at_its_absolute_limit(tenant: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """However often it is used, it ends."""
    settings = SessionSettings(absolute_duration=100, inactivity_duration=60)
    client, jar = make_client(tenant, session_settings=settings), new_jar()
    client.login_with_custom_token_exchange(options(), {"cookies": jar})
    for _ in range(3):
        clock.advance(32)
        assert client.get_user({"cookies": jar})
    clock.advance(5)
    assert client.get_user({"cookies": jar}) is None


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_session_ends_when_it_is_not_used(
    in_memory: bool, tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """Without use it ends after the inactivity limit; use renews it."""
    settings = SessionSettings(absolute_duration=10_000, inactivity_duration=60)
    client = make_client(tenant, MemoryStateStore(clock=clock) if in_memory else None, session_settings=settings)
    jar: dict[str, str] = {}
    client.login_with_custom_token_exchange(options(), {"cookies": jar})
    for _ in range(3):
        clock.advance(45)
        assert client.get_user({"cookies": jar})
    clock.advance(61)
    assert client.get_user({"cookies": jar}) is None


@pytest.mark.parametrize(
    "settings",
    [
        lambda: SessionSettings(absolute_duration=0),
        lambda: SessionSettings(inactivity_duration=-1),
        lambda: SessionSettings(identifier="a b"),
        lambda: SessionSettings(identifier="sitzung;ä"),
        lambda: CookieSettings(same_site="off"),
        lambda: CookieSettings(same_site="None", secure=False),
        lambda: CookieSettings(host_prefix=True, domain="example.com"),
        lambda: CookieSettings(host_prefix=True, path="/app"),
        lambda: CookieSettings(host_prefix=True, secure=False),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any) -> None:
    """Limits and cookie attributes that make no sense are a ConfigurationError."""
    with pytest.raises(ConfigurationError):
        settings()


def test_the_seal_is_strict() -> None:
    """Other algorithms, serializations, contents and sizes are refused before any key is used."""
    from auth0_cte.jose import JoseError, b64url_encode

    sealer = Sealer([SECRET], "_a0_session")
    header, key, iv, cipher, tag = sealer.seal({"a": 1}).split(".")
    pbes2 = b64url_encode(b'{"alg":"PBES2-HS256+A128KW","enc":"A256CBC-HS512","p2c":1000000,"p2s":"eA"}')
    spaced = b64url_encode(b'{"alg":"dir", "enc":"A256CBC-HS512"}')
    for sealed in (
        "",
        ".",
        "....",
        f"{pbes2}..{iv}.{cipher}.{tag}",
        f"{spaced}..{iv}.{cipher}.{tag}",
        f"{header}.AA.{iv}.{cipher}.{tag}",
        f"{header}..{iv[:-2]}.{cipher}.{tag}",
        f"{header}..{iv}.{cipher[:-2]}.{tag}",
        f"{header}..{iv}..{tag}",
        f"{header}..{iv}.{cipher}.{tag[:-2]}",
        f"{header}..{iv}.{cipher}.{tag}=",
        f"{header}..{iv}.{cipher}.{tag}.",
        "x" * 70_000,
        "é....",
    ):
        with pytest.raises(JoseError):
            sealer.unseal(sealed)
    assert {"a": 1} == sealer.unseal(f"{header}.{key}.{iv}.{cipher}.{tag}")


def test_nothing_of_a_session_is_shown(tenant: LocalTenant, make_client: MakeClient) -> None:
    """The repr of sessions, results and token sets has no token and no claims."""
    tenant.add_user("auth0|ada", email="ada@example.com")
    result = make_client(tenant).login_with_custom_token_exchange(
        options(scope="email offline_access"), {"cookies": {}}
    )
    shown = repr(result) + repr(result.session)
    assert result.session.refresh_token is not None
    for secret in (
        result.session.refresh_token,
        str(result.session.id_token),
        result.session.token_sets[0].access_token,
        "ada@example.com",
    ):
        assert secret not in shown
