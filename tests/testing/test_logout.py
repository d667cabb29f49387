"""How sessions end at the local tenant: logout endpoints and logout tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from auth0_cte.jose import Jws, VerificationKey
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import claims_of
from tests.raw_server import reply as raw_reply
from tests.raw_server import send
from tests.testing.test_exchange import TYPE, ask

if TYPE_CHECKING:
    import requests

    from tests.raw_server import RawServer

EVENTS: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
NOW = 1_800_000_000


@pytest.fixture
def tenant() -> LocalTenant:
    made = LocalTenant(clock=FakeClock(NOW + 0.5))
    made.accept(TYPE, "auth0|jane")
    made.add_application("app", allowed_logout_urls=["https://app.example/bye", "https://*.app.example/in?next=x"])
    return made


def get(tenant: LocalTenant, path: str, *, method: str = "GET", **parameters: Any) -> requests.Response:
    """Visit a page of the tenant as a browser would, and do not follow where it leads."""
    with tenant.session() as session:
        url = f"{tenant.issuer}{path}"
        if method == "POST":
            return session.post(url, data=parameters, allow_redirects=False)
        return session.get(url, params=parameters, allow_redirects=False)


def test_logout_without_anything(tenant: LocalTenant) -> None:
    """A logout that names no place to return to ends with OK."""
    reply = get(tenant, "v2/logout")

    assert (200, "OK") == (reply.status_code, reply.text)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example/bye",
        "https://app.example/bye/",
        "https://app.example/bye?a=b#c",
        "https://a.app.example/in",
    ],
)
def test_logout_returns_to_allowed_urls(tenant: LocalTenant, url: str) -> None:
    """The browser is sent to an allowed URL; neither query nor fragment matter, and a star is a subdomain."""
    reply = get(tenant, "v2/logout", client_id="app", returnTo=url)

    assert (302, url) == (reply.status_code, reply.headers["Location"])


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example/elsewhere",
        "http://app.example/bye",
        "https://app.example:8443/bye",
        "https://a.b.app.example/in",
        "https://app.example@evil.example/bye",
        "https://app.example/bye?\r\nSet-Cookie: a=b",
        "https://[app.example/bye",
        "//app.example/bye",
        "javascript:alert(1)",
    ],
)
def test_logout_refuses_other_urls(tenant: LocalTenant, url: str) -> None:
    """Any other place is a 400 and is not led to."""
    reply = get(tenant, "v2/logout", client_id="app", returnTo=url)

    assert (400, "invalid_request", False) == (reply.status_code, reply.json()["error"], "Location" in reply.headers)


def test_logout_without_returnto_goes_to_the_first_url(tenant: LocalTenant) -> None:
    """An application's first allowed URL is where a logout leads that names the application alone."""
    reply = get(tenant, "v2/logout", client_id="app")

    assert "https://app.example/bye" == reply.headers["Location"]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://any.example/", 302),
        ("http://127.0.0.1:5000/", 302),
        ("http://localhost:5000/", 302),
        ("http://any.example/", 400),
    ],
)
def test_default_application_returns_anywhere(tenant: LocalTenant, url: str, status: int) -> None:
    """Unless URLs are set, every https and every loopback URL is allowed."""
    assert status == get(tenant, "v2/logout", client_id=tenant.client_id, returnTo=url).status_code


def test_empty_list_allows_nothing(tenant: LocalTenant) -> None:
    """An application with an empty list has no place to return to."""
    tenant.add_application("closed", allowed_logout_urls=[])
    statuses = [
        get(tenant, "v2/logout", client_id="closed", returnTo="https://app.example/").status_code,
        get(tenant, "v2/logout", client_id="closed").status_code,
    ]

    assert [400, 200] == statuses


@pytest.mark.parametrize(
    "parameters",
    [
        {"client_id": "nobody"},
        {"returnTo": "https://app.example/bye"},
        {"client_id": ["app", "app"], "returnTo": "https://app.example/bye"},
    ],
)
def test_logout_must_name_the_application(tenant: LocalTenant, parameters: dict[str, Any]) -> None:
    """An unknown, a missing or a repeated application is a 400."""
    assert 400 == get(tenant, "v2/logout", **parameters).status_code


