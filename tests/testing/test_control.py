"""The control API of a served tenant: what it does, for whom, and what it does not tell."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from auth0_cte import ConfigurationError, CustomTokenExchangeError, CustomTokenExchangeOptions
from auth0_cte.testing import FakeClock, LocalTenant, RunningClock, TenantServer

TYPE = "urn:acme:legacy"
CANARY = "canary-4711-of-the-test"
TOKEN = "the-token-of-the-control-api"
PATHS = ["health", "users", "clock", "requests", "logs"]


@pytest.fixture
def tenant() -> Iterator[LocalTenant]:
    with LocalTenant(clock=RunningClock()) as made:
        made.seed({"users": [{"user_id": "auth0|ada", "email": "ada@acme.example"}]})
        made.accept(TYPE, "auth0|ada")
        made.seed({})
        yield made


@pytest.fixture
def server(tenant: LocalTenant) -> TenantServer:
    return tenant.serve(control=True)


def ask(server: TenantServer, path: str, body: Any = None, method: str | None = None, **headers: str) -> Any:
    """Ask the control API, and return the response."""
    return requests.request(
        method or ("GET" if body is None else "POST"),
        f"{server.url}/_tenant/{path}",
        json=body,
        headers=headers,
        timeout=30,
    )


def exchange(server: TenantServer, token: str = CANARY) -> Any:
    with server.client() as client:
        return client.custom_token_exchange(
            CustomTokenExchangeOptions(subject_token=token, subject_token_type=TYPE, scope="openid offline_access")
        )


class TestWhatItDoes:
    def test_health(self, server: TenantServer) -> None:
        """The tenant answers, and tells its issuer."""
        told = ask(server, "health").json()
        assert ("ok", f"{server.url}/", 1) == (told["status"], told["issuer"], told["users"])

    def test_users_come_and_go(self, server: TenantServer, tenant: LocalTenant) -> None:
        """Users are added as a seed writes them, changed, shown and deleted."""
        added = ask(server, "users", {"user_id": "auth0|bob", "name": "Bob", "factors": [{"kind": "otp"}]})
        assert (201, "Bob") == (added.status_code, added.json()["name"])
        assert {"auth0|ada", "auth0|bob"} == {user["user_id"] for user in ask(server, "users").json()["users"]}
        assert ask(server, "users/auth0%7Cbob", {"blocked": True}, "PATCH").json()["blocked"]
        assert tenant.users["auth0|bob"].blocked
        assert 200 == ask(server, "users/auth0%7Cbob", method="DELETE").status_code
        assert 404 == ask(server, "users/auth0%7Cbob").status_code

    def test_reset_returns_to_the_seed(self, server: TenantServer, tenant: LocalTenant) -> None:
        """Users, scripted failures and the clock are as they were."""
        ask(server, "users", {"user_id": "auth0|bob"})
        ask(server, "fail-next", {"status": 503})
        ask(server, "clock", {"advance": 86400})
        assert 200 == ask(server, "reset", {}).status_code
        assert ["auth0|ada"] == list(tenant.users)
        assert exchange(server).access_token
        assert "RunningClock(offset=0.0)" == repr(tenant.clock)

    def test_the_next_request_fails(self, server: TenantServer) -> None:
        """As it was asked for, and once."""
        ask(server, "fail-next", {"status": 403, "error": "access_denied", "description": "closed today"})
        with pytest.raises(CustomTokenExchangeError, match="closed today"):
            exchange(server)
        assert exchange(server).access_token

    def test_failures_are_forgotten(self, server: TenantServer) -> None:
        """What was scripted can be taken back."""
        ask(server, "fail-next", {"status": 403, "times": 5})
        ask(server, "fail-next", method="DELETE")
        assert exchange(server).access_token

    def test_keys_rotate(self, server: TenantServer) -> None:
        """The new key comes first, and the old one stays unless it is to go."""
        first = ask(server, "rotate-keys", {}).json()["kids"]
        assert 2 == len(first)
        assert 1 == len(ask(server, "rotate-keys", {"keep_old": False}).json()["kids"])

    def test_the_clock_moves(self, server: TenantServer) -> None:
        """To a moment or by some seconds, and runs on."""
        assert 2_000_000_000 <= ask(server, "clock", {"set": 2_000_000_000}).json()["now"] < 2_000_000_100
        assert 2_000_003_600 <= ask(server, "clock", {"advance": 3600}).json()["now"] < 2_000_003_700

    @pytest.mark.parametrize(("clock", "status"), [(FakeClock(), 200), (lambda: 1.8e9, 409)])
    def test_another_clock_may_stand(self, clock: Any, status: int) -> None:
        """A clock that cannot be moved is told as such."""
        with LocalTenant(clock=clock) as tenant, tenant.serve(control=True) as server:
            assert status == ask(server, "clock", {"advance": 1}).status_code

    def test_requests_and_logs_are_told(self, server: TenantServer) -> None:
        """In order, and from a position on; what the control API itself was asked is not among them."""
        exchange(server)
        told = ask(server, "requests").json()
        assert "/oauth/token" in [each["path"] for each in told["requests"]]
        assert not [each for each in told["requests"] if "_tenant" in each["path"]]
        assert [] == ask(server, f"requests?after={told['next']}").json()["requests"]
        (entry,) = ask(server, "logs").json()["logs"]
        assert ("secte", "auth0|ada") == (entry["type"], entry["user_id"])

    @pytest.mark.parametrize("kind", ["text/event-stream", "application/x-ndjson"])
    def test_logs_are_streamed(self, kind: str, server: TenantServer) -> None:
        """Entries that are there come at once, later ones when they happen."""
        exchange(server)
        with requests.get(f"{server.url}/_tenant/logs", headers={"Accept": kind}, stream=True, timeout=30) as response:
            assert kind == response.headers["content-type"]
            lines = (line for line in response.iter_lines(chunk_size=1) if b"{" in line)
            assert "secte" == json.loads(next(lines).removeprefix(b"data: "))["type"]
            exchange(server)
            assert "secte" == json.loads(next(lines).removeprefix(b"data: "))["type"]

    def test_a_stream_goes_on_where_it_ended(self, server: TenantServer) -> None:
        """The identifier of the last event is a position."""
        for _ in range(2):
            exchange(server)
        headers = {"Accept": "text/event-stream", "Last-Event-ID": "1"}
        with requests.get(f"{server.url}/_tenant/logs", headers=headers, stream=True, timeout=30) as response:
            assert b"id: 2" == next(line for line in response.iter_lines(chunk_size=1) if line.startswith(b"id"))

    def test_an_open_stream_does_not_hold_the_server(self, server: TenantServer) -> None:
        """Closing ends it."""
        headers = {"Accept": "text/event-stream"}
        with requests.get(f"{server.url}/_tenant/logs", headers=headers, stream=True, timeout=30) as response:
            next(response.iter_content(1))
            server.close()
            assert b"" == b"".join(response.iter_content(100)).strip()


class TestWhoMay:
    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "169.254.169.254", "["])
    def test_other_names_are_refused(self, host: str, path: str, server: TenantServer) -> None:
        """A name of somebody else's that leads here (DNS rebinding) is not answered."""
        response = ask(server, path, Host=host)
        assert (403, "unknown_host") == (response.status_code, response.json()["error"])

    def test_without_a_host_nothing_is_told(self, server: TenantServer) -> None:
        """A request of HTTP/1.0 names no host."""
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(b"GET /_tenant/users HTTP/1.0\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 403 ")

    def test_own_names_are_answered(self, tenant: LocalTenant) -> None:
        """The name that the server was given, and those of the loopback interface."""
        with tenant.serve(control=True, name="tenant.test") as server:
            port = server.port
            assert f"http://tenant.test:{port}" == server.url
            for host in ("tenant.test", "TENANT.test", "localhost", "127.0.0.1", "[::1]"):
                response = requests.get(
                    f"http://127.0.0.1:{port}/_tenant/health", headers={"Host": f"{host}:{port}"}, timeout=30
                )
                assert 200 == response.status_code, host

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", ""])
    @pytest.mark.parametrize("path", PATHS)
    def test_foreign_origins_are_refused(self, path: str, origin: str, server: TenantServer) -> None:
        """A web page of another origin is not answered, whatever it asks for."""
        response = ask(server, path, Origin=origin)
        assert (403, "foreign_origin") == (response.status_code, response.json()["error"])

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_what_browsers_say_counts(self, site: str, server: TenantServer) -> None:
        """An image or script of a foreign page has no Origin, but browsers tell where it is from."""
        assert 403 == ask(server, "logs", **{"Sec-Fetch-Site": site}).status_code

    def test_its_own_origin_is_answered(self, server: TenantServer) -> None:
        """A page of the server itself may ask."""
        assert 200 == ask(server, "health", Origin=server.url, **{"Sec-Fetch-Site": "same-origin"}).status_code

    @pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
    def test_there_are_no_cors_headers(self, method: str, server: TenantServer) -> None:
        """No answer lets another origin read it, a preflight's neither."""
        headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        for sent in (headers, {}):
            response = ask(server, "users", {} if method == "POST" else None, method, **sent)
            assert [] == [name for name in response.headers if name.lower().startswith("access-control")]
            assert "nosniff" == response.headers["x-content-type-options"]

    @pytest.mark.parametrize(
        "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/json2"]
    )
    @pytest.mark.parametrize("path", ["users", "reset", "fail-next", "rotate-keys", "clock"])
    def test_forms_are_refused(self, path: str, kind: str, server: TenantServer, tenant: LocalTenant) -> None:
        """What a web page can send without asking first changes nothing."""
        body = b'{"user_id": "auth0|evil"}'
        headers = {"Content-Type": kind}
        response = requests.post(f"{server.url}/_tenant/{path}", data=body, headers=headers, timeout=30)
        assert 415 == response.status_code
        assert ["auth0|ada"] == list(tenant.users)

    @pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
    @pytest.mark.parametrize("path", PATHS)
    def test_the_token_is_required(self, path: str, given: str, tenant: LocalTenant) -> None:
        """With a token nothing is answered without it."""
        with tenant.serve(control=True, control_token=TOKEN) as server:
            response = ask(server, path, Authorization=given)
            assert (401, "invalid_token") == (response.status_code, response.json()["error"])
            assert 200 == ask(server, path, Authorization=f"Bearer {TOKEN}").status_code

    def test_off_loopback_there_is_a_token(self, tenant: LocalTenant, caplog: pytest.LogCaptureFixture) -> None:
        """A server that other machines reach warns, and makes a token if none is given."""
        with (
            caplog.at_level(logging.WARNING, "auth0_cte.testing"),
            tenant.serve(host="0.0.0.0", control=True) as server,
        ):
            assert "other machines can reach it" in caplog.text
            assert server.control_token is not None
            assert len(server.control_token) >= 32
            assert 401 == ask(server, "users").status_code
            assert 200 == ask(server, "users", Authorization=f"Bearer {server.control_token}").status_code

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
    def test_on_loopback_there_is_none(self, host: str, tenant: LocalTenant, caplog: pytest.LogCaptureFixture) -> None:
        """Programs of this machine need no token, and there is nothing to warn of."""
        with tenant.serve(host=host, control=True) as server:
            assert (None, "") == (server.control_token, caplog.text)
            assert 200 == ask(server, "health").status_code

    def test_without_control_there_is_none(self, tenant: LocalTenant) -> None:
        """A server has the control API only when it is asked for."""
        with tenant.serve() as server:
            assert 404 == ask(server, "health").status_code

    @pytest.mark.parametrize(
        "settings", [{"control_token": "short"}, {"control_token": "x" * 20 + "\n"}, {"name": "a/b"}, {"name": ""}]
    )
    def test_unusable_settings(self, settings: dict[str, Any], tenant: LocalTenant) -> None:
        """A token that can be guessed and a name with a path are refused before anything listens."""
        with pytest.raises(ConfigurationError):
            tenant.serve(**settings)


