"""Client assertions: what the tenant refuses, when they are made anew, and that nothing shows the key."""

from __future__ import annotations

import copy
import json
import os
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import responses
from joserfc import jwt as second_jwt
from joserfc.jwk import RSAKey

from auth0_cte import (
    ConfigurationError,
    CustomTokenExchangeError,
    MfaRequiredError,
    PrivateKeyJwt,
    PublicClient,
    ServerClient,
)
from auth0_cte.testing import FakeClock, LocalTenant, TenantServer
from tests.conftest import TOKEN_ENDPOINT
from tests.exchanges import shown_by
from tests.oauth.conftest import NewClient
from tests.oauth.test_client_auth import (
    APP,
    EC_KEY,
    OPTIONS,
    OTHER_API,
    OTHER_KEY,
    RSA_KEY,
    TYPE,
    Replayed,
    assertions,
    exchanged,
    jwk,
    kms,
    private_pem,
    public_pem,
    refused,
)

PEM = private_pem(RSA_KEY)
SECRET = "a secret of thirty-two bytes or more, for tests alone"


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    tenant = LocalTenant(clock=clock)
    tenant.accept(TYPE, "auth0|jane")
    tenant.add_api(OTHER_API)
    tenant.add_application(APP, auth_method="private_key_jwt", public_keys=[public_pem(RSA_KEY)])
    return tenant


@pytest.fixture
def client_id() -> str:
    return APP


def read(assertion: str) -> dict[str, Any]:
    """Return the claims of an assertion whose signature a second library has verified."""
    return dict(second_jwt.decode(assertion, RSAKey.import_key(public_pem(RSA_KEY))).claims)


FORGED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "aud without the slash": ({}, {"aud": "{url}"}, "aud is not the issuer"),
    "aud with two slashes": ({}, {"aud": "{url}//"}, "aud is not the issuer"),
    "aud of the endpoint": ({}, {"aud": "{url}/oauth/token"}, "aud is not the issuer"),
    "aud of another tenant": ({}, {"aud": "https://other.auth0.com/"}, "aud is not the issuer"),
    "several audiences": ({}, {"aud": ["{url}/", "https://other.auth0.com/"]}, "aud is not the issuer"),
    "no aud": ({}, {"aud": None}, "aud is not the issuer"),
    "expired": ({}, {"iat": -100, "exp": -40}, "it has expired"),
    "expired without iat": ({}, {"iat": None, "exp": -11}, "it has expired"),
    "not yet issued": ({}, {"iat": 30, "exp": 60}, "it is of the future"),
    "not yet valid": ({}, {"nbf": 30}, "it is of the future"),
    "lives too long": ({}, {"exp": 61}, "it lives longer than 60 seconds"),
    "lives too long without iat": ({}, {"iat": None, "exp": 80}, "it lives longer than 60 seconds"),
    "no exp": ({}, {"exp": None}, "exp is missing, or a time is not a number"),
    "exp is no number": ({}, {"exp": "soon"}, "exp is missing, or a time is not a number"),
    "no jti": ({}, {"jti": None}, "jti is missing"),
    "jti is empty": ({}, {"jti": ""}, "jti is missing"),
    "jti is too long": ({}, {"jti": "j" * 65}, "jti is longer than 64 characters"),
    "another iss": ({}, {"iss": "somebody"}, "iss is not the client"),
    "another sub": ({}, {"sub": "somebody"}, "sub is not the client_id"),
    "no sub": ({}, {"sub": None}, "sub is not the client_id"),
    "an unknown kid": ({"kid": "unknown"}, {}, "kid is none of the application's"),
    "another algorithm": ({"alg": "RS512"}, {}, "alg is none that is taken"),
    "a critical header": ({"crit": ["exp"]}, {}, "it is not a JSON Web Token"),
}


