"""Who acts for whom: actor tokens before they are sent, and what a reply and a session say of the actor."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
from jwcrypto.jwk import JWK

from auth0_cte import AccessTokenError, Actor, CustomTokenExchangeError, IdTokenError, MemoryStateStore, ServerClient
from auth0_cte.jose import SigningKey, b64url_encode
from auth0_cte.testing import FakeClock, LocalTenant
from auth0_cte.token_types import ID_TOKEN
from tests.proofs import unverified_claims

TYPE = "urn:acme:mcp-token"
SECRET = "a-secret-of-more-than-thirty-two-bytes"
AGENT: Any = {"sub": "agent|7", "role": "support", "act": {"sub": "orchestrator", "act": {"sub": "auth0|boss"}}}


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    """A tenant where the last profile names an actor, and the first does not."""
    made = LocalTenant(clock=clock)
    made.accept(TYPE, "auth0|ada")
    made.accept("urn:acme:support", "auth0|ada", actor=AGENT)
    made.add_user("auth0|agent")
    return made


def options(kind: str = TYPE, **more: Any) -> dict[str, Any]:
    return {"subject_token": "once", "subject_token_type": kind, **more}


def with_actor(token: Any = "an-agents-token", kind: str = "urn:acme:agent", **more: Any) -> dict[str, Any]:
    return options(**{"actor_token": token, "actor_token_type": kind, **more})


def unsigned(header: dict[str, Any], claims: Any) -> str:
    parts = [b64url_encode(json.dumps(part).encode()) for part in (header, claims)]
    return ".".join([*parts, b64url_encode(b"x" * 256)])


def test_a_response_tells_the_chain(tenant: LocalTenant) -> None:
    """The chain goes from the current actor to the original one, each a mapping and typed."""
    response = tenant.client().custom_token_exchange(options("urn:acme:support", scope="openid"))
    assert ["agent|7", "orchestrator", "auth0|boss"] == [actor.sub for actor in response.delegation_chain()]
    current = response.current_actor()
    assert isinstance(current, Actor)
    assert ("support", AGENT, True) == (current["role"], current, response.act_verified)
    assert response.delegation_chain() == current.chain()
    assert (None, False) == (response.act_error, response.refresh_token_withheld)


def test_a_session_tells_the_same_chain(tenant: LocalTenant) -> None:
    """The session's user has the actor, sealed and read again."""
    client, jar = tenant.client(secret=SECRET), dict[str, str]()
    client.login_with_custom_token_exchange(options("urn:acme:support"), {"cookies": jar})
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert ["agent|7", "orchestrator", "auth0|boss"] == [actor.sub for actor in session.delegation_chain()]
    assert AGENT == session.act == session.user["act"] == session.current_actor()


def test_without_delegation_there_is_no_chain(tenant: LocalTenant) -> None:
    """A user who acts alone has no actor, and nothing is claimed to be verified."""
    client, jar = tenant.client(secret=SECRET), dict[str, str]()
    response = client.custom_token_exchange(options(scope="openid"))
    assert ([], None, None, None) == (
        response.delegation_chain(),
        response.current_actor(),
        response.act_verified,
        response.act_error,
    )
    session = client.login_with_custom_token_exchange(options(), {"cookies": jar}).session
    assert (None, [], None) == (session.act, session.delegation_chain(), session.current_actor())


@pytest.mark.parametrize(
    ("scope", "code"), [(None, "MISSING_ID_TOKEN"), ("read:data", "MISSING_ID_TOKEN"), ("openid", "MISSING_ACTOR")]
)
def test_an_actor_that_was_sent_and_is_not_confirmed_is_told(scope: str | None, code: str, tenant: LocalTenant) -> None:
    """Without an ID token, or with one that names nobody, act is None and act_verified is False, with the reason."""
    response = tenant.client().custom_token_exchange(with_actor(scope=scope))
    assert (None, False, []) == (response.act, response.act_verified, response.delegation_chain())
    assert response.act_error is not None
    assert code == response.act_error.code
    assert response.act_error.hint
    assert response.access_token


