from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest

from auth0_cte.testing import LocalTenant, TenantServer
from tests.cli.users import TYPE, environment, program, run
from tests.services import RedisServer, free_port

SECRET = "0123456789abcdef0123456789ABCDEFxyz"


def checks(*arguments: str, **env: str | None) -> tuple[int, dict[str, dict[str, Any]]]:
    result = run("doctor", "--json", *arguments, env={"AUTH0_SECRET": SECRET, **env})
    told = json.loads(result.stdout)
    assert told["exit_code"] == result.exit_code
    return result.exit_code, {each["name"]: each for each in told["checks"]}


@pytest.mark.usefixtures("served")
class TestChecks:
    """Each check, right and wrong."""

    def test_everything_is_right(self, tenant: LocalTenant) -> None:
        """With right settings nothing is wrong, and no Action ran."""
        ran: list[int] = []
        tenant.action(TYPE)(lambda event, api: ran.append(1))
        status, found = checks()
        assert (0, []) == (status, ran)
        assert {"ok", "skipped"} == {each["status"] for each in found.values()}
        assert ["dns", "tenant", "credentials", "token exchange", "secret", "cookies", "store"] == [
            name for name, each in found.items() if each["status"] == "ok" and name not in ("environment", "clock")
        ]

    def test_missing_settings(self) -> None:
        """All that is missing is named, and the domain is asked all the same."""
        status, found = checks(AUTH0_CLIENT_ID=None, AUTH0_CLIENT_SECRET=None)
        assert 4 == status
        assert "missing settings: AUTH0_CLIENT_ID, AUTH0_CLIENT_SECRET" in found["settings"]["message"]
        assert "ok" == found["tenant"]["status"]
        assert "credentials" not in found

    def test_no_request_without_credentials(self, tenant: LocalTenant) -> None:
        """Without credentials the token endpoint is not asked."""
        checks(AUTH0_CLIENT_SECRET=None)
        assert [] == tenant.token_requests

    def test_a_domain_that_is_none(self) -> None:
        """A domain that no client takes is a configuration fault."""
        status, found = checks(AUTH0_DOMAIN="https://tenant.auth0.com/path")
        assert (4, "fault") == (status, found["settings"]["status"])
        assert "tenant" not in found

    def test_a_name_that_does_not_resolve(self) -> None:
        """DNS is told apart, and nothing else is blamed."""
        status, found = checks(AUTH0_DOMAIN="tenant.invalid")
        assert (6, "fault", "network") == (status, found["dns"]["status"], found["dns"]["kind"])
        assert {"skipped"} == {found[name]["status"] for name in ("tls", "tenant", "credentials")}

    def test_nobody_there(self) -> None:
        """A closed port is a network fault of the tenant."""
        status, found = checks(AUTH0_DOMAIN=f"http://127.0.0.1:{free_port()}")
        assert (6, "fault") == (status, found["tenant"]["status"])

    def test_a_host_that_is_no_tenant(self, tenant: LocalTenant) -> None:
        """A web server that is none of Auth0 is a configuration fault."""
        tenant.fail_next(404, path="/.well-known/openid-configuration", times=9)
        status, found = checks()
        assert (4, "fault") == (status, found["tenant"]["status"])
        assert found["tenant"]["advice"]

    def test_no_keys(self, tenant: LocalTenant) -> None:
        """A tenant without usable keys is told."""
        tenant.fail_next(200, body={"keys": []}, path="/.well-known/jwks.json", times=9)
        assert "has no usable key" in checks()[1]["tenant"]["message"]

    @pytest.mark.parametrize(
        ("status", "error", "credentials", "grant"),
        [
            (401, "access_denied", "fault", "skipped"),
            (401, "invalid_client", "fault", "skipped"),
            (403, "unauthorized_client", "ok", "fault"),
            (400, "invalid_request", "ok", "ok"),
            (403, "access_denied", "warning", "skipped"),
            (500, "server_error", "warning", "skipped"),
        ],
    )
    def test_credentials(self, status: int, error: str, credentials: str, grant: str, tenant: LocalTenant) -> None:
        """A refused application, a missing grant and an unknown type are told apart; anything else is not verified."""
        tenant.fail_next(status, error, "because", times=9)
        ended, found = checks()
        assert (credentials, grant) == (found["credentials"]["status"], found["token exchange"]["status"])
        assert (4 if "fault" in (credentials, grant) else 0) == ended
        if credentials == "warning":
            assert "not verified" in found["credentials"]["message"]

    def test_a_wrong_secret_is_found_by_the_tenant(self) -> None:
        """The client secret is tried, and not told."""
        status, found = checks(AUTH0_CLIENT_SECRET="not-the-secret")
        assert (4, "fault") == (status, found["credentials"]["status"])
        assert "not-the-secret" not in json.dumps(found)

    def test_a_rate_limit(self, tenant: LocalTenant) -> None:
        """A limit leaves the credentials unverified, and ends with 5."""
        tenant.fail_next_with_rate_limit(times=9)
        status, found = checks()
        assert (5, "fault", "limit") == (status, found["credentials"]["status"], found["credentials"]["kind"])

    @pytest.mark.parametrize(
        ("ahead", "status", "words"),
        [
            (0, "ok", "within 5 seconds"),
            (12, "warning", "behind the tenant's"),
            (-20, "warning", "ahead of the tenant's"),
            (90, "fault", "behind the tenant's"),
        ],
    )
    def test_the_clock(self, ahead: int, status: str, words: str, tenant: LocalTenant) -> None:
        """This machine's clock is compared with the tenant's Date."""
        date = formatdate(tenant.clock() + ahead, usegmt=True)
        tenant.fail_next(400, "invalid_request", "unknown type", headers={"date": date}, times=9)
        found = checks()[1]["clock"]
        assert status == found["status"]
        assert words in found["message"]

    @pytest.mark.parametrize(
        ("secret", "status"), [(None, "warning"), ("short", "fault"), ("a" * 64, "fault"), (SECRET, "ok")]
    )
    def test_the_secret(self, secret: str | None, status: str) -> None:
        """A missing, short or repetitive secret is told."""
        assert status == checks(AUTH0_SECRET=secret)[1]["secret"]["status"]

    @pytest.mark.parametrize(
        ("name", "value", "status"),
        [("SECURE", "false", "warning"), ("SAME_SITE", "none", "warning"), ("SAME_SITE", "strict", "ok")],
    )
    def test_cookies(self, name: str, value: str, status: str) -> None:
        """Cookies that leave unprotected are warned about."""
        assert status == checks(**{f"AUTH0_COOKIE_{name}": value})[1]["cookies"]["status"]

    @pytest.mark.parametrize(("token_type", "status"), [("urn:acme:mine", "ok"), ("urn:ietf:x:y", "fault")])
    def test_token_types(self, token_type: str, status: str) -> None:
        """Reserved namespaces are told."""
        ended, found = checks("-t", token_type)
        assert (status, 4 if status == "fault" else 0) == (found["profile"]["status"], ended)

    def test_redis(self, redis_server: RedisServer) -> None:
        """A Redis that answers is right; one that does not is a network fault."""
        assert "ok" == checks("--redis", redis_server.url)[1]["redis"]["status"]
        status, found = checks("--redis", f"redis://:hunter2@127.0.0.1:{free_port()}/0")
        assert (6, "fault") == (status, found["redis"]["status"])
        assert "hunter2" not in json.dumps(found)

    def test_a_proxy_is_not_gone_around(self) -> None:
        """With a proxy in the environment the name is the proxy's to resolve."""
        found = checks(HTTP_PROXY=f"http://127.0.0.1:{free_port()}", NO_PROXY="", AUTH0_DOMAIN="http://localhost:1")[1]
        assert "skipped" == found["dns"]["status"]


