"""Client certificates: where they are presented, whence they come, and what goes wrong with them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from auth0_cte import (
    ConfigurationError,
    CustomTokenExchangeError,
    DPoPKey,
    ExchangeCache,
    MfaRequiredError,
    MutualTls,
    PrivateKeyJwt,
    PublicClient,
    ServerClient,
    TransportError,
)
from auth0_cte.testing import FakeClock, LocalTenant, TenantServer
from tests.exchanges import shown_by
from tests.oauth.conftest import NewClient
from tests.oauth.test_client_auth import (
    APP,
    OPTIONS,
    RSA_KEY,
    TYPE,
    exchanged,
    private_pem,
    public_pem,
    refused,
    self_signed,
)

SECRET = "a secret of thirty-two bytes or more, for tests alone"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate and its key, in one file."""
    return self_signed(tmp_path, "the-app")


@pytest.fixture
def tenant(clock: FakeClock, certificate: Path) -> LocalTenant:
    tenant = LocalTenant(clock=clock)
    tenant.accept(TYPE, "auth0|jane")
    tenant.add_application(APP, auth_method="self_signed_tls_client_auth", certificates=[certificate])
    return tenant


@pytest.fixture
def server(tenant: LocalTenant) -> Iterator[TenantServer]:
    with tenant.serve(mutual_tls=True) as server:
        yield server


@pytest.fixture
def client_id() -> str:
    return APP


@pytest.mark.parametrize("place", ["ssl_context", "session"])
def test_two_certificates_share_no_tokens(
    place: str, tenant: LocalTenant, server: TenantServer, certificate: Path, tmp_path: Path
) -> None:
    """Tokens may be bound to the certificate: a cache keeps none for one whose name nobody can tell."""
    other = self_signed(tmp_path, "other")
    tenant.add_application(APP, auth_method="self_signed_tls_client_auth", certificates=[certificate, other])
    cache, found = ExchangeCache(), list[bool]()
    for path in (certificate, certificate, other):
        context = ssl.create_default_context(cafile=server.ca_bundle)
        context.load_cert_chain(path)
        session: Any = requests.Session()
        session.verify, session.cert = server.ca_bundle, str(path)
        given: dict[str, Any] = {"ssl_context": context} if place == "ssl_context" else {"session": session}
        settings = {"client_auth": MutualTls(), "clock": tenant.clock, "exchange_cache": cache, **given}
        with ServerClient(server.url, APP, **settings) as client:
            found.append(client.custom_token_exchange(OPTIONS).from_cache)
    assert [False, place == "session", False] == found


def presented(tenant: LocalTenant) -> list[tuple[str, bool]]:
    """Tell of each request whether it came with a certificate."""
    return [(request.path, request.client_certificate is not None) for request in tenant.requests]


def test_every_grant_presents_the_certificate(
    tenant: LocalTenant, clock: FakeClock, certificate: Path, connect: NewClient
) -> None:
    """Exchange, login, refresh, a second factor and its challenge go to the aliases; all else needs no certificate."""
    client, jar = connect(client_auth=MutualTls(certificate)), {"cookies": dict[str, str]()}
    exchanged(client)
    client.login_with_custom_token_exchange(OPTIONS, jar)
    clock.advance(86_400)
    assert client.get_access_token(jar)
    factor = tenant.enroll_factor("auth0|jane", "sms")
    with pytest.raises(MfaRequiredError) as caught:
        client.custom_token_exchange(OPTIONS)
    token = str(caught.value.mfa_token)
    (listed,) = [each for each in client.list_mfa_authenticators(token) if each.authenticator_type == "oob"]
    challenge = client.challenge_mfa(token, challenge_type="oob", authenticator_id=listed.id)
    assert client.complete_mfa(token, oob_code=challenge.oob_code, binding_code=factor.code()).access_token

    found = presented(tenant)
    assert {("/oauth/token", True), ("/mfa/challenge", True)} == {each for each in found if each[1]}
    assert {"/.well-known/openid-configuration", "/.well-known/jwks.json", "/mfa/authenticators"} == {
        path for path, with_certificate in found if not with_certificate
    }
    assert "access_token" not in {name for request in tenant.token_requests for name in request.form}


def test_proofs_are_for_the_alias(tenant: LocalTenant, certificate: Path, connect: NewClient) -> None:
    """A DPoP proof names the URL that the request goes to, also with nonces."""
    tenant.dpop.nonce_required = True
    client = connect(client_auth=MutualTls(certificate), dpop=DPoPKey.generate())
    assert client.custom_token_exchange(OPTIONS).dpop_bound


def test_a_retry_presents_it_again(tenant: LocalTenant, certificate: Path, connect: NewClient) -> None:
    """A connection that breaks, and the one that the retry opens, both have the certificate."""
    tenant.fail_next_with_rate_policy(retry_after=0)
    assert exchanged(connect(client_auth=MutualTls(certificate)))
    assert [("/oauth/token", True)] * 2 == presented(tenant)[1:3]