def forge(server: TenantServer, clock: FakeClock, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Sign an assertion by a second library; times are relative, None takes a claim away."""
    good = {"iss": APP, "sub": APP, "aud": "{url}/", "iat": 0, "exp": 60, "jti": "a-jti", **claims}
    for name in ("iat", "exp", "nbf"):
        if isinstance(good.get(name), int):
            good[name] = int(clock()) + good[name]
    filled = json.loads(json.dumps(good).replace("{url}", server.url))
    protected = {"alg": "RS256", **header}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc warns of what is not recommended
        claimed = {name: value for name, value in filled.items() if value is not None}
        return second_jwt.encode(protected, claimed, RSAKey.import_key(PEM), algorithms=[protected["alg"]])


@pytest.mark.parametrize(("header", "claims", "reason"), FORGED.values(), ids=FORGED)
def test_wrong_assertions_are_refused(
    header: dict[str, Any], claims: dict[str, Any], reason: str, tenant: LocalTenant, server: TenantServer
) -> None:
    """The server's error comes through, and the tenant log tells why."""
    clock = tenant.clock
    assert isinstance(clock, FakeClock)
    if "crit" in header:
        assertion = forge(server, clock, {}, claims)
        assertion = "eyJhbGciOiJSUzI1NiIsImNyaXQiOlsiZXhwIl19" + assertion[assertion.index(".") :]
    else:
        assertion = forge(server, clock, header, claims)
    with server.client(client_id=APP, client_auth=Replayed(assertion)) as client:
        error = refused(client)
    assert ("invalid_client", 401, "Failed client authentication") == (error.code, error.status_code, error.message)
    assert reason in tenant.logs[-1].description


@pytest.mark.parametrize("claims", [{}, {"iat": -60, "exp": -9}, {"iat": 10, "exp": 70}, {"iat": None}, {"nbf": 10}])
def test_ten_seconds_of_skew_are_put_up_with(claims: dict[str, Any], tenant: LocalTenant, server: TenantServer) -> None:
    """Clocks may differ by ten seconds, and iat may be missing."""
    assert isinstance(tenant.clock, FakeClock)
    with server.client(client_id=APP, client_auth=Replayed(forge(server, tenant.clock, {}, claims))) as client:
        assert exchanged(client)


def test_one_of_several_keys(tenant: LocalTenant, server: TenantServer) -> None:
    """PEM keys get an id, as at Auth0; an assertion without one is tried with each, for as long as both are there."""
    keys = [public_pem(OTHER_KEY), public_pem(RSA_KEY), public_pem(EC_KEY)]
    application = tenant.add_application("several", auth_method="private_key_jwt", public_keys=keys)
    kid = application.public_keys[1].kid
    assert RSAKey.import_key(PEM).thumbprint() == kid
    for auth in (PrivateKeyJwt(PEM), PrivateKeyJwt(PEM, "RS256", kid), PrivateKeyJwt(private_pem(EC_KEY))):
        with server.client(client_id="several", client_auth=auth) as client:
            assert exchanged(client)
    with server.client(
        client_id="several", client_auth=PrivateKeyJwt(PEM, kid=application.public_keys[0].kid)
    ) as other:
        assert "invalid_client" == refused(other).code


def test_a_key_for_one_algorithm(tenant: LocalTenant, server: TenantServer) -> None:
    """A credential that was registered for an algorithm takes no other."""
    member = {name: jwk(RSA_KEY)[name] for name in ("kty", "n", "e")}
    tenant.add_application("ps256", auth_method="private_key_jwt", public_keys=[{**member, "alg": "PS256"}])
    with server.client(client_id="ps256", client_auth=PrivateKeyJwt(PEM, "PS256")) as right:
        assert exchanged(right)
    with server.client(client_id="ps256", client_auth=PrivateKeyJwt(PEM, "RS256")) as wrong:
        assert "invalid_client" == refused(wrong).code


def test_the_assertion_of_another_application(tenant: LocalTenant, server: TenantServer) -> None:
    """What one application signed does not authenticate another one, whatever the form says."""
    tenant.add_application("other", auth_method="private_key_jwt", public_keys=[public_pem(OTHER_KEY)])
    assert isinstance(tenant.clock, FakeClock)
    with server.client(client_id="other", client_auth=Replayed(forge(server, tenant.clock, {}, {}))) as client:
        assert "invalid_client" == refused(client).code
    assert "sub is not the client_id" == tenant.logs[-1].description


def test_every_grant_authenticates_alike(tenant: LocalTenant, clock: FakeClock, connect: NewClient) -> None:
    """Exchange, login, refresh, a second factor and its challenge: each has an assertion of its own, for the issuer."""
    client, jar = connect(client_auth=PrivateKeyJwt(PEM)), {"cookies": dict[str, str]()}
    exchanged(client)
    client.login_with_custom_token_exchange(OPTIONS, jar)
    clock.advance(86_400)
    assert client.get_access_token(jar)
    tenant.enroll_factor("auth0|jane", "otp")
    factor = tenant.enroll_factor("auth0|jane", "sms")
    with pytest.raises(MfaRequiredError) as caught:
        client.custom_token_exchange(OPTIONS)
    token = str(caught.value.mfa_token)
    (listed,) = [each for each in client.list_mfa_authenticators(token) if each.authenticator_type == "oob"]
    challenge = client.challenge_mfa(token, challenge_type="oob", authenticator_id=listed.id)
    assert client.complete_mfa(token, oob_code=challenge.oob_code, binding_code=factor.code()).access_token

    sent = [str(each.form["client_assertion"]) for each in tenant.requests if "client_assertion" in each.form]
    assert 6 == len(sent)
    claims = [read(assertion) for assertion in sent]
    assert 6 == len({each["jti"] for each in claims})
    assert {f"{tenant.token_requests[0].base_url}/"} == {each["aud"] for each in claims}
    assert {60} == {each["exp"] - each["iat"] for each in claims}


def test_a_retry_signs_anew(tenant: LocalTenant, connect: NewClient) -> None:
    """Both attempts of a request that was rate limited have assertions of their own, which a second library reads."""
    tenant.fail_next_with_rate_policy(retry_after=0)
    assert exchanged(connect(client_auth=PrivateKeyJwt(PEM)))
    first, second = (read(assertion) for assertion in assertions(tenant))
    assert first["jti"] != second["jti"]


def test_a_signer_is_asked_for_each_attempt(tenant: LocalTenant, connect: NewClient) -> None:
    """A KMS signs the retry, too; what it is given is the signing input that is sent."""
    given: list[bytes] = []

    def sign(data: bytes) -> bytes:
        given.append(data)
        return bytes(kms("PS256")(data))

    tenant.fail_next_with_rate_policy(retry_after=0)
    assert exchanged(connect(client_auth=PrivateKeyJwt(sign, "PS256")))
    assert [assertion.rpartition(".")[0].encode() for assertion in assertions(tenant)] == given
    assert 2 == len(set(given))


def test_a_signer_that_recovers(tenant: LocalTenant, connect: NewClient) -> None:
    """After the KMS has failed, the same client serves the same subject token: it was not sent."""
    outage = [TimeoutError("no answer")]

    def sign(data: bytes) -> bytes:
        if outage:
            raise outage.pop()
        return bytes(kms("RS256")(data))

    client = connect(client_auth=PrivateKeyJwt(sign, "RS256"))
    with pytest.raises(ConfigurationError, match="failed with TimeoutError"):
        exchanged(client)
    assert [] == tenant.token_requests
    assert exchanged(client)


def test_a_signer_that_fails_at_a_refresh(connect: NewClient, clock: FakeClock) -> None:
    """The session stays as it was, and is refreshed when the KMS is back."""
    working = [True]

    def sign(data: bytes) -> bytes:
        if not working[0]:
            raise OSError("the HSM was unplugged")
        return bytes(kms("RS256")(data))

    client, jar = connect(client_auth=PrivateKeyJwt(sign, "RS256")), {"cookies": dict[str, str]()}
    client.login_with_custom_token_exchange(OPTIONS, jar)
    clock.advance(86_400)
    working[0] = False
    with pytest.raises(ConfigurationError, match="OSError"):
        client.get_access_token(jar)
    working[0] = True
    assert client.get_access_token(jar)


def test_an_asynchronous_signer() -> None:
    """A coroutine function is refused at once; a coroutine that comes back all the same is no signature."""

    async def sign(_data: bytes) -> bytes:
        return b""

    unaware: Any = sign
    with pytest.raises(ConfigurationError, match="asynchronous; give a plain function"):
        PrivateKeyJwt(unaware, "RS256")
    hidden = PrivateKeyJwt(lambda data: unaware(data), "RS256")
    with LocalTenant().client(client_auth=hidden) as client, pytest.raises(ConfigurationError, match="is asynchronous"):
        client.custom_token_exchange(OPTIONS)


def test_a_clock_of_its_own(tenant: LocalTenant, server: TenantServer, clock: FakeClock) -> None:
    """A clock that was given stays; without one, clients of two clocks share a method without sharing the clock."""
    own = PrivateKeyJwt(PEM, clock=lambda: clock() - 5)
    shared = PrivateKeyJwt(PEM)
    for auth, settings in ((own, {}), (shared, {}), (shared, {"clock": lambda: clock() + 7})):
        with server.client(client_id=APP, client_auth=auth, **settings) as client:
            exchanged(client)
    assert [-5, 0, 7] == [read(assertion)["iat"] - int(clock()) for assertion in assertions(tenant)]


def test_an_issuer_without_its_slash(wire: responses.RequestsMock) -> None:
    """``aud`` ends with exactly one slash, whatever the metadata say."""
    metadata = {"issuer": "https://tenant.auth0.com", "token_endpoint": TOKEN_ENDPOINT}
    wire.replace("GET", "https://tenant.auth0.com/.well-known/openid-configuration", json=metadata)
    wire.post(TOKEN_ENDPOINT, json={"access_token": "a", "token_type": "Bearer"})
    with ServerClient("tenant.auth0.com", APP, client_assertion_signing_key=PEM) as client:
        client.custom_token_exchange({"subject_token": "t", "subject_token_type": TYPE})
    body = str(wire.calls[-1].request.body)
    assertion = dict(pair.split("=") for pair in body.split("&"))["client_assertion"]
    assert "https://tenant.auth0.com/" == read(assertion)["aud"]


def test_many_threads_never_repeat_an_assertion(tenant: LocalTenant, server: TenantServer) -> None:
    """In 64 threads every one of 256 exchanges is accepted, so no two assertions were alike."""
    barrier = threading.Barrier(64)
    with server.client(client_id=APP, client_auth=PrivateKeyJwt(PEM)) as client:

        def work(_number: int) -> list[str]:
            barrier.wait(60)
            return [exchanged(client) for _ in range(4)]

        with ThreadPoolExecutor(64) as pool:
            results = list(pool.map(work, range(64)))
    assert 64 == len(results)
    assert 256 == len(set(assertions(tenant)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_signs_assertions_of_its_own(tenant: LocalTenant, server: TenantServer) -> None:
    """Parent and child share the key, and no jti."""
    with server.client(client_id=APP, client_auth=PrivateKeyJwt(PEM)) as client:
        exchanged(client)
        pid = os.fork()
        if pid == 0:
            try:
                exchanged(client)
                os._exit(0)
            finally:
                os._exit(1)
        exchanged(client)
        assert 0 == os.waitpid(pid, 0)[1]
    assert 3 == len({read(assertion)["jti"] for assertion in assertions(tenant)})


BROKEN: dict[str, tuple[Any, dict[str, Any]]] = {
    "cut PEM": (PEM[:-120], {}),
    "another algorithm": (PEM, {"alg": "ES256"}),
    "needless password": (PEM, {"password": "canary-password"}),
    "encrypted": (private_pem(RSA_KEY, "canary-password"), {"password": "canary-wrong"}),
    "JWK for encryption": (jwk(RSA_KEY, use="enc"), {}),
    "JWK as text": (json.dumps(jwk(RSA_KEY, alg="PS256")), {"alg": "RS256"}),
    "JWK in halves": ({**jwk(RSA_KEY), "n": jwk(OTHER_KEY)["n"]}, {}),
    "no key id": (PEM, {"kid": ""}),
    "key id is a number": (PEM, {"kid": 5}),
    "password of a signer": (kms("RS256"), {"alg": "RS256", "password": "canary-password"}),
}


@pytest.mark.parametrize(("key", "more"), BROKEN.values(), ids=BROKEN)
def test_a_refused_key_is_shown_nowhere(key: Any, more: dict[str, Any]) -> None:
    """Neither the error nor the variables of our frames have the key or its password."""
    with pytest.raises(ConfigurationError) as caught:
        PrivateKeyJwt(key, **more)
    shown = shown_by(caught.value)
    for secret in (PEM.split("\n")[5], str(jwk(RSA_KEY)["d"]), "canary"):
        assert secret not in shown
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_a_failed_exchange_shows_no_assertion(tenant: LocalTenant, connect: NewClient) -> None:
    """Neither a refusal nor a signer that fails shows token, assertion or key."""

    def sign(_data: bytes) -> bytes:
        raise PermissionError("kms:Sign is not allowed")

    failures: list[BaseException] = [refused(connect(client_auth=PrivateKeyJwt(private_pem(OTHER_KEY))))]
    with pytest.raises(ConfigurationError) as caught:
        exchanged(connect(client_auth=PrivateKeyJwt(sign, "RS256")))
    failures.append(caught.value)
    assert isinstance(caught.value.__cause__, PermissionError)
    for failure in failures:
        shown = shown_by(failure)
        assert OPTIONS["subject_token"] not in shown
        assert assertions(tenant)[0] not in shown
        assert private_pem(OTHER_KEY).split("\n")[5] not in shown


def test_a_key_does_not_leave_by_copying() -> None:
    """A PrivateKeyJwt is neither pickled nor copied."""
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            attempt(PrivateKeyJwt(PEM))


ENVIRONMENT = {
    "AUTH0_DOMAIN": "tenant.auth0.com",
    "AUTH0_CLIENT_ID": APP,
    "AUTH0_CLIENT_ASSERTION_SIGNING_KEY": PEM.replace("\n", "\\n"),
    "AUTH0_CLIENT_ASSERTION_SIGNING_ALG": "PS256",
}


def _sent(wire: responses.RequestsMock, client: ServerClient) -> dict[str, str]:
    wire.upsert("POST", TOKEN_ENDPOINT, json={"access_token": "a", "token_type": "Bearer"})
    client.custom_token_exchange({"subject_token": "t", "subject_token_type": TYPE})
    return dict(pair.split("=") for pair in str(wire.calls[-1].request.body).split("&"))


def test_arguments_win_over_the_environment(
    wire: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, new_client: type[ServerClient]
) -> None:
    """However the environment says to authenticate, an argument that says otherwise replaces it."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert "client_assertion" in _sent(wire, new_client.from_env())
    assert (
        not {"client_assertion", "client_secret"} & _sent(wire, new_client.from_env(client_auth=PublicClient())).keys()
    )
    assert "given" == _sent(wire, new_client.from_env(client_secret="given"))["client_secret"]
    monkeypatch.setenv("AUTH0_CLIENT_SECRET", "of-the-environment")
    with pytest.raises(ConfigurationError, match="contradict each other"):
        new_client.from_env()
    assert "client_secret" not in _sent(wire, new_client.from_env(client_assertion_signing_key=PEM))


def test_public_clients_sign_nothing() -> None:
    """A signing key beside PublicClient() is a mistake that is told."""
    with pytest.raises(ConfigurationError, match="signs nothing"):
        ServerClient("tenant.auth0.com", APP, client_auth=PublicClient(), client_assertion_signing_key=PEM)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"auth_method": "private_key_jwt"}, "needs public_keys"),
        ({"auth_method": "private_key_jwt", "public_keys": [PEM]}, "public_keys: the key must be a public one"),
        ({"auth_method": "private_key_jwt", "public_keys": [jwk(RSA_KEY)]}, "public_keys: a private"),
        ({"auth_method": "private_key_jwt", "public_keys": ["{"]}, "public_keys: the JWK is not a JSON"),
        ({"public_keys": [public_pem(RSA_KEY)]}, "does not go with public_keys"),
        ({"auth_method": "self_signed_tls_client_auth"}, "needs certificates"),
        ({"auth_method": "tls_client_auth", "tls_subject": "CN=x"}, "needs certificate_authority"),
    ],
)
def test_registrations_that_cannot_work(arguments: dict[str, Any], fault: str) -> None:
    """An application without what it authenticates by, or with what it does not, is refused."""
    with pytest.raises(ValueError, match=fault):
        LocalTenant().add_application("app", **arguments)


def test_the_short_form_for_an_application_with_a_secret(tenant: LocalTenant, server: TenantServer) -> None:
    """A method that the application does not have is refused by the server, and its secret is not sent along."""
    with server.client(client_assertion_signing_key=PEM) as client:
        error = refused(client)
    assert (401, "access_denied") == (error.status_code, error.code)
    assert "client_secret" not in tenant.token_requests[-1].form
    assert isinstance(error, CustomTokenExchangeError)
