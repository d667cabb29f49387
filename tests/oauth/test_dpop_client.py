"""DPoP on exchange, login and refresh, over TLS, against the tenant and against servers that misbehave."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import responses
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from auth0_cte import (
    AccessTokenError,
    ClientEvent,
    ConfigurationError,
    CustomTokenExchangeError,
    DPoPKey,
    MemoryStateStore,
    PublicClient,
    RetryPolicy,
    ServerClient,
    TokenRequestRetried,
)
from auth0_cte.testing import FakeClock, LocalTenant, TenantServer
from tests.conftest import DOMAIN, ISSUER, TOKEN_ENDPOINT
from tests.oauth.conftest import NewClient
from tests.proofs import read, sent_to, unverified_claims
from tests.raw_server import TOKENS, RawServer, reply, send

TYPE = "urn:acme:mcp-token"
API = "https://api.example.com"
OPTIONS: dict[str, Any] = {
    "subject_token": "a-single-use-token",
    "subject_token_type": TYPE,
    "audience": API,
    "scope": "openid offline_access read:data",
}
BOUND = json.dumps({"access_token": "issued", "token_type": "DPoP", "expires_in": 60})
NEEDS_NONCE = reply('{"error":"use_dpop_nonce"}', "400 Bad Request", ["DPoP-Nonce: n1"])


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    tenant = LocalTenant(clock=clock)
    tenant.accept(TYPE, "auth0|ada")
    tenant.add_application("public", auth_method="none")
    return tenant


@pytest.fixture
def client_id() -> str:
    return "public"


@pytest.mark.parametrize("nonces", [False, True], ids=["no nonces", "nonces"])
@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "Ed25519", "RS256"])
def test_exchange_login_and_refresh(
    alg: str, nonces: bool, tenant: LocalTenant, server: TenantServer, clock: FakeClock, connect: NewClient
) -> None:
    """Each carries a fresh proof without ``ath``, and its access token is bound to the key; one nonce serves all."""
    tenant.dpop.nonce_required = nonces
    key, store, jar = DPoPKey.generate(alg), MemoryStateStore(), {"cookies": dict[str, str]()}
    client = connect(dpop=key, state_store=store)
    exchanged = client.custom_token_exchange(OPTIONS)
    session = client.login_with_custom_token_exchange(OPTIONS, jar).session
    clock.advance(86_400)
    tenant.dpop.nonce_lifetime = 200_000
    refreshed = client.get_access_token(jar)

    assert ("DPoP", True, key.thumbprint) == (exchanged.token_type, exchanged.dpop_bound, exchanged.dpop_thumbprint)
    assert key.thumbprint == client.dpop_thumbprint == session.dpop_thumbprint == session.token_sets[0].dpop_thumbprint
    for token in (exchanged.access_token, session.token_sets[0].access_token, refreshed):
        assert {"jkt": key.thumbprint} == unverified_claims(token)["cnf"]
    assert exchanged.claims is not None
    proofs = sent_to(tenant)
    assert 3 + nonces == len(proofs)
    assert 3 + nonces == len({claims["jti"] for _, claims in proofs})
    for number, (header, claims) in enumerate(proofs):
        assert ("dpop+jwt", key.public_jwk) == (header["typ"], header["jwk"])
        assert ("POST", f"{server.url}/oauth/token") == (claims["htm"], claims["htu"])
        assert {"jti", "htm", "htu", "iat"} == set(claims) - {"nonce"}
        assert (nonces and number > 0) is ("nonce" in claims)


def test_the_subject_token_is_sent_twice_for_a_nonce_alone(tenant: LocalTenant, connect: NewClient) -> None:
    """The first call learns the nonce by a refusal, which did not reach the Action; the next ones know it."""
    tenant.dpop.nonce_required = True
    seen: list[str] = []

    @tenant.action(TYPE)
    def exchange(event: Any, api: Any) -> None:
        seen.append(event.transaction.subject_token)
        api.authentication.set_user_by_id("auth0|ada")

    client = connect(dpop=DPoPKey.generate())
    client.custom_token_exchange(OPTIONS)
    client.custom_token_exchange({**OPTIONS, "subject_token": "another"})

    sent = [request.form["subject_token"] for request in tenant.token_requests]
    assert ["a-single-use-token", "a-single-use-token", "another"] == sent
    assert ["a-single-use-token", "another"] == seen


CHALLENGES = {
    "400": (400, {"error": "use_dpop_nonce"}, {}),
    "401": (401, {"error": "use_dpop_nonce"}, {}),
    "401 by header alone": (401, {}, {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"'}),
    "invalid_dpop_proof": (400, {"error": "invalid_dpop_proof"}, {}),
    "401 invalid_dpop_proof": (401, {"error": "invalid_dpop_proof"}, {}),
}


@pytest.mark.parametrize("call", ["exchange", "refresh"])
@pytest.mark.parametrize("name", CHALLENGES)
def test_a_nonce_is_taken_however_it_is_asked_for(
    name: str, call: str, tenant: LocalTenant, connect: NewClient
) -> None:
    """With a ``DPoP-Nonce`` there is one more attempt, which has it; without one there is none."""
    status, body, headers = CHALLENGES[name]
    client = connect(dpop=DPoPKey.generate())
    refresh_token = client.custom_token_exchange({**OPTIONS, "scope": "offline_access"}).refresh_token or ""
    actions: dict[str, Any] = {
        "exchange": lambda: client.custom_token_exchange(OPTIONS),
        "refresh": lambda: client.refresh_exchanged_token(refresh_token),
    }
    sent = len(tenant.token_requests)
    tenant.fail_next(status, body=body, headers={**headers, "DPoP-Nonce": "n-1"})
    assert actions[call]().access_token
    assert sent + 2 == len(tenant.token_requests)
    tenant.fail_next(status, body=body, headers=headers)
    with pytest.raises(CustomTokenExchangeError):
        actions[call]()
    assert sent + 3 == len(tenant.token_requests)


def test_rotated_nonces_cost_one_more_request(tenant: LocalTenant, connect: NewClient) -> None:
    """A nonce that a success brought is used next; one that the tenant has replaced is asked for once."""
    tenant.dpop.nonce_required = True
    client = connect(dpop=DPoPKey.generate())
    client.custom_token_exchange(OPTIONS)
    tenant.dpop.rotate_nonce(keep_old=True)
    client.custom_token_exchange(OPTIONS)
    tenant.dpop.rotate_nonce(keep_old=True)
    client.custom_token_exchange(OPTIONS)
    assert 4 == len(tenant.token_requests)
    tenant.dpop.rotate_nonce()
    client.custom_token_exchange(OPTIONS)
    assert 6 == len(tenant.token_requests)


def test_threads_share_nonces_and_no_identifier(tenant: LocalTenant, server: TenantServer) -> None:
    """Twenty threads: each proof has a ``jti`` of its own, and once a nonce is known nobody asks for one."""
    tenant.dpop.nonce_required = True
    with server.client(dpop=DPoPKey.generate()) as client, ThreadPoolExecutor(20) as pool:
        client.custom_token_exchange(OPTIONS)
        done = list(pool.map(lambda _: client.custom_token_exchange(OPTIONS).dpop_bound, range(100)))
    assert [True] * 100 == done
    assert 102 == len({claims["jti"] for _, claims in sent_to(tenant)}) == len(tenant.token_requests)


def test_a_second_wish_for_a_nonce_is_raised(raw_server: RawServer, new_client: type[ServerClient]) -> None:
    """The token is sent twice at most; then the server's error is the caller's, with a hint."""
    raw_server.scripts = [send(NEEDS_NONCE)]
    with new_client(raw_server.url, "c", "s", dpop=DPoPKey.generate()) as client:
        with pytest.raises(CustomTokenExchangeError) as caught:
            client.custom_token_exchange(OPTIONS)
    assert ("use_dpop_nonce", 400) == (caught.value.code, caught.value.status_code)
    assert "nonce" in caught.value.hint
    assert [None, "n1"] == [read(each.headers["dpop"])[1].get("nonce") for each in raw_server.arrived]


@pytest.mark.parametrize(
    "answer",
    [
        reply('{"error":"use_dpop_nonce"}', "400 Bad Request"),
        reply('{"error":"use_dpop_nonce"}', "400 Bad Request", ['DPoP-Nonce: a"b']),
        reply('{"error":"use_dpop_nonce"}', "400 Bad Request", ["DPoP-Nonce: a", "DPoP-Nonce: b"]),
        reply('{"error":"use_dpop_nonce"}', "500 Oops", ["DPoP-Nonce: a"]),
        reply('{"error":"invalid_dpop_proof"}', "400 Bad Request"),
        reply('{"error":"invalid_dpop_proof"}', "403 Forbidden", ["DPoP-Nonce: a"]),
        reply('{"error":"invalid_request"}', "400 Bad Request", ["DPoP-Nonce: a"]),
    ],
)
def test_nothing_else_is_sent_twice(answer: bytes, raw_server: RawServer) -> None:
    """Without a usable nonce, or with another error, the subject token goes out once."""
    raw_server.scripts = [send(answer)]
    with ServerClient(raw_server.url, "c", "s", dpop=DPoPKey.generate()) as client:
        with pytest.raises(CustomTokenExchangeError):
            client.custom_token_exchange(OPTIONS)
    assert 1 == len(raw_server.arrived)


def test_without_a_key_nothing_is_proved(raw_server: RawServer) -> None:
    """A client without a key sends no proof, and does not answer a wish for a nonce."""
    raw_server.scripts = [send(NEEDS_NONCE)]
    with ServerClient(raw_server.url, "c", "s") as client:
        with pytest.raises(CustomTokenExchangeError):
            client.custom_token_exchange(OPTIONS)
        assert (None, None) == (client.dpop, client.dpop_thumbprint)
    assert ["dpop" in each.headers for each in raw_server.arrived] == [False]


def test_a_retry_is_proved_anew(raw_server: RawServer) -> None:
    """After a 429 the proof is a new one; a nonce costs no retry, and any reply may bring the next one."""
    later = reply('{"error":"too_many_requests"}', "429 Slow", ["Retry-After: 0", "DPoP-Nonce: n2"])
    raw_server.scripts = [send(NEEDS_NONCE), send(later), send(reply(BOUND, headers=["DPoP-Nonce: n3"]))]
    events: list[ClientEvent] = []
    retry = RetryPolicy(sleep=lambda _: None)
    with ServerClient(raw_server.url, "c", "s", dpop=DPoPKey.generate(), retry=retry, on_event=events.append) as client:
        assert client.custom_token_exchange(OPTIONS).dpop_bound
        client.custom_token_exchange(OPTIONS)
    claims = [read(each.headers["dpop"])[1] for each in raw_server.arrived]
    assert [None, "n1", "n2", "n3"] == [each.get("nonce") for each in claims]
    assert 4 == len({each["jti"] for each in claims})
    retried = [event for event in events if isinstance(event, TokenRequestRetried)]
    assert [(1, "use_dpop_nonce"), (2, "too_many_requests")] == [(each.attempt, each.error_code) for each in retried]


def test_the_deadline_ends_the_wish_for_a_nonce(raw_server: RawServer) -> None:
    """The attempt with the nonce is part of the call: it is not made when the call's time is over."""
    from auth0_cte.oauth.call import Call
    from auth0_cte.oauth.dpop import DPoPNonceStore, ProvenRequest
    from auth0_cte.oauth.issuer import Issuer
    from auth0_cte.oauth.token_endpoint import TokenRequest
    from auth0_cte.transport.client import Reply

    error = CustomTokenExchangeError("x", code="use_dpop_nonce", error="use_dpop_nonce", status_code=400)
    for seconds, expected in [(0.0, False), (60.0, True)]:
        issuer = Issuer(ISSUER, TOKEN_ENDPOINT, None, {})
        request = TokenRequest(issuer=issuer, url=TOKEN_ENDPOINT, form=[], call=Call(ISSUER, seconds))
        proven = ProvenRequest(DPoPKey.generate(), DPoPNonceStore(), request)
        request.reply = Reply(400, {"DPoP-Nonce": "n"}, b"")
        assert expected is proven.failed(request, error)
        assert proven.failed(request, error) is False


