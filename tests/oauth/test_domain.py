"""Many domains: which one a call is for, and that nothing of one gets to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
import responses

from auth0_cte import (
    AccessTokenError,
    AsyncServerClient,
    ConfigurationError,
    CookieSettings,
    DomainResolverContext,
    DomainResolverError,
    IdTokenError,
    MemoryStateStore,
    ServerClient,
    SessionSettings,
)
from auth0_cte.auth_server.backchannel import answer_logout_request
from auth0_cte.testing import FakeClock, LocalTenant

TYPE = "urn:acme:mcp-token"
SECRET = "a-secret-of-more-than-thirty-two-bytes"
OPTIONS: dict[str, Any] = {"subject_token": "x", "subject_token_type": TYPE}
A, B = "a.auth0.local", "b.auth0.local"

# What a resolver could be tricked into, and what a configuration could be mistaken in.
HOSTILE: list[Any] = [
    *(
        None,
        "",
        " ",
        "\t",
        5,
        True,
        b"tenant.auth0.com",
        ["tenant.auth0.com"],
        {"domain": "tenant.auth0.com"},
        ...,
    ),
    *("user@tenant.auth0.com", "user:pw@tenant.auth0.com", "https://tenant.auth0.com@evil.example", "@evil.example"),
    *(
        "tenant.auth0.com/oauth",
        "tenant.auth0.com/..",
        "tenant.auth0.com?x",
        "tenant.auth0.com#x",
        "tenant.auth0.com//",
    ),
    *("tenant.auth0.com\\@evil.example", "tenant.auth0.com\\.evil.example", "https:\\\\tenant.auth0.com"),
    *("https:/tenant.auth0.com", "https:tenant.auth0.com", "//tenant.auth0.com", "https://https://tenant.auth0.com"),
    *("http://tenant.auth0.com", "ftp://tenant.auth0.com", "file:///etc/passwd", "javascript:alert(1)", "data:,x"),
    *(
        "tenant.auth0.com:443",
        "tenant.auth0.com:8443",
        "tenant.auth0.com:",
        "tenant.auth0.com:x",
        "tenant.auth0.com:-1",
    ),
    *(
        "tenant.auth0.com\n",
        "tenant.auth0.com\r\nHost: x",
        "tenant.auth0.com\x00",
        "tenant .auth0.com",
        " tenant.auth0.com",
    ),
    *(
        "ten\u00e4nt.auth0.com",
        "tenant\u3002auth0.com",
        "tenant.auth0.com\u200b",
        "ten\u0430nt.auth0.com",
        "\u24d0.com",
    ),
    *(
        "tenant%2eauth0.com",
        "tenant.auth0.com%00",
        "tenant",
        "com",
        ".auth0.com",
        "tenant..auth0.com",
        "tenant.auth0.com.",
    ),
    *(
        "-tenant.auth0.com",
        "tenant-.auth0.com",
        "ten_ant.auth0.com",
        "*.auth0.com",
        "a" * 64 + ".com",
        "a." * 130 + "com",
    ),
    *(
        "192.0.2.7",
        "10.0.0.1",
        "169.254.169.254",
        "http://169.254.169.254",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "169.254.169.0xfe",
        "0x7f.0x1",
        "0X7F.0X1",
        "tenant.0x",
        "0300.0250.0x1",
    ),
    *(
        "0177.0.0.1",
        "[2001:db8::1]",
        "[::ffff:169.254.169.254]",
        "[fe80::1%25eth0]",
        "2001:db8::1",
        "[::1",
        "1.2.3.4.5",
    ),
    *(
        "tenant.test:0",
        "tenant.test:65536",
        "http://tenant.test",
        "http://tenant.test:8443",
        "test:8443",
        "tenant.test.com:1",
    ),
    *("http://localhost:0", "http://localhost:65536", "localhost.evil.example:80", "127.0.0.1.evil.example:80"),
]


@pytest.mark.parametrize("domain", ["tenant.test:8443", "https://Tenant.TEST:8443/"])
def test_a_local_tenant_has_a_name_and_a_port(domain: str) -> None:
    """Names under .test are nobody's, so that they may have a port."""
    assert "https://tenant.test:8443/" == ServerClient(domain, "c", "s").settings.domain


