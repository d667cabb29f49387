"""Sessions that auth0-server-python and auth0-fastapi wrote are read here, and ours by them: the real packages."""

from __future__ import annotations

import json
import warnings
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import Response

from auth0_cte import ServerClient
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.clients import SECRET, MakeClient
from tests.session.test_login import new_jar, options

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # their models are written in pydantic's old way
    from auth0_fastapi.stores import StatelessStateStore  # type: ignore[import-untyped]
    from auth0_server_python.auth_server import server_client as sibling  # type: ignore[import-untyped]
    from auth0_server_python.auth_types import StateData  # type: ignore[import-untyped]
    from auth0_server_python.encryption import decrypt, encrypt  # type: ignore[import-untyped]

IDENTIFIER = "_a0_session"
API = "https://api.example.com"

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    async def main() -> T:
        return await work

    return anyio.run(main)


def request_with(jar: dict[str, str]) -> Request:
    cookie = "; ".join(f"{name}={value}" for name, value in jar.items()).encode("ascii")
    headers = [(b"host", b"app.example"), (b"cookie", cookie)]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers})


def jar_of(response: Response) -> dict[str, str]:
    pairs = [value.split(";")[0].partition("=") for value in response.headers.getlist("set-cookie")]
    return {name: value for name, _, value in pairs}


def state_of(clock: FakeClock, domain: str, **user: Any) -> dict[str, Any]:
    """Return what the sibling keeps for a user who logged in just now."""
    state = StateData.model_validate(
        {
            "user": {"sub": "auth0|ada", "email": "ada@example.com", **user},
            "id_token": "an.id.token",
            "refresh_token": "a-refresh-token",
            "token_sets": [
                {"audience": API, "access_token": "an-access-token", "scope": "a b", "expires_at": int(clock()) + 600}
            ],
            "domain": domain,
            "internal": {"sid": "the-sid", "created_at": int(clock())},
        }
    )
    dumped: dict[str, Any] = state.model_dump()
    return dumped


def check_read(client: ServerClient, jar: dict[str, str]) -> None:
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert ("auth0|ada", "ada@example.com") == (session.user["sub"], session.user["email"])
    assert ("an.id.token", "a-refresh-token", "the-sid") == (session.id_token, session.refresh_token, session.sid)
    assert [API] == [each.audience for each in session.token_sets]
    assert (
        "an-access-token" == client.get_access_token({"cookies": jar}) == client.get_access_token({"cookies": jar}, API)
    )


def test_their_seal_is_opened_here(tenant: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """What auth0-server-python encrypted with the same secret and identifier is a session here."""
    sealed = encrypt(state_of(clock, tenant.domain), SECRET, IDENTIFIER)
    check_read(make_client(tenant), {f"{IDENTIFIER}_0": sealed})
    assert make_client(tenant, secret="x" * 40).get_user({"cookies": {f"{IDENTIFIER}_0": sealed}}) is None


@pytest.mark.parametrize("size", [0, 3000], ids=["one cookie", "two cookies"])
def test_their_cookies_are_read_here(size: int, tenant: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """What auth0-fastapi's stateless store set on a response is a session here, chunked as it chunks."""
    response = Response()
    state = StateData.model_validate(state_of(clock, tenant.domain, name="n" * size))
    store = StatelessStateStore(SECRET)
    with pytest.warns(DeprecationWarning, match="model_dump"):  # their own call of pydantic's dict()
        run(store.set(IDENTIFIER, state, options={"response": response}))
    jar = jar_of(response)
    assert (1 if size == 0 else 2) == len(jar)
    check_read(make_client(tenant), jar)


def test_a_session_of_theirs_for_another_domain_is_none_here(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """The domain that they keep in a session is respected."""
    sealed = encrypt(state_of(clock, "other.auth0.com"), SECRET, IDENTIFIER)
    assert make_client(tenant).get_user({"cookies": {f"{IDENTIFIER}_0": sealed}}) is None


@pytest.mark.parametrize("name", ["Ada", "n" * 1100], ids=["one cookie", "two cookies"])
def test_our_cookies_are_read_there(name: str, tenant: LocalTenant, make_client: MakeClient) -> None:
    """What a login wrote here passes their model, by their store and by their decryption."""
    tenant.add_user("auth0|ada", name=name)
    jar = new_jar()
    login = options("auth0|ada", audience=API, scope="profile offline_access")
    result = make_client(tenant).login_with_custom_token_exchange(login, {"cookies": jar})
    assert (1 if name == "Ada" else 2) == len(jar)
    found = run(StatelessStateStore(SECRET).get(IDENTIFIER, options={"request": request_with(jar)}))
    state: Any = StateData.model_validate(found)
    assert ("auth0|ada", name) == (state.user.sub, state.user.name)
    assert (result.session.sid, result.session.created_at) == (state.internal.sid, state.internal.created_at)
    assert (result.session.refresh_token, tenant.domain) == (state.refresh_token, state.domain)
    assert [(API, result.session.token_sets[0].access_token, result.session.token_sets[0].expires_at)] == [
        (each.audience, each.access_token, each.expires_at) for each in state.token_sets
    ]
    assert json.loads(json.dumps(found)) == decrypt(
        "".join(value for _, value in sorted(jar.items())), SECRET, IDENTIFIER
    )


def test_their_client_knows_our_user(tenant: LocalTenant, make_client: MakeClient) -> None:
    """The sibling's ServerClient, at the same tenant and with the same secret, takes over a session of ours."""
    tenant.add_user("auth0|ada", email="ada@example.com")
    jar = new_jar()
    result = make_client(tenant).login_with_custom_token_exchange(options("auth0|ada", scope="email"), {"cookies": jar})
    theirs = sibling.ServerClient(
        domain=tenant.domain,
        client_id=tenant.client_id,
        client_secret=tenant.client_secret,
        secret=SECRET,
        state_store=StatelessStateStore(SECRET),
        transaction_store=StatelessStateStore(SECRET),
    )
    store_options = {"request": request_with(jar), "response": Response()}
    user: Any = run(theirs.get_user(store_options))
    assert ("auth0|ada", "ada@example.com") == (user["sub"], user["email"])
    session: Any = run(theirs.get_session(store_options))
    assert result.session.token_sets[0].access_token == session["token_sets"][0]["access_token"]


def test_a_session_without_expiry_passes_their_model(tenant: LocalTenant, make_client: MakeClient) -> None:
    """A reply without expires_in makes a session, and their model takes that, too."""
    tenant.add_user("auth0|ada")
    jar = new_jar()
    tenant.fail_next(200, body={"access_token": "a", "id_token": tenant.id_token("auth0|ada")})
    make_client(tenant).login_with_custom_token_exchange(options("auth0|ada"), {"cookies": jar})
    found = run(StatelessStateStore(SECRET).get(IDENTIFIER, options={"request": request_with(jar)}))
    state: Any = StateData.model_validate(found)
    assert "auth0|ada" == state.user.sub
