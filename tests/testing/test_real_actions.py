"""Three Actions as people deploy them, in ``tests/actions/``, run unchanged against honest and hostile tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

import pytest

from auth0_cte.jose import SigningKey, b64url_encode
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import claims_of
from tests.testing.node import ACTIONS, NODES, install_packages
from tests.testing.services import Services, serving
from tests.testing.test_exchange import TYPE, ask

NOW = 1_900_000_000
KEY = "a-session-key-of-the-legacy-application"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def tenant(clock: FakeClock) -> Iterator[LocalTenant]:
    with LocalTenant(clock=clock) as made:
        made.actions.node = NODES["wheel"]
        yield made


def outcome(reply: Any) -> tuple[int, str]:
    return reply.status_code, reply.json().get("error", "")


# --- a legacy session, checked by HMAC


def signed(payload: bytes, key: str = KEY) -> str:
    part = b64url_encode(payload)
    return f"{part}.{b64url_encode(hmac.new(key.encode(), part.encode(), hashlib.sha256).digest())}"


def legacy_session(key: str = KEY, **members: Any) -> str:
    usual = {"user": "7", "email": "ada@acme.example", "iat": NOW - 10}
    return signed(json.dumps({**usual, **members}).encode(), key)


@pytest.fixture
def legacy(tenant: LocalTenant) -> LocalTenant:
    tenant.action_file(TYPE, ACTIONS / "legacy-session.js", secrets={"SESSION_KEY": KEY})
    return tenant


def test_legacy_session(legacy: LocalTenant) -> None:
    """A signed session creates its user on first use, and finds the same one again."""
    tokens = [ask(legacy, subject_token=legacy_session()).json()["access_token"] for _ in range(2)]

    assert ["auth0|7"] * 2 == [claims_of(legacy, token)["sub"] for token in tokens]
    assert ("legacy", {"migrated": True}) == (legacy.users["auth0|7"].connection, legacy.users["auth0|7"].app_metadata)
    assert {"email": "ada@acme.example", "email_verified": True} == legacy.users["auth0|7"].attributes


HOSTILE_SESSIONS = {
    "other key": legacy_session("another-key"),
    "empty key": legacy_session(""),
    "no signature": legacy_session().partition(".")[0],
    "empty signature": legacy_session().partition(".")[0] + ".",
    "short signature": legacy_session()[:-5],
    "long signature": legacy_session() + "AAAA",
    "padded signature": legacy_session() + "=",
    "third part": legacy_session() + ".more",
    "other payload": legacy_session(user="8").partition(".")[0] + "." + legacy_session().partition(".")[2],
    "plain base64": base64.b64encode(b'{"user":"7"}').decode() + "." + legacy_session().partition(".")[2],
    "list": signed(b"[]"),
    "not JSON": signed(b"user=7"),
    "numeric user": legacy_session(user=7),
    "object as user": legacy_session(user={"toString": "7"}),
    "no time": legacy_session(iat=None),
    "text as time": legacy_session(iat="1900000000"),
    "prototype": signed(b'{"__proto__": {"user": "7", "iat": 1900000000}}'),
    "JSON Web Token": "eyJhbGciOiJub25lIn0.eyJ1c2VyIjoiNyJ9.",
    "huge": "x" * 60_000,
}


@pytest.mark.parametrize("token", HOSTILE_SESSIONS.values(), ids=HOSTILE_SESSIONS)
def test_hostile_legacy_sessions(legacy: LocalTenant, token: str) -> None:
    """A forged or malformed session is rejected, counts against the address, and creates nobody."""
    reply = ask(legacy, subject_token=token)

    assert (400, "invalid_request") == outcome(reply)
    assert (1, 0) == (sum(legacy.rejects.values()), len(legacy.users))


@pytest.mark.parametrize("iat", [NOW - 3601, NOW + 1, -1e300])
def test_expired_legacy_sessions(legacy: LocalTenant, iat: float) -> None:
    """A session that has expired, by the tenant's clock, is denied without counting as an attack."""
    reply = ask(legacy, subject_token=legacy_session(iat=iat))

    assert (400, "session_expired") == outcome(reply)
    assert {} == legacy.rejects


# --- an external JWT, verified by jose against a JWKS

PARTNER = SigningKey.generate("RS256", kid="partner-1")
STRANGER = SigningKey.generate("RS256", kid="partner-1")


class _Services(Services):
    """Also introspects tokens."""

    def __init__(self) -> None:
        super().__init__([PARTNER.public_jwk()])
        self.tokens: dict[str, Any] = {}

    def answer(self, body: str) -> Any:
        return self.tokens.get(token_of(body), {"active": False})


def token_of(body: str) -> str:
    (token,) = parse_qs(body)["token"]
    return token


@pytest.fixture
def services() -> Iterator[_Services]:
    with serving(_Services()) as server:
        yield server


@pytest.fixture
def external(tenant: LocalTenant, services: _Services) -> LocalTenant:
    install_packages()
    tenant.add_user("partner|ada")
    tenant.action_file(
        TYPE,
        ACTIONS / "external-jwt.js",
        secrets={"ISSUER": "https://idp.example/", "AUDIENCE": "acme", "JWKS_URI": f"{services.url}/jwks.json"},
    )
    return tenant


