"""Every way to authenticate an application, against the tenant over real TLS; assertions read by a second library."""

from __future__ import annotations

import hashlib
import json
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import responses
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.x509.oid import NameOID
from joserfc import jwt as second_jwt
from joserfc.jwk import ECKey, RSAKey

from auth0_cte import (
    AsyncServerClient,
    ClientAuth,
    ClientSecretBasic,
    ClientSecretPost,
    ConfigurationError,
    CustomTokenExchangeError,
    MutualTls,
    PrivateKeyJwt,
    PublicClient,
    RetryPolicy,
    ServerClient,
    TransportError,
)
from auth0_cte.testing import FakeClock, LocalTenant, TenantServer

TYPE = "urn:acme:legacy"
OPTIONS = {"subject_token": "legacy-token", "subject_token_type": TYPE, "scope": "openid offline_access"}
OTHER_API = "https://other.example"
APP = "the-app"
ALGORITHMS = ["RS256", "RS384", "PS256", "ES256"]
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_of(alg: str) -> Any:
    return EC_KEY if alg == "ES256" else RSA_KEY


def private_pem(key: Any, password: str | None = None) -> str:
    encryption: Any = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password.encode())
    form = serialization.PrivateFormat.PKCS8
    return str(key.private_bytes(serialization.Encoding.PEM, form, encryption).decode())


def public_pem(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, form).decode())


def jwk(key: Any, **members: Any) -> dict[str, Any]:
    kind = ECKey if isinstance(key, ec.EllipticCurvePrivateKey) else RSAKey
    return {**kind.import_key(private_pem(key)).as_dict(private=True), **members}


