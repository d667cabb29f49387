"""The local tenant and DPoP: proofs made by another implementation, good ones and bad ones of every kind."""

from __future__ import annotations

import json
import time
import uuid
import warnings
from typing import Any

import joserfc.jws
import pytest
import requests
from joserfc.jwk import ECKey, OctKey

from auth0_cte import DPoPKey
from auth0_cte.testing import FakeClock, LocalTenant
from tests.proofs import unverified_claims

TYPE = "urn:acme:mcp-token"
URL = "https://acme.auth0.local/oauth/token"
KEY = ECKey.generate_key("P-256")


@pytest.fixture
def tenant() -> LocalTenant:
    tenant = LocalTenant(clock=FakeClock(time.time()))
    tenant.accept(TYPE, "auth0|jane")
    return tenant


def proof(tenant: LocalTenant, header: dict[str, Any] | None = None, key: Any = KEY, **claims: Any) -> str:
    """Make a proof; members of header and claims that are None are left out."""
    given = {"typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.as_dict(private=False), **(header or {})}
    protected = {name: value for name, value in given.items() if value is not None}
    usual = {"jti": str(uuid.uuid4()), "htm": "POST", "htu": URL, "iat": int(tenant.clock()), **claims}
    payload = {name: value for name, value in usual.items() if value is not None}
    registry = joserfc.jws.JWSRegistry(algorithms=[protected["alg"]], strict_check_header=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return joserfc.jws.serialize_compact(protected, json.dumps(payload), key, registry=registry)


def ask(tenant: LocalTenant, *proofs: str, **form: Any) -> requests.Response:
    sent = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
        "subject_token": "token",
        "subject_token_type": TYPE,
        "audience": "https://api.example.com",
        "scope": "openid",
    }
    with tenant.session() as session:
        headers = {"DPoP": ", ".join(proofs)} if proofs else {}
        return session.post(URL, data={**sent, **form}, headers=headers)


@pytest.mark.parametrize("dialect", ["access_token", "rfc9068_profile"])
def test_a_good_proof_binds_the_token(dialect: Any, tenant: LocalTenant) -> None:
    """The access token of either form has the thumbprint of the key, and its type is DPoP."""
    tenant.add_api("https://api.example.com", token_dialect=dialect)
    body = ask(tenant, proof(tenant)).json()

    assert ("DPoP", {"jkt": KEY.thumbprint()}) == (body["token_type"], unverified_claims(body["access_token"])["cnf"])
    assert "cnf" not in unverified_claims(body["id_token"])


def test_no_proof_leaves_a_bearer_token(tenant: LocalTenant) -> None:
    """Nobody is made to prove anything, unless the application or the API says so."""
    reply = ask(tenant)

    assert ("Bearer", False) == (reply.json()["token_type"], "cnf" in unverified_claims(reply.json()["access_token"]))
    assert "dpop-nonce" not in reply.headers


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "typ": ({"header": {"typ": "JWT"}}, "typ is not dpop+jwt"),
    "no typ": ({"header": {"typ": None}}, "typ is not dpop+jwt"),
    "private jwk": ({"header": {"jwk": KEY.as_dict(private=True)}}, "private"),
    "no jwk": ({"header": {"jwk": None}}, "key type"),
    "another key": ({"key": ECKey.generate_key("P-256")}, "signature does not verify"),
    "symmetric": ({"header": {"alg": "HS256"}, "key": OctKey.generate_key(256)}, "not supported"),
    "htm": ({"htm": "GET"}, "htm is another method"),
    "no htm": ({"htm": None}, "htm is another method"),
    "htu": ({"htu": "https://acme.auth0.local/userinfo"}, "htu is another URL"),
    "another host": ({"htu": "https://evil.example/oauth/token"}, "htu is another URL"),
    "http": ({"htu": "http://acme.auth0.local/oauth/token"}, "htu is another URL"),
    "no htu": ({"htu": None}, "htu is not a URL"),
    "no iat": ({"iat": None}, "iat is missing"),
    "iat is text": ({"iat": "now"}, "iat is missing"),
    "iat is true": ({"iat": True}, "iat is missing"),
    "stale": ({"iat": int(time.time()) - 3600}, "iat is too old"),
    "early": ({"iat": int(time.time()) + 3600}, "iat is too old, or in the future"),
    "no jti": ({"jti": None}, "jti is missing"),
    "jti is a number": ({"jti": 5}, "jti is missing"),
}


@pytest.mark.parametrize(("changes", "fault"), BAD.values(), ids=list(BAD))
def test_a_bad_proof_is_refused(changes: dict[str, Any], fault: str, tenant: LocalTenant) -> None:
    """Each rule of RFC 9449 section 4.3 is checked; the reply is 400 and says which one failed."""
    reply = ask(tenant, proof(tenant, **changes))

    assert (400, "invalid_dpop_proof") == (reply.status_code, reply.json()["error"])
    assert fault in reply.json()["error_description"]


def test_algorithms_can_be_chosen(tenant: LocalTenant) -> None:
    """The metadata list the algorithms, and no other is accepted."""
    tenant.dpop.algorithms = ["RS256"]
    with tenant.session() as session:
        metadata = session.get(f"{tenant.issuer}.well-known/openid-configuration").json()

    assert ["RS256"] == metadata["dpop_signing_alg_values_supported"] == list(tenant.dpop.algorithms)
    assert "alg is not supported" in ask(tenant, proof(tenant)).text


def test_what_is_no_single_proof_is_refused(tenant: LocalTenant) -> None:
    """Neither rubbish, nor two proofs, nor an empty header is a proof."""
    for headers in [("rubbish",), (proof(tenant), proof(tenant)), ("",)]:
        assert "invalid_dpop_proof" == ask(tenant, *headers).json()["error"]


