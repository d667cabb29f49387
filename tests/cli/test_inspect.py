from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from auth0_cte import ServerClient
from auth0_cte.jose import SigningKey, b64url_encode
from auth0_cte.testing import LocalTenant, TenantServer
from tests.cli.users import TYPE, USER, run

SECRET = "0123456789abcdef0123456789ABCDEFxyz"


def inspected(token: str, *arguments: str, **env: str) -> tuple[int, dict[str, Any]]:
    result = run("inspect", "--json", *arguments, stdin=token, env=env)
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def id_token(tenant: LocalTenant, served: TenantServer) -> str:
    """An ID token that the served tenant issued."""
    with served.client() as client:
        token = client.custom_token_exchange(
            {"subject_token": "t", "subject_token_type": TYPE, "scope": "openid"}
        ).id_token
    assert token is not None
    return token


class TestTokens:
    """JSON Web Tokens."""

    def test_a_good_id_token(self, id_token: str, served: TenantServer) -> None:
        """Header, claims, the verified signature and the acceptance are told, with status 0."""
        status, told = inspected(id_token)
        assert (0, "verified", []) == (status, told["signature"]["status"], told["refusals"])
        assert ("ID token", "RS256", USER) == (told["kind"], told["header"]["alg"], told["claims"]["sub"])

    def test_times_are_words(self, id_token: str) -> None:
        """People read dates and how far away they are."""
        result = run("inspect", stdin=id_token)
        assert 0 == result.exit_code
        for text in (
            "exp: 20",
            ", in 10 hours",
            "looks like: an ID token",
            "signature: verified: by the keys of",
            "accepted",
        ):
            assert text in result.stdout
        assert id_token not in result.output

    def test_every_refusal_is_told(self, tenant: LocalTenant, id_token: str) -> None:
        """All reasons at once: expired, for another application, by another issuer's configuration."""
        told = inspected(id_token, "--client-id", "another")[1]
        assert ["the token is refused: aud is not this application"] == told["refusals"]

    def test_an_expired_token_of_another_application(self, tenant: LocalTenant, served: TenantServer) -> None:
        """A second fault is found behind the first."""
        tenant.add_application("other", "the-other-secret")
        claims: dict[str, Any] = {"iss": f"{served.url}/", "iat": int(time.time()) - 900, "exp": int(time.time()) - 600}
        token = tenant.id_token(USER, client_id="other", **claims)
        status, told = inspected(token)
        assert (3, "verified") == (status, told["signature"]["status"])
        assert ["aud", "exp"] == sorted(each.split()[4] for each in told["refusals"])

    @pytest.mark.parametrize("how", ["other key", "changed", "none"])
    def test_forged_tokens(self, how: str, id_token: str, served: TenantServer) -> None:
        """A signature that does not hold is told, with status 3."""
        header, payload, signature = id_token.split(".")
        forged = {
            "other key": lambda: SigningKey.generate("RS256", kid="x").sign({"iss": f"{served.url}/", "sub": "x"}),
            "changed": lambda: f"{header}.{b64url_encode(b'{}')}.{signature}",
            "none": lambda: f"{b64url_encode(json.dumps({'alg': 'none'}).encode())}.{payload}.",
        }[how]()
        status, told = inspected(forged)
        assert (3, "refused") == (status, told["signature"]["status"])

    def test_an_access_token(self, served: TenantServer) -> None:
        """An access token is verified and not judged: that is its API's business."""
        with served.client() as client:
            token = client.custom_token_exchange({"subject_token": "t", "subject_token_type": TYPE}).access_token
        told = inspected(token, "--client-id", "")[1]
        assert "verified" == told["signature"]["status"]

    def test_offline(self, id_token: str, tenant: LocalTenant) -> None:
        """--offline fetches nothing."""
        tenant.requests.clear()
        status, told = inspected(id_token, "--offline")
        assert (0, "not checked", 0) == (status, told["signature"]["status"], len(tenant.requests))

    @pytest.mark.parametrize("issuer", ["http://169.254.169.254/", "https://tenant.example/path", 7, None])
    def test_issuers_that_are_not_asked(self, issuer: object) -> None:
        """A token cannot make the command ask whatever host it names."""
        token = SigningKey.generate("RS256").sign({"iss": issuer, "sub": "x"})
        told = inspected(token)[1]
        assert "not checked" == told["signature"]["status"]

    @pytest.mark.parametrize("token", ["opaque-token", "a.b.c", "eyJhbGciOiJub25lIn0.W10."])
    def test_what_is_no_token(self, token: str) -> None:
        """An opaque or broken token is told, with status 3."""
        result = run("inspect", stdin=token)
        assert 3 == result.exit_code
        assert "not a JSON Web Token" in result.stderr

    def test_from_a_file_or_the_environment(self, id_token: str, tmp_path: Path) -> None:
        """A file and a variable do as well, one of them."""
        file = tmp_path / "token"
        file.write_text(id_token + "\n")
        assert 0 == run("inspect", str(file)).exit_code
        assert 0 == run("inspect", "--token-env", "T", env={"T": id_token}).exit_code
        assert 2 == run("inspect", str(file), "--token-env", "T").exit_code


