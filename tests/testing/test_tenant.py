"""The local tenant's addresses, keys, records and package."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

import auth0_cte.testing
from auth0_cte.jose import Jws, KeySet, NoKeyError
from auth0_cte.testing import FakeClock, Journal, LocalTenant, TenantRequest
from tests.exchanges import claims_of
from tests.testing.test_exchange import TYPE, ask


@pytest.fixture
def tenant() -> LocalTenant:
    made = LocalTenant()
    made.accept(TYPE, "auth0|jane")
    return made


def test_configuration_names_the_issuer(tenant: LocalTenant) -> None:
    """The metadata names the issuer, with a trailing slash, and endpoints below it."""
    with tenant.session() as session:
        metadata = session.get("https://acme.auth0.local/.well-known/openid-configuration").json()

    assert "https://acme.auth0.local/" == metadata["issuer"]
    assert "https://acme.auth0.local/oauth/token" == metadata["token_endpoint"]
    assert "https://acme.auth0.local/.well-known/jwks.json" == metadata["jwks_uri"]


def test_domain_is_free_to_choose() -> None:
    """The issuer follows the domain."""
    tenant = LocalTenant("login.acme.example")
    tenant.accept(TYPE, "auth0|jane")

    token = ask(tenant).json()["access_token"]
    assert "https://login.acme.example/" == tenant.issuer == claims_of(tenant, token)["iss"]


@pytest.mark.parametrize("domain", ["", "https://acme.auth0.local", "acme.auth0.local/", "a@b"])
def test_domain_is_a_host_name(domain: str) -> None:
    """Anything but a host name is refused."""
    with pytest.raises(ValueError, match="domain must be a host name"):
        LocalTenant(domain)


def test_key_set_is_public(tenant: LocalTenant) -> None:
    """The key set has one RSA signing key and no private member."""
    with tenant.session() as session:
        (key,) = session.get(f"{tenant.issuer}.well-known/jwks.json").json()["keys"]

    assert {"kty", "n", "e", "use", "alg", "kid"} == key.keys()
    assert ("RSA", "sig", "RS256") == (key["kty"], key["use"], key["alg"])


@pytest.mark.parametrize("path", ["/nowhere", "/oauth/token/", "/"])
def test_unknown_path(tenant: LocalTenant, path: str) -> None:
    """Elsewhere is a 404 in JSON."""
    with tenant.session() as session:
        reply = session.get(f"https://acme.auth0.local{path}")

    assert (404, "not_found") == (reply.status_code, reply.json()["error"])


def test_wrong_method(tenant: LocalTenant) -> None:
    """A method that the path does not have is a 405 that names those it has."""
    with tenant.session() as session:
        reply = session.get(f"{tenant.issuer}oauth/token")

    assert (405, "POST") == (reply.status_code, reply.headers["Allow"])
    assert "method_not_allowed" == reply.json()["error"]


def test_head_is_a_get_without_body(tenant: LocalTenant) -> None:
    """HEAD is answered where GET is."""
    with tenant.session() as session:
        assert 200 == session.head(f"{tenant.issuer}.well-known/jwks.json").status_code


def test_headers_of_the_token_endpoint(tenant: LocalTenant) -> None:
    """Token replies must not be stored, and have a request id of their own."""
    replies = [ask(tenant), ask(tenant, client_secret="wrong")]

    assert ["no-store"] * 2 == [reply.headers["Cache-Control"] for reply in replies]
    assert 2 == len({reply.headers["X-Auth0-RequestId"] for reply in replies})


def test_rotation_keeps_old_tokens_valid(tenant: LocalTenant) -> None:
    """After a rotation new tokens have a new key, and the old key is published still."""
    old = ask(tenant).json()["access_token"]
    tenant.rotate_keys()
    new = ask(tenant).json()["access_token"]

    assert Jws.parse(old).header["kid"] != Jws.parse(new).header["kid"]
    assert ["auth0|jane"] * 2 == [claims_of(tenant, token)["sub"] for token in (old, new)]


def test_rotation_can_revoke_old_keys(tenant: LocalTenant) -> None:
    """With keep_old=False the old key is gone from the key set."""
    old = ask(tenant).json()["access_token"]
    tenant.rotate_keys(keep_old=False)
    with tenant.session() as session:
        keys = KeySet.from_jwks(session.get(f"{tenant.issuer}.well-known/jwks.json").json())

    with pytest.raises(NoKeyError):
        keys.select(Jws.parse(old).header)


def test_tenants_have_kids_of_their_own() -> None:
    """Two tenants of a process publish different kids, so that neither takes the other's tokens."""
    tenants = [LocalTenant(), LocalTenant()]
    for made in tenants:
        made.accept(TYPE, "auth0|jane")
    kids = {Jws.parse(ask(made).json()["access_token"]).header["kid"] for made in tenants}

    assert 2 == len(kids)
    with pytest.raises(NoKeyError):
        claims_of(tenants[0], ask(tenants[1]).json()["access_token"])


