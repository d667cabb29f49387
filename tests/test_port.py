"""Programs written for auth0-server-python run after their imports are renamed and ``await`` is dropped.

``data/auth0-server-python.md`` is that library's own document; its examples are run as they stand there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses

from auth0_cte.testing import LocalTenant
from tests.conftest import ISSUER, TOKEN_ENDPOINT

DOCUMENT = Path(__file__).parent.joinpath("data", "auth0-server-python.md").read_text()
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def section(number: int) -> str:
    """Return the Python examples of a section, ported."""
    text = re.search(rf"^## {number}\. .*?(?=^## )", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert text is not None
    code = "\n".join(re.findall(r"```python\n(.*?)```", text[0], re.DOTALL))
    assert code
    return code.replace("auth0_server_python", "auth0_cte").replace("await ", "")


def run(number: int, names: dict[str, Any], **credentials: str) -> dict[str, Any]:
    code = section(number)
    for name, value in credentials.items():
        code = code.replace(f"<AUTH0_{name.upper()}>", value)
    exec(compile(code, f"section {number}", "exec"), names)
    return names


@pytest.fixture
def tenant() -> LocalTenant:
    tenant = LocalTenant()
    tenant.add_organization("org_123", name="acme")
    tenant.accept("urn:acme:mcp-token", "auth0|ada")
    tenant.accept(ACCESS_TOKEN, "auth0|ada", actor={"sub": "service|1"})
    return tenant


@pytest.fixture(params=["tenant", "responses"])
def program(request: pytest.FixtureRequest, tenant: LocalTenant) -> Iterator[dict[str, Any]]:
    """What section 1 leaves behind, run against an embedded tenant over HTTP or against a mocked transport."""
    if request.param == "tenant":
        with tenant.serve() as server:
            yield run(1, {}, domain=server.domain, client_id=tenant.client_id, client_secret=tenant.client_secret)
        return
    with responses.RequestsMock() as wire:
        wire.get(
            f"{ISSUER}.well-known/openid-configuration",
            json={"issuer": ISSUER, "token_endpoint": TOKEN_ENDPOINT, "jwks_uri": f"{ISSUER}jwks"},
        )
        reply = {"access_token": "issued", "token_type": "Bearer", "expires_in": 86400}
        wire.post(TOKEN_ENDPOINT, json=reply)
        yield run(1, {}, domain="tenant.auth0.com", client_id="c", client_secret="s")


def test_section_1_exchanges_a_token(program: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The basic exchange gives an access token and its lifetime."""
    assert program["response"].access_token
    assert 86400 == program["response"].expires_in
    program["auth0"].close()


@pytest.mark.parametrize("number", [3, 4, 5, 6])
def test_the_other_sections_run(number: int, program: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Delegation, own parameters, error handling and the list of types run as written."""
    names = run(number, program)
    assert names["response"].access_token
    assert "Exchange failed" not in capsys.readouterr().out
    program["auth0"].close()


def test_section_5_prints_code_and_message(program: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """A malformed token reads as the document says."""
    code = section(5).replace('subject_token="token"', 'subject_token="Bearer token"')
    exec(code, program)
    assert "Exchange failed: INVALID_TOKEN_FORMAT - " in capsys.readouterr().out
    program["auth0"].close()


def test_delegation_shows_the_actor(tenant: LocalTenant) -> None:
    """Section 3's tokens, with openid in the scope, give the verified actor."""
    options = {
        "subject_token": "user-access-token",
        "subject_token_type": ACCESS_TOKEN,
        "actor_token": "service-access-token",
        "actor_token_type": ACCESS_TOKEN,
        "scope": "openid",
    }
    act = tenant.client().custom_token_exchange(options).act
    assert act is not None
    assert ("service|1", {"sub": "service|1"}) == (act.sub, dict(act))


def test_every_documented_code_is_a_constant() -> None:
    """The document's codes are the names and the values of the constants."""
    from auth0_cte.error import CustomTokenExchangeErrorCode

    codes = re.findall(r"^- `([A-Z_]+)`", DOCUMENT, re.MULTILINE)
    assert 4 == len(codes)
    assert codes == [getattr(CustomTokenExchangeErrorCode, code) for code in codes]