@pytest.mark.parametrize("act", ["agent", [], {}, {"sub": 1}, {"sub": " "}, {"sub": "a", "act": "b"}])
def test_garbage_for_an_actor_is_no_actor(act: Any, tenant: LocalTenant) -> None:
    """An act claim that is no chain fails the ID token: act is None, and said to be unverified."""
    tenant.sessions.id_token_claims = {"act": act}
    response = tenant.client().custom_token_exchange(options(scope="openid"))
    assert (None, None, False) == (response.act, response.claims, response.act_verified)
    assert isinstance(response.act_error, IdTokenError)
    assert response.act_error is response.id_token_error
    assert "act" == response.act_error.claim


@pytest.mark.parametrize("act", ["agent", [], {}, {"sub": 1}, {"sub": " "}, {"sub": "a", "act": "b"}])
def test_garbage_for_an_actor_that_was_sent_is_refused(act: Any, tenant: LocalTenant) -> None:
    """An ID token that should name the actor and cannot be verified fails the exchange."""
    tenant.sessions.id_token_claims = {"act": act}
    with pytest.raises(IdTokenError) as caught:
        tenant.client().custom_token_exchange(with_actor(scope="openid"))
    assert "act" == caught.value.claim


def test_six_levels_are_refused(tenant: LocalTenant) -> None:
    """Auth0 nests five actors; a sixth is nobody's."""
    chain: dict[str, Any] = {"sub": "0"}
    for number in range(1, 5):
        chain = {"sub": str(number), "act": chain}
    tenant.sessions.id_token_claims = {"act": chain}
    assert 5 == len(tenant.client().custom_token_exchange(options(scope="openid")).delegation_chain())
    tenant.sessions.id_token_claims = {"act": {"sub": "5", "act": chain}}
    assert tenant.client().custom_token_exchange(options(scope="openid")).act_verified is False


@pytest.mark.parametrize(("claims", "code"), [({}, "MISSING_ACTOR"), ({"act": "agent"}, "INVALID_ID_TOKEN")])
def test_a_login_with_an_actor_that_nothing_confirms_is_refused(
    claims: dict[str, Any], code: str, tenant: LocalTenant
) -> None:
    """A session that ought to be delegated never passes for the user's own."""
    tenant.sessions.id_token_claims = claims
    jar: dict[str, str] = {}
    with pytest.raises(IdTokenError) as caught:
        tenant.client(secret=SECRET).login_with_custom_token_exchange(with_actor(), {"cookies": jar})
    assert (code, "act", {}) == (caught.value.code, caught.value.claim, jar)


def test_a_stored_session_with_a_broken_actor_is_none(tenant: LocalTenant) -> None:
    """What cannot be read as an actor does not become a session without one."""
    from auth0_cte.error import SessionError
    from auth0_cte.session.serialization import from_state_data, to_state_data

    session = tenant.client(secret=SECRET).login_with_custom_token_exchange(options(), {"cookies": {}}).session
    state = to_state_data(session)
    assert session == from_state_data(state)
    with pytest.raises(SessionError):
        from_state_data({**state, "user": {**state["user"], "act": "agent"}})


# --- the actor's ID token, before the subject token is spent


def actors_token(tenant: LocalTenant, **more: Any) -> str:
    return tenant.id_token("auth0|agent", **more)


def resigned(tenant: LocalTenant, alg: str = "RS256", typ: str = "JWT") -> str:
    """Sign a good actor's claims as a tenant would whose keys are of another algorithm."""
    key = SigningKey(JWK(kty="oct", k=b64url_encode(SECRET.encode())), alg) if alg == "HS256" else make_key(alg)
    return key.sign(unverified_claims(actors_token(tenant)), header={"typ": typ})


make_key = cache(SigningKey.generate)