@pytest.mark.parametrize("auth", [PublicClient(), PrivateKeyJwt(private_pem(RSA_KEY))], ids=["none", "private_key_jwt"])
def test_other_methods_do_not_use_the_alias(tenant: LocalTenant, connect: NewClient, auth: Any) -> None:
    """Who has no certificate goes to the usual endpoints, where applications with other methods are served."""
    if isinstance(auth, PublicClient):
        tenant.add_application("other", auth_method="none")
    else:
        tenant.add_application("other", auth_method="private_key_jwt", public_keys=[public_pem(RSA_KEY)])
    assert exchanged(connect(client_id="other", client_auth=auth))
    assert not any(with_certificate for _, with_certificate in presented(tenant))


def test_no_certificate(connect: NewClient, server: TenantServer) -> None:
    """A context without a certificate is refused by the server, in the same words as a wrong secret."""
    context = ssl.create_default_context(cafile=server.ca_bundle)
    error = refused(connect(client_auth=MutualTls(), ssl_context=context))
    assert (401, "access_denied") == (error.status_code, error.code)


def test_a_certificate_that_the_server_does_not_know(tmp_path: Path, tenant: LocalTenant, connect: NewClient) -> None:
    """The handshake ends before the server reads anything: the subject token is unspent, and no retry is made."""
    error = refused(connect(client_auth=MutualTls(self_signed(tmp_path, "stranger"))))
    assert isinstance(error, TransportError)
    assert ("tls", False, False) == (error.phase, error.may_have_reached_server, error.is_retryable)
    assert "refused the client certificate" in error.message
    assert [] == tenant.token_requests


def test_the_same_subject_of_another_authority(tmp_path: Path, tenant: LocalTenant, connect: NewClient) -> None:
    """An application takes the certificates of its own authority alone, though the server knows several."""
    mine, theirs = trustme.CA(), trustme.CA()
    files = _issue(theirs, tmp_path)
    for name, authority in (("mine", mine), ("theirs", theirs)):
        authority.cert_pem.write_to_path(tmp_path / f"{name}.pem")
        tenant.add_application(
            name,
            auth_method="tls_client_auth",
            certificate_authority=tmp_path / f"{name}.pem",
            tls_subject=_subject_of(files[0]),
        )
    assert exchanged(connect(client_id="theirs", client_auth=MutualTls(*files)))
    assert "invalid_client" == refused(connect(client_id="mine", client_auth=MutualTls(*files))).code
    assert "the certificate is of another authority" == tenant.logs[-1].description


def _issue(authority: trustme.CA, directory: Path, password: str | None = None) -> tuple[Path, Path]:
    issued = authority.issue_cert("client.acme.test", common_name="client", organization_name="Acme")
    certificate, key = directory / "issued.pem", directory / "issued.key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    if password is None:
        issued.private_key_pem.write_to_path(key)
    else:
        key.write_text(private_pem(load_pem_private_key(issued.private_key_pem.bytes(), None), password))
    return certificate, key


def _subject_of(certificate: Path) -> str:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).subject.rfc4514_string()