class TestCookies:
    """Session cookies."""

    @pytest.fixture
    def jar(self, tenant: LocalTenant) -> dict[str, str]:
        """The cookies of a session, in two chunks."""
        tenant.add_user(USER, name="Jane", picture="https://x.example/" + "p" * 1200)
        jar: dict[str, str] = {}
        client: ServerClient = tenant.client(secret=SECRET)
        client.login_with_custom_token_exchange(
            {"subject_token": "t", "subject_token_type": TYPE, "scope": "openid profile"}, {"cookies": jar}
        )
        return jar

    def test_a_session_is_unsealed(self, jar: dict[str, str]) -> None:
        """Chunks are put together, parts are measured, the user is shown, and no token is."""
        header = "Cookie: other=1; " + "; ".join(f"{name}={value}" for name, value in jar.items())
        status, told = inspected(header, AUTH0_SECRET=SECRET)
        assert (0, list(jar)) == (status, list(told["chunks"]))
        assert 2 <= len(jar)
        assert {"user", "id_token", "token_sets", "internal"} <= set(told["parts"])
        assert ("Jane", USER) == (told["state"]["user"]["name"], told["state"]["user"]["sub"])
        assert "eyJ" not in json.dumps(told)

    def test_people_see_sizes(self, jar: dict[str, str]) -> None:
        """Each cookie and each part has its size in bytes."""
        header = "; ".join(f"{name}={value}" for name, value in jar.items())
        result = run("inspect", "--cookie", stdin=header, env={"AUTH0_SECRET": SECRET})
        assert 0 == result.exit_code, result.output
        for text in ("_a0_session_0: 3,", "together: ", "id_token: ", "bytes", "sub: auth0|jane", "created_at: 20"):
            assert text in result.stdout
        assert "eyJ" not in result.output

    @pytest.mark.parametrize("how", ["other secret", "chunk lost", "changed", "other name"])
    def test_a_session_that_does_not_open(self, how: str, jar: dict[str, str]) -> None:
        """Why there is no session is told, with status 3."""
        if how == "chunk lost":
            jar.pop("_a0_session_1")
        if how == "changed":
            jar["_a0_session_1"] = jar["_a0_session_1"][:-2] + "AA"
        if how == "other name":
            jar = {name.replace("_a0", "_b0"): value for name, value in jar.items()}
        header = "; ".join(f"{name}={value}" for name, value in jar.items())
        secret = "x" * 40 if how == "other secret" else SECRET
        status, told = inspected(header, "--cookie", AUTH0_SECRET=secret)
        assert (3, None) == (status, told["state"])
        assert told["fault"]

    def test_without_the_secret(self, jar: dict[str, str]) -> None:
        """Without AUTH0_SECRET nothing can be unsealed: wrong use."""
        assert 2 == run("inspect", "--cookie", stdin="a=b").exit_code
