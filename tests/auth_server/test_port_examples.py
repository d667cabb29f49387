"""What the README of auth0-server-python 1.0.0b20 and its examples show, run by that package and by this one.

Each program of ``data/auth0-server-python-examples.md`` is run against a local tenant over TLS: by the real package, by
`AsyncServerClient` imported as ``ServerClient``, with nothing else changed than the package's name in the imports, and
by `ServerClient`, without ``await``. What this library does not have is refused by name, and stands in the table of the
documentation.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import warnings
from collections.abc import Awaitable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from fastapi import Request, Response

import auth0_cte.error
from auth0_cte import AsyncServerClient, ConfigurationError, MemoryStateStore, MfaRequiredError, ServerClient
from auth0_cte.auth_server.unsupported import UNSUPPORTED_METHODS
from auth0_cte.testing import LocalTenant
from auth0_cte.testing.wire.server import TenantServer
from tests.exchanges import SESSION_SECRET

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its dependencies deprecate is its own business
    import auth0_server_python.error as their_error  # type: ignore[import-untyped]
    from auth0_server_python.auth_server.server_client import (  # type: ignore[import-untyped]
        ServerClient as TheirClient,
    )
    from auth0_server_python.store import StateStore  # type: ignore[import-untyped]

THEIRS, OURS, SYNC = "auth0_server_python", "auth0_cte", "auth0_cte without await"
RENAMED = {
    "from auth0_server_python.auth_server.server_client import ServerClient": (
        "from auth0_cte.auth_server.async_server_client import AsyncServerClient as ServerClient"
    ),
    "from auth0_server_python.auth_server import ServerClient": (
        "from auth0_cte.auth_server import AsyncServerClient as ServerClient"
    ),
}
TYPE = "urn:acme:mcp-token"
ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT.joinpath("data", "auth0-server-python-examples.md").read_text()
TABLE = ROOT.parent.joinpath("docs", "coming-from", "auth0-server-python.rst").read_text()
SECTIONS = {
    title: (code, printed)
    for title, code, printed in re.findall(
        r"^## ([^\n]+)\n\n```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", DOCUMENT, re.MULTILINE | re.DOTALL
    )
}
PROGRAMS = {title: each for title, each in SECTIONS.items() if each[1]}


class Browser:
    """Keeps the cookies of responses, and makes the next request."""

    def __init__(self) -> None:
        self.jar: dict[str, str] = {}
        self.response = Response()

    def request(self) -> tuple[Request, Response]:
        for line in self.response.headers.getlist("set-cookie"):
            name, _, rest = line.partition("=")
            value, _, attributes = rest.partition(";")
            if "max-age=0" in attributes.lower():
                self.jar.pop(name, None)
            else:
                self.jar[name] = value
        self.response = Response()
        cookies = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        headers = [(b"host", b"acme.yourapp.com"), (b"cookie", cookies.encode())]
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
        return Request({**scope, "scheme": "https", "server": ("acme.yourapp.com", 443)}), self.response


class TheirStore(StateStore):  # type: ignore[misc]
    """A store of sessions as auth0-server-python's users write it (examples/ConfigureStore.md)."""

    def __init__(self) -> None:
        super().__init__({"secret": SESSION_SECRET})
        self.sessions: dict[str, Any] = {}

    async def set(self, identifier: str, state: Any, remove_if_expires: Any = False, options: Any = None) -> None:
        options = options or remove_if_expires  # get_access_token_for_connection passes them by position
        key = options["request"].cookies.get(identifier) or f"session-{len(self.sessions)}"
        self.sessions[key] = state if isinstance(state, dict) else state.model_dump()
        if options.get("response") is not None:
            options["response"].set_cookie(identifier, key)

    async def get(self, identifier: str, options: Any = None) -> Any:
        return self.sessions.get(options["request"].cookies.get(identifier))

    async def delete(self, identifier: str, options: Any = None) -> None:
        self.sessions.pop(options["request"].cookies.get(identifier), None)

    async def delete_by_logout_token(self, claims: Any, options: Any = None) -> None:
        self.sessions = {key: each for key, each in self.sessions.items() if each["user"]["sub"] != claims["sub"]}


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def tenant(key: rsa.RSAPrivateKey) -> LocalTenant:
    tenant = LocalTenant()
    tenant.sessions.rotate_refresh_tokens = False
    for user in ("auth0|ada", "auth0|customer"):
        tenant.add_user(user)
    tenant.add_organization("org_abc1234", name="acme")
    tenant.add_api("https://api.example.com", ["read:data", "write:data"])
    tenant.add_api("https://analytics.example.com", ["read:analytics", "write:analytics"])
    tenant.connect_account("auth0|ada", "google-oauth2", access_token="ya29.ada")
    tenant.accept("urn:ietf:params:oauth:token-type:access_token", "auth0|ada", actor={"sub": "service|1"})
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    tenant.add_application("by-key", auth_method="private_key_jwt", public_keys=[public])

    @tenant.action(TYPE)
    def exchange(event: Any, api: Any) -> None:
        if event.transaction.subject_token == "of-a-locked-account":
            api.access.deny("account_locked", "The account is locked.")
        api.authentication.set_user_by_id("auth0|ada")

    @tenant.action("urn:acme:customer-subject")
    def act(event: Any, api: Any) -> None:
        api.authentication.set_user_by_id("auth0|customer")
        if event.transaction.actor_token_user is not None:
            api.authentication.set_actor({"sub": event.transaction.actor_token_user.user_id})

    return tenant