def test_the_table_is_long_enough() -> None:
    """Sixty hosts and more are tried."""
    assert 60 < len(HOSTILE)


@pytest.mark.parametrize("domain", HOSTILE, ids=ascii)
def test_no_domain_leads_elsewhere(domain: Any) -> None:
    """A fixed domain is refused at construction, a resolver's in the call, before anything is sent or fetched."""
    with pytest.raises(ConfigurationError, match="domain"):
        ServerClient(domain, "c", "s")
    client = ServerClient(lambda _context: domain, "c", "s", secret=SECRET)
    with responses.RequestsMock() as wire:
        for call in (
            lambda: client.custom_token_exchange({**OPTIONS, "subject_token": lambda: 1 / 0}),
            lambda: client.login_with_custom_token_exchange(OPTIONS, {"cookies": {}}),
            lambda: client.get_token_on_behalf_of("x", "https://api.example"),
            lambda: client.request_session_transfer_token("x", TYPE, "y"),
            lambda: client.logout(None, {"cookies": {}}),
            lambda: client.handle_backchannel_logout("x"),
        ):
            with pytest.raises(ConfigurationError, match="domain"):
                call()
    assert 0 == len(wire.calls)


@pytest.mark.parametrize(
    "domain",
    [
        "tenant.auth0.com",
        "xn--tennt-gra.example",
        "https://tenant.auth0.com/",
        "TENANT.Auth0.com",
        "a-b.c.d-e.fr",
        "localhost",
        "127.0.0.1:1",
    ],
)
def test_host_names_are_domains(domain: str) -> None:
    """Plain host names serve in any case, as URLs too; an IDN in its ASCII form."""
    assert "ServerClient(domain='https://" in repr(ServerClient(domain, "c", "s"))


# --- the resolver


class Resolver:
    """Names a domain by the first label of the request's host, and counts."""

    def __init__(self) -> None:
        self.contexts: list[DomainResolverContext] = []

    def __call__(self, context: DomainResolverContext) -> str:
        self.contexts.append(context)
        return B if context.request_headers.get("host", "").startswith("b.") else A


class Request:
    """A request of Starlette or Flask, as far as it matters."""

    def __init__(self, host: str, cookies: dict[str, str]) -> None:
        self.url, self.headers, self.cookies = f"https://{host}/x", {"Host": host}, cookies


class Response:
    """A response that puts its cookies into a jar."""

    def __init__(self, jar: dict[str, str]) -> None:
        self.headers: dict[str, str] = {}
        self._jar = jar

    def set_cookie(self, name: str, value: str, max_age: int, **_attributes: Any) -> None:
        if max_age > 0:
            self._jar[name] = value
        else:
            self._jar.pop(name, None)


def at(host: str, jar: dict[str, str]) -> dict[str, Any]:
    return {"request": Request(host, jar), "response": Response(jar)}


@pytest.fixture
def tenants(clock: FakeClock) -> dict[str, LocalTenant]:
    """Two tenants side by side, with the same application."""
    made = {}
    for domain in (A, B):
        tenant = made[domain] = LocalTenant(domain, clock=clock, client_secret="the-secret-of-both")
        tenant.accept(TYPE, f"auth0|{domain[0]}")
        tenant.add_api("https://api.example.com", token_lifetime=600)
    return made


@pytest.fixture
def resolver() -> Resolver:
    return Resolver()


Maker = Callable[..., ServerClient]


@pytest.fixture
def make(tenants: dict[str, LocalTenant], resolver: Resolver) -> Maker:
    def make(**more: Any) -> ServerClient:
        session = tenants[A].session(beside=[tenants[B]])
        return tenants[A].client(**{"domain": resolver, "session": session, "secret": SECRET, **more})

    return make


