"""`ExchangeAuth`: requests to an API with an exchanged token, which goes nowhere else."""

from __future__ import annotations

import io
import json
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

from auth0_cte import (
    AsyncServerClient,
    ConfigurationError,
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    ExchangeAuth,
    ExchangeCache,
    ServerClient,
)
from auth0_cte.jose import b64url_decode
from auth0_cte.oauth.dpop import DPoPKey
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import API, LIFETIME, TYPE, at_once, exchanges, make_tenant, options, shown_by, sub_of
from tests.raw_server import Arrived, RawServer, reply, send

OK = send(reply("{}"))
REFUSED = send(reply("{}", "401 Unauthorized", ['WWW-Authenticate: Bearer error="invalid_token"']))


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    return make_tenant(clock=clock)


@pytest.fixture
def api() -> Iterator[RawServer]:
    """An API on a loopback port, which takes any token unless a test says otherwise."""
    with RawServer([OK]) as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[RawServer]:
    """Another server, that must not see a token."""
    with RawServer([OK]) as server:
        yield server


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def make_auth(tenant: LocalTenant, api: RawServer, given: dict[str, Any] | None = None, **more: Any) -> ExchangeAuth:
    client = more.pop("client", None) or tenant.client()
    return ExchangeAuth(client, given or options(lambda: "auth0|0"), **{"origin": api.url, **more})


def tokens_at(server: RawServer) -> list[str]:
    return [each.headers.get("authorization", "") for each in server.everything]


def refusing(*refused: int) -> Callable[[Arrived, socket.socket], None]:
    """Answer 401 to the requests with these numbers, from 0, and 200 to all others."""
    count = iter(range(1000))

    def script(request: Arrived, connection: socket.socket) -> None:
        (REFUSED if next(count) in refused else OK)(request, connection)

    return script


def test_a_request_is_authorized(tenant: LocalTenant, api: RawServer) -> None:
    """One exchange is made for as many requests as the token lasts, of requests itself and of a session."""
    auth = make_auth(tenant, api)
    for _ in range(2):
        assert 200 == requests.get(f"{api.url}/reports?x=1", auth=auth, timeout=10).status_code
    with requests.Session() as session:
        session.auth = auth
        assert 200 == session.post(f"{api.url}/reports", json={"a": 1}).status_code
    (header,) = set(tokens_at(api))
    assert "auth0|0" == sub_of(header.removeprefix("Bearer "))
    assert 3 == len(api.everything)
    assert 1 == exchanges(tenant)


def test_responses_intercepts_it(tenant: LocalTenant) -> None:
    """An API of a test that is not there can be mocked; its origin is that of the audience."""
    auth = ExchangeAuth(tenant.client(), options(lambda: "auth0|0", audience=API))
    with responses.RequestsMock() as wire:
        wire.get(f"{API}/reports", json={}, status=401)
        wire.get(f"{API}/reports", json={"rows": 3})
        assert {"rows": 3} == requests.get(f"{API}/reports", auth=auth, timeout=5).json()
        first, second = (call.request.headers["Authorization"] for call in wire.calls)
    assert first != second
    assert "ExchangeAuth(https://api.example.com)" == repr(auth)


def test_an_expired_token_is_exchanged_anew(tenant: LocalTenant, api: RawServer, clock: FakeClock) -> None:
    """A minute before its end the token is replaced: a supplier is called again."""
    subjects: list[str] = []

    def supply() -> str:
        subjects.append("auth0|0")
        return subjects[-1]

    auth = make_auth(tenant, api, options(supply))
    for seconds in (0, LIFETIME - 61, 1):
        clock.advance(seconds)
        requests.get(api.url, auth=auth, timeout=10)
    assert (2, 2, 2) == (len(subjects), exchanges(tenant), len(set(tokens_at(api))))


def test_a_short_lived_token_is_not_exchanged_for_each_request(
    tenant: LocalTenant, api: RawServer, clock: FakeClock
) -> None:
    """However short its life, a token is used for the half of it."""
    tenant.add_api(API, token_lifetime=40)
    auth = make_auth(tenant, api)
    for seconds in (0, 19, 1):
        clock.advance(seconds)
        requests.get(api.url, auth=auth, timeout=10)
    assert 2 == exchanges(tenant)


