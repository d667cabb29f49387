"""Session transfer: who is the actor, what comes back, and the redirect that hands the token on."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from auth0_cte import (
    AsyncServerClient,
    ConfigurationError,
    CustomTokenExchangeError,
    MemoryStateStore,
    PublicClient,
    RateLimitError,
    ServerClient,
    SessionError,
    SessionTransferTokenResult,
    TokenExchangeResponse,
    TransportError,
)
from auth0_cte.testing import FakeClock, LocalTenant
from auth0_cte.token_types import ACCESS_TOKEN, ID_TOKEN, SESSION_TRANSFER_TOKEN

TYPE = "urn:acme:support-ticket"
LOGIN = "urn:acme:mcp-token"
SECRET = "a-secret-of-more-than-thirty-two-bytes"
TARGET = "https://shop.example/login"
GOOD: dict[str, Any] = {"subject_token": "ticket-4711", "subject_token_type": TYPE}


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    """A tenant where agents act for customers."""
    return make_tenant(clock)


def make_tenant(clock: FakeClock, domain: str = "acme.auth0.local") -> LocalTenant:
    made = LocalTenant(domain, clock=clock, client_secret="the-secret-of-all-tenants")
    made.add_user("auth0|customer")
    made.accept(LOGIN, "auth0|agent")

    @made.action(TYPE)
    def act(event: Any, api: Any) -> None:
        api.authentication.set_user_by_id("auth0|customer")
        if event.transaction.actor_token_user is not None:
            api.authentication.set_actor({"sub": event.transaction.actor_token_user.user_id})

    return made


def logged_in(tenant: LocalTenant, scope: str = "offline_access", **more: Any) -> tuple[ServerClient, dict[str, Any]]:
    """Log an agent in, and return the client with the store options of the session."""
    client = tenant.client(secret=SECRET, **more)
    store_options: dict[str, Any] = {"cookies": {}}
    options = {"subject_token": "agent", "subject_token_type": LOGIN, "scope": scope}
    client.login_with_custom_token_exchange(options, store_options)
    return client, store_options


def grants(tenant: LocalTenant) -> list[str]:
    return [str(request.form["grant_type"]).rpartition(":")[2] for request in tenant.token_requests]


def request(client: ServerClient, store_options: Any = None, **more: Any) -> SessionTransferTokenResult:
    return client.request_session_transfer_token(**{**GOOD, "store_options": store_options, **more})


# --- the request


def test_the_agent_of_the_session_is_the_actor(tenant: LocalTenant) -> None:
    """The session's ID token goes along, and the token that comes back is good for one session as the customer."""
    client, store_options = logged_in(tenant)
    result = request(client, store_options, organization=None, reason="ticket 4711")
    form = tenant.token_requests[-1].form
    assert "urn:acme.auth0.local:session_transfer" == form["audience"]
    assert (ID_TOKEN, "ticket 4711") == (form["actor_token_type"], form["reason"])
    assert (SESSION_TRANSFER_TOKEN, 60, "N_A") == (result.issued_token_type, result.expires_in, result.token_type)
    assert tenant.clock() + 60 == result.expires_at
    session = tenant.redeem_session_transfer_token(result.session_transfer_token)
    assert ("auth0|customer", {"sub": "auth0|agent"}) == (session.user.user_id, session.actor)
    with pytest.raises(ValueError, match="used before"):
        tenant.redeem_session_transfer_token(result.token)