def test_the_resolver_is_asked_once_a_call(make: Maker, resolver: Resolver, clock: FakeClock) -> None:
    """Every public method asks once, and a session's refresh goes to the domain that issued it."""
    client, jar = make(), dict[str, str]()
    asked = {**OPTIONS, "scope": "offline_access", "audience": "https://api.example.com"}
    calls: list[Callable[[], Any]] = [
        lambda: client.custom_token_exchange(OPTIONS, at("a.app.example", jar)),
        lambda: client.login_with_custom_token_exchange(asked, at("a.app.example", jar)),
        lambda: client.get_user(at("a.app.example", jar)),
        lambda: client.get_session(at("a.app.example", jar)),
        lambda: client.get_access_token(at("a.app.example", jar)),
        lambda: refreshed(client, jar, clock),
        lambda: client.get_token_on_behalf_of(client_token(client, jar), "https://api.example.com"),
        lambda: client.logout(None, at("a.app.example", jar)),
    ]
    for number, call in enumerate(calls):
        before = len(resolver.contexts)
        call()
        assert before + (2 if number == 6 else 1) == len(resolver.contexts), number


def refreshed(client: ServerClient, jar: dict[str, str], clock: FakeClock) -> str:
    clock.advance(700)
    return client.get_access_token(at("a.app.example", jar))


def client_token(client: ServerClient, jar: dict[str, str]) -> str:
    return client.get_access_token(at("a.app.example", jar))


def test_session_transfer_asks_once(make: Maker, resolver: Resolver, tenants: dict[str, LocalTenant]) -> None:
    """Finding the agent's session, naming the audience and exchanging are for one and the same domain."""
    tenants[B].accept("urn:acme:support", "auth0|customer", actor={"sub": "auth0|b"})
    client, jar = make(), dict[str, str]()
    client.login_with_custom_token_exchange(OPTIONS, at("b.app.example", jar))
    resolver.contexts.clear()
    client.request_session_transfer_token("x", "urn:acme:support", store_options=at("b.app.example", jar))
    assert 1 == len(resolver.contexts)
    assert f"urn:{B}:session_transfer" == tenants[B].token_requests[-1].form["audience"]


def test_the_resolver_sees_the_request(make: Maker, resolver: Resolver) -> None:
    """URL and headers, names in lower case; nothing outside of a request."""
    client = make()
    client.custom_token_exchange(OPTIONS, at("b.app.example", {}))
    client.custom_token_exchange(OPTIONS)
    client.custom_token_exchange(OPTIONS, {"cookies": {}})
    context, *others = resolver.contexts
    assert ("https://b.app.example/x", {"host": "b.app.example"}) == (context.request_url, context.request_headers)
    assert [(None, {})] * 2 == [(each.request_url, each.request_headers) for each in others]


def test_the_resolver_sees_requests_of_the_frameworks(make: Maker, resolver: Resolver) -> None:
    """Flask, Django and Starlette requests give the same context."""
    from django.test import RequestFactory
    from flask import Flask
    from flask import request as flask_request
    from starlette.requests import Request as StarletteRequest

    from tests.integration.apps import configure_django

    configure_django()
    client = make()
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "server": ("app.example", 443),
        "path": "/x",
        "query_string": b"y=1",
        "headers": [(b"host", b"app.example"), (b"x-brand", b"B")],
    }
    client.custom_token_exchange(OPTIONS, {"request": StarletteRequest(scope)})
    with Flask(__name__).test_request_context("/x?y=1", base_url="https://app.example", headers={"X-Brand": "B"}):
        client.custom_token_exchange(OPTIONS, {"request": flask_request})
    django_request = RequestFactory(headers={"X-Brand": "B"}).get(
        "/x?y=1", secure=True, headers={"host": "app.example"}
    )
    client.custom_token_exchange(OPTIONS, {"request": django_request})
    for context in resolver.contexts:
        assert "https://app.example/x?y=1" == context.request_url
        assert ("app.example", "B") == (context.request_headers["host"], context.request_headers["x-brand"])
    assert 3 == len(resolver.contexts)


