"""What comes back: which replies are refused, with which error, and that none of their text or tokens leaks."""

from __future__ import annotations

import gzip
import html
import json
import re
import traceback
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus

import pytest
import requests
import responses

from auth0_cte import (
    ClientSecretBasic,
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    MfaRequiredError,
    PrivateKeyJwt,
    RateLimitError,
    ServerClient,
)
from auth0_cte.jose import SigningKey
from tests.conftest import TOKEN_ENDPOINT

ANSWERED_400 = "the token endpoint answered 400"
SECRET = "s3cr3t-c4n4ry"
OPTIONS = CustomTokenExchangeOptions(subject_token=SECRET, subject_token_type="urn:acme:mcp-token")
GOOD: dict[str, Any] = {"access_token": "an-access-token", "token_type": "Bearer", "expires_in": 86400}

UNUSABLE: dict[str, bytes] = {
    "html": f"<html>{SECRET}</html>".encode(),
    "empty": b"",
    "truncated": b'{"access_token": "' + SECRET.encode(),
    "list": json.dumps([GOOD]).encode(),
    "null": b"null",
    "string": json.dumps(SECRET).encode(),
    "duplicate-keys": b'{"access_token": "a", "access_token": "b"}',
    "nested-duplicate-keys": b'{"access_token": "a", "x": {"y": 1, "y": 2}}',
    "nan": b'{"access_token": "a", "x": NaN}',
    "infinity": b'{"access_token": "a", "x": -Infinity}',
    "overflow": b'{"access_token": "a", "x": 1e999}',
    "long-integer": b'{"access_token": "a", "x": ' + b"9" * 5000 + b"}",
    "deep": b"[" * 200_000,
    "deep-in-object": b'{"x":' * 100_000,
    "byte-order-mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "utf-16": json.dumps(GOOD).encode("utf-16"),
    "latin-1": '{"access_token": "a", "x": "é"}'.encode("latin-1"),
    "lone-surrogate": b'{"access_token": "a", "x": "\\ud800"}',
    "no-access-token": b'{"token_type": "Bearer"}',
    "empty-access-token": b'{"access_token": ""}',
    "blank-access-token": b'{"access_token": "  "}',
    "null-access-token": b'{"access_token": null}',
    "int-access-token": b'{"access_token": 5}',
    "nul-in-access-token": b'{"access_token": "a\\u0000"}',
    "crlf-in-access-token": b'{"access_token": "a\\r\\nX: y"}',
    "expires-in-word": json.dumps(GOOD | {"expires_in": "soon"}).encode(),
    "expires-in-negative": json.dumps(GOOD | {"expires_in": -1}).encode(),
    "expires-in-negative-text": json.dumps(GOOD | {"expires_in": "-1"}).encode(),
    "expires-in-bool": json.dumps(GOOD | {"expires_in": True}).encode(),
    "expires-in-huge": json.dumps(GOOD | {"expires_in": 10**12}).encode(),
    "expires-in-fraction": json.dumps(GOOD | {"expires_in": 1.5}).encode(),
    "expires-in-list": json.dumps(GOOD | {"expires_in": [1]}).encode(),
    "id-token-object": json.dumps(GOOD | {"id_token": {}}).encode(),
    "refresh-token-int": json.dumps(GOOD | {"refresh_token": 1}).encode(),
    "scope-list": json.dumps(GOOD | {"scope": ["a"]}).encode(),
    "token-type-int": json.dumps(GOOD | {"token_type": 1}).encode(),
    "error-with-200": json.dumps(GOOD | {"error": "x"}).encode(),
    "too-long": json.dumps(GOOD | {"x": "y" * 1024 * 1024}).encode(),
    "ten-mebibytes": b" " * (10 * 1024 * 1024),
}


def _everything(error: BaseException) -> str:
    chain = "".join(traceback.format_exception(error))
    return f"{chain} {error!r} {vars(error)} {vars(error.__cause__) if error.__cause__ else ''}"