def test_logouts_are_logged(tenant: LocalTenant) -> None:
    """A logout leaves slo, a refused one flo with the reason."""
    get(tenant, "oidc/logout", id_token_hint=tenant.id_token("auth0|jane"))
    get(tenant, "v2/logout", client_id="nobody")

    success, failure = tenant.logs[-2:]
    assert ("slo", "auth0|jane", NOW + 0.5) == (success.type, success.user_id, success.date)
    assert ("flo", "Unknown client: nobody", "nobody") == (failure.type, failure.description, failure.client_id)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_oidc_logout(tenant: LocalTenant, method: str) -> None:
    """The ID token names the application; the state comes back, behind the query that was there."""
    hint = tenant.id_token("auth0|jane", client_id="app", lifetime=-5)
    url = "https://a.app.example/in?next=home"
    reply = get(tenant, "oidc/logout", method=method, id_token_hint=hint, post_logout_redirect_uri=url, state="a b&c")

    assert (302, f"{url}&state=a+b%26c") == (reply.status_code, reply.headers["Location"])


def test_oidc_logout_by_client_id(tenant: LocalTenant) -> None:
    """The application can be named without an ID token; without a state none is added."""
    url = "https://app.example/bye"
    reply = get(tenant, "oidc/logout", client_id="app", post_logout_redirect_uri=url)

    assert (302, url) == (reply.status_code, reply.headers["Location"])


def test_oidc_logout_without_a_place_to_go(tenant: LocalTenant) -> None:
    """Without a place to return to the page says OK, or the application's first URL follows."""
    hint = tenant.id_token("auth0|jane")

    assert "OK" == get(tenant, "oidc/logout", id_token_hint=hint).text
    assert "https://app.example/bye" == get(tenant, "oidc/logout", client_id="app").headers["Location"]


@pytest.mark.parametrize(
    "url", ["https://app.example/bye?extra=1", "https://a.app.example/in", "https://evil.example/"]
)
def test_oidc_logout_compares_the_names_of_the_query(tenant: LocalTenant, url: str) -> None:
    """The query's parameters must be those of the allowed URL, whatever their values."""
    assert 400 == get(tenant, "oidc/logout", client_id="app", post_logout_redirect_uri=url).status_code


def test_oidc_logout_checks_hints_against_each_other(tenant: LocalTenant) -> None:
    """A client id or a session that is not the ID token's is refused."""
    hint = tenant.id_token("auth0|jane", client_id="app", sid="s1")
    statuses = [
        get(tenant, "oidc/logout", id_token_hint=hint, **more).status_code
        for more in ({"client_id": tenant.client_id}, {"logout_hint": "s2"}, {"client_id": "app", "logout_hint": "s1"})
    ]

    assert [400, 400, 302] == statuses


def test_oidc_logout_refuses_foreign_id_tokens(tenant: LocalTenant) -> None:
    """An ID token of another key, issuer or application, or none at all, is refused."""
    stranger = LocalTenant()
    stranger.add_user("auth0|jane")
    hints = [
        stranger.id_token("auth0|jane"),
        tenant.id_token("auth0|jane", iss="https://other.example/"),
        tenant.id_token("auth0|jane", aud="nobody"),
        "garbage",
    ]

    assert [400] * 4 == [get(tenant, "oidc/logout", id_token_hint=hint).status_code for hint in hints]


def test_oidc_logout_with_hs256(tenant: LocalTenant) -> None:
    """An ID token that the client secret signed is verified with it, and no other algorithm is taken for it."""
    tenant.add_application("shared", id_token_alg="HS256")
    hint = tenant.id_token("auth0|jane", client_id="shared")
    forged = tenant.id_token("auth0|jane", aud="shared")

    assert [200, 400] == [get(tenant, "oidc/logout", id_token_hint=each).status_code for each in (hint, forged)]


def test_metadata_of_logout(tenant: LocalTenant) -> None:
    """The metadata names the end session endpoint, unless that is withdrawn, and back-channel logout."""
    published = get(tenant, ".well-known/openid-configuration").json()
    tenant.sessions.rp_initiated_logout = False
    withdrawn = get(tenant, ".well-known/openid-configuration").json()

    assert f"{tenant.issuer}oidc/logout" == published["end_session_endpoint"]
    assert (True, True) == (
        published["backchannel_logout_supported"],
        published["backchannel_logout_session_supported"],
    )
    assert {"end_session_endpoint"} == published.keys() - withdrawn.keys()