def test_a_resolver_that_fails_is_told_with_its_cause() -> None:
    """Whatever the application's function raises becomes a ConfigurationError, and nothing is sent or fetched."""

    def resolve(context: DomainResolverContext) -> str:
        return {"a": "tenant.auth0.com"}[context.request_headers.get("x-brand", "none")]

    client = ServerClient(resolve, "c", "s", secret=SECRET)
    with responses.RequestsMock() as wire, pytest.raises(ConfigurationError, match="KeyError") as caught:
        client.custom_token_exchange({**OPTIONS, "subject_token": lambda: 1 / 0})
    assert "DOMAIN_RESOLVER_FAILED" == caught.value.code
    assert isinstance(caught.value.__cause__, KeyError)
    assert "__cause__" in caught.value.hint
    assert 0 == len(wire.calls)


def test_a_resolvers_own_refusal_is_kept() -> None:
    """An error of this library that the resolver raises goes through as it is."""

    def resolve(_context: DomainResolverContext) -> str:
        raise ConfigurationError("unknown brand", code="UNKNOWN_BRAND")

    with pytest.raises(ConfigurationError) as caught:
        ServerClient(resolve, "c", "s").custom_token_exchange(OPTIONS)
    assert "UNKNOWN_BRAND" == caught.value.code


class _Waiting:
    async def __call__(self, _context: DomainResolverContext) -> str:
        return "tenant.auth0.com"


async def _wait(_context: DomainResolverContext) -> str:
    return "tenant.auth0.com"


@pytest.mark.parametrize("resolve", [_wait, _Waiting()])
def test_an_asynchronous_resolver_is_refused_at_construction(resolve: Any) -> None:
    """A coroutine function cannot name a domain in time, and that is said at once."""
    with pytest.raises(ConfigurationError, match="asynchronous"):
        ServerClient(resolve, "c", "s")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("resolve", [_wait, _Waiting()])
def test_the_mirror_awaits_a_resolver(resolve: Any, backend: str) -> None:
    """An ``async`` resolver runs in the event loop of the caller, by position, by name and from the environment."""
    tenant = LocalTenant(domain="tenant.auth0.com")
    tenant.add_user("auth0|ada")
    tenant.accept(TYPE, "auth0|ada")
    tasks: list[int] = []

    async def ask(context: DomainResolverContext) -> str:
        tasks.append(anyio.get_current_task().id)
        return str(await resolve(context))

    async def main() -> None:
        more: dict[str, Any] = {"session": tenant.session()}
        named: dict[str, Any] = {"client_id": tenant.client_id, "client_secret": tenant.client_secret, **more}
        clients = [
            AsyncServerClient(ask, tenant.client_id, tenant.client_secret, **more),
            AsyncServerClient(domain=ask, **named),
            AsyncServerClient.from_env(domain=ask, **named),
        ]
        for client in clients:
            assert (await client.custom_token_exchange(OPTIONS)).access_token

    anyio.run(main, backend=backend)
    assert 3 == len(tasks)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_an_asynchronous_resolver_raises_is_told(backend: str) -> None:
    """Its exception is the cause, as that of a plain function is."""

    async def fail(_context: DomainResolverContext) -> str:
        raise LookupError("no tenant")

    async def main() -> None:
        with pytest.raises(DomainResolverError) as caught:
            await AsyncServerClient(fail, "c", "s").custom_token_exchange(OPTIONS)
        assert isinstance(caught.value.original_error, LookupError)

    anyio.run(main, backend=backend)


@pytest.mark.filterwarnings("error")
def test_a_coroutine_as_answer_is_refused() -> None:
    """One that only shows when it is called leaves no coroutine behind."""
    with pytest.raises(ConfigurationError, match="asynchronous"):
        ServerClient(lambda context: _wait(context), "c", "s").custom_token_exchange(OPTIONS)