class TestWhatItTakes:
    @pytest.mark.parametrize(
        ("path", "body", "message"),
        [
            ("users", {}, r"$.user_id is required"),
            ("users", {"user_id": "a", "file": "/etc/passwd"}, "$.file is unknown"),
            ("users", {"user_id": "a", "roles": ["x"]}, "role that does not exist"),
            ("users", {"user_id": "a", "actions": []}, "$.actions is unknown"),
            ("reset", {"seed": "/etc/passwd"}, "$.seed is unknown"),
            ("fail-next", {"status": "503"}, "$.status must be an integer"),
            ("fail-next", {"status": 700}, "$.status must be 599 or less"),
            ("fail-next", {"times": 10**9}, "$.times must be 1000 or less"),
            ("fail-next", {"headers": {"x": "a\r\nset-cookie: b"}}, "$.headers.x must match"),
            ("fail-next", {"headers": {"x: y\r\nz": "a"}}, "$.headers must match"),
            ("fail-next", {"content_type": "a\r\nb: c"}, "$.content_type must match"),
            ("fail-next", {"fault": "explode"}, "$.fault must be one of"),
            ("clock", {}, "$ must have one of advance and set"),
            ("clock", {"set": True}, "$.set must be a number"),
            ("rotate-keys", {"keep_old": 1}, "$.keep_old must be a boolean"),
        ],
    )
    def test_a_fault_is_told_with_its_path(self, path: str, body: Any, message: str, server: TenantServer) -> None:
        """As with seeds; code and paths of files are not taken at all."""
        response = ask(server, path, body)
        assert 400 == response.status_code
        assert message in response.json()["error_description"]

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b"\xff", b'{"set": NaN}'])
    def test_only_json_objects(self, body: bytes, server: TenantServer) -> None:
        """Anything else is refused."""
        headers = {"Content-Type": "application/json"}
        response = requests.post(f"{server.url}/_tenant/clock", data=body, headers=headers, timeout=30)
        assert 400 == response.status_code

    def test_a_huge_body_is_not_read(self, server: TenantServer) -> None:
        """It is refused by its length."""
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            host = urlsplit(server.url).netloc
            connection.sendall(
                f"POST /_tenant/users HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9999999\r\n\r\n".encode()
            )
            assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")

    @pytest.mark.parametrize(("method", "path", "status"), [("PUT", "users", 405), ("GET", "actions", 404)])
    def test_what_is_not_there(self, method: str, path: str, status: int, server: TenantServer) -> None:
        """Unknown paths and methods are told what there is."""
        response = ask(server, path, method=method)
        assert status == response.status_code
        assert "Use " in response.json()["error_description"]

    def test_a_wrong_position(self, server: TenantServer) -> None:
        """A position is a number."""
        assert 400 == ask(server, "logs?after=-1").status_code