def test_the_refresh_token_comes_first(tenant: LocalTenant, api: RawServer, clock: FakeClock) -> None:
    """With a refresh token no subject token is needed any more; rotation is followed."""
    auth = make_auth(tenant, api, options(scope="openid offline_access"))
    for _ in range(3):
        requests.get(api.url, auth=auth, timeout=10)
        clock.advance(LIFETIME)
    grants = [request.form["grant_type"] for request in tenant.token_requests]
    assert ["refresh_token"] * 2 == grants[1:]
    assert 1 == exchanges(tenant)


def test_a_revoked_refresh_token_leads_to_an_exchange(tenant: LocalTenant, api: RawServer, clock: FakeClock) -> None:
    """When the refresh token is refused, a supplier's subject token will do; a spent one says so."""
    for given, code in ((options(lambda: "auth0|0"), None), (options("auth0|0"), "SUBJECT_TOKEN_SPENT")):
        auth = make_auth(tenant, api, {**given, "scope": "offline_access"})
        requests.get(api.url, auth=auth, timeout=10)
        tenant.state.refresh_tokens.clear() if hasattr(tenant.state.refresh_tokens, "clear") else None
        clock.advance(LIFETIME)
        tenant.fail_next(403, error="invalid_grant", grant_type="refresh_token", path="/oauth/token")
        if code is None:
            assert 200 == requests.get(api.url, auth=auth, timeout=10).status_code
        else:
            with pytest.raises(CustomTokenExchangeError) as caught:
                requests.get(api.url, auth=auth, timeout=10)
            assert code == caught.value.code


def test_a_delegated_token_is_exchanged_anew_by_both_suppliers(
    tenant: LocalTenant, api: RawServer, clock: FakeClock
) -> None:
    """With an actor there is no refresh token: subject and actor are asked for again, and must stay who they were."""
    actors = iter(["agent|1", "agent|1", "agent|2"])

    @tenant.action("urn:acme:case")
    def act_for(event: Any, api: Any) -> None:
        api.authentication.setUserById("auth0|0")
        api.authentication.setActor({"sub": event.transaction.actor_token})

    tenant.add_user("auth0|0")
    given = {
        "subject_token": lambda: "the case",
        "subject_token_type": "urn:acme:case",
        "actor_token": lambda: next(actors),
        "actor_token_type": "urn:acme:agent",
        "audience": API,
        "scope": "openid offline_access",
    }
    auth = make_auth(tenant, api, given)
    with requests.Session() as http:
        for _ in range(2):
            assert http.get(api.url, auth=auth).ok
            clock.advance(LIFETIME)
        with pytest.raises(CustomTokenExchangeError, match="another actor"):
            http.get(api.url, auth=auth)
    assert ["agent|1", "agent|1", "agent|2"] == [each.form["actor_token"] for each in tenant.token_requests]
    assert 2 == len(tokens_at(api))


def test_a_fixed_subject_token_is_sent_once(tenant: LocalTenant, api: RawServer, clock: FakeClock) -> None:
    """Used to its end, refused by the API or not; afterwards requests are not sent at all."""
    api.scripts = [refusing(1)]
    auth = make_auth(tenant, api, options("auth0|0"))
    assert 200 == requests.get(api.url, auth=auth, timeout=10).status_code
    assert 401 == requests.get(api.url, auth=auth, timeout=10).status_code
    clock.advance(LIFETIME - 1)
    assert 200 == requests.get(api.url, auth=auth, timeout=10).status_code
    clock.advance(1)
    for _ in range(2):
        with pytest.raises(CustomTokenExchangeError, match="has been sent already") as caught:
            requests.get(api.url, auth=auth, timeout=10)
        assert ("SUBJECT_TOKEN_SPENT", False) == (caught.value.code, caught.value.may_have_reached_server)
        assert "function" in caught.value.hint
    assert (1, 3) == (exchanges(tenant), len(api.everything))


def test_a_reusable_subject_token_is_sent_again(tenant: LocalTenant, api: RawServer, clock: FakeClock) -> None:
    """Who says that the token may be sent again has it exchanged when need be."""
    api.scripts = [refusing(0)]
    auth = make_auth(tenant, api, options("auth0|0"), subject_token_reusable=True)
    assert 200 == requests.get(api.url, auth=auth, timeout=10).status_code
    clock.advance(LIFETIME)
    assert 200 == requests.get(api.url, auth=auth, timeout=10).status_code
    assert 3 == exchanges(tenant)