# --- sessions


@pytest.mark.parametrize("stateless", [True, False])
def test_a_session_is_its_domains(
    stateless: bool, make: Maker, tenants: dict[str, LocalTenant], clock: FakeClock
) -> None:
    """A session of A is none at B; at A it is refreshed at A, and logged out at A."""
    client = make(state_store=None if stateless else MemoryStateStore())
    jar: dict[str, str] = {}
    asked = {**OPTIONS, "scope": "offline_access", "audience": "https://api.example.com"}
    client.login_with_custom_token_exchange(asked, at("a.app.example", jar))
    assert "auth0|a" == (client.get_user(at("a.app.example", jar)) or {})["sub"]
    assert (None, None) == (client.get_user(at("b.app.example", jar)), client.get_session(at("b.app.example", jar)))
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token(at("b.app.example", jar))
    assert "MISSING_SESSION" == caught.value.code
    clock.advance(700)
    client.get_access_token(at("a.app.example", jar))
    assert "refresh_token" == tenants[A].token_requests[-1].form["grant_type"]
    assert [] == list(tenants[B].requests)
    assert client.logout(None, at("a.app.example", jar)).startswith(f"https://{A}/v2/logout?")
    assert {} == jar


def test_the_logout_url_is_the_domains(make: Maker) -> None:
    """Each domain has its own."""
    client = make()
    for host, domain in (("a.app.example", A), ("b.app.example", B)):
        assert client.logout(None, at(host, {})).startswith(f"https://{domain}/v2/logout?client_id=")


def test_a_siblings_session_without_a_domain_is_nobodys(make: Maker, tenants: dict[str, LocalTenant]) -> None:
    """With one domain it is that one's, if its ID token was; with several it could be any's, so it is none."""
    from auth0_cte.jose import Sealer

    user = {"sub": "auth0|a", "aud": "local-client", "iss": f"https://{A}/"}
    state = {"user": user, "token_sets": [], "internal": {"sid": "s", "created_at": 1_800_000_000}}
    jar = {"_a0_session_0": Sealer([SECRET], "_a0_session").seal({**state, "id_token": None, "refresh_token": None})}
    settings = SessionSettings(absolute_duration=10**9, inactivity_duration=10**9, cookie=CookieSettings())
    assert make(domain=A, session_settings=settings).get_user({"cookies": jar})
    assert make(domain=B, session_settings=settings).get_user({"cookies": jar}) is None
    assert make(session_settings=settings).get_user({"cookies": jar}) is None


@pytest.mark.parametrize("domain", [f"{A}/path", f"user@{A}", f"{A}:8443", f"http://{A}", "127.1", "", " ", 5])
def test_a_session_of_a_malformed_domain_is_nobodys(domain: Any, make: Maker) -> None:
    """Whatever is sealed in a session, a domain that could lead elsewhere makes it none."""
    from auth0_cte.jose import Sealer

    user = {"sub": "auth0|a", "aud": "local-client", "iss": f"https://{A}/"}
    state = {"user": user, "token_sets": [], "internal": {"sid": "s", "created_at": 1_800_000_000}}
    seal = Sealer([SECRET], "_a0_session").seal
    client = make(session_settings=SessionSettings(absolute_duration=10**9, inactivity_duration=10**9))
    users = []
    for each in (A, domain):
        sealed = seal({**state, "domain": each, "id_token": None, "refresh_token": None})
        users.append(client.get_user(at("a.app.example", {"_a0_session_0": sealed})))
    assert [user, None] == users


