"""``manage.py auth0_cte_check``: what it tells, what it takes for a fault, and what it keeps to itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from auth0_cte.django import DjangoCacheStateStore
from auth0_cte.session.stores.redis import RedisStateStore
from auth0_cte.testing import LocalTenant
from tests.django_project import SECRET, memory, project
from tests.services import free_port

CLIENT_SECRET = "the-applications-own-secret"


@pytest.fixture
def tenant() -> LocalTenant:
    return LocalTenant(client_secret=CLIENT_SECRET)


def check(*arguments: str) -> str:
    output = StringIO()
    call_command("auth0_cte_check", *arguments, "--no-color", stdout=output)
    return output.getvalue()


def faults(*arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        check(*arguments)
    assert 1 == caught.value.returncode
    return str(caught.value)


@contextmanager
def cache(backend: str, **more: Any) -> Iterator[None]:
    settings = {"BACKEND": f"django.core.cache.backends.{backend}", **more}
    with override_settings(CACHES={"default": settings}):
        yield


def test_what_works_is_told(tenant: LocalTenant) -> None:
    """Settings, tenant, credentials and store are named; no subject token is needed, and no Action runs."""
    with project(tenant, state_store=memory):
        told = check()
    assert f"AUTH0_CTE[\"domain\"]: '{tenant.domain}'\n" in told
    assert f"AUTH0_CTE[\"client_id\"]: '{tenant.client_id}'\n" in told
    assert f"tenant: {tenant.issuer} answers, its keys are at {tenant.issuer}.well-known/jwks.json\n" in told
    assert "store: MemoryStateStore works\n" in told
    assert "credentials: the application authenticates\n" in told
    assert "token exchange: enabled for the application\n" in told
    assert told.endswith("Everything is in order.\n")
    assert ["urn:auth0-cte-doctor:not-registered"] == [
        str(request.form["subject_token_type"]).rpartition("-")[0] for request in tenant.token_requests
    ]


def test_wrong_credentials_are_a_fault(tenant: LocalTenant) -> None:
    """A client secret that the tenant does not take is found out by trying, and not told."""
    with project(tenant, client_secret="another-secret-of-the-application"):
        told = faults()
    assert told.startswith("1 fault(s):\n- credentials: refused: ")
    assert "another-secret" not in told


def test_an_application_without_the_grant_is_a_fault(tenant: LocalTenant) -> None:
    """Custom Token Exchange that is not enabled for the application is told apart from wrong credentials."""
    tenant.add_application("bare", "the-secret-of-bare", token_exchange=False)
    with project(tenant, client_id="bare", client_secret="the-secret-of-bare"):
        assert faults().startswith("1 fault(s):\n- token exchange: not enabled: ")


def test_secrets_are_not_told(tenant: LocalTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a secret the report says that it is set, wherever it is; so of every name that it does not know."""
    monkeypatch.setenv("AUTH0_DPOP_PRIVATE_KEY", "")
    monkeypatch.setenv("AUTH0_SOMETHING", "perhaps-a-secret")
    with project(tenant), override_settings(AUTH0_SECRET=SECRET):
        told = check()
    assert 'AUTH0_CTE["client_secret"]: set\n' in told
    assert "AUTH0_SECRET (settings): set\n" in told
    assert "AUTH0_SOMETHING (environment): set\n" in told
    assert "AUTH0_DPOP_PRIVATE_KEY (environment): empty\n" in told
    assert not any(secret in told for secret in (CLIENT_SECRET, SECRET, "perhaps-a-secret"))


def test_the_network_is_left_alone_on_request(tenant: LocalTenant) -> None:
    """Settings are checked, and nothing is sent; the report does not claim more than that."""
    with project(tenant, state_store=lambda: RedisStateStore.from_url(f"redis://127.0.0.1:{free_port()}")):
        told = check("--no-network")
    assert 0 == len(tenant.requests)
    assert "tenant:" not in told
    assert told.endswith("Everything is in order as far as it can be told without the network.\n")


def test_all_faults_of_the_settings_are_listed(tenant: LocalTenant) -> None:
    """One line for each, with what to do; the tenant is not asked then."""
    with project(tenant, timeout=-1, retires=3), override_settings(MIDDLEWARE=[]):
        told = faults()
    assert told.startswith("3 fault(s):\n- ")
    assert "not arguments of ServerClient: retires" in told
    assert "timeout" in told
    assert 'Auth0CTEMiddleware is not installed. Add "auth0_cte.django.middleware.Auth0CTEMiddleware" to' in told
    assert 0 == len(tenant.requests)