def test_the_token_shows_nowhere(tenant: LocalTenant, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the result's repr, nor the session, nor a log line has it."""
    caplog.set_level(logging.DEBUG)
    client, store_options = logged_in(tenant)
    before = dict(store_options["cookies"])
    result = request(client, store_options)
    client.build_session_transfer_redirect(TARGET, result)
    assert result.token not in repr(result) + str(result) + caplog.text
    assert before == store_options["cookies"]


def test_another_token_each_time(tenant: LocalTenant) -> None:
    """A session transfer token is never served twice."""
    client, store_options = logged_in(tenant)
    assert request(client, store_options).token != request(client, store_options).token


def test_an_explicit_actor_wins(tenant: LocalTenant) -> None:
    """A given actor token needs no session, and is an ID token unless its type is given."""
    tenant.add_user("auth0|other")
    client, store_options = logged_in(tenant)
    token = request(client, store_options, actor_token=tenant.id_token("auth0|other")).token
    assert {"sub": "auth0|other"} == tenant.redeem_session_transfer_token(token).actor
    token = request(tenant.client(), actor_token=lambda: tenant.id_token("auth0|other")).token
    assert {"sub": "auth0|other"} == tenant.redeem_session_transfer_token(token).actor
    with pytest.raises(CustomTokenExchangeError, match="actor is required"):
        request(client, actor_token="opaque", actor_token_type="urn:acme:agent")
    assert "urn:acme:agent" == tenant.token_requests[-1].form["actor_token_type"]


@pytest.mark.parametrize("stateless", [True, False])
def test_a_stale_id_token_is_refreshed_once(stateless: bool, tenant: LocalTenant, clock: FakeClock) -> None:
    """An ID token that expires within the leeway is refreshed, kept, and not refreshed again."""
    client, store_options = logged_in(tenant, state_store=None if stateless else MemoryStateStore())
    clock.advance(36_000 - 31)
    request(client, store_options)
    assert ["token-exchange", "token-exchange"] == grants(tenant)
    clock.advance(2)
    request(client, store_options)
    request(client, store_options)
    assert ["refresh_token", "token-exchange", "token-exchange"] == grants(tenant)[2:]


UNAVAILABLE: dict[str, tuple[dict[str, Any], Any]] = {
    "no-session": ({}, {"cookies": {}}),
    "no-request": ({}, None),
    "no-secret": ({"secret": None}, {"cookies": {}}),
}


@pytest.mark.parametrize(("settings", "store_options"), UNAVAILABLE.values(), ids=UNAVAILABLE.keys())
def test_without_an_actor_nothing_is_sent(settings: dict[str, Any], store_options: Any, tenant: LocalTenant) -> None:
    """No session and no actor token: ACTOR_UNAVAILABLE, with what to do, and the subject token is not even fetched."""
    client = tenant.client(**{"secret": SECRET, **settings})
    with pytest.raises(CustomTokenExchangeError) as caught:
        request(client, store_options, subject_token=lambda: 1 / 0)
    assert "ACTOR_UNAVAILABLE" == caught.value.code
    assert caught.value.hint
    assert [] == list(tenant.requests)


def test_an_expired_session_without_refresh_token_has_no_actor(tenant: LocalTenant, clock: FakeClock) -> None:
    """An expired ID token that cannot be refreshed is no actor."""
    client, store_options = logged_in(tenant, scope="profile")
    clock.advance(36_031)
    with pytest.raises(CustomTokenExchangeError, match="expired") as caught:
        request(client, store_options)
    assert "ACTOR_UNAVAILABLE" == caught.value.code
    assert 1 == len(tenant.token_requests)


def test_a_refresh_without_id_token_gives_no_actor(tenant: LocalTenant, clock: FakeClock) -> None:
    """When the refresh brings no ID token, there is no actor."""
    client, store_options = logged_in(tenant)
    tenant.sessions.refresh_id_token = False
    clock.advance(36_031)
    with pytest.raises(CustomTokenExchangeError) as caught:
        request(client, store_options)
    assert "ACTOR_UNAVAILABLE" == caught.value.code
    assert ["token-exchange", "refresh_token"] == grants(tenant)


def test_a_refused_refresh_token_gives_no_actor(tenant: LocalTenant, clock: FakeClock) -> None:
    """invalid_grant is told as the reason, and ends the session."""
    client, store_options = logged_in(tenant)
    tenant.revoke_refresh_tokens()
    clock.advance(36_031)
    with pytest.raises(CustomTokenExchangeError, match="invalid_grant") as caught:
        request(client, store_options)
    assert "ACTOR_UNAVAILABLE" == caught.value.code
    assert {} == store_options["cookies"]


def test_what_keeps_the_refresh_from_happening_is_told_as_it_is(tenant: LocalTenant, clock: FakeClock) -> None:
    """A rate limit and a broken connection are no lack of an actor, and the subject token was not seen."""
    client, store_options = logged_in(tenant)
    clock.advance(36_031)
    tenant.fail_next(429, headers={"retry-after": "3600"}, body={"error": "too_many_requests"})
    with pytest.raises(RateLimitError):
        request(client, store_options)
    tenant.fail_next(fault="reset")
    with pytest.raises(TransportError) as caught:
        request(client, store_options)
    assert isinstance(caught.value, CustomTokenExchangeError)
    assert not caught.value.may_have_reached_server
    assert "ticket-4711" not in [request.form.get("subject_token") for request in tenant.token_requests]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "bearer": ({"subject_token": "Bearer x"}, "INVALID_TOKEN_FORMAT"),
    "empty": ({"subject_token": ""}, "INVALID_TOKEN_FORMAT"),
    "none": ({"subject_token": None}, "INVALID_TOKEN_FORMAT"),
    "blank-type": ({"subject_token_type": " "}, "INVALID_TOKEN_FORMAT"),
    "blank-organization": ({"organization": " "}, "INVALID_OPTIONS"),
    "blank-reason": ({"reason": ""}, "INVALID_OPTIONS"),
    "reason-twice": ({"reason": "a", "authorization_params": {"reason": "b"}}, "INVALID_AUTHORIZATION_PARAMS"),
    "no-dict": ({"reason": "a", "authorization_params": ["b"]}, "INVALID_AUTHORIZATION_PARAMS"),
    "forwarded-for": ({"forwarded_for": "example.com"}, "INVALID_OPTIONS"),
    "scope": ({"scope": b"x"}, "INVALID_OPTIONS"),
    "params": ({"authorization_params": {"x": None}}, "INVALID_AUTHORIZATION_PARAMS"),
    "audience": ({"authorization_params": {"audience": "https://api.example"}}, "INVALID_AUTHORIZATION_PARAMS"),
    "bearer-actor": ({"actor_token": "bearer x"}, "INVALID_TOKEN_FORMAT"),
    "blank-actor": ({"actor_token": " "}, "INVALID_TOKEN_FORMAT"),
    "garbage-actor": ({"actor_token": "garbage"}, "INVALID_ACTOR_TOKEN"),
    "type-alone": ({"actor_token_type": ID_TOKEN}, "MISSING_ACTOR_TOKEN"),
}