def test_mocked_transports_work(wire: responses.RequestsMock, new_client: type[ServerClient]) -> None:
    """With ``responses``, proof and nonce are seen where everything else is."""
    wire.post(TOKEN_ENDPOINT, status=400, json={"error": "use_dpop_nonce"}, headers={"DPoP-Nonce": "n1"})
    wire.post(TOKEN_ENDPOINT, body=BOUND)
    with new_client(DOMAIN, "c", "s", dpop=DPoPKey.generate(), authorization_params={"a": 1}) as client:
        assert client.custom_token_exchange(OPTIONS).dpop_bound is True
    posts = [call.request.headers["DPoP"] for call in wire.calls if call.request.method == "POST"]
    assert [None, "n1"] == [read(str(proof))[1].get("nonce") for proof in posts]


@pytest.mark.parametrize(
    ("token_type", "with_key", "bound", "warnings"),
    [
        ("DPoP", True, True, 0),
        ("dpop", True, True, 0),
        ("Bearer", True, False, 1),
        (None, True, False, 1),
        ("N_A", True, None, 0),
        ("DPoP", False, None, 1),
        ("DPOP", False, None, 1),
        ("Bearer", False, None, 0),
    ],
)
def test_what_is_not_bound_is_reported(
    token_type: str | None,
    with_key: bool,
    bound: bool | None,
    warnings: int,
    wire: responses.RequestsMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The answer is kept, because the token is spent; an attribute and one warning tell what is amiss."""
    wire.post(TOKEN_ENDPOINT, json={"access_token": "issued", "token_type": token_type})
    key = DPoPKey.generate() if with_key else None
    with caplog.at_level(logging.WARNING), ServerClient(DOMAIN, "c", "s", dpop=key) as client:
        response = client.custom_token_exchange({**OPTIONS, "scope": None})
    assert ("issued", bound) == (response.access_token, response.dpop_bound)
    assert (key.thumbprint if key and bound else None) == response.dpop_thumbprint
    assert warnings == len([record for record in caplog.records if "DPoP" in record.message])
    assert "issued" not in caplog.text


def test_an_api_that_does_not_constrain_its_tokens(tenant: LocalTenant, connect: NewClient) -> None:
    """As at Auth0, a proof for such an API is checked and leaves a bearer token; a login is told of it, too."""
    tenant.add_api(API, proof_of_possession="none")
    client = connect(dpop=DPoPKey.generate(), state_store=MemoryStateStore())
    assert ("Bearer", False) == (
        (response := client.custom_token_exchange(OPTIONS)).token_type,
        response.dpop_bound,
    )
    session = client.login_with_custom_token_exchange(OPTIONS, {"cookies": {}}).session
    assert session.token_sets[0].dpop_thumbprint is None
    assert client.dpop_thumbprint == session.dpop_thumbprint


@pytest.mark.parametrize(
    ("metadata", "alg", "name"),
    [
        (["ES256"], "ES256", "ES256"),
        (["ES256", "Ed25519"], "EdDSA", "Ed25519"),
        ("rubbish", "RS256", "RS256"),
        (None, "EdDSA", "EdDSA"),
    ],
)
def test_the_servers_algorithms_are_heeded(metadata: Any, alg: str, name: str, raw_server: RawServer) -> None:
    """What the metadata say of proofs chooses the name; metadata that say nothing change nothing."""
    raw_server.metadata = {"dpop_signing_alg_values_supported": metadata}
    raw_server.scripts = [send(reply(BOUND))]
    with ServerClient(raw_server.url, "c", "s", dpop=DPoPKey.generate(alg)) as client:
        client.custom_token_exchange(OPTIONS)
    assert name == read(raw_server.arrived[0].headers["dpop"])[0]["alg"]


def test_a_proof_that_must_fail_costs_no_token(tenant: LocalTenant, connect: NewClient) -> None:
    """A key whose algorithm the server does not take is refused before anything is sent."""
    tenant.dpop.algorithms = ["ES256"]
    with pytest.raises(ConfigurationError, match="takes DPoP proofs by ES256, and the key is for RS256"):
        connect(dpop=DPoPKey.generate("RS256")).custom_token_exchange(OPTIONS)
    assert [] == tenant.token_requests


def test_a_wrong_clock_is_told(tenant: LocalTenant, clock: FakeClock, connect: NewClient) -> None:
    """A proof that is too old, or of the future, is refused, and the hint names the clock."""
    for skew in (-3600, 3600):
        client = connect(dpop=DPoPKey.generate(clock=lambda skew=skew: clock() + skew))  # type: ignore[misc]
        with pytest.raises(CustomTokenExchangeError, match="iat is too old, or in the future") as caught:
            client.custom_token_exchange(OPTIONS)
        assert ("invalid_dpop_proof", 400) == (caught.value.code, caught.value.status_code)
        assert "clock" in caught.value.hint
    assert 2 == len(tenant.token_requests)


def test_a_missing_proof_is_told(tenant: LocalTenant, connect: NewClient) -> None:
    """An application, or an API, that requires DPoP refuses a client without a key, before any Action runs."""
    tenant.add_application("strict", "secret", require_proof_of_possession=True)
    tenant.add_api("https://strict.example.com", proof_of_possession="required")
    for client_id, audience in [("strict", None), ("public", "https://strict.example.com")]:
        with pytest.raises(CustomTokenExchangeError, match="A DPoP proof is required") as caught:
            connect(client_id=client_id).custom_token_exchange({**OPTIONS, "audience": audience})
        assert "invalid_dpop_proof" == caught.value.code
        assert (
            connect(dpop=DPoPKey.generate(), client_id=client_id)
            .custom_token_exchange({**OPTIONS, "audience": audience})
            .dpop_bound
        )


@pytest.mark.parametrize("other", [DPoPKey.generate(), None], ids=["another key", "no key"])
def test_the_wrong_key_does_not_end_a_session(
    other: DPoPKey | None, tenant: LocalTenant, clock: FakeClock, connect: NewClient
) -> None:
    """The refusal is the server's, says that the key differs, and leaves the session to whoever has the right one."""
    key, store, jar = DPoPKey.generate(), MemoryStateStore(), {"cookies": dict[str, str]()}
    right, wrong = connect(dpop=key, state_store=store), connect(dpop=other, state_store=store)
    right.login_with_custom_token_exchange(OPTIONS, jar)
    clock.advance(86_400)
    with pytest.raises(AccessTokenError) as caught:
        wrong.get_access_token(jar)
    expected = ("invalid_dpop_proof", 400) if other is None else ("invalid_grant", 403)
    assert expected == (caught.value.code, caught.value.status_code)
    assert caught.value.dpop_key_mismatch
    assert "another DPoP key" in caught.value.hint
    assert {"jkt": key.thumbprint} == unverified_claims(right.get_access_token(jar))["cnf"]


def test_a_revoked_token_ends_the_session_as_ever(tenant: LocalTenant, clock: FakeClock, connect: NewClient) -> None:
    """With the right key, ``invalid_grant`` means what it says."""
    client, jar = connect(dpop=DPoPKey.generate(), state_store=MemoryStateStore()), {"cookies": dict[str, str]()}
    client.login_with_custom_token_exchange(OPTIONS, jar)
    tenant.revoke_refresh_tokens()
    clock.advance(86_400)
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token(jar)
    assert ("invalid_grant", False) == (caught.value.code, caught.value.dpop_key_mismatch)
    assert client.get_session(jar) is None


def test_the_same_key_in_another_process(tenant: LocalTenant, clock: FakeClock, connect: NewClient) -> None:
    """Two clients that parsed the same PEM are one to the tenant; the session in cookies keeps what it is bound to."""
    private = ec.generate_private_key(ec.SECP256R1())
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    one, other, jar = connect(dpop=text), connect(dpop=DPoPKey(text)), {"cookies": dict[str, str]()}
    one.login_with_custom_token_exchange(OPTIONS, jar)
    clock.advance(86_399)
    refreshed = other.get_access_token(jar)
    session = one.get_session(jar)
    assert session is not None
    assert session.dpop_thumbprint == session.token_sets[0].dpop_thumbprint == one.dpop_thumbprint
    assert refreshed == session.token_sets[0].access_token == session["token_sets"][0]["access_token"]


def test_a_confidential_application_may_change_its_key(
    tenant: LocalTenant, clock: FakeClock, connect: NewClient
) -> None:
    """Its refresh tokens are bound to its credentials (RFC 9449 section 5); the new token is bound to the new key."""
    store, jar, fresh = MemoryStateStore(), {"cookies": dict[str, str]()}, DPoPKey.generate()
    old = connect(dpop=DPoPKey.generate(), client_id=tenant.client_id, state_store=store)
    new = connect(dpop=fresh, client_id=tenant.client_id, state_store=store)
    old.login_with_custom_token_exchange(OPTIONS, jar)
    clock.advance(86_400)
    assert {"jkt": fresh.thumbprint} == unverified_claims(new.get_access_token(jar))["cnf"]
    session = new.get_session(jar)
    assert session is not None
    assert fresh.thumbprint == session.dpop_thumbprint


def test_second_factors_are_proved_too(tenant: LocalTenant, connect: NewClient) -> None:
    """What finishes an interrupted exchange has a proof, and its token is bound."""
    tenant.add_user("auth0|ada")
    factor = tenant.enroll_factor("auth0|ada", "otp")
    client = connect(dpop=DPoPKey.generate())
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(OPTIONS)
    response = client.complete_mfa(caught.value.mfa_token, otp=factor.code())  # type: ignore[attr-defined]
    assert {"jkt": client.dpop_thumbprint} == unverified_claims(response.access_token)["cnf"]
    assert response.dpop_bound


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """``AUTH0_DPOP_PRIVATE_KEY`` holds PEM or a JWK; what cannot be used is told at construction, and not shown."""
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    settings = {"AUTH0_DOMAIN": DOMAIN, "AUTH0_CLIENT_ID": "c", "AUTH0_CLIENT_SECRET": "s"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert ServerClient.from_env().dpop is None
    monkeypatch.setenv("AUTH0_DPOP_PRIVATE_KEY", text.replace("\n", "\\n"))
    assert DPoPKey(text).thumbprint == ServerClient.from_env().dpop_thumbprint
    assert ServerClient.from_env(dpop=None).dpop is None
    monkeypatch.setenv("AUTH0_DPOP_PRIVATE_KEY", "rubbish-key")
    with pytest.raises(ConfigurationError, match="DPoP key cannot be used") as caught:
        ServerClient.from_env()
    assert "rubbish" not in str(caught.value)


def test_the_client_lends_its_clock(raw_server: RawServer) -> None:
    """Proofs have the client's own time, for the token endpoint and for APIs."""
    raw_server.scripts = [send(reply(TOKENS))]
    key = DPoPKey.generate()
    with ServerClient(
        raw_server.url, "c", client_auth=PublicClient(), dpop=key, clock=lambda: 1_900_000_000.0
    ) as client:
        client.custom_token_exchange({**OPTIONS, "scope": None})
        assert client.dpop == key
        assert client.dpop is not None
        proofs = [raw_server.arrived[0].headers["dpop"], client.dpop.proof("GET", API, access_token="t")]
    assert [1_900_000_000] * 2 == [read(proof)[1]["iat"] for proof in proofs]


def test_a_session_transfer_token_is_bound_to_nothing(
    wire: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no access token, so that it is not bound is not worth a warning, whether it has a token_type or not."""
    kind = "urn:auth0:params:oauth:token-type:session_transfer_token"
    wire.post(TOKEN_ENDPOINT, json={"access_token": "opaque", "issued_token_type": kind})
    with caplog.at_level(logging.WARNING), ServerClient(DOMAIN, "c", "s", dpop=DPoPKey.generate()) as client:
        assert client.custom_token_exchange({**OPTIONS, "scope": None}).dpop_bound is None
    assert "DPoP" not in caplog.text
