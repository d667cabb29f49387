"""The libraries that exchange tokens side by side: all send the same form, verify TLS and reuse what they can.

auth0-server-python alone sends the client secret as it always does, in the Authorization header.

Modules are imported by name, so that one that is not installed is a row of the table and not an error.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlencode

from attrs import frozen

from tests.benchmarks.measure import Contender

AUTH0_CTE: Final = "auth0_cte ServerClient"
REQUESTS: Final = "requests Session.post"
URLLIB3: Final = "urllib3 PoolManager.request"
AUTH0_SERVER_PYTHON: Final = "auth0-server-python ServerClient"

CLIENT_ID: Final = "JvD3kPq7sT1wXz5bN9mL2fHc6gRa8yUe"
CLIENT_SECRET: Final = "k7Qm2Xv9Lr4Tz8Wb1Nc6Hp3Jd5Fs0Gy-Ae_Uo7Ri"
GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
SUBJECT: Final[dict[str, Any]] = {
    "subject_token": "eyJhbGciOiJSUzI1NiJ9." + "aB3dE5fG7h" * 77 + "123456789",
    "subject_token_type": "urn:acme:mcp-token",
    "audience": "https://api.example.com",
}
SCOPE: Final = "openid read:data write:data"
FORM: Final[dict[str, str]] = {
    "grant_type": GRANT_TYPE,
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    **SUBJECT,
    "scope": SCOPE,
}
HEADERS: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
TIMEOUT: Final = (5.0, 10.0)


@frozen
class Destination:
    """Where exchanges go.

    Args:
        issuer: The issuer's URL; the token endpoint is ``oauth/token`` below it.
        ca_file: The CAs to trust.
    """

    issuer: str
    ca_file: str

    @property
    def token_endpoint(self) -> str:
        """The URL of the token endpoint."""
        return self.issuer + "oauth/token"

    @property
    def domain(self) -> str:
        """The issuer's host and port."""
        return self.issuer.removeprefix("https://").rstrip("/")


Exchange = Callable[[], str]
"""Exchanges a token once and returns the access token."""


def _auth0_cte(to: Destination, stack: ExitStack) -> Exchange:
    from auth0_cte import CustomTokenExchangeOptions, ServerClient

    client = stack.enter_context(ServerClient(to.issuer, CLIENT_ID, CLIENT_SECRET, ca_bundle=to.ca_file))

    def exchange() -> str:
        response = client.custom_token_exchange(CustomTokenExchangeOptions(**SUBJECT, scope=SCOPE))
        if response.id_token_error is not None:
            raise response.id_token_error
        return response.access_token

    return exchange


def _requests_session(to: Destination, stack: ExitStack) -> Any:
    session = stack.enter_context(import_module("requests").Session())
    session.verify = to.ca_file
    return session


def _requests(to: Destination, stack: ExitStack) -> Exchange:
    post, url = _requests_session(to, stack).post, to.token_endpoint
    return lambda: post(url, data=FORM, timeout=TIMEOUT).json()["access_token"]


def _urllib3(to: Destination, stack: ExitStack) -> Exchange:
    urllib3 = import_module("urllib3")
    timeout = urllib3.Timeout(connect=TIMEOUT[0], read=TIMEOUT[1])
    pool = stack.enter_context(urllib3.PoolManager(ca_certs=to.ca_file, timeout=timeout))
    url = to.token_endpoint
    return lambda: pool.request("POST", url, body=urlencode(FORM), headers=HEADERS).json()["access_token"]


def _httpx(to: Destination, stack: ExitStack) -> Exchange:
    httpx = import_module("httpx")
    context = ssl.create_default_context(cafile=to.ca_file)
    timeout = httpx.Timeout(TIMEOUT[1], connect=TIMEOUT[0])
    client = stack.enter_context(httpx.Client(verify=context, timeout=timeout))
    url = to.token_endpoint
    return lambda: client.post(url, data=FORM).json()["access_token"]


def _authlib(to: Destination, stack: ExitStack) -> Exchange:
    module = import_module("authlib.integrations.requests_client")
    session = stack.enter_context(
        module.OAuth2Session(CLIENT_ID, CLIENT_SECRET, token_endpoint_auth_method="client_secret_post")
    )
    session.verify = to.ca_file
    fetch = partial(session.fetch_token, to.token_endpoint, grant_type=GRANT_TYPE, timeout=TIMEOUT)
    return lambda: fetch(**SUBJECT, scope=SCOPE)["access_token"]


def _google_auth(to: Destination, stack: ExitStack) -> Exchange:
    sts, utils = import_module("google.oauth2.sts"), import_module("google.oauth2.utils")
    transport = import_module("google.auth.transport.requests").Request(_requests_session(to, stack))
    auth = utils.ClientAuthentication(utils.ClientAuthType.request_body, CLIENT_ID, CLIENT_SECRET)
    client = sts.Client(to.token_endpoint, auth)
    exchange = partial(client.exchange_token, partial(transport, timeout=TIMEOUT), GRANT_TYPE)
    scopes = SCOPE.split()
    return lambda: exchange(**SUBJECT, scopes=scopes)["access_token"]


def _auth0_server_python(to: Destination, stack: ExitStack) -> Callable[[int], str]:
    # As shipped: it makes an HTTP client, an SSL context and a connection for each call, and there is no other way
    # to name a CA than the environment.
    os.environ["SSL_CERT_FILE"] = to.ca_file
    stack.callback(os.environ.pop, "SSL_CERT_FILE", None)
    with warnings.catch_warnings(action="ignore"):  # what its dependencies deprecate is its own business
        package = import_module("auth0_server_python.auth_server.server_client")
    make_options = import_module("auth0_server_python.auth_types").CustomTokenExchangeOptions
    client = package.ServerClient(to.domain, CLIENT_ID, CLIENT_SECRET, secret=CLIENT_SECRET)
    runner = stack.enter_context(asyncio.Runner())

    async def exchange_often(calls: int) -> str:
        access_token = ""
        for _ in range(calls):
            response = await client.custom_token_exchange(make_options(**SUBJECT, scope=SCOPE))
            access_token = response.access_token
        return access_token

    return lambda calls: runner.run(exchange_often(calls))


def _often(exchange: Exchange) -> Callable[[int], str]:
    def run(calls: int) -> str:
        access_token = ""
        for _ in range(calls):
            access_token = exchange()
        return access_token

    return run


_MAKERS: Final[dict[str, Callable[[Destination, ExitStack], Exchange]]] = {
    AUTH0_CTE: _auth0_cte,
    REQUESTS: _requests,
    URLLIB3: _urllib3,
    "httpx Client.post": _httpx,
    "Authlib OAuth2Session.fetch_token": _authlib,
    "google-auth sts.Client": _google_auth,
}

ALL: Final = (*_MAKERS, AUTH0_SERVER_PYTHON)
PACKAGES: Final = ("auth0-cte", "requests", "urllib3", "httpx", "Authlib", "google-auth", "auth0-server-python")


def open_contender(name: str, to: Destination, stack: ExitStack) -> Contender | None:
    """Make a client, and let it make a few calls.

    Args:
        name: One of ``ALL``.
        to: Where it sends its requests.
        stack: What closes it.

    Returns:
        The contender, or None when its library is not installed.
    """
    try:
        if name == AUTH0_SERVER_PYTHON:
            contender = Contender(name, _auth0_server_python(to, stack), share=20)
        else:
            contender = Contender(name, _often(_MAKERS[name](to, stack)))
    except ModuleNotFoundError:
        return None
    if not contender.run(5):
        raise RuntimeError(f"{name} received no access token")
    return contender