@pytest.mark.parametrize(("changes", "code"), BAD.values(), ids=BAD.keys())
def test_bad_input_costs_no_refresh_token(
    changes: dict[str, Any], code: str, tenant: LocalTenant, clock: FakeClock
) -> None:
    """Every argument is checked before the session's stale ID token is refreshed."""
    client, store_options = logged_in(tenant)
    clock.advance(36_031)
    with pytest.raises(CustomTokenExchangeError) as caught:
        request(client, store_options, **changes)
    assert code == caught.value.code
    assert ["token-exchange"] == grants(tenant)


def test_a_session_that_cannot_be_kept_costs_no_refresh_token(tenant: LocalTenant, clock: FakeClock) -> None:
    """A refreshed session in cookies needs a response to go out on."""
    client, store_options = logged_in(tenant)
    clock.advance(36_031)

    class Request:
        cookies = store_options["cookies"]
        url = "https://app.example/"
        headers: dict[str, str] = {}

    with pytest.raises(SessionError) as caught:
        request(client, {"request": Request()})
    assert "RESPONSE_MISSING" == caught.value.code
    assert ["token-exchange"] == grants(tenant)


def test_a_public_application_has_no_session_transfer(tenant: LocalTenant) -> None:
    """Auth0 wants an application that authenticates; that is said before anything is sent."""
    with pytest.raises(ConfigurationError, match="authenticate"):
        request(tenant.client(client_auth=PublicClient()), actor_token="x")
    assert [] == list(tenant.requests)


@pytest.mark.parametrize(
    "body",
    [
        {"access_token": "a-real-access-token", "token_type": "Bearer"},
        {"access_token": "a-real-access-token", "token_type": "Bearer", "issued_token_type": ACCESS_TOKEN},
        {"access_token": "a-real-access-token", "token_type": "Bearer", "issued_token_type": SESSION_TRANSFER_TOKEN},
        {"access_token": "a-real-access-token", "issued_token_type": SESSION_TRANSFER_TOKEN.upper()},
        {"access_token": "a-real-access-token"},
    ],
)
def test_another_kind_of_token_never_leaves(body: dict[str, Any], tenant: LocalTenant) -> None:
    """A reply that is not plainly a session transfer token is an error without the token."""
    client, store_options = logged_in(tenant)
    tenant.fail_next(200, body=body)
    with pytest.raises(CustomTokenExchangeError) as caught:
        request(client, store_options)
    assert ("INVALID_RESPONSE", True) == (caught.value.code, caught.value.may_have_reached_server)
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert "a-real-access-token" not in f"{caught.value!r} {vars(caught.value)} {frames[2:]}"


