"""Who logs users in and reads their sessions: the same wire, checks, JSON and cookies, by several means.

A login is an exchange, the verification of the ID token and the sealing of the session into cookies that were not there
before; a read is the way back, from cookies to the user.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import warnings
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack, suppress
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlencode

import requests
from attrs import field, frozen

from auth0_cte import LoginWithCustomTokenExchangeOptions, ServerClient
from auth0_cte.foundation.deadline import Deadline
from auth0_cte.transport.client import Http, HttpRequest, TransportSettings
from auth0_cte.transport.headers import common_headers
from tests.benchmarks.by_hand import AesCbcHmac, AesGcm, Seal, Signed, Unseal, rsa_key, seal_key
from tests.benchmarks.contenders import (
    AUTH0_CTE,
    AUTH0_SERVER_PYTHON,
    CLIENT_ID,
    CLIENT_SECRET,
    FORM,
    HEADERS,
    SCOPE,
    SUBJECT,
    TIMEOUT,
    Destination,
)
from tests.benchmarks.crypto_contenders import IDENTIFIER, SECRET, JwcryptoJwt, JwcryptoSealer

Jar = dict[str, str]
"""Cookies by name."""

JWCRYPTO: Final = "requests + jwcrypto JWT and JWE"
LIMIT: Final = "own transport + cryptography, AES-GCM"
LIMIT_IN_FORMAT: Final = "own transport + cryptography, A256CBC-HS512"

CHUNK_BYTES: Final = 3800
ABSOLUTE_SECONDS: Final = 3 * 24 * 3600
INACTIVITY_SECONDS: Final = 24 * 3600
TOKEN_CLAIMS: Final = frozenset({"iss", "aud", "exp", "iat", "nbf", "nonce", "azp", "at_hash", "c_hash", "s_hash"})


@frozen
class Sessions:
    """Someone who logs users in.

    Args:
        login: Logs in so many times, each time without cookies, and returns those of the last time.
        read: Reads the user from the same cookies so many times.
        share: As for `measure.Contender`, of the logins.
        is_portable: Whether the cookies are in the format of auth0-server-python.
    """

    login: Callable[[int], Jar]
    read: Callable[[Jar, int], Mapping[str, Any]] = field(repr=False)
    share: int = 1
    is_portable: bool = True

    @classmethod
    def of(
        cls, login: Callable[[], Jar], read: Callable[[Jar], Mapping[str, Any] | None], *, is_portable: bool = True
    ) -> Sessions:
        """Make it of functions that do their work once."""

        def login_often(calls: int) -> Jar:
            jar: Jar = {}
            for _ in range(calls):
                jar = login()
            return jar

        def read_often(jar: Jar, calls: int) -> Mapping[str, Any]:
            user: Mapping[str, Any] | None = None
            for _ in range(calls):
                user = read(jar)
            return user or {}

        return cls(login_often, read_often, is_portable=is_portable)


def connect(to: Destination, stack: ExitStack) -> ServerClient:
    """Make a client of ours that keeps sessions in cookies."""
    client = ServerClient(to.issuer, CLIENT_ID, CLIENT_SECRET, ca_bundle=to.ca_file, secret=SECRET)
    return stack.enter_context(client)


def _auth0_cte(to: Destination, stack: ExitStack) -> Sessions:
    client = connect(to, stack)

    def login() -> Jar:
        jar: Jar = {}
        options = LoginWithCustomTokenExchangeOptions(**SUBJECT, scope=SCOPE)
        client.login_with_custom_token_exchange(options, {"cookies": jar})
        return jar

    return Sessions.of(login, lambda jar: client.get_user({"cookies": jar}))


def fetch_keys(to: Destination) -> str:
    """Fetch the key set of the server, as JSON."""
    return requests.get(to.issuer + ".well-known/jwks.json", verify=to.ca_file, timeout=TIMEOUT).text


def _jwcrypto(to: Destination, stack: ExitStack) -> Sessions:
    session = stack.enter_context(requests.Session())
    session.verify = to.ca_file
    jwt, sealer = JwcryptoJwt(fetch_keys(to), to.issuer), JwcryptoSealer()

    def login() -> Jar:
        reply = session.post(to.token_endpoint, data=FORM, timeout=TIMEOUT)
        reply.raise_for_status()
        tokens = reply.json()
        return _to_jar(sealer.seal(_new_state(tokens, jwt.verify(tokens["id_token"]), to.domain)))

    return Sessions.of(login, lambda jar: _user(sealer.unseal(_from_jar(jar)), to.domain))


def _limit(to: Destination, stack: ExitStack) -> Sessions:
    sealer = AesGcm(seal_key(SECRET, IDENTIFIER, 32))
    return _by_hand(to, stack, sealer.seal, sealer.unseal, is_portable=False)


def _limit_in_format(to: Destination, stack: ExitStack) -> Sessions:
    sealer = AesCbcHmac(seal_key(SECRET, IDENTIFIER))
    return _by_hand(to, stack, sealer.seal, sealer.unseal, is_portable=True)


def _by_hand(to: Destination, stack: ExitStack, seal: Seal, unseal: Unseal, *, is_portable: bool) -> Sessions:
    http = Http(TransportSettings(ca_bundle=to.ca_file))
    stack.callback(http.close)
    headers = {**common_headers(telemetry=True), **HEADERS}
    request = HttpRequest(method="POST", url=to.token_endpoint, headers=headers, body=urlencode(FORM))
    key = rsa_key(json.loads(fetch_keys(to))["keys"][0])

    def login() -> Jar:
        reply = http.send(request, Deadline(TIMEOUT[1]))
        tokens = json.loads(reply.body)
        claims = Signed.parse(tokens["id_token"], key).claims()
        if claims["iss"] != to.issuer or claims["aud"] != CLIENT_ID or claims["exp"] <= time.time():
            raise ValueError("the ID token is not acceptable")
        return _to_jar(seal(_new_state(tokens, claims, to.domain)))

    return Sessions.of(login, lambda jar: _user(unseal(_from_jar(jar)), to.domain), is_portable=is_portable)


def _new_state(tokens: Mapping[str, Any], claims: Mapping[str, Any], domain: str) -> dict[str, Any]:
    now = int(time.time())
    token_set = {"audience": SUBJECT["audience"], "access_token": tokens["access_token"], "scope": tokens["scope"]}
    internal = {"sid": claims["sid"], "created_at": now, "touched_at": now}
    return {
        "user": {name: value for name, value in claims.items() if name not in TOKEN_CLAIMS},
        "id_token": tokens["id_token"],
        "refresh_token": tokens.get("refresh_token"),
        "token_sets": [{**token_set, "expires_at": now + tokens["expires_in"]}],
        "domain": domain,
        "internal": {**internal, "default_audience": SUBJECT["audience"], "default_scope": tokens["scope"]},
    }


def _user(state: Mapping[str, Any], domain: str) -> Mapping[str, Any]:
    now, internal = time.time(), state["internal"]
    is_live = internal["created_at"] + ABSOLUTE_SECONDS > now and internal["touched_at"] + INACTIVITY_SECONDS > now
    if not is_live or state["domain"] != domain:
        raise ValueError("the session has ended")
    user: Mapping[str, Any] = state["user"]
    return user


def _to_jar(sealed: str) -> Jar:
    starts = range(0, len(sealed), CHUNK_BYTES)
    return {f"{IDENTIFIER}_{number}": sealed[start : start + CHUNK_BYTES] for number, start in enumerate(starts)}


def _from_jar(jar: Jar) -> str:
    return "".join([jar[f"{IDENTIFIER}_{number}"] for number in range(len(jar))])


@frozen
class _Response:
    """What a store of auth0-fastapi needs of a response."""

    jar: Jar

    def set_cookie(self, key: str, value: str, **_attributes: Any) -> None:
        self.jar[key] = value


@frozen
class _Request:
    """What a store of auth0-fastapi needs of a request."""

    cookies: Jar


def _shipped_client(to: Destination, stack: ExitStack) -> Any:
    # As it is shipped, with the cookie store of auth0-fastapi.
    os.environ["SSL_CERT_FILE"] = to.ca_file
    stack.callback(os.environ.pop, "SSL_CERT_FILE", None)
    with warnings.catch_warnings(action="ignore"):  # what its dependencies deprecate is its own business
        package = import_module("auth0_server_python.auth_server.server_client")
        stores = import_module("auth0_fastapi.stores.stateless_state_store")
    store = stores.StatelessStateStore(SECRET, cookie_name=IDENTIFIER)
    return package.ServerClient(to.domain, CLIENT_ID, CLIENT_SECRET, secret=SECRET, state_store=store)


def _auth0_server_python(to: Destination, stack: ExitStack) -> Sessions:
    client = _shipped_client(to, stack)
    make_options = import_module("auth0_server_python.auth_types").LoginWithCustomTokenExchangeOptions
    runner = stack.enter_context(asyncio.Runner())  # one event loop for all calls

    async def login_often(calls: int) -> Jar:
        jar: Jar = {}
        for _ in range(calls):
            jar = {}
            options = make_options(**SUBJECT, scope=SCOPE)
            await client.login_with_custom_token_exchange(options, {"response": _Response(jar)})
        return jar

    async def read_often(jar: Jar, calls: int) -> Mapping[str, Any]:
        user: Mapping[str, Any] | None = None
        for _ in range(calls):
            user = await client.get_user({"request": _Request(jar)})
        return user or {}

    return Sessions(_running(runner, login_often), _running(runner, read_often), share=20)


def _running(runner: asyncio.Runner, function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    return lambda *arguments: runner.run(function(*arguments))


_MAKERS: Final[dict[str, Callable[[Destination, ExitStack], Sessions]]] = {
    AUTH0_CTE: _auth0_cte,
    JWCRYPTO: _jwcrypto,
    AUTH0_SERVER_PYTHON: _auth0_server_python,
    LIMIT: _limit,
    LIMIT_IN_FORMAT: _limit_in_format,
}

ALL: Final = tuple(_MAKERS)


def open_sessions(to: Destination, stack: ExitStack) -> dict[str, Sessions]:
    """Make all of them, and see that they do their work.

    Args:
        to: Where they send their requests.
        stack: What closes them.

    Returns:
        They by name, without those whose libraries are not installed.

    Raises:
        RuntimeError: One of them logs nobody in, or so that the others could not read it.
    """
    opened: dict[str, Sessions] = {}
    for name, make in _MAKERS.items():
        with suppress(ModuleNotFoundError):
            opened[name] = make(to, stack)
    for name, sessions in opened.items():
        jar = sessions.login(3)
        user = sessions.read(jar, 3)
        reader = opened[AUTH0_CTE] if sessions.is_portable else sessions
        if "sub" not in user or reader.read(jar, 1) != user:
            raise RuntimeError(f"{name} logs no user in")
    return opened
