"""Programs written for auth0-server-python run after their imports are renamed: without ``await``, or with it.

``data/auth0-server-python.md`` is that library's own document; its examples are run as they stand there, by
`ServerClient` with ``await`` dropped, and by `AsyncServerClient` imported as ``ServerClient`` on asyncio and trio.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

import anyio
import pytest
import responses
from fastapi import Request, Response
from starlette.requests import cookie_parser

from auth0_cte.testing import LocalTenant
from tests.conftest import ISSUER, TOKEN_ENDPOINT

DOCUMENT = Path(__file__).parents[1].joinpath("data", "auth0-server-python.md").read_text()
SECTIONS = [int(number) for number in re.findall(r"^## (\d+)\.", DOCUMENT, re.MULTILINE)]
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
THEIR_IMPORT = "from auth0_server_python.auth_server.server_client import ServerClient"
ASYNC_IMPORT = "from auth0_cte.auth_server.async_server_client import AsyncServerClient as ServerClient"


def section(number: int) -> str:
    """Return the Python examples of a section."""
    text = re.search(rf"^## {number}\. .*?(?=^## )", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert text is not None
    code = "\n".join(re.findall(r"```python\n(.*?)```", text[0], re.DOTALL))
    assert code
    return code


class Program:
    """The document's examples as one program, ported.

    Args:
        backend: The event loop that it awaits in, or None when it does not await.
        names: What the document takes for given.
        credentials: What it has placeholders for.
    """

    def __init__(self, backend: str | None, names: dict[str, Any], **credentials: str) -> None:
        self._backend, self._credentials = backend, credentials
        self.names = names

    def run(self, code: str) -> dict[str, Any]:
        """Run some of it, and return the names that there are then."""
        for name, value in self._credentials.items():
            code = code.replace(f"<AUTH0_{name.upper()}>", value)
        if self._backend is None:
            exec(self._compile(code.replace("await ", "")), self.names)
        else:
            awaited = self._compile(code.replace(THEIR_IMPORT, ASYNC_IMPORT), ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            anyio.run(self._evaluate, awaited, backend=self._backend)
        return self.names

    def close(self) -> None:
        client = self.names["auth0"]
        (client if self._backend is None else client.sync).close()

    def _compile(self, code: str, flags: int = 0) -> CodeType:
        compiled: CodeType = compile(code.replace("auth0_server_python", "auth0_cte"), "the document", "exec", flags)
        return compiled

    async def _evaluate(self, code: CodeType) -> None:
        result: Awaitable[None] | None = eval(code, self.names)
        if result is not None:
            await result


@pytest.fixture
def tenant() -> LocalTenant:
    tenant = LocalTenant()
    tenant.add_organization("org_123", name="acme")
    tenant.accept("urn:acme:mcp-token", "auth0|ada")
    tenant.accept(ACCESS_TOKEN, "auth0|ada", actor={"sub": "service|1"})
    return tenant


def request(cookies: str = "") -> Request:
    """Make a request as FastAPI hands it to an endpoint."""
    headers = [(b"host", b"127.0.0.1:8000"), (b"cookie", cookies.encode())]
    scope = {"type": "http", "method": "POST", "path": "/login", "query_string": b"", "headers": headers}
    return Request({**scope, "scheme": "http", "server": ("127.0.0.1", 8000)})


@pytest.fixture(params=[None, "asyncio", "trio"], ids=["sync", "asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str | None:
    backend: str | None = request.param
    return backend


@pytest.fixture(params=["tenant", "responses"])
def program(request: pytest.FixtureRequest, tenant: LocalTenant, backend: str | None) -> Iterator[Program]:
    """What section 1 leaves behind, run against an embedded tenant over HTTP or against a mocked transport."""
    with (_at_tenant if request.param == "tenant" else _at_responses)(tenant, backend) as program:
        program.run(section(1))
        yield program
        program.close()


@contextmanager
def _at_tenant(tenant: LocalTenant, backend: str | None) -> Iterator[Program]:
    names = {"request": request(), "response": Response()}
    credentials = {"client_id": tenant.client_id, "client_secret": tenant.client_secret, "secret": "s" * 40}
    with tenant.serve() as server:
        yield Program(backend, names, domain=server.domain, **credentials)


@contextmanager
def _at_responses(tenant: LocalTenant, backend: str | None) -> Iterator[Program]:
    names = {"request": request(), "response": Response()}
    tenant.add_user("auth0|ada")
    reply = {"access_token": "issued", "token_type": "Bearer", "expires_in": 86400}
    reply["id_token"] = tenant.id_token("auth0|ada", client_id=tenant.client_id, iss=ISSUER, org_id="org_123")
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        wire.get(
            f"{ISSUER}.well-known/openid-configuration",
            json={"issuer": ISSUER, "token_endpoint": TOKEN_ENDPOINT, "jwks_uri": f"{ISSUER}jwks"},
        )
        wire.get(f"{ISSUER}jwks", json=tenant.session().get(f"{tenant.issuer}.well-known/jwks.json").json())
        wire.post(TOKEN_ENDPOINT, json=reply)
        yield Program(
            backend, names, domain="tenant.auth0.com", client_id=tenant.client_id, client_secret="s", secret="s" * 40
        )


def test_the_document_has_six_sections() -> None:
    """None is left out."""
    assert [1, 2, 3, 4, 5, 6] == SECTIONS


def test_section_1_exchanges_a_token(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """The basic exchange gives an access token and its lifetime."""
    assert program.names["response"].access_token
    assert 86400 == program.names["response"].expires_in


def test_section_2_logs_a_user_in(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """The login sets cookies on the response of FastAPI, and they are the user's session."""
    program.names["response"] = response = Response()
    names = program.run(section(2))
    assert "User logged in: auth0|ada" in capsys.readouterr().out
    assert "auth0|ada" == names["user"]["sub"] == names["result"].user["sub"]
    cookies = [value.partition(";")[0] for value in response.headers.getlist("set-cookie")]
    assert {"_a0_session_0"} <= set(cookie_parser("; ".join(cookies)))
    names["request"] = request("; ".join(cookies))
    program.run('found = await auth0.get_user(store_options={"request": request})')
    assert "auth0|ada" == names["found"]["sub"]


@pytest.mark.parametrize("number", [3, 4, 5, 6])
def test_the_other_sections_run(number: int, program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """Delegation, own parameters, error handling and the list of types run as written."""
    names = program.run(section(number))
    assert names["response"].access_token
    assert "Exchange failed" not in capsys.readouterr().out


def test_all_sections_are_one_program(tenant: LocalTenant, backend: str | None) -> None:
    """Read from top to bottom, the whole document runs in one go, in one event loop."""
    with _at_tenant(tenant, backend) as program:
        # The document calls the answers of the token endpoint and of the framework alike.
        whole = [section(number) for number in SECTIONS]
        whole[1] = f"from fastapi import Response\nresponse = Response()\n{whole[1]}"
        names = program.run("\n".join(whole))
        assert "auth0|ada" == names["user"]["sub"]
        assert names["response"].access_token
        program.close()
    assert 5 == len(tenant.token_requests)


def test_section_5_prints_code_and_message(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """A malformed token reads as the document says."""
    program.run(section(5).replace('subject_token="token"', 'subject_token="Bearer token"'))
    assert "Exchange failed: INVALID_TOKEN_FORMAT - " in capsys.readouterr().out


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