class TestWhatItDoesNotTell:
    def test_no_credential_is_in_requests_or_logs(self, tenant: LocalTenant, server: TenantServer) -> None:
        """Neither what was sent, nor what an Action repeated, nor what the tenant issued or holds as a secret."""
        secret = tenant.client_secret

        @tenant.action(TYPE, secrets={"KEY": f"{CANARY}-secret"})
        def leak(event: Any, _api: Any) -> None:
            sent = event.transaction.subject_token
            raise RuntimeError(f"{sent} {event.secrets.KEY} {event.request.body.custom} {secret} {sent.upper()[:0]}")

        with server.client() as client, pytest.raises(CustomTokenExchangeError):
            client.custom_token_exchange(
                CustomTokenExchangeOptions(
                    subject_token=CANARY, subject_token_type=TYPE, authorization_params={"custom": f"{CANARY}&more"}
                )
            )
        tenant.accept(TYPE, "auth0|ada")
        response = exchange(server)
        with server.client() as client:
            client.refresh_exchanged_token(response.refresh_token)
        requests.get(f"{server.url}/userinfo", headers={"Authorization": f"Bearer {response.access_token}"}, timeout=30)
        requests.post(
            f"{server.url}/oauth/token", auth=("a-client", f"{CANARY}-basic"), data={"grant_type": "x"}, timeout=30
        )
        told = ask(server, "requests").text
        tenant.requests.clear()  # log entries know for themselves what must not be told of them
        told += ask(server, "logs").text
        assert "threw RuntimeError" in told
        for credential in (CANARY, secret, response.access_token, response.refresh_token, response.id_token):
            assert credential not in told
        assert "eyJ" not in told

    @pytest.mark.parametrize("what", ["a secret of the Action", "a secret of an application", "a token"])
    def test_what_an_action_repeats_is_redacted(self, what: str, tenant: LocalTenant, server: TenantServer) -> None:
        """Secrets that nobody sent, and tokens of whomever."""
        told = {
            "a secret of the Action": "secret-of-the-action",
            "a secret of an application": tenant.add_application("other").client_secret or "",
            "a token": tenant.id_token("auth0|ada"),
        }[what]

        @tenant.action(TYPE, secrets={"KEY": "secret-of-the-action"})
        def leak(_event: Any, _api: Any) -> None:
            raise RuntimeError(f"it is {told}!")

        with pytest.raises(CustomTokenExchangeError):
            exchange(server)
        logs = ask(server, "logs").text
        assert "it is [redacted]!" in logs
        assert told not in logs

    def test_a_secret_in_the_wrong_place_is_redacted(self, server: TenantServer) -> None:
        """The log repeats the User-Agent, but not when that is the password of the same request."""
        requests.post(
            f"{server.url}/oauth/token",
            auth=("a-client", "a-password-of-basic"),
            data={"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange"},
            headers={"User-Agent": "curl a-password-of-basic"},
            timeout=30,
        )
        (entry,) = ask(server, "logs").json()["logs"]
        (request,) = ask(server, "requests").json()["requests"]
        assert "curl [redacted]" == entry["user_agent"] == request["user_agent"]

    def test_short_codes_are_redacted(self, server: TenantServer) -> None:
        """A one-time password is too short to be found in texts, but as a parameter it is not shown."""
        requests.post(f"{server.url}/oauth/token?pin=4711", data={"otp": "4711"}, timeout=30)
        (request,) = ask(server, "requests").json()["requests"]
        assert ({"otp": "[redacted]"}, {"pin": "[redacted]"}) == (request["form"], request["query"])

    def test_what_is_no_credential_is_told(self, server: TenantServer) -> None:
        """Types, scopes and the client can be asserted."""
        exchange(server)
        (form,) = [each["form"] for each in ask(server, "requests").json()["requests"] if each["form"]]
        assert (TYPE, "openid offline_access", "[redacted]") == (
            form["subject_token_type"],
            form["scope"],
            form["subject_token"],
        )

    def test_the_token_is_in_no_repr(self, tenant: LocalTenant) -> None:
        """A server can be printed."""
        with tenant.serve(control=True, control_token=TOKEN) as server:
            assert TOKEN not in repr(server)
