"""The Actions that ``action new`` writes, run in the local tenant against honest and hostile tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from auth0_cte.jose import SigningKey, b64url_encode
from auth0_cte.testing import FakeClock, LocalTenant
from tests.cli.users import run
from tests.exchanges import claims_of
from tests.testing.node import ACTIONS, NODES, install_packages
from tests.testing.services import Services, serving
from tests.testing.test_exchange import ID_TOKEN, TYPE, ask

NOW = 1_900_000_000
SECRET = "a-secret-of-the-legacy-system-of-32-characters"
PARTNER = SigningKey.generate("RS256", kid="partner-1")
STRANGER = SigningKey.generate("RS256", kid="partner-1")
SESSION = "session-of-ada-0123456789"


@pytest.fixture
def services() -> Iterator[Services]:
    with serving(Services([PARTNER.public_jwk()])) as server:
        yield server


@pytest.fixture
def tenant() -> Iterator[LocalTenant]:
    with LocalTenant(clock=FakeClock(NOW), strict=True) as made:
        made.actions.node = NODES["wheel"]
        made.add_connection("legacy")
        yield made


def install(tenant: LocalTenant, folder: Path, kind: str, *arguments: str, **secrets: str) -> LocalTenant:
    """Write an Action as the command does, and make it the profile's."""
    file = folder / f"{kind}.js"
    result = run("action", "new", kind, "-t", TYPE, "-o", str(file), *arguments)
    assert 0 == result.exit_code, result.output
    tenant.action_file(TYPE, file, secrets=secrets)
    return tenant


def outcome(reply: Any) -> tuple[int, str]:
    return reply.status_code, reply.json().get("error", "")


def assert_rejected(tenant: LocalTenant, tokens: Mapping[str, str]) -> None:
    """Send each token from an address of its own, and see it rejected as an invalid one."""
    replies = {
        name: ask(tenant, session=tenant.session(ip=f"203.0.113.{number}"), subject_token=token)
        for number, (name, token) in enumerate(tokens.items())
    }
    assert dict.fromkeys(tokens, (400, "invalid_request")) == {name: outcome(each) for name, each in replies.items()}
    assert (len(tokens), 0) == (sum(tenant.rejects.values()), len(tenant.users))


def exchanged(tenant: LocalTenant, token: str, **form: Any) -> dict[str, Any]:
    reply = ask(tenant, subject_token=token, **form)
    assert 200 == reply.status_code, (reply.text, tenant.logs[-1])
    return claims_of(tenant, reply.json()["access_token"])