def kms(alg: str) -> Any:
    """Sign as a KMS client of ours would, with the private key out of the library's reach."""

    def sign(data: bytes) -> bytes:
        if alg == "ES256":
            r, s = decode_dss_signature(EC_KEY.sign(data, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        chosen = hashes.SHA384() if alg == "RS384" else hashes.SHA256()
        digest = hashlib.new(chosen.name, data).digest()
        pad: Any = padding.PSS(padding.MGF1(chosen), chosen.digest_size) if alg == "PS256" else padding.PKCS1v15()
        return RSA_KEY.sign(digest, pad, Prehashed(chosen))

    return sign


@pytest.fixture
def tenant(clock: FakeClock) -> Iterator[LocalTenant]:
    with LocalTenant(clock=clock) as tenant:
        tenant.accept(TYPE, "auth0|jane")
        for alg in ALGORITHMS:
            keys = [public_pem(key_of(alg))]
            tenant.add_application(f"jwt-{alg}", auth_method="private_key_jwt", public_keys=keys)
        tenant.add_application("basic", "s&cret: %+", auth_method="client_secret_basic")
        tenant.add_application("public", auth_method="none")
        tenant.add_api(OTHER_API)
        yield tenant


@pytest.fixture
def server(tenant: LocalTenant) -> TenantServer:
    return tenant.serve(tls=True)


def make(server: TenantServer, client_id: str, auth: ClientAuth | None = None, **more: Any) -> ServerClient:
    given = {} if auth is None else {"client_auth": auth}
    return server.client(**{"client_id": client_id, **given, **more})


def assertions(tenant: LocalTenant) -> list[str]:
    found = [request.form.get("client_assertion") for request in tenant.token_requests]
    return [each for each in found if isinstance(each, str)]


def exchanged(client: ServerClient) -> str:
    return client.custom_token_exchange(OPTIONS).access_token


def refused(client: ServerClient) -> CustomTokenExchangeError:
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(OPTIONS)
    return caught.value


def test_secrets_and_none(tenant: LocalTenant, server: TenantServer) -> None:
    """client_secret_post, client_secret_basic and public applications are served, each by its own method."""
    assert make(server, tenant.client_id).custom_token_exchange(OPTIONS).access_token
    assert make(server, "basic", ClientSecretBasic("s&cret: %+")).custom_token_exchange(OPTIONS).access_token
    assert make(server, "public", PublicClient()).custom_token_exchange(OPTIONS).access_token


@pytest.mark.parametrize(
    ("client_id", "auth"),
    [
        ("local-client", ClientSecretPost("wrong")),
        ("local-client", ClientSecretBasic("wrong")),
        ("local-client", PublicClient()),
        ("basic", ClientSecretBasic("wrong")),
        ("basic", ClientSecretPost("s&cret: %+")),
        ("public", ClientSecretPost("anything")),
        ("jwt-RS256", ClientSecretPost("anything")),
        ("jwt-RS256", PublicClient()),
    ],
)
def test_wrong_credentials_and_methods(server: TenantServer, client_id: str, auth: ClientAuth) -> None:
    """A wrong secret, or another method than the application's, is the server's own refusal."""
    error = refused(make(server, client_id, auth))
    assert ("access_denied", 401, "Unauthorized") == (error.code, error.status_code, error.error_description)


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize("form", ["pem", "bytes", "escaped", "encrypted", "jwk", "json", "kms"])
def test_private_key_jwt(tenant: LocalTenant, server: TenantServer, clock: FakeClock, alg: str, form: str) -> None:
    """Each algorithm and each form of a key is accepted, and what a second library reads is what Auth0 wants."""
    key, pem = key_of(alg), private_pem(key_of(alg))
    auth = {
        "pem": lambda: PrivateKeyJwt(pem, alg),
        "bytes": lambda: PrivateKeyJwt(pem.encode(), alg),
        "escaped": lambda: PrivateKeyJwt(pem.replace("\n", "\\n"), alg),
        "encrypted": lambda: PrivateKeyJwt(private_pem(key, "open sesame"), alg, password="open sesame"),
        "jwk": lambda: PrivateKeyJwt(jwk(key, alg=alg)),
        "json": lambda: PrivateKeyJwt(json.dumps(jwk(key)), alg),
        "kms": lambda: PrivateKeyJwt(kms(alg), alg),
    }[form]()
    client_id = f"jwt-{alg}"
    assert make(server, client_id, auth).custom_token_exchange(OPTIONS).access_token
    (assertion,) = assertions(tenant)
    public: Any = (ECKey if alg == "ES256" else RSAKey).import_key(public_pem(key))
    token = second_jwt.decode(assertion, public, algorithms=[alg])
    now = int(clock())
    assert (client_id, client_id, f"{server.url}/") == tuple(token.claims[name] for name in ("iss", "sub", "aud"))
    assert (now, now + 60) == (token.claims["iat"], token.claims["exp"])
    assert len(token.claims["jti"]) >= 22
    assert "client_secret" not in tenant.token_requests[-1].form


def test_the_key_id_is_sent_when_it_is_known(tenant: LocalTenant, server: TenantServer) -> None:
    """A JWK's own kid or the given one is in the header, so that one of several registered keys is found."""
    keys = [jwk(OTHER_KEY, kid="old"), jwk(RSA_KEY, kid="new")]
    public = [{name: each[name] for name in ("kty", "n", "e", "kid")} for each in keys]
    tenant.add_application("several", auth_method="private_key_jwt", public_keys=public)
    for auth in (PrivateKeyJwt(keys[1]), PrivateKeyJwt(private_pem(RSA_KEY), kid="new")):
        assert ("RS256", "new") == (auth.alg, auth.kid)
        assert make(server, "several", auth).custom_token_exchange(OPTIONS).access_token
    error = refused(make(server, "several", PrivateKeyJwt(private_pem(RSA_KEY), kid="none")))
    assert ("invalid_client", 401) == (error.code, error.status_code)


def test_wrong_assertions(tenant: LocalTenant, server: TenantServer, clock: FakeClock) -> None:
    """A foreign key, a clock that is off and an application of another name are refused; the tenant log says why."""
    wrong = [
        PrivateKeyJwt(private_pem(OTHER_KEY)),
        PrivateKeyJwt(private_pem(RSA_KEY), clock=lambda: clock() - 90),
        PrivateKeyJwt(private_pem(RSA_KEY), clock=lambda: clock() + 90),
    ]
    errors = [refused(make(server, "jwt-RS256", auth)) for auth in wrong]
    unknown = refused(make(server, "nobody", PrivateKeyJwt(private_pem(RSA_KEY))))
    assert [("invalid_client", 401, "Failed client authentication")] * 3 == [
        (error.code, error.status_code, error.error_description) for error in errors
    ]
    reasons = [entry.description for entry in tenant.logs[:3]]
    assert ["the signature is none of the application's", "it has expired", "it is of the future"] == reasons
    assert ("access_denied", 401) == (unknown.code, unknown.status_code)


class Replayed:
    """Sends the very assertion that another application's client made."""

    def __init__(self, assertion: str) -> None:
        self.assertion = assertion

    def apply(self, client_id: str, issuer: Any, form: list[tuple[str, str]], headers: dict[str, str]) -> None:
        form.append(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"))
        form.append(("client_assertion", self.assertion))


def test_an_assertion_is_good_once(tenant: LocalTenant, server: TenantServer) -> None:
    """A replayed assertion is refused; a client's own method of authentication serves where ours does."""
    make(server, "jwt-RS256", PrivateKeyJwt(private_pem(RSA_KEY))).custom_token_exchange(OPTIONS)
    error = refused(make(server, "jwt-RS256", Replayed(assertions(tenant)[0])))
    assert ("invalid_client", "jti was used before") == (error.code, tenant.logs[-1].description)


def test_a_retry_signs_anew(tenant: LocalTenant, server: TenantServer) -> None:
    """After a rate limit the second attempt has another jti, which the tenant accepts."""
    tenant.fail_next_with_rate_policy(retry_after=0)
    retry = RetryPolicy(sleep=lambda _seconds: None)
    client = make(server, "jwt-ES256", PrivateKeyJwt(private_pem(EC_KEY)), retry=retry)
    assert client.custom_token_exchange(OPTIONS).access_token
    assert 2 == len(set(assertions(tenant)))


def test_logins_and_refreshes_authenticate_alike(tenant: LocalTenant, server: TenantServer) -> None:
    """Login and refresh bring an assertion each."""
    client = make(server, "jwt-RS256", PrivateKeyJwt(private_pem(RSA_KEY)), secret="a secret of thirty-two bytes, say.")
    jar: dict[str, str] = {}
    client.login_with_custom_token_exchange(OPTIONS, {"cookies": jar})
    assert client.get_access_token({"cookies": jar}, audience=OTHER_API)
    assert 2 == len(set(assertions(tenant)))


def test_threads_share_a_key(tenant: LocalTenant, server: TenantServer) -> None:
    """In 32 threads no two assertions are alike."""
    client = make(server, "jwt-ES256", PrivateKeyJwt(private_pem(EC_KEY)))
    barrier = threading.Barrier(32)

    def exchange(_number: int) -> str:
        barrier.wait(30)
        return client.custom_token_exchange(OPTIONS).access_token

    with ThreadPoolExecutor(32) as pool:
        assert 32 == len(list(pool.map(exchange, range(32))))
    assert 32 == len(set(assertions(tenant)))


def test_the_short_form(tenant: LocalTenant, server: TenantServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signing key can be an argument, or come from the environment, without any secret."""
    short: dict[str, Any] = {
        "client_assertion_signing_key": private_pem(RSA_KEY),
        "client_assertion_signing_alg": "PS256",
    }
    assert make(server, "jwt-PS256", **short).custom_token_exchange(OPTIONS).access_token
    monkeypatch.setenv("AUTH0_DOMAIN", server.url)
    monkeypatch.setenv("AUTH0_CLIENT_ID", "jwt-ES256")
    monkeypatch.setenv("AUTH0_CLIENT_ASSERTION_SIGNING_KEY", private_pem(EC_KEY).replace("\n", "\\n"))
    monkeypatch.setenv("AUTH0_CLIENT_ASSERTION_SIGNING_ALG", "ES256")
    for kind in (ServerClient, AsyncServerClient):
        assert "jwt-ES256" in repr(kind.from_env())
    from_env = ServerClient.from_env(ca_bundle=server.ca_bundle, clock=tenant.clock)
    assert from_env.custom_token_exchange(OPTIONS).access_token


def test_the_explicit_method_wins(server: TenantServer) -> None:
    """client_auth is used whatever the short forms say."""
    auth = PrivateKeyJwt(private_pem(RSA_KEY))
    client = make(server, "jwt-RS256", auth, client_secret="s", client_assertion_signing_key=private_pem(OTHER_KEY))
    assert client.custom_token_exchange(OPTIONS).access_token


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"client_secret": "s", "client_assertion_signing_key": private_pem(RSA_KEY)},
        {"client_secret": "s", "client_assertion_signing_alg": "RS256"},
        {"client_assertion_signing_alg": "RS256"},
        {"client_assertion_signing_key": "no key"},
        {"client_assertion_signing_key": private_pem(RSA_KEY), "client_assertion_signing_alg": "ES256"},
        {"client_assertion_signing_key": private_pem(RSA_KEY), "client_assertion_signing_alg": "none"},
        {"client_assertion_signing_key": private_pem(RSA_KEY), "client_assertion_signing_alg": "HS256"},
        {"client_assertion_signing_key": kms("RS256")},
        {"client_auth": PrivateKeyJwt},
        {"client_auth": "private_key_jwt"},
        {"client_auth": MutualTls()},
    ],
)
def test_contradictions_are_told_at_construction(arguments: dict[str, Any]) -> None:
    """What contradicts itself, or cannot work, is a ConfigurationError at once."""
    with pytest.raises(ConfigurationError):
        ServerClient("tenant.auth0.com", "client", **arguments)


@pytest.mark.parametrize(
    ("key", "more"),
    [
        (public_pem(RSA_KEY), {}),
        (private_pem(RSA_KEY, "secret"), {}),
        (private_pem(RSA_KEY, "secret"), {"password": "wrong"}),
        (private_pem(RSA_KEY), {"password": "needless"}),
        (private_pem(RSA_KEY, "5"), {"password": 5}),
        (private_pem(RSA_KEY), {"kid": ""}),
        (private_pem(RSA_KEY), {"alg": "RS512"}),
        (private_pem(RSA_KEY)[:-200], {}),
        (private_pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), {}),
        (private_pem(ec.generate_private_key(ec.SECP384R1())), {}),
        ({"kty": "oct", "k": "c2VjcmV0"}, {}),
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {}),
        (jwk(RSA_KEY, alg="ES256"), {}),
        (jwk(RSA_KEY, use="enc"), {}),
        ("", {}),
        (None, {}),
        (5, {}),
    ],
)
def test_bad_keys_are_refused_unshown(key: Any, more: dict[str, Any]) -> None:
    """A key that cannot be used is refused at construction, by an error that does not show it."""
    with pytest.raises(ConfigurationError) as caught:
        PrivateKeyJwt(key, **more)
    shown = "".join(traceback.TracebackException.from_exception(caught.value).format())
    assert "PRIVATE KEY" not in caught.value.message
    assert caught.value.__cause__ is None
    assert "secret" not in str(caught.value) or key is not None
    assert len(shown) < 10_000


@pytest.mark.parametrize(
    "returned",
    [None, "text", b"", b"short", EC_KEY.sign(b"x", ec.ECDSA(hashes.SHA256()))],
    ids=["None", "text", "nothing", "short", "DER"],
)
def test_a_signer_that_returns_no_signature(tenant: LocalTenant, server: TenantServer, returned: Any) -> None:
    """Nothing is sent when the function that signs returns something else; DER is told apart."""
    client = make(server, "jwt-ES256", PrivateKeyJwt(lambda _data: returned, "ES256"))
    with pytest.raises(ConfigurationError):
        client.custom_token_exchange(OPTIONS)
    assert [] == tenant.token_requests


def test_a_signer_that_raises(tenant: LocalTenant, server: TenantServer) -> None:
    """What the function that signs raises is the cause of a typed error, and the subject token is unspent."""
    failure = ConnectionResetError("the KMS is away")

    def sign(_data: bytes) -> bytes:
        raise failure

    with pytest.raises(ConfigurationError, match="failed with ConnectionResetError") as caught:
        make(server, "jwt-RS256", PrivateKeyJwt(sign, "RS256")).custom_token_exchange(OPTIONS)
    assert ("CLIENT_ASSERTION_FAILED", failure) == (caught.value.code, caught.value.__cause__)
    assert [] == tenant.token_requests


def test_nothing_shows_the_key() -> None:
    """Neither the method's repr nor the client's shows a key."""
    auth = PrivateKeyJwt(jwk(RSA_KEY, kid="the-key"))
    assert "PrivateKeyJwt(alg='RS256', kid='the-key')" == repr(auth)
    assert "the-key" not in repr(ServerClient("tenant.auth0.com", "client", client_auth=auth))


# --- mutual TLS


def self_signed(directory: Path, name: str) -> Path:
    """Write a self-signed certificate and its key into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    path = directory / f"{name}.pem"
    path.write_text(private_pem(key) + certificate.public_bytes(serialization.Encoding.PEM).decode())
    return path


@pytest.fixture
def mtls(tenant: LocalTenant) -> TenantServer:
    return tenant.serve(mutual_tls=True)


def test_a_self_signed_certificate(tenant: LocalTenant, mtls: TenantServer, tmp_path: Path) -> None:
    """The token request goes to the alias with the certificate and without a secret; tokens are the issuer's own."""
    path = self_signed(tmp_path, "jane")
    tenant.add_application("pinned", auth_method="self_signed_tls_client_auth", certificates=[path])
    response = make(mtls, "pinned", MutualTls(path)).custom_token_exchange(OPTIONS)
    assert response.claims is not None
    assert f"{mtls.url}/" == response.claims["iss"]
    request = tenant.token_requests[-1]
    assert (True, "pinned") == (request.client_certificate is not None, request.form["client_id"])
    assert not request.form.keys() & {"client_secret", "client_assertion"}


def test_a_certificate_of_an_authority(tenant: LocalTenant, mtls: TenantServer, tmp_path: Path) -> None:
    """Certificate and key may be two files; the authority and the subject are what the tenant compares."""
    authority = trustme.CA()
    issued = authority.issue_cert("client.acme.test", common_name="client")
    certificate, key, root = tmp_path / "client.pem", tmp_path / "client.key", tmp_path / "root.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(root)
    subject = x509.load_pem_x509_certificate(certificate.read_bytes()).subject.rfc4514_string()
    for name, expected in (("right", subject), ("wrong", "CN=other")):
        tenant.add_application(name, auth_method="tls_client_auth", certificate_authority=root, tls_subject=expected)
    assert make(mtls, "right", MutualTls(certificate, key)).custom_token_exchange(OPTIONS).access_token
    error = refused(make(mtls, "wrong", MutualTls(certificate, key)))
    assert ("invalid_client", 401) == (error.code, error.status_code)
    assert "the certificate has another subject" == tenant.logs[-1].description


def test_wrong_certificates(tenant: LocalTenant, mtls: TenantServer, tmp_path: Path) -> None:
    """Another application's certificate, and none at all, are the server's own refusals; a stranger's ends in TLS."""
    paths = {name: self_signed(tmp_path, name) for name in ("one", "two", "stranger")}
    for name in ("one", "two"):
        tenant.add_application(name, auth_method="self_signed_tls_client_auth", certificates=[paths[name]])
    other = refused(make(mtls, "one", MutualTls(paths["two"])))
    none = refused(make(mtls, "one", PublicClient()))
    assert ["invalid_client", "access_denied"] == [error.code for error in (other, none)]
    assert [401, 401] == [error.status_code for error in (other, none)]
    stranger = refused(make(mtls, "one", MutualTls(paths["stranger"])))
    assert isinstance(stranger, TransportError)
    assert ("tls", False, False) == (stranger.phase, stranger.may_have_reached_server, stranger.is_retryable)
    assert "refused the client certificate" in stranger.message


def test_login_and_refresh_present_the_certificate(tenant: LocalTenant, mtls: TenantServer, tmp_path: Path) -> None:
    """Each token request of a session presents it."""
    path = self_signed(tmp_path, "jane")
    tenant.add_application("pinned", auth_method="self_signed_tls_client_auth", certificates=[path])
    client = make(mtls, "pinned", MutualTls(path), secret="a secret of thirty-two bytes, say.")
    jar: dict[str, str] = {}
    client.login_with_custom_token_exchange(OPTIONS, {"cookies": jar})
    assert client.get_access_token({"cookies": jar}, audience=OTHER_API)
    assert [True, True] == [request.client_certificate is not None for request in tenant.token_requests]


def test_a_certificate_of_a_given_context(tenant: LocalTenant, mtls: TenantServer, tmp_path: Path) -> None:
    """A context that has the certificate already is used as it is; files beside it are refused."""
    import ssl

    path = self_signed(tmp_path, "jane")
    tenant.add_application("pinned", auth_method="self_signed_tls_client_auth", certificates=[path])
    context = ssl.create_default_context(cafile=mtls.ca_bundle)
    context.load_cert_chain(path)
    client = make(mtls, "pinned", MutualTls(), ssl_context=context)
    assert client.custom_token_exchange(OPTIONS).access_token
    with pytest.raises(ConfigurationError, match="load_cert_chain"):
        make(mtls, "pinned", MutualTls(path), ssl_context=context)


@pytest.mark.parametrize("fault", ["missing", "text", "other key", "no key"])
def test_bad_certificate_files(tmp_path: Path, fault: str) -> None:
    """Files that cannot be used are told at construction."""
    one, two = self_signed(tmp_path, "one"), self_signed(tmp_path, "two")
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    bare = tmp_path / "bare.pem"
    bare.write_text(one.read_text()[one.read_text().index("-----BEGIN CERTIFICATE") :])
    arguments: Any = {"missing": (tmp_path / "none",), "text": (text,), "other key": (one, two), "no key": (bare,)}[
        fault
    ]
    with pytest.raises(ConfigurationError, match=str(tmp_path)):
        MutualTls(*arguments)
    with pytest.raises(ConfigurationError, match="without certificate"):
        MutualTls(key=one)


@pytest.mark.parametrize(
    "alias",
    [
        "https://evil.example/oauth/token",
        "http://mtls.tenant.auth0.com/oauth/token",
        "https://mtls.tenant.auth0.com:8443/oauth/token",
        "https://tenant.auth0.com.evil.example/oauth/token",
        "https://user@mtls.tenant.auth0.com/oauth/token",
        "https://mtls.tenant.auth0.com/oauth/token#x",
        "https://eviltenant.auth0.com/oauth/token",
        5,
    ],
)
def test_an_alias_elsewhere_is_refused(wire: responses.RequestsMock, tmp_path: Path, alias: Any) -> None:
    """An alias that is not on the issuer's host or a subdomain gets no request."""
    _publish(wire, alias)
    client = ServerClient("tenant.auth0.com", "client", client_auth=MutualTls(self_signed(tmp_path, "jane")))
    with pytest.raises(CustomTokenExchangeError, match="mtls_endpoint_aliases"):
        client.custom_token_exchange(OPTIONS)
    assert 1 == len(wire.calls)


def test_an_alias_on_a_subdomain(wire: responses.RequestsMock, tmp_path: Path) -> None:
    """The alias serves clients with a certificate alone."""
    _publish(wire, "https://mtls.tenant.auth0.com/oauth/token")
    for host in ("mtls.tenant.auth0.com", "tenant.auth0.com"):
        wire.post(f"https://{host}/oauth/token", json={"access_token": host, "token_type": "Bearer"})
    with_certificate = ServerClient("tenant.auth0.com", "client", client_auth=MutualTls(self_signed(tmp_path, "jane")))
    without = ServerClient("tenant.auth0.com", "client", "secret")
    options = {"subject_token": "t", "subject_token_type": TYPE}
    found = [client.custom_token_exchange(options).access_token for client in (with_certificate, without)]
    assert ["mtls.tenant.auth0.com", "tenant.auth0.com"] == found


def _publish(wire: responses.RequestsMock, alias: Any) -> None:
    base = "https://tenant.auth0.com"
    metadata = {
        "issuer": f"{base}/",
        "token_endpoint": f"{base}/oauth/token",
        "jwks_uri": f"{base}/jwks",
        "mtls_endpoint_aliases": {"token_endpoint": alias},
    }
    wire.replace("GET", f"{base}/.well-known/openid-configuration", json=metadata)