@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_reply_is_invalid_response(body: bytes, client: ServerClient, wire: responses.RequestsMock) -> None:
    """A reply with status 200 that is no token response is INVALID_RESPONSE, once, with the status kept."""
    wire.post(TOKEN_ENDPOINT, body=body, content_type="application/json")
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(OPTIONS)
    assert ("INVALID_RESPONSE", 200) == (caught.value.code, caught.value.status_code)
    assert caught.value.may_have_reached_server
    assert SECRET not in _everything(caught.value)
    assert 2 == len(wire.calls)


@pytest.mark.parametrize("status", [201, 202, 204, 206, 301, 302, 303, 304, 307, 308])
def test_only_status_200_is_success(status: int, client: ServerClient, wire: responses.RequestsMock) -> None:
    """No other success counts and no redirect is followed, wherever it leads."""
    body = "" if status in (204, 304) else json.dumps(GOOD)
    wire.post(TOKEN_ENDPOINT, status=status, body=body, headers={"Location": f"https://evil.example/?token={SECRET}"})
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(OPTIONS)
    assert ("INVALID_RESPONSE", status) == (caught.value.code, caught.value.status_code)
    assert SECRET not in _everything(caught.value)
    assert 2 == len(wire.calls)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x-unknown", "gzip, gzip"])
def test_an_encoded_reply_is_not_opened(encoding: str, client: ServerClient, wire: responses.RequestsMock) -> None:
    """An encoding that was not asked for is refused without decoding, so that no bomb goes off."""
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    wire.post(TOKEN_ENDPOINT, body=bomb, headers={"Content-Encoding": encoding})
    with pytest.raises(CustomTokenExchangeError, match="encoded") as caught:
        client.custom_token_exchange(OPTIONS)
    assert "INVALID_RESPONSE" == caught.value.code


@pytest.mark.parametrize(
    ("reply", "expires_in"),
    [({"expires_in": 0}, 0), ({"expires_in": "3600"}, 3600), ({}, None), ({"expires_in": None}, None)],
)
def test_a_lifetime_is_a_number_a_numeral_or_absent(
    reply: dict[str, Any], expires_in: int | None, wire: responses.RequestsMock, new_client: type[ServerClient]
) -> None:
    """expires_in is taken as a number or a numeric string, is never invented, and counts from the client's clock."""
    client = new_client("tenant.auth0.com", "c", "s", clock=lambda: 1_000_000.0)
    wire.post(TOKEN_ENDPOINT, json={"access_token": "issued"} | reply)
    response = client.custom_token_exchange(OPTIONS)
    assert expires_in == response.expires_in
    assert (None if expires_in is None else 1_000_000.0 + expires_in) == response.expires_at


def test_a_full_reply_is_read(client: ServerClient, wire: responses.RequestsMock) -> None:
    """Every standard member has its attribute; others are kept in extra; nulls count as absent."""
    wire.post(
        TOKEN_ENDPOINT,
        json={
            **GOOD,
            "token_type": "N_A",
            "scope": "read:data",
            "issued_token_type": "urn:x",
            "refresh_token": "again",
            "id_token": None,
            "authorization_details": [{"type": "x"}],
        },
    )
    response = client.custom_token_exchange(OPTIONS)
    assert ("an-access-token", "N_A", 86400, "read:data", "urn:x", "again", None) == (
        response.access_token,
        response.token_type,
        response.expires_in,
        response.scope,
        response.issued_token_type,
        response.refresh_token,
        response.id_token,
    )
    assert {"authorization_details": [{"type": "x"}]} == response.extra
    assert "an-access-token" not in repr(response)
    assert "again" not in repr(response)


def test_members_of_a_reply_may_be_any_numbers(client: ServerClient, wire: responses.RequestsMock) -> None:
    """Fractions and large whole numbers are kept as they are."""
    wire.post(TOKEN_ENDPOINT, json=GOOD | {"x": 1.5, "y": -2e10, "z": 2**60})
    assert {"x": 1.5, "y": -2e10, "z": 2**60} == client.custom_token_exchange(OPTIONS).extra