class TestHmac:
    """``action new hmac``."""

    @staticmethod
    def signed(payload: bytes, key: str = SECRET) -> str:
        part = b64url_encode(payload)
        return f"{part}.{b64url_encode(hmac.new(key.encode(), part.encode(), hashlib.sha256).digest())}"

    @classmethod
    def token(cls, key: str = SECRET, **members: Any) -> str:
        usual = {"user_id": "7", "email": "ada@acme.example", "exp": NOW + 60, "nonce": "n-1"}
        return cls.signed(json.dumps({**usual, **members}).encode(), key)

    @pytest.fixture
    def action(self, tenant: LocalTenant, tmp_path: Path) -> LocalTenant:
        return install(tenant, tmp_path, "hmac", LEGACY_SECRET=SECRET)

    def test_a_user_is_created(self, action: LocalTenant) -> None:
        """A signed session becomes a user with the attributes that it vouches for."""
        assert "auth0|7" == exchanged(action, self.token(name="Ada", email_verified="yes", is_admin=True))["sub"]
        expected = {"email": "ada@acme.example", "email_verified": False, "name": "Ada"}
        assert expected == action.users["auth0|7"].attributes

    def test_the_example_applications_tokens_are_taken(
        self, tenant: LocalTenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the legacy system of the examples mints is what this kind reads."""
        from auth0_cte.examples import legacy

        monkeypatch.setenv("LEGACY_SECRET", SECRET)
        with LocalTenant() as now:
            now.actions.node = NODES["wheel"]
            install(now, tmp_path, "hmac", LEGACY_SECRET=SECRET)
            assert "auth0|ada" == exchanged(now, legacy.mint("ada"))["sub"]

    def test_the_previous_secret_counts_while_it_is_there(self, tenant: LocalTenant, tmp_path: Path) -> None:
        """While a secret is being replaced tokens of both are taken."""
        install(tenant, tmp_path, "hmac", LEGACY_SECRET="n" * 32, LEGACY_SECRET_PREVIOUS=SECRET)
        exchanged(tenant, self.token())

    def test_a_token_is_used_once(self, action: LocalTenant) -> None:
        """A token that was used is rejected, however it is spelt; another one of the same user is not."""
        exchanged(action, self.token())
        for token in (self.token(), self.token() + "=", self.token(name="other")):
            assert (400, "invalid_request") == outcome(ask(action, subject_token=token))
        exchanged(action, self.token(nonce="n-2"))

    def test_many_tokens_are_remembered(self, action: LocalTenant) -> None:
        """After a hundred other tokens the first one is still known."""
        for number in range(100):
            exchanged(action, self.token(nonce=f"n-{number}"))
        assert (400, "invalid_request") == outcome(ask(action, subject_token=self.token(nonce="n-0")))

    @pytest.mark.parametrize("secret", [None, "short"])
    def test_a_missing_secret_is_no_fault_of_the_token(
        self, secret: str | None, tenant: LocalTenant, tmp_path: Path
    ) -> None:
        """Without a usable secret nothing is accepted, and nothing counts against the address."""
        install(tenant, tmp_path, "hmac", **({} if secret is None else {"LEGACY_SECRET": secret}))
        assert (500, "server_error") == outcome(ask(tenant, subject_token=self.token(key=secret or "")))
        assert {} == tenant.rejects

    def hostile(self) -> Mapping[str, str]:
        payload, _, signature = self.token().partition(".")
        return {
            "other key": self.token("x" * 32),
            "empty key": self.token(""),
            "no signature": payload,
            "empty signature": f"{payload}.",
            "empty payload": f".{signature}",
            "short signature": f"{payload}.{signature[:-4]}",
            "long signature": f"{payload}.{signature}AAAA",
            "other spelling": f"{payload}.{signature[:-1]}{'B' if signature[-1] == 'A' else 'A'}",
            "third part": f"{payload}.{signature}.more",
            "other payload": self.token(user_id="8").partition(".")[0] + "." + signature,
            "list": self.signed(b"[]"),
            "null": self.signed(b"null"),
            "not JSON": self.signed(b"user_id=7"),
            "numeric user": self.token(user_id=7),
            "blank user": self.token(user_id=" "),
            "long user": self.token(user_id="x" * 256),
            "object as user": self.token(user_id={"toString": "7"}),
            "no nonce": self.token(nonce=None),
            "expired": self.token(exp=NOW - 11),
            "no expiry": self.token(exp=None),
            "text as expiry": self.token(exp=str(NOW + 60)),
            "endless": self.token(exp=NOW + 100_000),
            "prototype": self.signed(b'{"__proto__": {"user_id": "7", "nonce": "n", "exp": 1900000050}}'),
            "JSON Web Token": "eyJhbGciOiJub25lIn0.eyJ1c2VyX2lkIjoiNyJ9.",
            "huge": "x" * 60_000,
        }

    def test_hostile_tokens(self, action: LocalTenant) -> None:
        """Forged, malformed and expired tokens are rejected, count against the address, and create nobody."""
        assert_rejected(action, self.hostile())


class TestJwt:
    """``action new jwt``."""

    @staticmethod
    def token(key: SigningKey = PARTNER, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        usual = {
            "iss": "https://partner.example/",
            "aud": "https://acme.example",
            "sub": "ada",
            "iat": NOW - 10,
            "exp": NOW + 60,
            "jti": "j-1",
        }
        return key.sign({name: each for name, each in {**usual, **claims}.items() if each is not None}, header=header)

    @pytest.fixture
    def action(self, tenant: LocalTenant, tmp_path: Path, services: Services) -> LocalTenant:
        install_packages()
        (tmp_path / "node_modules").symlink_to(ACTIONS / "node_modules")
        place = ("--issuer", "https://partner.example/", "--jwks-url", f"{services.url}/jwks.json")
        return install(tenant, tmp_path, "jwt", *place, "--audience", "https://acme.example")

    def test_a_user_is_created(self, action: LocalTenant) -> None:
        """A token of the issuer becomes a user."""
        assert "auth0|ada" == exchanged(action, self.token(email="a@x.example", email_verified=True))["sub"]
        assert {"email": "a@x.example", "email_verified": True} == action.users["auth0|ada"].attributes

    def test_a_token_is_used_once(self, action: LocalTenant) -> None:
        """A token that was used is rejected."""
        exchanged(action, self.token())
        assert (400, "invalid_request") == outcome(ask(action, subject_token=self.token()))
        exchanged(action, self.token(jti="j-2"))

    @staticmethod
    def unsigned(algorithm: str, signature: bytes) -> str:
        header = b64url_encode(json.dumps({"alg": algorithm, "kid": "partner-1"}).encode())
        return f"{header}.{TestJwt.token().split('.')[1]}.{b64url_encode(signature)}"

    @staticmethod
    def confused() -> str:
        head = TestJwt.unsigned("HS256", b"").rpartition(".")[0]
        secret = json.dumps(PARTNER.public_jwk()).encode()
        return f"{head}.{b64url_encode(hmac.new(secret, head.encode(), hashlib.sha256).digest())}"

    def hostile(self) -> Mapping[str, str]:
        token = self.token
        return {
            "other key": token(STRANGER),
            "no signature": self.unsigned("none", b""),
            "algorithm confusion": self.confused(),
            "key of its own": token(STRANGER, header={"jwk": STRANGER.public_jwk()}),
            "key elsewhere": token(STRANGER, header={"jku": "https://evil.example/jwks.json"}),
            "critical header": token(header={"crit": ["x"], "x": 1}),
            "other issuer": token(iss="https://evil.example/"),
            "issuer without slash": token(iss="https://partner.example"),
            "other audience": token(aud="other"),
            "no audience": token(aud=None),
            "expired": token(exp=NOW - 11),
            "no expiry": token(exp=None),
            "text as expiry": token(exp="never"),
            "endless": token(exp=NOW + 100_000),
            "too old": token(iat=NOW - 400),
            "of the future": token(iat=NOW + 3600, exp=NOW + 3700),
            "no issue date": token(iat=None),
            "not yet valid": token(nbf=NOW + 60),
            "no subject": token(sub=None),
            "numeric subject": token(sub=7),
            "object as subject": token(sub={"toString": "ada"}),
            "blank subject": token(sub=" "),
            "no jti": token(jti=None),
            "two parts": token().rpartition(".")[0],
            "not a token": "not-a-token",
            "encrypted": "a.b.c.d.e",
        }

    def test_hostile_tokens(self, action: LocalTenant) -> None:
        """Forged, foreign, expired and malformed tokens are rejected, and create nobody."""
        assert_rejected(action, self.hostile())

    def test_an_issuer_that_is_down(self, action: LocalTenant, services: Services) -> None:
        """Keys that cannot be fetched are no fault of the token."""
        services.status = 503
        assert (500, "server_error") == outcome(ask(action, subject_token=self.token()))
        assert {} == action.rejects


class TestIntrospect:
    """``action new introspect``."""

    ACTIVE: Mapping[str, Any] = {
        "active": True,
        "sub": "ada",
        "iss": "https://partner.example/",
        "aud": ["other", "https://acme.example"],
        "exp": NOW + 60,
    }

    @pytest.fixture
    def action(self, tenant: LocalTenant, tmp_path: Path, services: Services) -> LocalTenant:
        services.document = self.ACTIVE
        place = ("--url", f"{services.url}/introspect", "--issuer", "https://partner.example/")
        secrets = {"INTROSPECTION_CLIENT_ID": "my client", "INTROSPECTION_CLIENT_SECRET": "s3cr:t/+"}
        return install(tenant, tmp_path, "introspect", *place, "--audience", "https://acme.example", **secrets)

    def test_a_user_is_created(self, action: LocalTenant, services: Services) -> None:
        """An active token becomes a user; the server is asked with encoded credentials."""
        assert "auth0|ada" == exchanged(action, "opaque&token=x")["sub"]
        ((path, authorization, body),) = services.asked
        credentials = base64.b64encode(b"my%20client:s3cr%3At%2F%2B").decode()
        assert ("/introspect", f"Basic {credentials}") == (path, authorization)
        assert {"token": ["opaque&token=x"]} == parse_qs(body)

    def test_tokens_that_are_not_acceptable(self, action: LocalTenant, services: Services) -> None:
        """Inactive tokens, and those of or for others, are rejected and create nobody."""
        changes: list[Mapping[str, Any]] = [
            {"active": False},
            {"active": "true"},
            {"active": 1},
            {"active": None},
            {"sub": None},
            {"sub": 7},
            {"sub": ""},
            {"iss": "https://evil.example/"},
            {"iss": None},
            {"aud": "other"},
            {"aud": None},
            {"exp": NOW - 1},
            {"exp": "never"},
            {"nbf": NOW + 60},
        ]
        for number, changed in enumerate(changes):
            services.document = {**self.ACTIVE, **changed}
            session = action.session(ip=f"203.0.113.{number}")
            assert (400, "invalid_request") == outcome(ask(action, session=session, subject_token="opaque")), changed
        assert (len(changes), 0) == (sum(action.rejects.values()), len(action.users))

    def test_what_is_no_token_is_not_asked_about(self, action: LocalTenant, services: Services) -> None:
        """Tokens of impossible characters or length are rejected without asking."""
        tokens = ("with blank", "x" * 4097, "tab\t", "ä", "line\nbreak")
        assert_rejected(action, {token[:10]: token for token in tokens})
        assert [] == services.asked

    def test_a_server_that_does_not_answer(self, action: LocalTenant, services: Services) -> None:
        """Whatever is wrong with the server is no fault of the token."""
        for status, document in (
            *((401, {}), (500, {}), (302, {}), (200, b"<html>"), (200, []), (200, None)),
            (200, b"x" * 100_000),
        ):
            services.status, services.document = status, document
            assert (500, "server_error") == outcome(ask(action, subject_token="opaque")), status
        assert {} == action.rejects


class TestLegacyDb:
    """``action new legacy-db``."""

    @pytest.fixture
    def action(self, tenant: LocalTenant, tmp_path: Path, services: Services) -> LocalTenant:
        services.document = {"user_id": "7", "email": "ada@acme.example", "email_verified": True}
        return install(tenant, tmp_path, "legacy-db", "--url", f"{services.url}/verify", LEGACY_API_KEY="the-key")

    def test_a_user_is_created(self, action: LocalTenant, services: Services) -> None:
        """A session that the legacy system knows becomes its user."""
        assert "auth0|7" == exchanged(action, SESSION)["sub"]
        assert [("/verify", "Bearer the-key", json.dumps({"session": SESSION}).replace(" ", ""))] == services.asked
        assert {"email": "ada@acme.example", "email_verified": True} == action.users["auth0|7"].attributes

    def test_an_unknown_session_is_rejected(self, action: LocalTenant, services: Services) -> None:
        """404 means that there is no such session."""
        services.status = 404
        assert (400, "invalid_request") == outcome(ask(action, subject_token=SESSION))
        assert (1, 0) == (sum(action.rejects.values()), len(action.users))

    def test_what_is_no_session_is_not_asked_about(self, action: LocalTenant, services: Services) -> None:
        """What cannot be a session id is rejected without asking."""
        tokens = ("short", "x" * 257, "' OR 1=1 --aaaaaaaaa", "../../../etc/passwd", '"}{"user": 1')
        assert_rejected(action, {token[:10]: token for token in tokens})
        assert [] == services.asked

    def test_a_legacy_system_that_does_not_answer(self, action: LocalTenant, services: Services) -> None:
        """Whatever is wrong with the legacy system is no fault of the token."""
        for status, document in (
            *((401, {}), (500, {}), (302, {}), (204, b""), (200, b"<html>"), (200, []), (200, {})),
            *((200, {"user_id": 7}), (200, {"user_id": ""}), (200, {"user_id": "x" * 256})),
        ):
            services.status, services.document = status, document
            assert (500, "server_error") == outcome(ask(action, subject_token=SESSION)), (status, document)
        assert ({}, 0) == (action.rejects, len(action.users))


class TestVariants:
    """Users by id, and actors."""

    def test_a_user_by_id(self, tenant: LocalTenant, tmp_path: Path) -> None:
        """With --user id the token names an Auth0 user that exists; another one is refused."""
        tenant.add_user("auth0|7")
        install(tenant, tmp_path, "hmac", "--user", "id", LEGACY_SECRET=SECRET)
        assert "auth0|7" == exchanged(tenant, TestHmac.token(user_id="auth0|7"))["sub"]
        reply = ask(tenant, subject_token=TestHmac.token(user_id="auth0|8", nonce="n-2"))
        assert (400, "invalid_request") == outcome(reply)

    @pytest.fixture
    def delegation(self, tenant: LocalTenant, tmp_path: Path) -> LocalTenant:
        tenant.add_user("auth0|agent", app_metadata={"can_act_for_users": True})
        tenant.add_user("auth0|eve", app_metadata={"can_act_for_users": "true"})
        return install(tenant, tmp_path, "hmac", "--delegation", LEGACY_SECRET=SECRET)

    def test_an_actor_that_may(self, delegation: LocalTenant) -> None:
        """An agent whose ID token Auth0 verified acts for the user."""
        actor = {"actor_token": delegation.id_token("auth0|agent"), "actor_token_type": ID_TOKEN}
        claims = exchanged(delegation, TestHmac.token(), **actor)
        assert ("auth0|7", {"sub": "auth0|agent"}) == (claims["sub"], claims["act"])

    @pytest.mark.parametrize("who", [None, "auth0|eve", "other type"])
    def test_an_actor_that_may_not(self, who: str | None, delegation: LocalTenant) -> None:
        """Without an actor, with one that may not act, and with a token of another kind, there are no tokens."""
        actor: dict[str, Any] = {}
        if who == "other type":
            actor = {"actor_token": delegation.id_token("auth0|agent"), "actor_token_type": "urn:acme:agent-token"}
        elif who is not None:
            actor = {"actor_token": delegation.id_token(who), "actor_token_type": ID_TOKEN}
        assert (400, "access_denied") == outcome(ask(delegation, subject_token=TestHmac.token(), **actor))
        exchanged(
            delegation, TestHmac.token(), actor_token=delegation.id_token("auth0|agent"), actor_token_type=ID_TOKEN
        )

    @pytest.mark.parametrize("kind", ["introspect", "legacy-db"])
    def test_each_kind_takes_an_actor(self, kind: str, tenant: LocalTenant, tmp_path: Path, services: Services) -> None:
        """Every kind can be written with an actor."""
        tenant.add_user("auth0|agent", app_metadata={"can_act_for_users": True})
        services.document = {**TestIntrospect.ACTIVE, "user_id": "ada"}
        secrets = {"INTROSPECTION_CLIENT_ID": "i", "INTROSPECTION_CLIENT_SECRET": "s", "LEGACY_API_KEY": "k"}
        place = ("--url", services.url, "--issuer", "https://partner.example/", "--audience", "https://acme.example")
        install(tenant, tmp_path, kind, "--delegation", *place, **secrets)
        actor = {"actor_token": tenant.id_token("auth0|agent"), "actor_token_type": ID_TOKEN}
        assert {"sub": "auth0|agent"} == exchanged(tenant, SESSION, **actor)["act"]