def test_a_reply_without_token_type_is_fine(tenant: LocalTenant) -> None:
    """Auth0's documented reply has no token_type."""
    client, store_options = logged_in(tenant)
    tenant.fail_next(200, body={"access_token": "stt", "issued_token_type": SESSION_TRANSFER_TOKEN, "expires_in": 60})
    assert ("stt", None) == ((result := request(client, store_options)).token, result.token_type)


def test_the_token_is_bound_to_the_forwarded_address(tenant: LocalTenant) -> None:
    """forwarded_for is where the browser redeems the token; it expires after a minute."""
    tenant.add_application(tenant.client_id, tenant.client_secret, trust_forwarded_for=True)
    client, store_options = logged_in(tenant)
    for ip in ("198.51.100.7", "2001:db8::7"):
        token = request(client, store_options, forwarded_for=ip).token
        assert ip == tenant.redeem_session_transfer_token(token, ip=ip).ip
    with pytest.raises(ValueError, match="address"):
        tenant.redeem_session_transfer_token(request(client, store_options, forwarded_for=ip).token)
    token = request(client, store_options).token
    tenant.clock.advance(60)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="expired"):
        tenant.redeem_session_transfer_token(token)


def test_the_organization_comes_along(tenant: LocalTenant) -> None:
    """The organization of the call, or the client's, is asked for, kept on the result and handed on."""
    tenant.add_organization("org_1", name="acme")
    client, store_options = logged_in(tenant, organization="org_1")
    result = request(client, store_options)
    assert "org_1" == tenant.token_requests[-1].form["organization"] == result.organization
    assert "org_1" == tenant.redeem_session_transfer_token(result.token).organization_id
    query = parse_qs(urlsplit(client.build_session_transfer_redirect(TARGET, result)).query)
    assert {"session_transfer_token": [result.token], "organization": ["org_1"]} == query


def test_custom_domains_and_urls_name_the_audience(tenant: LocalTenant, clock: FakeClock) -> None:
    """The audience has the host of the domain, in whatever form that is given, and of whichever the resolver names."""
    tenant.add_custom_domain("login.acme.example")
    for domain in ("https://login.acme.example/", "LOGIN.acme.example", lambda _context: "https://login.acme.example"):
        client, store_options = logged_in(tenant, domain=domain)
        assert tenant.redeem_session_transfer_token(request(client, store_options).token)
        assert "urn:login.acme.example:session_transfer" == tenant.token_requests[-1].form["audience"]


@pytest.mark.parametrize("tls", [False, True])
def test_over_a_socket(tls: bool, tenant: LocalTenant) -> None:
    """On a loopback port, plain and with TLS, the audience has the port, and the tenant knows it."""
    store = MemoryStateStore(script=True)
    with tenant.serve(tls=tls) as server, server.client(secret=SECRET, state_store=store) as client:
        client.login_with_custom_token_exchange({"subject_token": "agent", "subject_token_type": LOGIN})
        result = request(client)
        audience = f"urn:{server.url.partition('://')[2].rstrip('/')}:session_transfer"
        assert audience == tenant.token_requests[-1].form["audience"]
        assert {"sub": "auth0|agent"} == tenant.redeem_session_transfer_token(result.token).actor


def test_a_session_of_another_domain_is_no_actor(clock: FakeClock) -> None:
    """With several tenants, the agent of one does not act at another."""
    here, there = make_tenant(clock, "a.auth0.local"), make_tenant(clock, "b.auth0.local")
    current = ["a.auth0.local"]
    client, store_options = logged_in(here, domain=lambda _: current[0], session=here.session(beside=[there]))
    current[0] = "b.auth0.local"
    with pytest.raises(CustomTokenExchangeError) as caught:
        request(client, store_options)
    assert "ACTOR_UNAVAILABLE" == caught.value.code
    assert [] == list(there.requests)