def test_a_proof_serves_once(tenant: LocalTenant) -> None:
    """A replayed proof is refused; the same identifier by another key is none."""
    once = proof(tenant, jti="one")
    assert [200, 400] == [ask(tenant, once).status_code, ask(tenant, once).status_code]
    assert "jti was used before" in ask(tenant, proof(tenant, jti="one")).text
    other = ECKey.generate_key("P-256")
    again = proof(tenant, {"jwk": other.as_dict(private=False)}, other, jti="one")
    assert 200 == ask(tenant, again).status_code


def test_the_url_is_compared_after_normalization(tenant: LocalTenant) -> None:
    """Letters of the host, the usual port, query and escapes make no difference."""
    for url in ("https://ACME.auth0.local:443/oauth/token", f"{URL}?a=b#c", "https://acme.auth0.local/%6fauth/token"):
        assert 200 == ask(tenant, proof(tenant, htu=url)).status_code


def test_nonces_are_demanded_and_rotate(tenant: LocalTenant) -> None:
    """Without the nonce of the moment: 400 and the header. The last but one is good still, an older one is not."""
    clock = tenant.clock
    assert isinstance(clock, FakeClock)
    tenant.dpop.nonce_required = True
    refused = ask(tenant, proof(tenant))
    assert (400, "use_dpop_nonce") == (refused.status_code, refused.json()["error"])
    first = refused.headers["dpop-nonce"]
    accepted = ask(tenant, proof(tenant, nonce=first))
    assert (200, first) == (accepted.status_code, accepted.headers["dpop-nonce"])

    clock.advance(tenant.dpop.nonce_lifetime)
    second = ask(tenant, proof(tenant, nonce=first))
    assert 200 == second.status_code
    assert first != second.headers["dpop-nonce"]
    clock.advance(tenant.dpop.nonce_lifetime)
    assert "use_dpop_nonce" == ask(tenant, proof(tenant, nonce=first)).json()["error"]
    assert "use_dpop_nonce" == ask(tenant, proof(tenant, nonce="made up")).json()["error"]
    tenant.dpop.nonce_lifetime = 10
    assert (True, 10) == (tenant.dpop.nonce_required, tenant.dpop.nonce_lifetime)


def test_who_needs_what(tenant: LocalTenant) -> None:
    """Auth0's table: what application and API require decides whether there is a token, and whether it is bound."""
    issued: dict[tuple[bool, str], list[str]] = {}
    for required in (False, True):
        tenant.add_application(tenant.client_id, tenant.client_secret, require_proof_of_possession=required)
        for policy in ("none", "allowed", "required"):
            tenant.add_api("https://api.example.com", proof_of_possession=policy)
            bodies = [ask(tenant).json(), ask(tenant, proof(tenant)).json()]
            issued[required, policy] = [body.get("token_type", body.get("error")) for body in bodies]

    assert {
        (False, "none"): ["Bearer", "Bearer"],
        (False, "allowed"): ["Bearer", "DPoP"],
        (False, "required"): ["invalid_dpop_proof", "DPoP"],
        (True, "none"): ["invalid_dpop_proof", "invalid_request"],
        (True, "allowed"): ["invalid_dpop_proof", "DPoP"],
        (True, "required"): ["invalid_dpop_proof", "DPoP"],
    } == issued


def test_userinfo_wants_the_proof_of_a_bound_token(tenant: LocalTenant) -> None:
    """An API takes a bound token with the scheme DPoP and a proof that has its hash; by our own key handle, too."""
    key = DPoPKey.generate(clock=tenant.clock)
    token = ask(tenant, key.proof("POST", URL)).json()["access_token"]
    url = f"{tenant.issuer}userinfo"

    def get(scheme: str, *proofs: str) -> requests.Response:
        with tenant.session() as session:
            headers = {"Authorization": f"{scheme} {token}", **({"DPoP": proofs[0]} if proofs else {})}
            return session.get(url, headers=headers)

    assert "auth0|jane" == get("DPoP", key.proof("GET", url, access_token=token)).json()["sub"]
    for refused in (
        get("Bearer"),
        get("DPoP"),
        get("Bearer", key.proof("GET", url, access_token=token)),
        get("DPoP", key.proof("GET", url)),
        get("DPoP", key.proof("GET", url, access_token="another")),
        get("DPoP", key.proof("POST", url, access_token=token)),
        get("DPoP", DPoPKey.generate(clock=tenant.clock).proof("GET", url, access_token=token)),
    ):
        assert 401 == refused.status_code
        assert refused.headers["www-authenticate"].startswith("DPoP error=")
    tenant.dpop.nonce_required = True
    asked = get("DPoP", key.proof("GET", url, access_token=token))
    assert 'DPoP error="use_dpop_nonce"' == asked.headers["www-authenticate"]
    proved = key.proof("GET", url, access_token=token, nonce=asked.headers["dpop-nonce"])
    assert 200 == get("DPoP", proved).status_code


def test_a_bearer_token_is_not_sent_as_a_bound_one(tenant: LocalTenant) -> None:
    """The scheme DPoP is for bound tokens alone."""
    token = ask(tenant).json()["access_token"]
    key, url = DPoPKey.generate(clock=tenant.clock), f"{tenant.issuer}userinfo"
    headers = {"Authorization": f"DPoP {token}", "DPoP": key.proof("GET", url, access_token=token)}
    with tenant.session() as session:
        assert 401 == session.get(url, headers=headers).status_code
        assert 200 == session.get(url, headers={"Authorization": f"Bearer {token}"}).status_code