def test_an_empty_scope_is_none_at_all(client: ServerClient, wire: responses.RequestsMock) -> None:
    """A server that grants no scope may say so by an empty text, which is told as it is."""
    wire.post(TOKEN_ENDPOINT, json=GOOD | {"scope": ""})
    assert client.custom_token_exchange(OPTIONS).scope == ""


@pytest.mark.parametrize(("length", "accepted"), [(1024 * 1024, True), (1024 * 1024 + 1, False)])
def test_a_reply_of_one_mebibyte_is_the_longest(
    length: int, accepted: bool, client: ServerClient, wire: responses.RequestsMock
) -> None:
    """A good reply, padded to the limit, is read; one byte more is refused."""
    body = json.dumps(GOOD).encode()
    wire.post(TOKEN_ENDPOINT, body=body + b" " * (length - len(body)), content_type="application/json")
    if accepted:
        assert "an-access-token" == client.custom_token_exchange(OPTIONS).access_token
        return
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(OPTIONS)
    assert "INVALID_RESPONSE" == caught.value.code


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (400, {"error": "invalid_request", "error_description": "No."}, "invalid_request", "No."),
        (400, {"error": "invalid_request", "error_description": " \t "}, "invalid_request", ANSWERED_400),
        (400, {"error": "Acme says: no!", "error_description": "r"}, "Acme says: no!", "r"),
        (400, {"error": "x" * 1024}, "x" * 1024, ANSWERED_400),
        (400, {"error": "x" * 1025}, "TOKEN_EXCHANGE_FAILED", ANSWERED_400),
        (400, {"error": "a\r\nb", "error_description": "c\r\nd"}, "TOKEN_EXCHANGE_FAILED", "c d"),
        (400, {"error": 5}, "TOKEN_EXCHANGE_FAILED", ANSWERED_400),
        (401, {"error": "access_denied", "error_description": "Unauthorized"}, "access_denied", "Unauthorized"),
        (403, {"error": "unauthorized_client"}, "unauthorized_client", "the token endpoint answered 403"),
        (500, {"error": "server_error", "error_description": "r"}, "server_error", "r"),
        (502, None, "TOKEN_EXCHANGE_FAILED", "the token endpoint answered 502"),
        (404, [], "TOKEN_EXCHANGE_FAILED", "the token endpoint answered 404"),
    ],
)
def test_an_error_reply_keeps_the_servers_code(
    status: int, body: Any, code: str, message: str, client: ServerClient, wire: responses.RequestsMock
) -> None:
    """Code is the server's own error, an open set; without one it is TOKEN_EXCHANGE_FAILED; nothing is retried."""
    wire.post(TOKEN_ENDPOINT, status=status, json=body, headers={"x-auth0-requestid": "r-1"})
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(OPTIONS)
    error = caught.value
    assert (code, message, status, "r-1") == (error.code, error.message, error.status_code, error.request_id)
    assert not error.is_retryable
    assert 2 == len(wire.calls)


def test_an_html_error_page_is_tolerated(client: ServerClient, wire: responses.RequestsMock) -> None:
    """A proxy's error page is a failed exchange with the status, and none of the page."""
    wire.post(TOKEN_ENDPOINT, status=502, body=f"<h1>Bad Gateway {SECRET}</h1>", content_type="text/html")
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(OPTIONS)
    assert ("TOKEN_EXCHANGE_FAILED", 502) == (caught.value.code, caught.value.status_code)
    assert SECRET not in _everything(caught.value)


def test_an_echoed_token_is_redacted(client: ServerClient, wire: responses.RequestsMock) -> None:
    """A server that repeats the token or the client secret does not get it into a message."""
    wire.post(
        TOKEN_ENDPOINT,
        status=400,
        json={"error": f"bad {SECRET}", "error_description": f"{'x' * 505}{SECRET} the-secret"},
    )
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(OPTIONS)
    assert "bad [redacted]" == caught.value.code
    assert SECRET[:6] not in _everything(caught.value)
    assert len(caught.value.message) <= 512