FAULTY: dict[str, Callable[[LocalTenant], str]] = {
    "text": lambda _: "agent-7",
    "two-dots": lambda _: "a.b.c",
    "no-json": lambda _: ".".join([b64url_encode(b'{"alg":"RS256"}'), b64url_encode(b"x"), b64url_encode(b"y")]),
    "list": lambda _: unsigned({"alg": "RS256"}, []),
    "none": lambda tenant: unsigned({"alg": "none"}, {"iss": tenant.issuer, "aud": tenant.client_id}),
    "hs256": lambda _: unsigned({"alg": "HS256"}, {}),
    "es256": lambda _: unsigned({"alg": "ES256"}, {}),
    "no-alg": lambda _: unsigned({}, {}),
    "access-token": lambda _: unsigned({"alg": "RS256", "typ": "at+jwt"}, {}),
    "other-aud": lambda tenant: actors_token(tenant, aud="another"),
    "no-aud": lambda tenant: actors_token(tenant, aud=None),
    "empty-aud": lambda tenant: actors_token(tenant, aud=[]),
    "aud-within-another": lambda tenant: actors_token(tenant, aud=f"{tenant.client_id}-2"),
    "aud-of-a-part": lambda tenant: actors_token(tenant, aud=tenant.client_id[:-1]),
    "aud-object": lambda tenant: actors_token(tenant, aud={tenant.client_id: 1}),
    "empty-sub": lambda tenant: actors_token(tenant, sub=""),
    "number-sub": lambda tenant: actors_token(tenant, sub=7),
    "list-iss": lambda tenant: actors_token(tenant, iss=[tenant.issuer]),
    **{f"{alg} alone": partial(resigned, alg=alg) for alg in ("ES256", "EdDSA", "RS384", "HS256")},
    "none alone": lambda tenant: unsigned({"alg": "none", "typ": "JWT"}, unverified_claims(actors_token(tenant))),
    "no alg alone": lambda tenant: unsigned({"typ": "JWT"}, unverified_claims(actors_token(tenant))),
    "at+jwt alone": partial(resigned, typ="at+jwt"),
    "logout+jwt alone": partial(resigned, typ="logout+jwt"),
    "other-tenant": lambda tenant: actors_token_of_another_tenant(tenant),
    "no-iss": lambda tenant: actors_token(tenant, iss=None),
    "no-sub": lambda tenant: actors_token(tenant, sub=None),
    "expired": lambda tenant: actors_token(tenant, lifetime=-31),
    "no-exp": lambda tenant: actors_token(tenant, exp=None),
    "bool-exp": lambda tenant: actors_token(tenant, exp=True),
    "huge-exp": lambda tenant: actors_token(tenant, exp=2**60),
    "text-exp": lambda tenant: actors_token(tenant, exp="9999999999"),
}


def actors_token_of_another_tenant(tenant: LocalTenant) -> str:
    other = LocalTenant("b.auth0.local", client_id=tenant.client_id, clock=tenant.clock)
    other.add_user("auth0|agent")
    return actors_token(other)


@pytest.mark.parametrize("make", FAULTY.values(), ids=FAULTY.keys())
@pytest.mark.parametrize("supplied", [False, True])
def test_an_actor_that_auth0_would_refuse_is_refused_unsent(
    supplied: bool, make: Callable[[LocalTenant], str], tenant: LocalTenant
) -> None:
    """The token endpoint is not asked, the subject token not even fetched, and the message repeats no token."""
    fetched: list[int] = []

    def subject() -> str:
        fetched.append(1)
        return "once"

    token = make(tenant)
    given = with_actor((lambda: token) if supplied else token, ID_TOKEN, subject_token=subject)
    with pytest.raises(CustomTokenExchangeError) as caught:
        tenant.client().custom_token_exchange(given)
    assert "INVALID_ACTOR_TOKEN" == caught.value.code
    assert caught.value.hint
    assert token not in caught.value.message
    assert not caught.value.may_have_reached_server
    assert ([], []) == (fetched, tenant.token_requests)


def test_the_clocks_may_differ(tenant: LocalTenant) -> None:
    """An ID token is not called expired before the leeway has passed; Auth0 has the last word."""
    with pytest.raises(CustomTokenExchangeError) as caught:
        tenant.client().custom_token_exchange(with_actor(actors_token(tenant, lifetime=-29), ID_TOKEN))
    assert "invalid_request" == caught.value.code
    assert 1 == len(tenant.token_requests)
    with pytest.raises(CustomTokenExchangeError) as caught:
        tenant.client(leeway=0).custom_token_exchange(with_actor(actors_token(tenant, lifetime=-1), ID_TOKEN))
    assert "INVALID_ACTOR_TOKEN" == caught.value.code


@pytest.mark.parametrize("alg", ["RS256", "PS256"])
def test_an_actor_may_be_signed_with_what_auth0_takes(alg: str, tenant: LocalTenant) -> None:
    """The same claims, signed with an algorithm that Auth0 takes, get to the tenant, which has the last word."""
    with pytest.raises(CustomTokenExchangeError) as caught:
        tenant.client().custom_token_exchange(with_actor(resigned(tenant, alg), ID_TOKEN))
    assert "invalid_request" == caught.value.code
    assert 1 == len(tenant.token_requests)