@pytest.mark.parametrize(
    ("fault", "sent_again"),
    [
        ({"fault": "reset"}, False),
        ({"status": 500}, False),
        ({"status": 400, "error": "invalid_request"}, False),
        ({"status": 503}, True),
    ],
)
def test_a_failed_exchange_spends_a_fixed_token_unless_it_provably_did_not(
    fault: dict[str, Any], sent_again: bool, tenant: LocalTenant, api: RawServer
) -> None:
    """After a failure that may have spent the token it is not sent again; after a plain refusal to serve it is."""
    tenant.fail_next(path="/oauth/token", **fault)
    auth = make_auth(tenant, api, options("auth0|0"))
    with pytest.raises(CustomTokenExchangeError):
        requests.get(api.url, auth=auth, timeout=10)
    assert [] == api.everything
    if sent_again:
        assert 200 == requests.get(api.url, auth=auth, timeout=10).status_code
    else:
        with pytest.raises(CustomTokenExchangeError, match="sent already"):
            requests.get(api.url, auth=auth, timeout=10)
    assert (2 if sent_again else 1) == exchanges(tenant)


def test_what_was_not_sent_is_not_spent(api: RawServer) -> None:
    """When the tenant cannot be reached, the next request tries again."""
    with RawServer() as gone:
        url = gone.url
    with ServerClient(url, "c", "s", timeout=1) as client:
        auth = ExchangeAuth(client, options("auth0|0"), origin=api.url)
        for _ in range(2):
            with pytest.raises(CustomTokenExchangeError) as caught:
                requests.get(api.url, auth=auth, timeout=10)
            assert "SUBJECT_TOKEN_SPENT" != caught.value.code


def test_a_plain_refusal_before_sending_spends_nothing(api: RawServer, raw_server: RawServer) -> None:
    """What was refused before the token was sent, and would be again, leaves a fixed token for when it is repaired."""
    good = dict(raw_server.metadata)
    raw_server.metadata = {"issuer": "https://another.example/"}
    with ServerClient(raw_server.url, "c", "s") as client:
        auth = ExchangeAuth(client, options("auth0|0"), origin=api.url)
        with pytest.raises(CustomTokenExchangeError) as caught:
            requests.get(api.url, auth=auth, timeout=10)
        assert (False, False) == (caught.value.may_have_reached_server, caught.value.is_retryable)
        raw_server.metadata = good
        assert 200 == requests.get(api.url, auth=auth, timeout=10).status_code
    assert 1 == len(raw_server.arrived)


def test_a_refresh_that_fails_for_now_keeps_the_refresh_token(
    tenant: LocalTenant, api: RawServer, clock: FakeClock
) -> None:
    """An outage is told, costs no subject token, and the next request refreshes."""
    auth = make_auth(tenant, api, options("auth0|0", scope="offline_access"))
    requests.get(api.url, auth=auth, timeout=10)
    clock.advance(LIFETIME)
    tenant.fail_next(503, grant_type="refresh_token", path="/oauth/token")
    with pytest.raises(CustomTokenExchangeError) as caught:
        requests.get(api.url, auth=auth, timeout=10)
    assert 503 == caught.value.status_code
    assert 200 == requests.get(api.url, auth=auth, timeout=10).status_code
    assert 1 == exchanges(tenant)


def test_a_refresh_token_that_was_refused_is_not_sent_again(
    tenant: LocalTenant, api: RawServer, clock: FakeClock
) -> None:
    """It is spent or revoked, whatever becomes of the exchange in its place."""
    auth = make_auth(tenant, api, options(lambda: "auth0|0", scope="offline_access"))
    requests.get(api.url, auth=auth, timeout=10)
    clock.advance(LIFETIME)
    tenant.fail_next(403, error="invalid_grant", grant_type="refresh_token", path="/oauth/token")
    tenant.fail_next(503, path="/oauth/token")
    with pytest.raises(CustomTokenExchangeError):
        requests.get(api.url, auth=auth, timeout=10)
    assert 200 == requests.get(api.url, auth=auth, timeout=10).status_code
    grants = [str(request.form["grant_type"]).rpartition(":")[2] for request in tenant.token_requests]
    assert ["token-exchange", "refresh_token", "token-exchange", "token-exchange"] == grants


# --- 401


def test_a_refused_token_is_replaced_once(tenant: LocalTenant, api: RawServer, http: requests.Session) -> None:
    """After a 401 the request is sent again with a new token, and the answer tells its history."""
    api.scripts = [refusing(0)]
    answer = http.get(api.url, auth=make_auth(tenant, api))
    assert (200, [401]) == (answer.status_code, [each.status_code for each in answer.history])
    assert 2 == len(set(tokens_at(api))) == exchanges(tenant)
    assert 1 == api.opened