def test_a_back_channel_logout_is_the_domains(make: Maker, tenants: dict[str, LocalTenant]) -> None:
    """The resolver sees the request; a token of A ends no session at B, and the same jti of B is another's."""
    client = make(state_store=MemoryStateStore())
    jars: dict[str, dict[str, str]] = {"a.app.example": {}, "b.app.example": {}}
    tenants[B].accept(TYPE, "auth0|a")
    for host, jar in jars.items():
        client.login_with_custom_token_exchange(OPTIONS, at(host, jar))
    tokens = {domain: tenants[domain].logout_token(sub="auth0|a", jti="1") for domain in (A, B)}
    with pytest.raises(IdTokenError):
        client.handle_backchannel_logout(tokens[A], at("b.app.example", {}))
    assert 1 == client.handle_backchannel_logout(tokens[A], at("a.app.example", {}))
    assert client.get_user(at("a.app.example", jars["a.app.example"])) is None
    assert client.get_user(at("b.app.example", jars["b.app.example"]))
    assert 200 == answer_logout_request(client, tokens[B], at("b.app.example", {}))
    assert client.get_user(at("b.app.example", jars["b.app.example"])) is None


def test_a_back_channel_logout_without_a_domain_is_answered(make: Maker) -> None:
    """When the resolver does not know the request, the answer is 503 and not an exception."""
    client = make(domain=lambda context: context.request_headers["x-brand"], state_store=MemoryStateStore())
    assert 503 == answer_logout_request(client, "x", at("a.app.example", {}))


def test_an_id_token_of_the_other_tenant_is_refused(make: Maker, tenants: dict[str, LocalTenant]) -> None:
    """What B signed is nobody's login at A."""
    token = tenants[B].id_token("auth0|b")
    tenants[A].fail_next(200, body={"access_token": "a", "id_token": token})
    jar: dict[str, str] = {}
    with pytest.raises(IdTokenError):
        make().login_with_custom_token_exchange(OPTIONS, at("a.app.example", jar))
    assert {} == jar


def test_metadata_and_keys_are_kept_for_each_domain(make: Maker, tenants: dict[str, LocalTenant]) -> None:
    """Each domain is asked for its configuration and its keys once."""
    client = make()
    for _ in range(3):
        for host in ("a.app.example", "b.app.example"):
            client.custom_token_exchange({**OPTIONS, "scope": "openid"}, at(host, {}))
    for tenant in tenants.values():
        paths = [request.path for request in tenant.requests]
        assert (1, 1, 3) == tuple(
            paths.count(path)
            for path in ("/.well-known/openid-configuration", "/.well-known/jwks.json", "/oauth/token")
        )


def test_the_domains_of_one_tenant(tenants: dict[str, LocalTenant]) -> None:
    """A tenant goes by its custom domains, too; each is an issuer, and none a place for another's session."""
    tenant = tenants[A]
    tenant.add_custom_domain("login.a.example")
    tenant.add_custom_domain("login.b.example")
    current = ["login.a.example"]
    client, jar = tenant.client(domain=lambda _context: current[0], secret=SECRET), dict[str, str]()
    session = client.login_with_custom_token_exchange(OPTIONS, {"cookies": jar}).session
    assert "login.a.example" == session.domain
    assert client.get_user({"cookies": jar})
    current[0] = "login.b.example"
    assert client.get_user({"cookies": jar}) is None
    with pytest.raises(ValueError, match="host name"):
        tenant.add_custom_domain("https://login.example")


def test_over_sockets_and_awaited(tenants: dict[str, LocalTenant]) -> None:
    """Two tenants on two ports, one client, awaited: each request goes to the tenant that the resolver names."""
    with tenants[A].serve() as here, tenants[B].serve() as there:
        servers = {"a.app.example": here.url, "b.app.example": there.url}
        client = AsyncServerClient(
            lambda context: servers[context.request_headers["host"]],
            tenants[A].client_id,
            "the-secret-of-both",
            clock=tenants[A].clock,
        )

        async def main() -> list[str]:
            async with client:
                return [
                    ((await client.custom_token_exchange({**OPTIONS, "scope": "openid"}, at(host, {}))).claims or {})[
                        "sub"
                    ]
                    for host in servers
                ]

        assert ["auth0|a", "auth0|b"] == anyio.run(main)