def test_an_audience_may_be_one_of_several(tenant: LocalTenant) -> None:
    """A list that holds the application is an audience."""
    token = actors_token(tenant, aud=["another", tenant.client_id], azp=tenant.client_id)
    assert tenant.client().custom_token_exchange(with_actor(token, ID_TOKEN)).access_token


def test_a_good_actor_is_sent(tenant: LocalTenant) -> None:
    """An ID token of the tenant is sent, whichever of the tenant's addresses issued it."""
    tenant.add_custom_domain("login.acme.example")
    client, elsewhere = tenant.client(), tenant.client(domain="login.acme.example")
    assert client.custom_token_exchange(with_actor(actors_token(tenant), ID_TOKEN)).access_token
    assert elsewhere.custom_token_exchange(with_actor(actors_token(tenant), ID_TOKEN)).access_token


def test_actors_of_other_types_are_the_actions_business(tenant: LocalTenant) -> None:
    """A token that is no ID token is sent as it is."""
    assert tenant.client().custom_token_exchange(with_actor("opaque", "urn:acme:agent")).access_token


# --- no refresh token with an actor


def test_the_missing_refresh_token_is_told(tenant: LocalTenant) -> None:
    """Whoever asked for offline_access learns that an actor costs it; nobody else is bothered."""
    client = tenant.client()
    with_agent = client.custom_token_exchange(options("urn:acme:support", scope="openid offline_access"))
    assert (None, True) == (with_agent.refresh_token, with_agent.refresh_token_withheld)
    assert client.custom_token_exchange(with_actor(scope=["offline_access"])).refresh_token_withheld is False
    assert client.custom_token_exchange(options("urn:acme:support", scope="openid")).refresh_token_withheld is False
    assert client.custom_token_exchange(options(scope="offline_access")).refresh_token_withheld is False


@pytest.mark.parametrize("stateless", [True, False])
def test_a_delegated_session_says_why_it_cannot_be_refreshed(
    stateless: bool, tenant: LocalTenant, clock: FakeClock
) -> None:
    """The reason survives in the sealed session, and get_access_token tells it with what to do."""
    client = tenant.client(secret=SECRET, state_store=None if stateless else MemoryStateStore())
    jar: dict[str, str] = {}
    tenant.add_api("https://api.example.com", token_lifetime=600)
    asked = options("urn:acme:support", scope="offline_access", audience="https://api.example.com")
    client.login_with_custom_token_exchange(asked, {"cookies": jar})
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert session.refresh_token_withheld
    assert client.get_access_token({"cookies": jar})
    clock.advance(3600)
    with pytest.raises(AccessTokenError, match="actor") as caught:
        client.get_access_token({"cookies": jar})
    assert "MISSING_REFRESH_TOKEN" == caught.value.code
    assert "reexchange=" in caught.value.hint


def test_a_refresh_token_that_the_api_withholds_has_another_reason(tenant: LocalTenant, clock: FakeClock) -> None:
    """Without an actor, the hint is about the API and the application."""
    client, jar = tenant.client(secret=SECRET), dict[str, str]()
    tenant.fail_next(
        200, body={"access_token": "a", "expires_in": 60, "id_token": tenant.id_token("auth0|ada", sid="s")}
    )
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    clock.advance(61)
    with pytest.raises(AccessTokenError, match="although") as caught:
        client.get_access_token({"cookies": jar})
    assert "API" in caught.value.hint


def test_nothing_is_said_aloud(tenant: LocalTenant, caplog: pytest.LogCaptureFixture) -> None:
    """No log line holds an actor token."""
    caplog.set_level(logging.DEBUG)
    token = actors_token(tenant)
    tenant.client().custom_token_exchange(with_actor(token, ID_TOKEN, scope="openid"))
    assert token not in caplog.text


def test_over_a_socket(tenant: LocalTenant) -> None:
    """The same over a real connection, with an actor's ID token of the in-process address."""
    with tenant.serve() as server, server.client() as client:
        assert isinstance(client, ServerClient)
        response = client.custom_token_exchange(
            with_actor(actors_token(tenant), ID_TOKEN, subject_token_type="urn:acme:support", scope="openid")
        )
    assert AGENT == response.act