def test_a_second_refusal_is_returned(tenant: LocalTenant, api: RawServer, http: requests.Session) -> None:
    """An API that refuses the new token, too, is not asked a third time."""
    api.scripts = [REFUSED]
    assert 401 == http.get(api.url, auth=make_auth(tenant, api)).status_code
    assert (2, 2) == (len(api.everything), exchanges(tenant))


@pytest.mark.parametrize("status", [200, 400, 403, 404, 500, 503])
def test_other_answers_are_returned_as_they_are(
    status: int, tenant: LocalTenant, api: RawServer, http: requests.Session
) -> None:
    """Nothing but a 401 has to do with the token."""
    api.scripts = [send(reply("{}", f"{status} Whatever"))]
    assert status == http.get(api.url, auth=make_auth(tenant, api)).status_code
    assert (1, 1) == (len(api.everything), exchanges(tenant))


BODIES: list[tuple[Callable[[], dict[str, Any]], str]] = [
    (lambda: {"data": b"the body"}, "the body"),
    (lambda: {"data": "the body"}, "the body"),
    (lambda: {"json": {"a": 1}}, '{"a": 1}'),
    (lambda: {"data": {"a": "1"}}, "a=1"),
    (lambda: {"data": io.BytesIO(b"the body")}, "the body"),
    (lambda: {"data": _at(io.BytesIO(b"not the body"), 4)}, "the body"),
]


def _at(stream: io.BytesIO, position: int) -> io.BytesIO:
    stream.seek(position)
    return stream


@pytest.mark.parametrize(("body", "sent"), BODIES)
def test_a_body_is_sent_again(
    body: Callable[[], dict[str, Any]], sent: str, tenant: LocalTenant, api: RawServer, http: requests.Session
) -> None:
    """Texts, bytes and files are sent again from where they began."""
    api.scripts = [refusing(0)]
    assert 200 == http.post(api.url, auth=make_auth(tenant, api), **body()).status_code
    assert [sent] * 2 == [each.body for each in api.everything]