def test_missing_settings_are_named(tenant: LocalTenant) -> None:
    """What is missing is listed, with the setting to put it in."""
    with project(tenant), override_settings(AUTH0_CTE={"domain": "tenant.auth0.com"}):
        told = faults("--no-network")
    assert "AUTH0_CLIENT_ID" in told
    assert "AUTH0_CLIENT_SECRET" in told
    assert "Set AUTH0_CTE = {" in told


@pytest.mark.parametrize("given", ["a string", None, [("domain", "x")]])
def test_settings_that_are_no_dict_are_told(given: object, tenant: LocalTenant) -> None:
    """It is a fault among others, and not the end of the report."""
    with project(tenant), override_settings(AUTH0_CTE=given):
        assert "AUTH0_CTE must be a dict" in faults()


def test_a_missing_secret_is_a_warning(tenant: LocalTenant) -> None:
    """Exchanges work without one, logins do not."""
    with project(tenant, secret=None):
        told = check()
    assert "warning: sessions need a secret: every login will be refused. Set AUTH0_SECRET" in told


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("/.well-known/openid-configuration", {"status": 404}),
        ("/.well-known/openid-configuration", {"status": 200, "body": "<html>", "content_type": "text/html"}),
        ("/.well-known/openid-configuration", {"fault": "reset"}),
        ("/.well-known/jwks.json", {"status": 500}),
        ("/.well-known/jwks.json", {"status": 200, "body": {"keys": []}}),
    ],
)
def test_a_tenant_that_does_not_answer_is_a_fault(path: str, reply: dict[str, Any], tenant: LocalTenant) -> None:
    """Metadata and keys are wanted, both; the store is checked all the same."""
    tenant.fail_next(path=path, times=20, **reply)
    with project(tenant, timeout=5):
        told = faults()
    assert told.startswith("1 fault(s):\n- tenant: ")
    assert told.endswith((" Check that the domain is an Auth0 tenant or custom domain.", "proxy and TLS settings."))


def test_a_tenant_that_is_not_there_is_a_fault(tenant: LocalTenant) -> None:
    """A closed port is told, over a real connection, and so is a store that is down: both in one run."""
    down = f"127.0.0.1:{free_port()}"
    store = RedisStateStore.from_url(f"redis://{down}")
    with project(tenant, domain=f"http://{down}", session=None, timeout=5, state_store=store):
        told = faults()
    assert told.startswith("2 fault(s):\n- tenant: ")
    assert "\n- store: the session store (Redis) cannot be used: ConnectionError. " in told


def test_a_function_chooses_the_domain(tenant: LocalTenant) -> None:
    """There is no request, so that the one to ask is to be named."""
    with project(tenant, domain=lambda _context: tenant.domain):
        assert "tenant: a function chooses it for each request; give --domain to ask one\n" in check()
        assert f"tenant: {tenant.issuer} answers" in check("--domain", tenant.domain)
        assert "tenant: " in faults("--domain", "not a domain")


def test_a_cache_that_works(tenant: LocalTenant) -> None:
    """Sessions in Django's cache are tried there."""
    with (
        cache("locmem.LocMemCache", OPTIONS={"MAX_ENTRIES": 10_000}),
        project(tenant, state_store=DjangoCacheStateStore),
    ):
        assert "store: DjangoCacheStateStore works\n" in check()


def test_a_cache_that_keeps_nothing_is_a_fault(tenant: LocalTenant) -> None:
    """The dummy of development is found out by trying."""
    with cache("dummy.DummyCache"), project(tenant, state_store=DjangoCacheStateStore):
        assert "store: the session store (Django's cache 'default') does not keep what it is given" in faults()


def test_a_cache_that_is_down_is_a_fault(tenant: LocalTenant) -> None:
    """Whatever its backend raises is told by the name of the error."""
    down = f"redis://127.0.0.1:{free_port()}"
    with cache("redis.RedisCache", LOCATION=down), project(tenant, state_store=DjangoCacheStateStore):
        assert "store: the session store (Django's cache 'default') cannot be used: ConnectionError" in faults()


def test_a_cache_that_is_not_configured_is_a_fault(tenant: LocalTenant) -> None:
    """The alias is named."""
    with cache("dummy.DummyCache"), project(tenant, state_store=lambda: DjangoCacheStateStore("sessions")):
        assert "CACHES has no 'sessions', where sessions would be kept" in faults("--no-network")