def test_keys_are_made_once_a_process() -> None:
    """A further tenant uses the RSA keys that are there already; each of its own algorithms and rotations another."""

    def moduli(made: LocalTenant) -> list[str]:
        with made.session() as session:
            return [key["n"] for key in session.get(f"{made.issuer}.well-known/jwks.json").json()["keys"]]

    first, second = LocalTenant(), LocalTenant()
    for made in (first, second):
        made.add_application("psychic", id_token_alg="PS256")
        made.rotate_keys()

    assert moduli(first) == moduli(second)
    assert 4 == len(set(moduli(first)))


def test_requests_are_recorded(tenant: LocalTenant) -> None:
    """Every request is recorded as it arrived."""
    ask(tenant, subject_token="t", role=["a", "b"], headers={"X-Trace": "7"})

    request = tenant.requests[-1]
    assert ("POST", "/oauth/token", "127.0.0.1") == (request.method, request.path, request.ip)
    assert ("t", ["a", "b"]) == (request.form["subject_token"], request.form["role"])
    assert ("7", "7") == (request.headers["x-trace"], request.headers["X-TRACE"])
    assert "subject_token=t" in request.body


def test_recorded_requests_show_no_secrets(tenant: LocalTenant) -> None:
    """The repr of a recorded request has neither body nor header values."""
    ask(tenant, subject_token="very-secret-token", headers={"X-Key": "very-secret-key"})

    assert "very-secret" not in repr(tenant.requests)


def test_token_requests(tenant: LocalTenant) -> None:
    """Those of the requests that went to the token endpoint are at hand."""
    with tenant.session() as session:
        session.get(f"{tenant.issuer}.well-known/jwks.json")
    ask(tenant)

    assert (2, ["/oauth/token"]) == (len(tenant.requests), [each.path for each in tenant.token_requests])


def test_query_is_apart_from_the_path(tenant: LocalTenant) -> None:
    """A query does not hide an endpoint, and is recorded."""
    with tenant.session() as session:
        reply = session.get(f"{tenant.issuer}.well-known/jwks.json?a=b")

    assert (200, "a=b") == (reply.status_code, tenant.requests[-1].query)


def test_a_further_grant_is_one_entry(tenant: LocalTenant) -> None:
    """Endpoints are added to the router by path and method."""
    tenant.router.endpoints["/ping"] = {"GET": lambda _state, request: _echo(request)}
    with tenant.session() as session:
        assert "/ping" == session.get(f"{tenant.issuer}ping").json()["path"]


def _echo(request: TenantRequest) -> auth0_cte.testing.Reply:
    return auth0_cte.testing.Reply(body=f'{{"path": "{request.path}"}}'.encode())


def test_id_token_of_an_unknown_application(tenant: LocalTenant) -> None:
    """An ID token is signed for registered applications only."""
    with pytest.raises(KeyError):
        tenant.id_token("auth0|jane", client_id="nobody")


def test_journal_is_a_sequence() -> None:
    """A journal can be indexed, sliced, counted, iterated and cleared."""
    journal = Journal[str]()
    for entry in "abc":
        journal.append(entry)

    assert ("c", ["a", "b"], 3, ["a", "b", "c"]) == (journal[-1], journal[:2], len(journal), list(journal))
    journal.clear()
    assert [] == list(journal)


def test_journal_among_threads() -> None:
    """No entry is lost when threads append at once."""
    journal = Journal[int]()

    def work() -> None:
        for number in range(500):
            journal.append(number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 4000 == len(journal)


def test_fake_clock() -> None:
    """The clock moves when told, and only then."""
    clock = FakeClock(100.0)
    readings = [clock(), clock()]
    clock.advance(2.5)
    readings.append(clock())
    clock.set(7.0)

    assert [100.0, 100.0, 102.5, 7.0] == [*readings, clock()]


def test_tokens_follow_the_clock() -> None:
    """Issue and expiry times are the tenant's clock's."""
    clock = FakeClock(1000.0)
    tenant = LocalTenant(clock=clock)
    tenant.accept(TYPE, "auth0|jane")
    clock.advance(500)

    claims = claims_of(tenant, ask(tenant).json()["access_token"])
    assert (1500, 87_900) == (claims["iat"], claims["exp"])


def test_all_is_sorted_and_complete() -> None:
    """The public names are sorted, and each can be imported."""
    names = auth0_cte.testing.__all__

    assert sorted(names) == names
    assert names == [name for name in names if getattr(auth0_cte.testing, name)]
    assert set(names) <= set(dir(auth0_cte.testing))


def test_unknown_name() -> None:
    """A name that the package does not have is an AttributeError."""
    with pytest.raises(AttributeError, match="has no attribute 'RemoteTenant'"):
        _ = auth0_cte.testing.RemoteTenant


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("from auth0_cte.testing import LocalTenant", {"pytest", "trustme", "flask", "django", "starlette", "anyio"}),
        ("import auth0_cte.testing", {"requests", "jwcrypto", "urllib3"}),
    ],
)
def test_imports_stay_light(code: str, unwanted: set[str]) -> None:
    """Importing the package loads no test runner, no framework and, until a name is used, nothing at all."""
    probe = f"import sys\n{code}\nprint(*({unwanted!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)

    assert "" == done.stdout.strip()