@pytest.fixture
def echoing(wire: responses.RequestsMock) -> dict[str, str]:
    """A server that repeats what it was sent, of which the fixture is the parameters."""
    sent: dict[str, str] = {}

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        sent.update(parse_qsl(str(request.body)))
        description = " | ".join(reversed(sent.values()))  # what authenticates stands last, and is not cut off
        return 400, {}, json.dumps({"error": "no", "error_description": description})

    wire.add_callback("POST", TOKEN_ENDPOINT, answer)
    return sent


def pem() -> str:
    return str(SigningKey.generate().jwk.export_to_pem(private_key=True, password=None).decode())


AWKWARD = 's3cr3t/+ "<&~é%'
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "form": quote_plus,
    "percent": lambda text: quote(text, safe=""),
    "path": quote,
    "lower": lambda text: re.sub("%..", lambda match: match[0].lower(), quote_plus(text)),
    "json": lambda text: json.dumps(text)[1:-1],
    "json with slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "html": html.escape,
}
CALLS: dict[str, tuple[Callable[[ServerClient], Any], dict[str, Any]]] = {
    "subject_token": (lambda client: client.custom_token_exchange(OPTIONS), {}),
    "actor_token": (
        lambda client: client.custom_token_exchange({**SIX, "actor_token": SECRET, "actor_token_type": "urn:x:y"}),
        {},
    ),
    "client_secret": (lambda client: client.custom_token_exchange(SIX), {"client_secret": SECRET}),
    "client_assertion": (
        lambda client: client.custom_token_exchange(SIX),
        {"client_secret": None, "client_auth": lambda: PrivateKeyJwt(pem(), "RS256")},
    ),
    "refresh_token": (lambda client: client.refresh_exchanged_token(SECRET), {}),
    "mfa_token": (lambda client: client.complete_mfa(SECRET, otp="123456"), {}),
}
SIX: Any = {"subject_token": "sixsix", "subject_token_type": "urn:acme:mcp-token"}


@pytest.mark.parametrize("name", CALLS)
def test_no_secret_that_a_server_echoes_gets_into_a_message(
    name: str, echoing: dict[str, str], new_client: type[ServerClient]
) -> None:
    """The tokens and credentials of every grant are blanked out, one of six characters too."""
    call, settings = CALLS[name]
    made = {key: value() if callable(value) else value for key, value in settings.items()}
    credentials = {"domain": "tenant.auth0.com", "client_id": "c", "client_secret": "the-secret"}
    with new_client(**{**credentials, **made}) as client:
        with pytest.raises(CustomTokenExchangeError) as caught:
            call(client)
    assert echoing[name]
    shown = _everything(caught.value)
    assert "[redacted]" in caught.value.message
    assert [] == [each for each in (echoing[name], "the-secret", "sixsix") if each in shown]