def test_an_untrusted_certificate(tenant: LocalTenant) -> None:
    """A certificate that is not trusted is a fault of TLS, with its reason."""
    with tenant.serve(tls=True) as server:
        status, found = checks(**environment(tenant, server))
    assert (6, "fault", "skipped") == (status, found["tls"]["status"], found["tenant"]["status"])
    assert "certificate" in found["tls"]["message"]


def test_a_trusted_certificate(tenant: LocalTenant) -> None:
    """With the authority in the environment TLS is right."""
    with tenant.serve(tls=True) as server:
        assert server.ca_bundle is not None
        status, found = checks(REQUESTS_CA_BUNDLE=server.ca_bundle, **environment(tenant, server))
    assert (0, "ok") == (status, found["tls"]["status"])


def test_lines_say_what_to_do(served: TenantServer) -> None:
    """For people each check is a line, with advice below it, and no secret."""
    result = run("doctor", env={"AUTH0_CLIENT_SECRET": "not-the-secret"})
    assert 4 == result.exit_code
    lines = result.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("FAIL credentials"))
    assert lines[at + 1].strip().startswith("-> Copy client id and secret")
    assert "AUTH0_CLIENT_SECRET is set" in result.stdout
    assert "not-the-secret" not in result.output


def test_the_local_tenant_is_right() -> None:
    """--local needs no settings."""
    done = program("doctor", "--local")
    assert (0, "") == (done.returncode, done.stderr)
