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
from tests.session.clients import SECRET, MakeClient, new_jar, options
from tests.session.test_cookie_fuzz import django_request, starlette_request, werkzeug_request

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


def state_of(tenant: LocalTenant, domain: str | None = None, **user: Any) -> dict[str, Any]:
    """Return what the sibling keeps for a user who logged in just now."""
    if "auth0|ada" not in tenant.users:
        tenant.add_user("auth0|ada")
    clock = tenant.clock
    state = StateData.model_validate(
        {
            "user": {"sub": "auth0|ada", "email": "ada@example.com", **user},
            "id_token": tenant.id_token("auth0|ada"),
            "refresh_token": "a-refresh-token",
            "token_sets": [
                {"audience": API, "access_token": "an-access-token", "scope": "a b", "expires_at": int(clock()) + 600}
            ],
            "domain": domain or tenant.domain,
            "internal": {"sid": "the-sid", "created_at": int(clock())},
        }
    )
    dumped: dict[str, Any] = state.model_dump()
    return dumped


def check_read(client: ServerClient, jar: dict[str, str]) -> None:
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert ("auth0|ada", "ada@example.com") == (session.user["sub"], session.user["email"])
    assert ("a-refresh-token", "the-sid") == (session.refresh_token, session.sid)
    assert session.id_token
    assert [API] == [each.audience for each in session.token_sets]
    assert (
        "an-access-token" == client.get_access_token({"cookies": jar}) == client.get_access_token({"cookies": jar}, API)
    )


def test_their_seal_is_opened_here(tenant: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """What auth0-server-python encrypted with the same secret and identifier is a session here."""
    sealed = encrypt(state_of(tenant), SECRET, IDENTIFIER)
    check_read(make_client(tenant), {f"{IDENTIFIER}_0": sealed})
    assert make_client(tenant, secret="x" * 40).get_user({"cookies": {f"{IDENTIFIER}_0": sealed}}) is None


@pytest.mark.parametrize("size", [0, 3000], ids=["one cookie", "two cookies"])
def test_their_cookies_are_read_here(size: int, tenant: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """What auth0-fastapi's stateless store set on a response is a session here, chunked as it chunks."""
    jar = fastapi_cookies(state_of(tenant, name="n" * size))
    assert (1 if size == 0 else 2) == len(jar)
    check_read(make_client(tenant), jar)


def test_what_they_keep_besides_outlives_a_refresh(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """Members of a session that are not known here are carried along, empty ones too."""
    kept = {"count": 0, "flags": [], "note": "theirs"}
    jar = {f"{IDENTIFIER}_0": encrypt({**state_of(tenant), **kept}, SECRET, IDENTIFIER)}
    clock.advance(700)
    tenant.fail_next(200, body={"access_token": "new", "expires_in": 600}, grant_type="refresh_token")
    assert "new" == make_client(tenant).get_access_token({"cookies": jar})
    written = decrypt("".join(jar.values()), SECRET, IDENTIFIER)
    assert kept == {name: written.get(name) for name in kept}


def fastapi_cookies(state: dict[str, Any]) -> dict[str, str]:
    """Return the cookies that auth0-fastapi sets for a session."""
    response = Response()
    store = StatelessStateStore(SECRET)
    with pytest.warns(DeprecationWarning, match="model_dump"):  # their own call of pydantic's dict()
        run(store.set(IDENTIFIER, StateData.model_validate(state), options={"response": response}))
    return jar_of(response)


def test_a_session_of_theirs_that_is_too_large_to_write_is_read(tenant: LocalTenant, make_client: MakeClient) -> None:
    """They write sessions of 9.9 KB; reading one with a response at hand does not fail because it cannot renew it."""
    jar = fastapi_cookies(state_of(tenant, name="n" * 6000))
    assert 3 == len(jar)
    assert 9_000 < sum(map(len, jar.values())) < 10_500
    client, response = make_client(tenant), Response()
    for _ in range(2):
        user = client.get_user({"request": request_with(jar), "response": response})
        assert user is not None
        assert "n" * 6000 == user["name"]
    assert [] == response.headers.getlist("set-cookie")
    check_read(client, dict(jar))


def test_a_chunk_that_they_left_behind_is_no_part_of_the_session(tenant: LocalTenant, make_client: MakeClient) -> None:
    """When they shorten a session they leave the last chunk of the longer one, which is not read and is removed."""
    long = fastapi_cookies(state_of(tenant, name="n" * 6000))
    short = fastapi_cookies(state_of(tenant))
    jar = {**long, **short}
    assert 3 == len(jar)
    client = make_client(tenant)
    check_read(client, jar)
    client.login_with_custom_token_exchange(options("auth0|eve"), {"cookies": jar})
    assert [f"{IDENTIFIER}_0"] == list(jar)


def test_of_two_cookies_of_one_name_the_session_is_found(tenant: LocalTenant, make_client: MakeClient) -> None:
    """A browser with cookies for two paths sends both; in each order, and with the other one's chunks behind."""
    mine = fastapi_cookies(state_of(tenant))
    foreign = {f"{IDENTIFIER}_0": "x" * 50, f"{IDENTIFIER}_1": "y" * 50}
    long = fastapi_cookies(state_of(tenant, "other.auth0.com", name="n" * 3000))
    client = make_client(tenant)
    for other in (foreign, {f"{IDENTIFIER}_0": ""}, long):
        for pairs in ([*mine.items(), *other.items()], [*other.items(), *mine.items()]):
            header = "; ".join(f"{name}={value}" for name, value in pairs)
            for request in (starlette_request(header.encode()), werkzeug_request(header.encode())):
                user = client.get_user({"request": request})
                assert user is not None
                assert "ada@example.com" == user["email"]
            assert client.get_user({"request": django_request(header.encode())})


def test_a_session_of_theirs_for_another_domain_is_none_here(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """The domain that they keep in a session is respected."""
    sealed = encrypt(state_of(tenant, "other.auth0.com"), SECRET, IDENTIFIER)
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
