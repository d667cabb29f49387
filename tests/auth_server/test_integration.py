"""What all integrations share: who is redirected to log in, where, and what failures are answered with."""

from __future__ import annotations

import logging

import pytest

from auth0_cte import (
    AccessTokenError,
    ConfigurationError,
    CustomTokenExchangeError,
    DiscoveryError,
    IdTokenError,
    MfaRequiredError,
    OrganizationError,
    RateLimitError,
    SessionError,
    TransportError,
    TransportTimeoutError,
)
from auth0_cte.auth_server.integration import accepts_html, answer_of, is_admitted, login_location
from auth0_cte.auth_types import Session
from auth0_cte.error import Auth0CTEError


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, True),
        ("", True),
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", True),
        ("*/*", True),
        ("text/*;q=0.3", True),
        ("TEXT/HTML", True),
        ("application/json", False),
        ("text/html;q=0, */*", False),
        ("text/html;level=1;q=0.0,*/*", False),
        ("text/*;q=0.00, */*;q=1", False),
        ("text/html;q=0.001", True),
        ("application/xhtml+xml", False),
        (",;,", False),
    ],
)
def test_who_takes_html_is_a_browser(accept: str | None, expected: bool) -> None:
    """The most specific range decides; a quality of zero rules HTML out; no header rules nothing out."""
    assert expected is accepts_html(accept)


@pytest.mark.parametrize(
    ("login_url", "expected"),
    [
        ("/login", "/login?next=/a/%3Fx%3D1%26y%3D%252F"),
        ("/login?x=1&y=", "/login?x=1&y=&next=/a/%3Fx%3D1%26y%3D%252F"),
        ("/login?next=/old", "/login?next=/a/%3Fx%3D1%26y%3D%252F"),
        ("https://app.example/login", "https://app.example/login?next=/a/%3Fx%3D1%26y%3D%252F"),
        ("//app.example/login", "//app.example/login?next=/a/%3Fx%3D1%26y%3D%252F"),
        ("https://id.example/", "https://id.example/?next=https%3A//app.example/a/%3Fx%3D1%26y%3D%252F"),
        ("http://app.example/", "http://app.example/?next=https%3A//app.example/a/%3Fx%3D1%26y%3D%252F"),
    ],
)
def test_the_login_page_finds_back(login_url: str, expected: str) -> None:
    """The page's own query is kept, the way back is one parameter, and whole for another host."""
    here = "https://app.example/a/?x=1&y=%2F#top"
    assert expected == login_location(login_url, here, "next")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CustomTokenExchangeError("x", code="INVALID_TOKEN_FORMAT"), 400),
        (CustomTokenExchangeError("x", code="INVALID_PENDING_LOGIN"), 400),
        (CustomTokenExchangeError("x", code="INVALID_RESPONSE", status_code=200), 502),
        (CustomTokenExchangeError("x", code="invalid_request", status_code=400), 403),
        (CustomTokenExchangeError("x", code="access_denied", status_code=401), 403),
        (CustomTokenExchangeError("x", code="server_error", status_code=500), 502),
        (CustomTokenExchangeError("x", code="EXCHANGE_CACHE_UNAVAILABLE"), 503),
        (MfaRequiredError("x", code="mfa_required", status_code=403), 403),
        (RateLimitError("x", code="too_many_attempts", status_code=429), 429),
        (TransportError("x"), 502),
        (TransportTimeoutError("x"), 504),
        (DiscoveryError("x"), 502),
        (IdTokenError("x"), 403),
        (IdTokenError("x", code="JWKS_UNAVAILABLE"), 503),
        (OrganizationError("x"), 403),
        (AccessTokenError("x", code="MISSING_SESSION"), 401),
        (AccessTokenError("x", code="MISSING_REFRESH_TOKEN"), 401),
        (AccessTokenError("x", code="invalid_grant", status_code=403), 401),
        (AccessTokenError("x", code="INSUFFICIENT_TOKEN"), 403),
        (AccessTokenError("x", code="SUBJECT_MISMATCH", session_ended=True), 401),
        (AccessTokenError("x", code="ACTOR_MISMATCH", session_ended=True), 401),
        (AccessTokenError("x", code="FAILED_TO_REFRESH_TOKEN", is_retryable=True), 503),
        (AccessTokenError("x", code="FAILED_TO_REFRESH_TOKEN"), 502),
        (SessionError("x", code="STORE_UNAVAILABLE"), 503),
        (SessionError("x", code="SESSION_LOCKED"), 503),
        (SessionError("x", code="SESSION_EXPIRED"), 401),
        (SessionError("x", code="SESSION_TOO_LARGE"), 413),
        (SessionError("x", code="DOMAIN_MISMATCH"), 403),
        (SessionError("x", code="USER_REFUSED"), 403),
    ],
)
def test_a_failure_has_a_status(error: Auth0CTEError, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """The client learns the code; the message is in the log and not in the answer."""
    caplog.set_level(logging.WARNING, "auth0_cte")
    answer = answer_of(error)
    assert answer is not None
    assert (status, {"error": error.code}) == (answer.status, dict(answer.body))
    assert "no-store" == answer.headers["Cache-Control"]
    (message,) = caplog.messages
    assert 1 == message.count(f"({error.code}")


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("x"),
        SessionError("x", code="REQUEST_MISSING"),
        SessionError("x", code="RESPONSE_SENT"),
        SessionError("x", code="SECRET_MISSING"),
    ],
)
def test_a_fault_of_the_application_is_not_answered(error: Auth0CTEError) -> None:
    """It stays an exception, which the framework logs with its traceback."""
    assert answer_of(error) is None


def test_an_answer_says_how_to_go_on() -> None:
    """A login that needs a second factor can be resumed, and a limit says when to try again, in whole seconds."""
    pending = MfaRequiredError("x", code="mfa_required", status_code=403)
    pending.pending_login = "sealed"
    answer = answer_of(pending)
    assert answer is not None
    assert {"error": "mfa_required", "pending_login": "sealed"} == answer.body
    limited = answer_of(RateLimitError("x", code="too_many_requests", status_code=429, retry_after=0.2))
    assert limited is not None
    assert "1" == limited.headers["Retry-After"]


@pytest.mark.parametrize(("max_age", "expected"), [(None, True), (60, True), (59.9, False), (0, False), (1e9, True)])
def test_a_user_must_have_authenticated_recently(max_age: float | None, expected: bool) -> None:
    """The age counts from when the user authenticated; exactly max_age is still recent, and nobody never is."""
    session = Session(user={"sub": "ada"}, sid="1", created_at=1040, authenticated_at=1000)
    assert expected is is_admitted(session, max_age, lambda: 1060.0)
    assert not is_admitted(None, max_age, lambda: 1060.0)
