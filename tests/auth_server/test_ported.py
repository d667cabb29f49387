"""What programs written for auth0-server-python say, and what this library does with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from auth0_cte import (
    AccessTokenError,
    AsyncServerClient,
    BackchannelLogoutError,
    ConfigurationError,
    MemoryStateStore,
    MfaRequiredError,
    ServerClient,
)
from auth0_cte.auth_types import LogoutOptions
from auth0_cte.error import (
    AccessTokenErrorCode,
    ApiError,
    Auth0Error,
    CustomTokenExchangeError,
    DomainResolverError,
    IdTokenError,
    OrganizationError,
    OrganizationTokenValidationError,
    SessionError,
    SessionExpiredError,
    TransportError,
)
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import LEGACY_LOGIN, LEGACY_TYPE, SESSION_SECRET, make_legacy_tenant

HOME = "https://app.example.com/"


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    tenant = make_legacy_tenant(clock=clock)
    tenant.add_application(tenant.client_id, tenant.client_secret, allowed_logout_urls=[HOME])
    return tenant


@pytest.fixture
def client(tenant: LocalTenant, clock: FakeClock, new_client: type[ServerClient]) -> ServerClient:
    return new_client(
        *(tenant.domain, tenant.client_id, tenant.client_secret),
        session=tenant.session(),
        secret=SESSION_SECRET,
        state_store=MemoryStateStore(),
        clock=clock,
    )


def log_in(client: ServerClient) -> dict[str, Any]:
    jar: dict[str, str] = {}
    client.login_with_custom_token_exchange(LEGACY_LOGIN, {"cookies": jar})
    return {"cookies": jar}


# --- logout


@pytest.mark.parametrize(
    "options",
    [LogoutOptions(return_to=HOME, federated=True), {"return_to": HOME, "federated": True}],
    ids=["LogoutOptions", "dict"],
)
def test_logout_takes_its_options_first(options: Any, client: ServerClient) -> None:
    """``federated`` is a name without a value, as Auth0 reads it."""
    at = log_in(client)
    url = client.logout(options, store_options=at)
    assert url.endswith("&federated")
    assert [HOME] == parse_qs(urlsplit(url).query)["returnTo"]
    assert client.get_user(at) is None


def test_logout_without_options(client: ServerClient) -> None:
    """The request is the second argument, or goes by its name; ``return_to`` has a short form."""
    calls: list[Callable[[dict[str, Any]], str]] = [
        lambda at: client.logout(None, at),
        lambda at: client.logout(store_options=at),
        lambda at: client.logout(return_to=HOME, store_options=at),
    ]
    for call in calls:
        at = log_in(client)
        assert "federated" not in call(at)
        assert client.get_user(at) is None


@pytest.mark.parametrize("name", ["request", "response", "cookies", "carrier"])
def test_a_request_in_place_of_the_options_is_refused(name: str, client: ServerClient) -> None:
    """The message names ``store_options=``, and the user stays logged in."""
    at = log_in(client)
    with pytest.raises(ConfigurationError, match="store_options="):
        client.logout({name: at.get(name)})
    assert client.get_user(at) is not None


@pytest.mark.parametrize(
    ("options", "more", "fault"),
    [
        ({"returnTo": HOME}, {}, "unknown options: returnTo"),
        ("https://app.example.com/", {}, r"logout\(return_to=…\)"),
        (5, {}, "must be LogoutOptions"),
        ({"return_to": HOME}, {"return_to": "https://other.example/"}, "given twice"),
        ({"return_to": "http://["}, {}, "return_to must be"),
    ],
)
def test_bad_options_are_refused_before_the_session_ends(
    options: Any, more: dict[str, Any], fault: str, client: ServerClient
) -> None:
    """The user stays logged in."""
    at = log_in(client)
    with pytest.raises(ConfigurationError, match=fault):
        client.logout(options, at, **more)
    assert client.get_user(at) is not None


def test_oidc_logout_has_the_id_token_as_hint(client: ServerClient, tenant: LocalTenant) -> None:
    """Auth0 then knows the session without asking, and sends the browser back."""
    at = log_in(client)
    hint = client.get_session(at)
    assert hint is not None
    url = client.logout(LogoutOptions(return_to=HOME, oidc=True), at)
    query = parse_qs(urlsplit(url).query)
    assert "/oidc/logout" == urlsplit(url).path
    assert (hint["id_token"], HOME) == (query["id_token_hint"][0], query["post_logout_redirect_uri"][0])
    with tenant.session() as browser:
        reply = browser.get(url, allow_redirects=False)
    assert (302, HOME) == (reply.status_code, reply.headers["location"])
    assert "id_token_hint" not in client.logout(LogoutOptions(oidc=True), at)


# --- the constructor


@pytest.mark.parametrize("kind", [ServerClient, AsyncServerClient])
@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("redirect_uri", "redirects"),
        ("transaction_store", "redirects"),
        ("pushed_authorization_requests", "redirects"),
        ("anonymous_store", "anonymous"),
        ("use_mtls", "MutualTls"),
    ],
)
def test_what_this_library_does_not_do_is_refused_by_name(kind: Any, name: str, word: str) -> None:
    """The message says what is not done, or what to use instead."""
    with pytest.raises(ConfigurationError, match=f"{name} is not supported: .*{word}"):
        kind("tenant.auth0.com", "c", "s", **{name: object()})


def test_a_misspelt_argument_is_what_it_is_everywhere() -> None:
    """Python's own error."""
    with pytest.raises(TypeError, match="domian"):
        ServerClient("tenant.auth0.com", "c", "s", domian="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_defaults_of_logins_by_redirects_are_not_sent(tenant: LocalTenant, caplog: pytest.LogCaptureFixture) -> None:
    """What belongs to /authorize alone is dropped, with a warning."""
    params = {"redirect_uri": HOME, "response_type": "code", "State": "x", "audience": "https://api.example.com"}
    tenant.add_api("https://api.example.com")
    client = tenant.client(authorization_params=params)
    client.custom_token_exchange({"subject_token": "x", "subject_token_type": LEGACY_TYPE})
    form = tenant.token_requests[-1].form
    assert {"redirect_uri", "response_type", "State", "state"} & set(form) == set()
    assert "https://api.example.com" == form["audience"]
    assert 1 == caplog.text.count("authorization_params cannot have redirect_uri, response_type, state: dropped")


# --- errors


def test_names_of_errors_are_those_that_are_raised() -> None:
    """Each is, or is the base of, a class that the library raises."""
    assert issubclass(CustomTokenExchangeError, ApiError)
    assert issubclass(TransportError, ApiError)
    assert issubclass(IdTokenError, ApiError)
    assert issubclass(ApiError, Auth0Error)
    assert OrganizationError is OrganizationTokenValidationError


def test_a_refused_logout_token_is_a_backchannel_logout_error(client: ServerClient) -> None:
    """It is an `IdTokenError` as before, with the same code."""
    with pytest.raises(BackchannelLogoutError) as caught:
        client.handle_backchannel_logout("x", {})
    assert isinstance(caught.value, IdTokenError)


@pytest.mark.parametrize("answer", [LookupError("no tenant"), "not a domain!", None], ids=str)
def test_a_resolver_that_fails_is_a_domain_resolver_error(answer: Any, new_client: type[ServerClient]) -> None:
    """Whether it raises or returns what is not a domain; it is a `ConfigurationError` as before."""

    def resolve(_context: object) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(DomainResolverError) as caught:
        new_client(resolve, "c", "s").custom_token_exchange({"subject_token": "x", "subject_token_type": LEGACY_TYPE})
    assert isinstance(caught.value, ConfigurationError)
    assert (answer if isinstance(answer, Exception) else None) is caught.value.original_error


def test_access_token_error_codes(client: ServerClient, tenant: LocalTenant, clock: FakeClock) -> None:
    """``e.code`` is compared with the values of `AccessTokenErrorCode`."""
    with pytest.raises(AccessTokenError) as nobody:
        client.get_access_token({"cookies": {}})
    assert AccessTokenErrorCode.MISSING_SESSION == nobody.value.code
    jar: dict[str, str] = {}
    client.login_with_custom_token_exchange({**LEGACY_LOGIN, "scope": "openid"}, {"cookies": jar})
    clock.advance(86_400 * 2)
    with pytest.raises(AccessTokenError) as without:
        client.get_access_token({"cookies": jar})
    assert AccessTokenErrorCode.MISSING_REFRESH_TOKEN == without.value.code


def test_an_ended_upstream_session(client: ServerClient, tenant: LocalTenant, clock: FakeClock) -> None:
    """At the login and later it is a `SessionExpiredError`, which both kinds of handlers catch."""
    at = {"cookies": dict[str, str]()}
    token = tenant.id_token("auth0|ada", session_expiry=int(clock()) + 60)
    tenant.fail_next(200, body={"access_token": "a", "expires_in": 3600, "id_token": token})
    client.login_with_custom_token_exchange(LEGACY_LOGIN, at)
    clock.advance(61)
    with pytest.raises(SessionExpiredError) as later:
        client.get_access_token(at)
    token = tenant.id_token("auth0|ada", session_expiry=int(clock()) - 60)
    tenant.fail_next(200, body={"access_token": "a", "expires_in": 3600, "id_token": token})
    with pytest.raises(SessionExpiredError) as at_login:
        client.login_with_custom_token_exchange(LEGACY_LOGIN, {"cookies": {}})
    for error in (later.value, at_login.value):
        assert AccessTokenErrorCode.SESSION_EXPIRED == error.code
        assert isinstance(error, AccessTokenError)
        assert isinstance(error, SessionError)


def test_a_second_factor_at_a_refresh_is_an_access_token_error(
    client: ServerClient, tenant: LocalTenant, clock: FakeClock
) -> None:
    """Handlers of both kinds catch it, and it brings what continues."""
    at = log_in(client)
    clock.advance(86_400 * 2)
    tenant.fail_next(403, "mfa_required", body={"error": "mfa_required", "mfa_token": "the-mfa-token"})
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token(at)
    assert isinstance(caught.value, MfaRequiredError)
    assert ("mfa_required", "the-mfa-token") == (caught.value.code, caught.value.mfa_token)