def jwt(key: SigningKey = PARTNER, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    usual = {"iss": "https://idp.example/", "aud": "acme", "sub": "ada", "iat": NOW - 10, "exp": NOW + 60}
    return key.sign({n: v for n, v in {**usual, **claims}.items() if v is not None}, header=header)


def unsigned(algorithm: str, signature: bytes) -> str:
    header = b64url_encode(json.dumps({"alg": algorithm, "kid": "partner-1"}).encode())
    return f"{header}.{jwt().split('.')[1]}.{b64url_encode(signature)}"


def confused() -> str:
    """Sign with HS256 and the public key as the secret."""
    head = unsigned("HS256", b"").rpartition(".")[0]
    secret = json.dumps(PARTNER.public_jwk()).encode()
    return f"{head}.{b64url_encode(hmac.new(secret, head.encode(), hashlib.sha256).digest())}"


def test_external_jwt(external: LocalTenant) -> None:
    """A token of the partner, valid by the tenant's clock, stands for the partner's user."""
    token = ask(external, subject_token=jwt()).json()["access_token"]

    assert "partner|ada" == claims_of(external, token)["sub"]


HOSTILE_JWTS = {
    "other key": jwt(STRANGER),
    "no signature": unsigned("none", b""),
    "algorithm confusion": confused(),
    "key of its own": jwt(STRANGER, header={"jwk": STRANGER.public_jwk()}),
    "key elsewhere": jwt(STRANGER, header={"jku": "https://evil.example/jwks.json"}),
    "critical header": jwt(header={"crit": ["exp"]}),
    "other issuer": jwt(iss="https://evil.example/"),
    "issuer without slash": jwt(iss="https://idp.example"),
    "other audience": jwt(aud="other"),
    "no audience": jwt(aud=None),
    "expired": jwt(exp=NOW - 1),
    "no expiry": jwt(exp=None),
    "not yet valid": jwt(nbf=NOW + 60),
    "no subject": jwt(sub=None),
    "text as expiry": jwt(exp="never"),
    "two parts": jwt().rpartition(".")[0],
    "not a token": "not-a-token",
    "encrypted": "a.b.c.d.e",
}


@pytest.mark.parametrize("token", HOSTILE_JWTS.values(), ids=HOSTILE_JWTS)
def test_hostile_external_jwts(external: LocalTenant, token: str) -> None:
    """A forged, foreign, expired or malformed token is rejected and counts against the address."""
    reply = ask(external, subject_token=token)

    assert (400, "invalid_request") == outcome(reply)
    assert 1 == sum(external.rejects.values())
    assert external.logs[-1].details["console"].startswith("refused: ERR_J")


def test_identity_provider_that_is_down(external: LocalTenant, services: _Services) -> None:
    """A key set that cannot be fetched is the server's fault, not the token's."""
    services.status = 503

    assert (500, "server_error") == outcome(ask(external, subject_token=jwt()))
    assert {} == external.rejects


# --- an opaque token, introspected over HTTP


@pytest.fixture
def opaque(tenant: LocalTenant, services: _Services) -> LocalTenant:
    tenant.add_user("auth0|ada")
    services.tokens["good"] = {"active": True, "sub": "auth0|ada", "scope": "read:a read:b"}
    tenant.action_file(
        TYPE,
        ACTIONS / "opaque-token.js",
        secrets={"INTROSPECTION_URL": f"{services.url}/introspect", "CLIENT_ID": "id", "CLIENT_SECRET": "s3cret"},
    )
    return tenant


def test_opaque_token(opaque: LocalTenant, services: _Services) -> None:
    """An active token stands for its user, with the actor that its issuer names."""
    services.tokens["good"]["act"] = {"sub": "agent-7"}
    reply = ask(opaque, subject_token="good", scope="openid read:a")

    claims = claims_of(opaque, reply.json()["access_token"])
    assert ("auth0|ada", {"sub": "agent-7"}) == (claims["sub"], claims["act"])
    basic = "Basic " + base64.b64encode(b"id:s3cret").decode()
    ((_, authorization, body),) = services.asked
    assert ("good", basic) == (token_of(body), authorization)


@pytest.mark.parametrize(
    "token", ["revoked", "good\x00", "good&token=other", "good\r\nX-Evil: 1", "%67ood", " good2", "ä" * 1000, "[]"]
)
def test_hostile_opaque_tokens(opaque: LocalTenant, services: _Services, token: str) -> None:
    """A token that its issuer does not know reaches the issuer as it is, and is rejected."""
    reply = ask(opaque, subject_token=token)

    assert (400, "invalid_request") == outcome(reply)
    assert [token] == [token_of(body) for _, _, body in services.asked]
    assert 1 == sum(opaque.rejects.values())


@pytest.mark.parametrize(
    "reply", [{"active": "true", "sub": "auth0|ada"}, {"active": True}, {"active": True, "sub": 7}]
)
def test_replies_that_do_not_say_active(opaque: LocalTenant, services: _Services, reply: Any) -> None:
    """Anything but a plain yes for a user is a no."""
    services.tokens["odd"] = reply

    assert (400, "invalid_request") == outcome(ask(opaque, subject_token="odd"))


def test_opaque_token_of_too_little_scope(opaque: LocalTenant) -> None:
    """More scopes than the token has are denied by a code of the Action's own."""
    assert (400, "invalid_scope") == outcome(ask(opaque, subject_token="good", scope="openid admin:all"))


@pytest.mark.parametrize(("status", "document"), [(500, {}), (302, {}), (200, b"<html>"), (200, b"")])
def test_issuer_that_is_down(opaque: LocalTenant, services: _Services, status: int, document: Any) -> None:
    """An issuer that fails, redirects or answers nonsense is the server's fault, not the token's."""
    services.status, services.tokens["good"] = status, document

    assert (500, "server_error") == outcome(ask(opaque, subject_token="good"))
    assert {} == opaque.rejects
    assert "introspection failed" in opaque.logs[-1].details["console"]