@pytest.fixture
def server(tenant: LocalTenant, monkeypatch: pytest.MonkeyPatch) -> Iterator[TenantServer]:
    with tenant.serve(tls=True) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.ca_bundle))
        yield server


def _want_second_factor(tenant: LocalTenant) -> Any:
    """Have the next refresh answered by mfa_required, with a token of the tenant's own."""
    factor = tenant.enroll_factor("auth0|ada", "otp")
    with pytest.raises(MfaRequiredError) as caught:
        tenant.client().custom_token_exchange(subject_token="x", subject_token_type=TYPE)
    body = {"error": "mfa_required", "error_description": "Multifactor authentication required"}
    tenant.fail_next(403, body={**body, "mfa_token": caught.value.mfa_token}, grant_type="refresh_token")
    return factor


def run(package: str, code: str, tenant: LocalTenant, server: TenantServer, key: rsa.RSAPrivateKey) -> str:
    """Run a program by one of the packages, and return what it prints."""
    for title in ("the client", "a login"):
        code = code.replace(f"# {title}\n", SECTIONS[title[0].upper() + title[1:]][0])
    factors: list[Any] = []
    domain = server.domain.removeprefix("https://")
    browser = Browser()
    request, response = browser.request()
    names: dict[str, Any] = {
        "request": request,
        "response": response,
        "follow": browser.request,
        "anybody": lambda: Browser().request(),
        "sent": lambda: tenant.token_requests[-1].form,
        "logout_token": lambda sid: tenant.logout_token(sub="auth0|ada", sid=sid, iss=f"https://{domain}/"),
        "want_second_factor": lambda: factors.append(_want_second_factor(tenant)),
        "otp": lambda: factors[0].code(),
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "state_store": TheirStore() if package == THEIRS else MemoryStateStore(),
    }
    values = {
        "DOMAIN": domain,
        "CLIENT_ID": tenant.client_id,
        "CLIENT_SECRET": tenant.client_secret,
        "REDIRECT_URI": "https://app.example.com/callback",
    }
    for name, value in values.items():
        code = code.replace(f"<AUTH0_{name}>", value)
    code = code.replace("secret='<AUTH0_SECRET>',", f"secret={SESSION_SECRET!r}, state_store=state_store,")
    code = code.replace("secret='<AUTH0_SECRET>'", f"secret={SESSION_SECRET!r}, state_store=state_store")
    if package == SYNC:
        code = code.replace("await ", "").replace("async ", "")
    elif package == OURS:
        for line, renamed in RENAMED.items():
            code = code.replace(line, renamed)
    program = compile(code.replace(THEIRS, package.split()[0]), package, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def evaluate() -> None:
        result: Awaitable[None] | None = eval(program, names)
        if result is not None:
            await result

    with warnings.catch_warnings(), redirect_stdout(io.StringIO()) as printed:
        warnings.simplefilter("ignore" if package == THEIRS else "error")
        anyio.run(evaluate)
    if package != THEIRS:
        getattr(names["auth0"], "sync", names["auth0"]).close()
    return printed.getvalue()


@pytest.mark.parametrize("package", [THEIRS, OURS, SYNC])
@pytest.mark.parametrize("name", PROGRAMS)
def test_both_packages_print_the_same(
    name: str, package: str, tenant: LocalTenant, server: TenantServer, key: rsa.RSAPrivateKey
) -> None:
    """A program that was written for the one prints by the other what it printed before."""
    code, printed = PROGRAMS[name]
    assert printed == run(package, code, tenant, server, key)


def _public(value: object) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_")}


def _missing_methods() -> list[str]:
    missing = _public(TheirClient) - _public(ServerClient)
    return sorted(name for name in missing if not name.isupper())


def _missing_arguments() -> list[str]:
    ours = set(inspect.signature(ServerClient).parameters)
    return sorted(set(inspect.signature(TheirClient).parameters) - ours)


def _missing_errors() -> list[str]:
    kinds = {name for name in _public(their_error) if isinstance(getattr(their_error, name), type)}
    return sorted(
        name for name in kinds - _public(auth0_cte.error) if getattr(their_error, name).__module__ != "typing"
    )


@pytest.mark.parametrize("name", _missing_methods())
@pytest.mark.parametrize("kind", [ServerClient, AsyncServerClient])
def test_a_method_that_is_not_there_is_named(name: str, kind: type) -> None:
    """The error says why, or what to use, and the table of the documentation has it."""
    client = kind("tenant.auth0.com", "c", "s")
    with pytest.raises(AttributeError, match=f"{kind.__name__} has no {name}: "):
        getattr(client, name)
    assert not hasattr(client, name)
    assert UNSUPPORTED_METHODS[name]
    assert f"``{name}``" in TABLE


def test_a_misspelt_method_is_told_as_python_tells_it() -> None:
    """What no library has gets no reason."""
    with pytest.raises(AttributeError, match="'ServerClient' object has no attribute 'get_usr'"):
        _ = ServerClient("tenant.auth0.com", "c", "s").get_usr  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", _missing_arguments())
@pytest.mark.parametrize("kind", [ServerClient, AsyncServerClient])
def test_an_argument_that_is_not_there_is_refused(name: str, kind: type) -> None:
    """The constructor says why, or what to use, and the table of the documentation has it."""
    with pytest.raises(ConfigurationError, match=f"{name} is not supported: "):
        kind("tenant.auth0.com", "c", "s", **{name: True})
    assert f"``{name}``" in TABLE


@pytest.mark.parametrize("name", _missing_errors())
def test_an_error_that_is_not_there_stands_in_the_table(name: str) -> None:
    """Importing it fails by its name; the documentation says what is raised instead."""
    assert f"``{name}``" in TABLE


def test_codes_are_there_by_their_names() -> None:
    """A program that compares ``e.code`` with any of the names runs."""
    for kind in ("AccessTokenErrorCode", "AccessTokenForConnectionErrorCode", "CustomTokenExchangeErrorCode"):
        theirs, ours = _public(getattr(their_error, kind)), _public(getattr(auth0_cte.error, kind))
        assert theirs <= ours