def test_the_audience_of_another_tenant_is_refused(tenant: LocalTenant) -> None:
    """The tenant issues session transfer tokens for its own domains alone, and only with an actor."""
    client = tenant.client()
    options = {**GOOD, "audience": "urn:other.auth0.com:session_transfer"}
    with pytest.raises(CustomTokenExchangeError, match="Service not found"):
        client.custom_token_exchange(options)
    with pytest.raises(CustomTokenExchangeError, match="actor is required") as caught:
        client.custom_token_exchange({**options, "audience": f"urn:{tenant.domain}:session_transfer"})
    assert "fecte" == tenant.logs[-1].type
    assert 400 == caught.value.status_code


# --- the redirect


@pytest.fixture
def result() -> SessionTransferTokenResult:
    return SessionTransferTokenResult(session_transfer_token="a b/c+d&e", issued_token_type=SESSION_TRANSFER_TOKEN)


@pytest.fixture
def client() -> Iterator[ServerClient]:
    with ServerClient("tenant.auth0.com", "c", "s") as made:
        yield made


STT = "session_transfer_token=a%20b%2Fc%2Bd%26e"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (TARGET, f"{TARGET}?{STT}"),
        (f"{TARGET}?", f"{TARGET}?{STT}"),
        (f"{TARGET}?a=b", f"{TARGET}?a=b&{STT}"),
        (f"{TARGET}?a=b&", f"{TARGET}?a=b&{STT}"),
        (f"{TARGET}?returnTo=/home?", f"{TARGET}?returnTo=/home?&{STT}"),
        (f"{TARGET}??", f"{TARGET}??&{STT}"),
        (f"{TARGET}?returnTo=/home?a=b&", f"{TARGET}?returnTo=/home?a=b&{STT}"),
        (f"{TARGET}?a=%2f+%20&&b;c", f"{TARGET}?a=%2f+%20&&b;c&{STT}"),
        ("https://shop.example", f"https://shop.example?{STT}"),
        ("HTTPS://Shop.Example:8443/x/?y", f"HTTPS://Shop.Example:8443/x/?y&{STT}"),
        ("https://[2001:db8::1]:8443/x", f"https://[2001:db8::1]:8443/x?{STT}"),
        ("http://localhost:3000/login", f"http://localhost:3000/login?{STT}"),
        ("http://127.0.0.1/login", f"http://127.0.0.1/login?{STT}"),
        ("http://[::1]:3000/", f"http://[::1]:3000/?{STT}"),
        ("https://shop.example/a@b", f"https://shop.example/a@b?{STT}"),
    ],
)
def test_the_url_is_kept_byte_for_byte(
    target: str, expected: str, client: ServerClient, result: SessionTransferTokenResult
) -> None:
    """The parameters are added at the end, encoded."""
    assert expected == client.build_session_transfer_redirect(target, result)
    assert f"{expected}&organization=org_1" == client.build_session_transfer_redirect(target, result, "org_1")


@pytest.mark.parametrize(
    "target",
    [
        *("", " ", None, 5, b"https://shop.example/", "shop.example/login", "/login", "//shop.example/login"),
        *("http://shop.example/login", "http://127.0.0.1.evil.example/", "http://localhost.evil.example/"),
        *("ftp://shop.example/", "javascript:alert(1)", "https:shop.example", "https:/shop.example", "https:///x"),
        *("https://user@shop.example/", "https://user:pw@shop.example/", "https://@shop.example/"),
        *("https://shop.example/#x", "https://shop.example/#", "https://shop.example/?a#b"),
        *("https://shop.example\\@evil.example/", "https:\\\\shop.example/", "https://shop.example/a\\b"),
        *("https://shop.example/\r\nSet-Cookie: x", "https://shop.example/\n", "\thttps://shop.example/"),
        *(
            "https://shop.example/a b",
            " https://shop.example/",
            "https://shop.example/\x00",
            "https://shop.example/\x7f",
        ),
        *("https://sh\u00f6p.example/", "https://shop.example/\u2028", "https://shop.example/\ud800"),
        *("https://shop.example:99999/", "https://shop.example:x/", "https://[::1/", "https://shop%2eexample/"),
        *("https://.example/", "https://-.-/", "https://shop.example?session_transfer_token=x"),
        *("https://shop.example?a=b&organization=org_2", "https://shop.example?session%5Ftransfer%5Ftoken"),
        *("https://shop.example?a;Session_Transfer_Token=x", "https://shop.example?+organization=x"),
    ],
)
def test_a_url_that_could_leak_the_token_is_refused(
    target: Any, client: ServerClient, result: SessionTransferTokenResult
) -> None:
    """What is no absolute https URL, or has one of our parameters already, is a ConfigurationError."""
    with pytest.raises(ConfigurationError, match="target_login_url") as caught:
        client.build_session_transfer_redirect(target, result)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "an-access-token",
        {"session_transfer_token": "an-access-token", "issued_token_type": SESSION_TRANSFER_TOKEN},
        TokenExchangeResponse(access_token="an-access-token"),
        TokenExchangeResponse(access_token="an-access-token", issued_token_type=ACCESS_TOKEN),
        SessionTransferTokenResult(session_transfer_token="an-access-token", issued_token_type=ACCESS_TOKEN),
        SessionTransferTokenResult(session_transfer_token="an-access-token", issued_token_type=""),
        SessionTransferTokenResult(session_transfer_token="", issued_token_type=SESSION_TRANSFER_TOKEN),
    ],
)
def test_only_a_session_transfer_token_gets_into_a_url(wrong: Any, client: ServerClient) -> None:
    """An access token, or what nobody can tell from one, is refused and not shown."""
    with pytest.raises(ConfigurationError) as caught:
        client.build_session_transfer_redirect(TARGET, wrong)
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    assert "an-access-token" not in f"{caught.value!r} {vars(caught.value)} {frames}"