class Closing(io.BytesIO):
    """A file that its reader closes at its end."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if not data:
            self.close()
        return data


def test_a_body_that_is_gone_is_not_sent_again(tenant: LocalTenant, api: RawServer, http: requests.Session) -> None:
    """The 401 is returned when the body cannot be read again; the token is dropped all the same."""
    api.scripts = [refusing(0)]
    auth = make_auth(tenant, api)
    assert 401 == http.post(api.url, auth=auth, data=Closing(b"the body")).status_code
    assert 1 == len(api.everything)
    assert 200 == http.post(api.url, auth=auth, data=b"x").status_code
    assert 2 == exchanges(tenant)


def test_a_stream_is_not_sent_again(tenant: LocalTenant) -> None:
    """A generator can be read once."""
    auth = ExchangeAuth(tenant.client(), options(lambda: "auth0|0", audience=API))
    with responses.RequestsMock() as wire:
        wire.post(API, status=401)
        assert 401 == requests.post(API, auth=auth, data=(part for part in [b"a", b"b"]), timeout=5).status_code
        assert 1 == len(wire.calls)


def test_a_refused_token_is_forgotten_by_the_cache(tenant: LocalTenant, api: RawServer, http: requests.Session) -> None:
    """The client's cache does not hand the refused token out again; other users' tokens stay in it."""
    client = tenant.client(exchange_cache=ExchangeCache())
    client.custom_token_exchange(options("auth0|1"))
    cached = client.custom_token_exchange(options("auth0|0")).access_token
    api.scripts = [refusing(0)]
    assert 200 == http.get(api.url, auth=make_auth(tenant, api, client=client)).status_code
    assert cached == tokens_at(api)[0].removeprefix("Bearer ")
    assert tokens_at(api)[1].removeprefix("Bearer ") == client.custom_token_exchange(options("auth0|0")).access_token
    assert client.custom_token_exchange(options("auth0|1")).from_cache
    assert 3 == exchanges(tenant)


def test_a_refresh_token_out_of_the_cache_is_its_first_owners(
    tenant: LocalTenant, api: RawServer, clock: FakeClock, http: requests.Session
) -> None:
    """Two that share a response do not both use its refresh token: rotation would end the whole family."""
    client = tenant.client(exchange_cache=ExchangeCache())
    given = options(lambda: "auth0|0", scope="offline_access")
    auths = [make_auth(tenant, api, given, client=client) for _ in range(2)]
    for _ in range(2):
        assert [200] * 2 == [http.get(api.url, auth=auth).status_code for auth in auths]
        clock.advance(LIFETIME)
    grants = [str(request.form["grant_type"]).rpartition(":")[2] for request in tenant.token_requests]
    assert ["token-exchange", "refresh_token", "token-exchange"] == grants


def test_fifty_threads_share_one_token(tenant: LocalTenant, api: RawServer, clock: FakeClock) -> None:
    """One exchange is made for all, at the first request, after expiry, and after a refusal."""
    auth = make_auth(tenant, api)

    def call() -> int:
        return requests.get(api.url, auth=auth, timeout=30).status_code

    assert [200] * 50 == at_once(*[call] * 50)
    assert 1 == exchanges(tenant)
    clock.advance(LIFETIME)
    assert [200] * 50 == at_once(*[call] * 50)
    assert 2 == exchanges(tenant)
    stale = tokens_at(api)[-1]

    def only_newer(request: Arrived, connection: socket.socket) -> None:
        (REFUSED if request.headers["authorization"] == stale else OK)(request, connection)

    api.scripts = [only_newer]
    assert [200] * 50 == at_once(*[call] * 50)
    assert 3 == exchanges(tenant)


def test_threads_share_a_failure(tenant: LocalTenant, api: RawServer) -> None:
    """When the exchange fails, whoever waited gets the error, and the fixed token is not sent again by any."""
    auth = make_auth(tenant, api, options("bad"))

    def fail() -> CustomTokenExchangeError:
        with pytest.raises(CustomTokenExchangeError) as caught:
            requests.get(api.url, auth=auth, timeout=30)
        return caught.value

    errors = at_once(*[fail] * 20)
    assert {CustomTokenExchangeError} == {type(error) for error in errors}
    assert 20 == len({id(error) for error in errors})
    assert 1 == exchanges(tenant)
    assert [] == api.everything


# --- where the token goes


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_elsewhere_takes_no_token_along(
    status: int, tenant: LocalTenant, api: RawServer, elsewhere: RawServer, http: requests.Session
) -> None:
    """The redirect is followed without the token, and a 401 there does not bring it out."""
    api.scripts = [send(reply("", f"{status} Moved", [f"Location: {elsewhere.url}/there"]))]
    elsewhere.scripts = [REFUSED]
    assert 401 == http.get(f"{api.url}/here", auth=make_auth(tenant, api)).status_code
    assert [""] == tokens_at(elsewhere)
    assert "dpop" not in elsewhere.everything[0].headers
    assert 1 == exchanges(tenant)


def test_a_redirect_after_a_refusal_takes_no_token_along(
    tenant: LocalTenant, api: RawServer, elsewhere: RawServer, http: requests.Session
) -> None:
    """Nor does one that answers the second attempt."""
    api.scripts = [REFUSED, send(reply("", "307 Moved", [f"Location: {elsewhere.url}/there"]))]
    assert 200 == http.get(api.url, auth=make_auth(tenant, api)).status_code
    assert [""] == tokens_at(elsewhere)


def test_a_password_from_netrc_does_not_bring_the_token_out(
    tenant: LocalTenant, api: RawServer, elsewhere: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests authorizes a redirect by .netrc; when that is refused there, our token is not tried in its place."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    api.scripts = [send(reply("", "307 Moved", [f"Location: {elsewhere.url}/there"]))]
    elsewhere.scripts = [REFUSED]
    assert 401 == requests.get(api.url, auth=make_auth(tenant, api), timeout=10).status_code
    assert ["Basic"] == [value.partition(" ")[0] for value in tokens_at(elsewhere)]
    assert ["Bearer"] == [value.partition(" ")[0] for value in tokens_at(api)]


def test_a_redirect_within_the_api_keeps_the_token(tenant: LocalTenant, api: RawServer, http: requests.Session) -> None:
    """The newest token goes along, and a refusal there is answered as everywhere."""
    api.scripts = [REFUSED, send(reply("", "307 Moved", ["Location: /there"])), refusing(0)]
    assert 200 == http.post(api.url, auth=make_auth(tenant, api), data=b"x").status_code
    first, second, third, fourth = tokens_at(api)
    assert first != second == third != fourth
    assert ["/", "/", "/there", "/there"] == [each.path for each in api.everything]
    assert ["x"] * 4 == [each.body for each in api.everything]


@pytest.mark.parametrize("other", ["https://evil.example", "http://api.example.com", "https://api.example.com:8443"])
def test_other_origins_are_refused(other: str, tenant: LocalTenant, http: requests.Session) -> None:
    """A session that calls another server with this auth gets an error, before anything is exchanged or sent."""
    http.auth = ExchangeAuth(tenant.client(), options(audience=API))
    with responses.RequestsMock(), pytest.raises(ConfigurationError, match="must not be sent to"):
        http.get(f"{other}/x")
    assert 0 == exchanges(tenant)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com@evil.example/",
        "https://api.example.com.evil.example/",
        "https://evil.example/https://api.example.com/",
        "https://evil.example#@api.example.com/",
        "https://evil.example\\@api.example.com/",
        "https://xn--api-example-com.evil/",
    ],
)
def test_look_alikes_are_refused(url: str, tenant: LocalTenant, http: requests.Session) -> None:
    """What connects to another host is another origin, however it is spelt."""
    auth = ExchangeAuth(tenant.client(), options(audience=API))
    with responses.RequestsMock(), pytest.raises(ConfigurationError, match="must not be sent to"):
        http.get(url, auth=auth)


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("https://API.example.com", "https://api.EXAMPLE.com:443/x"),
        ("https://api.example.com:443/", "https://api.example.com/x"),
        ("https://api.example.com:8443", "https://api.example.com:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example/x"),
        (["https://a.example", "https://b.example"], "https://b.example/x"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/x"),
        ("http://[::1]:8000", "http://[::1]:8000/x"),
    ],
)
def test_the_same_origin_in_other_words(origin: Any, url: str, tenant: LocalTenant, http: requests.Session) -> None:
    """Case, default ports and the spelling of international names make no difference."""
    auth = ExchangeAuth(tenant.client(), options(), origin=origin)
    with responses.RequestsMock() as wire:
        wire.get(url, json={})
        assert 200 == http.get(url, auth=auth).status_code


@pytest.mark.parametrize(
    ("origin", "audience", "message"),
    [
        (None, None, "origin is required"),
        (None, "urn:acme:api", "origin is required"),
        (None, "http://api.example.com", "plain http"),
        ("http://api.example.com", None, "plain http"),
        ("api.example.com", None, "absolute https URL"),
        ("ftp://api.example.com", None, "absolute https URL"),
        ("https://", None, "absolute https URL"),
        ("https://user:pw@api.example.com", None, "user information"),
        ("https://api.example.com/v1", None, "alone"),
        ("https://api.example.com/?x=1", None, "alone"),
        ("https://api.example.com:x", None, "absolute https URL"),
        ([], None, "must name an API"),
        ([5], None, "absolute https URL"),
    ],
)
def test_origins_that_cannot_be_are_refused(
    origin: Any, audience: str | None, message: str, tenant: LocalTenant
) -> None:
    """Whereto the token goes is settled at construction; no token shows in the frames of the error."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        ExchangeAuth(tenant.client(), options("a-canary", audience=audience), origin=origin)
    assert "a-canary" not in shown_by(caught.value)