SPELLED: dict[str, tuple[Callable[[ServerClient], Any], dict[str, Any]]] = {
    "client_secret": (lambda client: client.custom_token_exchange(SIX), {"client_secret": AWKWARD}),
    "basic": (
        lambda client: client.custom_token_exchange(SIX),
        {"client_secret": None, "client_auth": lambda: ClientSecretBasic(AWKWARD)},
    ),
    "refresh_token": (lambda client: client.refresh_exchanged_token(AWKWARD), {}),
    "otp": (lambda client: client.complete_mfa("the-mfa-token", otp="123456"), {}),
    "recovery_code": (lambda client: client.complete_mfa("the-mfa-token", recovery_code=AWKWARD), {}),
    "oob_code": (lambda client: client.complete_mfa("the-mfa-token", oob_code=AWKWARD, binding_code="654321"), {}),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", SPELLED)
def test_no_spelling_of_a_secret_gets_into_a_message(
    name: str, spelling: str, wire: responses.RequestsMock, new_client: type[ServerClient]
) -> None:
    """Plain, form-encoded, JSON-escaped, HTML-escaped or in the header: what authenticates is blanked out."""
    call, settings = SPELLED[name]
    spell = SPELLINGS[spelling]

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        sent = [AWKWARD, "123456", "654321", str(request.headers.get("Authorization"))]
        body = {"error": "invalid_client", "error_description": "wrong: " + " | ".join([spell(each) for each in sent])}
        return 401, {"x-auth0-requestid": spell(AWKWARD)}, json.dumps(body)

    wire.add_callback("POST", TOKEN_ENDPOINT, answer)
    made = {key: value() if callable(value) else value for key, value in settings.items()}
    with new_client(
        **{"domain": "tenant.auth0.com", "client_id": "c", "client_secret": "the-secret", **made}
    ) as client:
        with pytest.raises(CustomTokenExchangeError) as caught:
            call(client)
    secrets = ["123456"] if name == "otp" else [AWKWARD, "654321"] if name == "oob_code" else [AWKWARD]
    shown = [caught.value.message, str(caught.value.error_description), str(caught.value.headers)]
    assert [] == [each for each in secrets if any(spell(each) in text for text in shown)]
    assert "Basic " + b64encode(f"c:{quote_plus(AWKWARD)}".encode()).decode() not in " ".join(shown)


def test_a_token_too_short_to_be_a_secret_does_not_blank_the_message(
    echoing: dict[str, str], client: ServerClient
) -> None:
    """Five characters stand in ordinary words, which must stay readable."""
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange({**SIX, "subject_token": "token"})
    assert "urn:ietf:params:oauth:grant-type:token-exchange" in caught.value.message
    assert "token" == echoing["subject_token"]


def test_mfa_required_is_its_own_error(client: ServerClient, wire: responses.RequestsMock) -> None:
    """mfa_required carries the token that continues, and keeps it out of every text."""
    wire.post(
        TOKEN_ENDPOINT,
        status=403,
        json={
            "error": "mfa_required",
            "error_description": "Multifactor authentication required",
            "mfa_token": SECRET,
            "mfa_requirements": {"challenge": [{"type": "otp"}]},
        },
    )
    with pytest.raises(MfaRequiredError) as caught:
        client.custom_token_exchange(OPTIONS)
    assert ("mfa_required", SECRET) == (caught.value.code, caught.value.mfa_token)
    assert {"challenge": [{"type": "otp"}]} == caught.value.mfa_requirements
    assert SECRET not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (
            {"error": "too_many_attempts", "error_description": "We have detected suspicious login behavior"},
            {},
            {"code": "too_many_attempts", "blocked": True, "is_retryable": False, "retry_after": None, "limit": None},
        ),
        (
            {"error": "too_many_requests", "error_description": "Rate limit exceeded."},
            {"Retry-After": "120", "Auth0-RateLimit": "client;q=10;t=3;r=0"},
            {"code": "too_many_requests", "blocked": False, "retry_after": 120.0, "limit": 10, "remaining": 0}
            | {"reset_at": 1_000_003.0, "is_retryable": True},
        ),
        (
            None,
            {"x-ratelimit-limit": "4", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000060"},
            {"code": "too_many_requests", "blocked": False, "retry_after": 60.0, "limit": 4, "remaining": 0}
            | {"reset_at": 1_000_060.0, "is_retryable": True},
        ),
        (None, {"Retry-After": "Mon, 12 Jan 1970 13:47:00 GMT"}, {"retry_after": 20.0}),
        (None, {"Retry-After": "never"}, {"retry_after": None}),
        (None, {"x-ratelimit-limit": "4"}, {"retry_after": None, "limit": 4, "reset_at": None}),
        (None, {"Auth0-RateLimit": "client;q=10;r=0"}, {"retry_after": None, "limit": 10, "reset_at": None}),
        (None, {"Retry-After": "-5"}, {"retry_after": None}),
    ],
)
def test_rate_limits_are_told_apart(
    body: Any,
    headers: dict[str, str],
    expected: dict[str, Any],
    wire: responses.RequestsMock,
    new_client: type[ServerClient],
) -> None:
    """A blocked address, a custom policy and the tenant's limit are told apart, with what the headers say."""
    client = new_client("tenant.auth0.com", "c", "s", clock=lambda: 1_000_000.0, timeout=1)
    wire.post(TOKEN_ENDPOINT, status=429, json=body, headers=headers)
    with pytest.raises(RateLimitError) as caught:
        client.custom_token_exchange(OPTIONS)
    assert expected == {name: getattr(caught.value, name) for name in expected}