def test_an_encrypted_key(tmp_path: Path, tenant: LocalTenant, connect: NewClient) -> None:
    """The key may be encrypted; a wrong or a missing password is told at construction, and not shown."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    files = _issue(authority, tmp_path, "canary-password")
    tenant.add_application(
        "issued",
        auth_method="tls_client_auth",
        certificate_authority=tmp_path / "ca.pem",
        tls_subject=_subject_of(files[0]),
    )
    auth = MutualTls(*files, "canary-password")
    assert exchanged(connect(client_id="issued", client_auth=auth))
    assert "canary" not in repr(auth)
    for password, fault in (("canary-wrong", "the password is wrong"), (None, "encrypted; give its password")):
        with pytest.raises(ConfigurationError, match=fault) as caught:
            MutualTls(*files, password)
        assert "canary" not in shown_by(caught.value)


def test_files_are_read_once(tmp_path: Path, certificate: Path, tenant: LocalTenant, connect: NewClient) -> None:
    """A client keeps the certificate that it was made with, over forks too; a new one picks up the new file."""
    client = connect(client_auth=MutualTls(certificate))
    before = certificate.read_text()
    certificate.write_text(self_signed(tmp_path, "renewed").read_text())
    assert exchanged(client)
    pinned = [certificate, tmp_path / "old.pem"]
    pinned[1].write_text(before)
    tenant.add_application(APP, auth_method="self_signed_tls_client_auth", certificates=pinned)
    assert exchanged(connect(client_auth=MutualTls(certificate)))
    first, second = (request.client_certificate for request in tenant.token_requests)
    assert first != second


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_presents_the_same_certificate(
    certificate: Path, tenant: LocalTenant, server: TenantServer
) -> None:
    """A child of a fork needs no files any more."""
    with server.client(client_id=APP, client_auth=MutualTls(certificate)) as client:
        exchanged(client)
        certificate.unlink()
        pid = os.fork()
        if pid == 0:
            try:
                exchanged(client)
                os._exit(0)
            finally:
                os._exit(1)
        assert 0 == os.waitpid(pid, 0)[1]
    assert 2 == len(tenant.token_requests)


def test_a_session_lends_its_certificate(certificate: Path, server: TenantServer, connect: NewClient) -> None:
    """``session.cert`` is presented when the session sends; files beside a session are refused."""
    with requests.Session() as session:
        session.cert, session.verify = str(certificate), server.ca_bundle or True
        assert exchanged(connect(client_auth=MutualTls(), session=session))
        with pytest.raises(ConfigurationError, match=r"use session\.cert = \(certificate, key\) and MutualTls\(\)"):
            connect(client_auth=MutualTls(certificate), session=session)


def test_a_context_of_the_users_is_not_changed(tmp_path: Path, certificate: Path, server: TenantServer) -> None:
    """Files beside a context are refused, so that nothing is loaded into what others may share."""
    context = ssl.create_default_context(cafile=server.ca_bundle)
    with pytest.raises(ConfigurationError, match=r"use ssl_context\.load_cert_chain\(\.\.\.\) and MutualTls\(\)"):
        server.client(client_id=APP, client_auth=MutualTls(certificate), ssl_context=context)
    with server.client(client_id=APP, client_auth=MutualTls(), ssl_context=context) as client:
        assert 401 == refused(client).status_code


def test_plain_http_has_no_certificates(certificate: Path, tenant: LocalTenant) -> None:
    """Over plain http, which is for loopback, the exchange is refused before the subject token is sent."""
    with tenant.serve() as plain, plain.client(client_id=APP, client_auth=MutualTls(certificate)) as client:
        with pytest.raises(ConfigurationError, match="needs https"):
            client.custom_token_exchange(OPTIONS)
    assert [] == tenant.token_requests


@pytest.mark.parametrize("name", ["certificate", "key"])
def test_a_key_instead_of_its_path(name: str, certificate: Path) -> None:
    """Whoever passes what is in the file instead of its path does not find it in the error."""
    arguments: dict[str, Any] = {"certificate": certificate, name: certificate.read_text()}
    with pytest.raises(ConfigurationError, match=f"{name} is the path of a PEM file") as caught:
        MutualTls(**arguments)
    assert certificate.read_text().split("\n")[1] not in shown_by(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [(5,), (b"path",), ("a\0b",), (None, "key.pem"), (None, None, "password"), ("x" * 5000,), ("/",)],
    ids=lambda each: repr(each)[:20],
)
def test_arguments_that_cannot_be_files(arguments: Any) -> None:
    """Nothing but a ConfigurationError leaves the constructor."""
    with pytest.raises(ConfigurationError):
        MutualTls(*arguments)


def test_trusted_authorities_that_are_none(certificate: Path, tmp_path: Path) -> None:
    """With a certificate the context is made at construction, and a bad ``ca_bundle`` is told there."""
    (tmp_path / "bundle.pem").write_text("nothing")
    with pytest.raises(ConfigurationError, match="ca_bundle must hold CA certificates"):
        ServerClient(
            "tenant.auth0.com", APP, client_auth=MutualTls(certificate), ca_bundle=str(tmp_path / "bundle.pem")
        )


def test_applications_registered_while_the_server_runs(tmp_path: Path, tenant: LocalTenant, connect: NewClient) -> None:
    """A certificate that is registered late is accepted from the next connection on."""
    late = self_signed(tmp_path, "late")
    with pytest.raises(CustomTokenExchangeError):
        exchanged(connect(client_id="late", client_auth=MutualTls(late)))
    tenant.add_application("late", auth_method="self_signed_tls_client_auth", certificates=[late.read_text()])
    assert exchanged(connect(client_id="late", client_auth=MutualTls(late)))


def test_discovery_tells_of_all_methods(tenant: LocalTenant, server: TenantServer) -> None:
    """The metadata list every method, and aliases where there is a port for certificates."""
    listed = requests.get(f"{server.url}/.well-known/openid-configuration", verify=server.ca_bundle, timeout=10).json()
    expected = ["client_secret_basic", "client_secret_post", "none", "private_key_jwt", "self_signed_tls_client_auth"]
    assert [*expected, "tls_client_auth"] == listed["token_endpoint_auth_methods_supported"]
    assert listed["mtls_endpoint_aliases"]["token_endpoint"] != listed["token_endpoint"]
    with tenant.session() as in_process:
        assert "mtls_endpoint_aliases" not in in_process.get(f"{tenant.issuer}.well-known/openid-configuration").json()