def test_plain_http_can_be_allowed(tenant: LocalTenant) -> None:
    """Who must send a token in clear says so."""
    auth = ExchangeAuth(tenant.client(), options(), origin="http://api.internal", allow_http=True)
    assert "ExchangeAuth(http://api.internal)" == repr(auth)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (options("Bearer a-canary", audience=API), "INVALID_TOKEN_FORMAT"),
        (options("a-canary", audience=API, bogus=1), "INVALID_OPTIONS"),
        (options("a-canary", audience=API, forwarded_for="x"), "INVALID_OPTIONS"),
    ],
)
def test_bad_options_are_refused_at_construction(given: dict[str, Any], code: str, tenant: LocalTenant) -> None:
    """The rules of an exchange hold, and no token shows in the error or its frames."""
    with pytest.raises(CustomTokenExchangeError) as caught:
        ExchangeAuth(tenant.client(), given)
    assert code == caught.value.code
    assert "a-canary" not in shown_by(caught.value)


def test_the_mirror_is_refused(tenant: LocalTenant) -> None:
    """An asynchronous client could not be waited for."""
    mirror: Any = AsyncServerClient.from_sync(tenant.client())
    with pytest.raises(ConfigurationError, match=r"client\.sync"):
        ExchangeAuth(mirror, options(audience=API))
    assert repr(ExchangeAuth(mirror.sync, options(audience=API)))


def test_a_negative_skew_is_refused(tenant: LocalTenant) -> None:
    """What cannot work is told at construction."""
    with pytest.raises(ConfigurationError, match="skew"):
        ExchangeAuth(tenant.client(), options(audience=API), skew=-1)