def test_the_reply_of_an_exchange_serves_too(client: ServerClient) -> None:
    """Whoever exchanged by hand may hand the response over, if it says that it is a session transfer token."""
    response = TokenExchangeResponse(access_token="stt", issued_token_type=SESSION_TRANSFER_TOKEN)
    assert f"{TARGET}?session_transfer_token=stt" == client.build_session_transfer_redirect(TARGET, response)


@pytest.mark.parametrize("organization", ["", " ", "a\nb", 5])
def test_an_organization_that_is_none_is_refused(organization: Any, client: ServerClient) -> None:
    """A blank one and one with control characters do not get into a URL, whatever the token was requested for."""
    result = SessionTransferTokenResult(session_transfer_token="stt", issued_token_type=SESSION_TRANSFER_TOKEN)
    with pytest.raises(ConfigurationError, match="organization must not be blank"):
        client.build_session_transfer_redirect(TARGET, result, organization)


@pytest.mark.parametrize("organization", ["", " ", "a\nb", 5, "org_2"])
def test_a_bad_organization_is_refused(organization: Any, client: ServerClient) -> None:
    """A blank one, one with control characters, and another than the token was requested for."""
    result = SessionTransferTokenResult(
        session_transfer_token="stt", issued_token_type=SESSION_TRANSFER_TOKEN, organization="org_1"
    )
    with pytest.raises(ConfigurationError, match="organization"):
        client.build_session_transfer_redirect(TARGET, result, organization)


@pytest.mark.parametrize(
    ("allowed", "accepted"),
    [
        (["shop.example:8443"], True),
        ("SHOP.example:8443", True),
        (["shop.example"], False),
        (["a.example", "b.example"], False),
        ([".example:8443"], False),
        ([], False),
    ],
)
def test_hosts_can_be_limited(
    allowed: Any, accepted: bool, client: ServerClient, result: SessionTransferTokenResult
) -> None:
    """Only the hosts of the list serve, with their ports."""
    if accepted:
        assert client.build_session_transfer_redirect("https://shop.example:8443/", result, allowed_hosts=allowed)
        return
    with pytest.raises(ConfigurationError, match="allowed hosts"):
        client.build_session_transfer_redirect("https://shop.example:8443/", result, allowed_hosts=allowed)
    assert client.build_session_transfer_redirect(TARGET, result, allowed_hosts=["shop.example"])
    assert client.build_session_transfer_redirect(TARGET, result, allowed_hosts=["shop.example:443"])


def test_the_mirror_builds_without_waiting(tenant: LocalTenant) -> None:
    """The request is awaited, the redirect is not."""
    client, store_options = logged_in(tenant)
    mirror = AsyncServerClient.from_sync(client)

    async def main() -> str:
        result = await mirror.request_session_transfer_token(**GOOD, store_options=store_options)
        return mirror.build_session_transfer_redirect(TARGET, result)

    assert not inspect.iscoroutinefunction(mirror.build_session_transfer_redirect)
    url = anyio.run(main)
    (token,) = parse_qs(urlsplit(url).query)["session_transfer_token"]
    assert tenant.redeem_session_transfer_token(token)