def test_logout_token(tenant: LocalTenant) -> None:
    """A logout token has the claims and the type of the specification, and a published key's signature."""
    token = tenant.logout_token(sub="auth0|jane", sid="s1")

    claims = claims_of(tenant, token)
    assert claims.pop("jti")
    assert "logout+jwt" == Jws.parse(token).header["typ"]
    assert {
        "iss": tenant.issuer,
        "aud": tenant.client_id,
        "iat": NOW,
        "exp": NOW + 120,
        "events": EVENTS,
        "sub": "auth0|jane",
        "sid": "s1",
    } == claims


def test_logout_tokens_differ(tenant: LocalTenant) -> None:
    """Each logout token has an id of its own."""
    tokens = [tenant.logout_token(sid="s1") for _ in range(2)]

    assert 2 == len({claims_of(tenant, token)["jti"] for token in tokens})


def test_logout_token_of_ones_own_making(tenant: LocalTenant) -> None:
    """Claims and header can be replaced, added, and left out with None."""
    token = tenant.logout_token(
        sid="s1", client_id="app", issuer="https://i.example/", header={"typ": None, "x": 1}, nonce="n", jti=None, exp=7
    )

    claims, header = claims_of(tenant, token), Jws.parse(token).header
    assert ("app", "https://i.example/", "n", 7) == (claims["aud"], claims["iss"], claims["nonce"], claims["exp"])
    assert {"sub", "jti"} == {"sub", "jti"} - claims.keys()
    assert {"alg", "kid", "x"} == header.keys()


def test_logout_token_of_an_unknown_application(tenant: LocalTenant) -> None:
    """Logout tokens are signed for registered applications only."""
    with pytest.raises(KeyError):
        tenant.logout_token(client_id="nobody")


def test_logout_token_has_the_applications_algorithm(tenant: LocalTenant) -> None:
    """A logout token is signed as the application's ID tokens are."""
    application = tenant.add_application("shared", id_token_alg="HS256")
    token = tenant.logout_token(sid="s1", client_id="shared")

    key = VerificationKey.from_secret(application.client_secret or "")
    assert "s1" == Jws.parse(token).verify(key)["sid"]


def test_issuer_is_the_address_last_used(tenant: LocalTenant) -> None:
    """The issuer of a logout token is the address by which the tenant was reached last."""
    with tenant.serve() as server, tenant.session() as session:
        session.get(f"{server.url}/.well-known/jwks.json")
        over_the_wire = Jws.parse(tenant.logout_token(sid="s1")).payload
    ask(tenant)
    in_process = Jws.parse(tenant.logout_token(sid="s1")).payload

    assert (True, True) == (server.url.encode() in over_the_wire, tenant.issuer.encode() in in_process)


def test_back_channel_logout_is_sent(tenant: LocalTenant, raw_server: RawServer) -> None:
    """The logout token goes to the application as a form, and its reply comes back."""
    raw_server.scripts = [send(raw_reply("", "204 No Content"))]
    response = tenant.send_backchannel_logout(f"{raw_server.url}/backchannel", sid="s1")

    (request,) = raw_server.everything
    assert (204, "POST", "/backchannel") == (response.status_code, request.method, request.path)
    assert "application/x-www-form-urlencoded" == request.headers["content-type"]
    (token,) = parse_qs(request.body)["logout_token"]
    assert "s1" == claims_of(tenant, token)["sid"]


def test_back_channel_logout_with_a_token_of_ones_own(tenant: LocalTenant, raw_server: RawServer) -> None:
    """Any token can be sent; a redirect is returned and not followed."""
    raw_server.scripts = [send(raw_reply("", "302 Found", ["Location: /elsewhere"]))]
    response = tenant.send_backchannel_logout(raw_server.url, logout_token="garbage")

    assert (302, ["logout_token=garbage"]) == (response.status_code, [each.body for each in raw_server.everything])


@pytest.mark.parametrize("url", ["https://app.example/backchannel", "http://127.0.0.1.evil.example/", "localhost", ""])
def test_back_channel_logout_stays_on_the_machine(tenant: LocalTenant, url: str) -> None:
    """Logout tokens are sent to loopback hosts alone."""
    with pytest.raises(ValueError, match="loopback"):
        tenant.send_backchannel_logout(url, sid="s1")