@pytest.mark.parametrize(
    "reply_of_tenant",
    [
        {"access_token": "t", "token_type": "N_A"},
        {"access_token": "t", "token_type": "MAC"},
        {"access_token": "t", "issued_token_type": "urn:auth0:params:oauth:token-type:session_transfer_token"},
        {"access_token": "with space", "token_type": "Bearer"},
    ],
)
def test_what_is_no_access_token_is_not_sent(
    reply_of_tenant: dict[str, str], raw_server: RawServer, api: RawServer
) -> None:
    """A session transfer token, or what cannot be a header, never goes to an API."""
    raw_server.scripts = [send(reply(json.dumps(reply_of_tenant)))]
    with ServerClient(raw_server.url, "c", "s") as client:
        auth = ExchangeAuth(client, options(), origin=api.url)
        with pytest.raises(CustomTokenExchangeError, match="not usable"):
            requests.get(api.url, auth=auth, timeout=10)
    assert [] == api.everything


def test_another_users_token_is_not_used(tenant: LocalTenant, api: RawServer, clock: FakeClock) -> None:
    """A supplier that returns tokens of whoever is at hand does not make one user act as another."""
    users = iter(["auth0|0", "auth0|0", "auth0|1"])
    auth = make_auth(tenant, api, options(lambda: next(users), scope="openid"))
    for _ in range(2):
        requests.get(api.url, auth=auth, timeout=10)
        clock.advance(LIFETIME)
    with pytest.raises(CustomTokenExchangeError, match="another user's"):
        requests.get(api.url, auth=auth, timeout=10)
    assert 2 == len(api.everything)


def test_no_token_shows(tenant: LocalTenant, api: RawServer, caplog: pytest.LogCaptureFixture) -> None:
    """Neither log nor repr nor the frames of an error show one."""
    caplog.set_level(logging.DEBUG)
    auth = make_auth(tenant, api, options(lambda: "auth0|0", scope="openid"))
    requests.get(api.url, auth=auth, timeout=10)
    token = tokens_at(api)[0].removeprefix("Bearer ")
    broken = make_auth(tenant, api, options("bad-canary"))
    with pytest.raises(CustomTokenExchangeError) as caught:
        requests.get(api.url, auth=broken, timeout=10)
    parts = [vars(part) for part in vars(auth).values() if hasattr(part, "__dict__")]
    shown = f"{caplog.text} {auth!r} {vars(auth)!r} {parts!r} {shown_by(caught.value)}"
    assert token not in shown
    assert "bad-canary" not in shown


# --- DPoP


def _proof(request: Arrived) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(b64url_decode(request.headers["dpop"].split(".")[1]))
    return payload


@pytest.fixture
def bound(tenant: LocalTenant, api: RawServer) -> ExchangeAuth:
    """An auth whose tokens are bound to a key."""
    return make_auth(tenant, api, client=tenant.client(dpop=DPoPKey.generate()))


def test_bound_tokens_are_sent_with_proofs(bound: ExchangeAuth, api: RawServer, http: requests.Session) -> None:
    """Each request has a proof of its own, for its method, its URL and its token (RFC 9449 section 7)."""
    http.get(f"{api.url}/a?x=1", auth=bound)
    http.post(f"{api.url}/b", auth=bound, data=b"x")
    proofs = [_proof(each) for each in api.everything]
    assert [("GET", f"{api.url}/a"), ("POST", f"{api.url}/b")] == [(each["htm"], each["htu"]) for each in proofs]
    assert 2 == len({each["jti"] for each in proofs})
    assert 1 == len({each["ath"] for each in proofs})
    assert all(each.startswith("DPoP ") for each in tokens_at(api))


def needing(nonce: list[str], status: str = "401 Unauthorized") -> Callable[[Arrived, socket.socket], None]:
    """Ask for the newest of some nonces, as an API does (RFC 9449 section 9)."""

    def script(request: Arrived, connection: socket.socket) -> None:
        headers = [f"DPoP-Nonce: {nonce[-1]}", 'WWW-Authenticate: DPoP error="use_dpop_nonce"']
        good = _proof(request).get("nonce") == nonce[-1]
        connection.sendall(reply("{}") if good else reply("{}", status, headers))

    return script


def test_the_nonce_of_the_api_is_used(
    bound: ExchangeAuth, api: RawServer, tenant: LocalTenant, http: requests.Session
) -> None:
    """The request is sent once more with the nonce and the same token; the next ones have it from the start."""
    nonces = ["first"]
    api.scripts = [needing(nonces)]
    assert 200 == http.post(api.url, auth=bound, data=io.BytesIO(b"x")).status_code
    assert 200 == http.get(api.url, auth=bound).status_code
    assert [None, "first", "first"] == [_proof(each).get("nonce") for each in api.everything]
    nonces.append("second")
    assert 200 == http.get(api.url, auth=bound).status_code
    assert ["first", "second"] == [_proof(each).get("nonce") for each in api.everything[-2:]]
    assert ["x", "x"] == [each.body for each in api.everything[:2]]
    assert 1 == len(set(tokens_at(api))) == exchanges(tenant)


def test_a_nonce_that_is_never_good_is_asked_for_once(
    bound: ExchangeAuth, api: RawServer, tenant: LocalTenant, http: requests.Session
) -> None:
    """An API that always wants another nonce does not make us go in circles, nor spend a subject token."""
    numbers = iter(range(100))

    def always(_request: Arrived, connection: socket.socket) -> None:
        headers = [f"DPoP-Nonce: n{next(numbers)}", 'WWW-Authenticate: DPoP error="use_dpop_nonce"']
        connection.sendall(reply("{}", "401 Unauthorized", headers))

    api.scripts = [always]
    assert 401 == http.get(api.url, auth=bound).status_code
    assert (2, 1) == (len(api.everything), exchanges(tenant))


def test_a_refusal_after_the_nonce_replaces_the_token(
    bound: ExchangeAuth, api: RawServer, tenant: LocalTenant, http: requests.Session
) -> None:
    """Nonce and token are two reasons, and each is answered once."""
    refused: list[str] = []

    def script(request: Arrived, connection: socket.socket) -> None:
        if "nonce" not in _proof(request):
            needing(["n"])(request, connection)
        elif not refused:
            refused.append(request.headers["authorization"])
            REFUSED(request, connection)
        else:
            OK(request, connection)

    api.scripts = [script]
    assert 200 == http.get(api.url, auth=bound).status_code
    assert [None, "n", "n"] == [_proof(each).get("nonce") for each in api.everything]
    assert 2 == exchanges(tenant) == len(set(tokens_at(api)))


def test_a_redirect_within_the_api_is_signed_anew(
    bound: ExchangeAuth, api: RawServer, tenant: LocalTenant, http: requests.Session
) -> None:
    """The proof names the URL and the method that the redirect leads to."""
    api.scripts = [send(reply("", "303 See Other", ["Location: /there?y=2"])), OK]
    assert 200 == http.post(f"{api.url}/here", auth=bound, data=b"x").status_code
    proofs = [_proof(each) for each in api.everything]
    assert [("POST", f"{api.url}/here"), ("GET", f"{api.url}/there")] == [(each["htm"], each["htu"]) for each in proofs]
    assert 2 == len({each["jti"] for each in proofs})
    assert 1 == exchanges(tenant)


def test_a_redirect_elsewhere_takes_no_proof_along(
    bound: ExchangeAuth, api: RawServer, elsewhere: RawServer, http: requests.Session
) -> None:
    """Neither token nor proof leave the origin."""
    api.scripts = [send(reply("", "307 Moved", [f"Location: {elsewhere.url}/there"]))]
    elsewhere.scripts = [needing_without_proof]
    assert 401 == http.get(api.url, auth=bound).status_code
    assert [(False, False)] == [
        ("authorization" in each.headers, "dpop" in each.headers) for each in elsewhere.everything
    ]


def needing_without_proof(_request: Arrived, connection: socket.socket) -> None:
    headers = ["DPoP-Nonce: theirs", 'WWW-Authenticate: DPoP error="use_dpop_nonce"']
    connection.sendall(reply("{}", "401 Unauthorized", headers))


def test_a_bound_token_without_its_key_is_not_sent(raw_server: RawServer, api: RawServer) -> None:
    """Without the key the token is of no use; it is not tried as a bearer token."""
    raw_server.scripts = [send(reply('{"access_token": "t", "token_type": "DPoP"}'))]
    with ServerClient(raw_server.url, "c", "s") as client:
        auth = ExchangeAuth(client, options(), origin=api.url)
        with pytest.raises(ConfigurationError, match="DPoP key"):
            requests.get(api.url, auth=auth, timeout=10)
    assert [] == api.everything


def test_options_may_be_the_class(tenant: LocalTenant, api: RawServer) -> None:
    """Options are taken as everywhere."""
    given = CustomTokenExchangeOptions(subject_token="auth0|0", subject_token_type=TYPE)
    assert (
        200 == requests.get(api.url, auth=ExchangeAuth(tenant.client(), given, origin=api.url), timeout=9).status_code
    )
