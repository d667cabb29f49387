"""One table: what is refused, with which code, and that it is refused before anything is sent or shown."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
import responses

from auth0_cte import (
    Auth0CTEError,
    ConfigurationError,
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    ServerClient,
)
from tests.conftest import DOMAIN, TOKEN_ENDPOINT

SECRET = "s3cr3t-c4n4ry"
GOOD = {"subject_token": SECRET, "subject_token_type": "urn:acme:mcp-token"}

TOKENS: dict[str, object] = {
    "empty": "",
    "blank": "   ",
    "tabs": "\t\t",
    "newline-only": "\n",
    "trailing-newline": f"{SECRET}\n",
    "inner-newline": f"{SECRET}\n{SECRET}",
    "nul": f"{SECRET}\0",
    "delete": f"{SECRET}\x7f",
    "leading-space": f" {SECRET}",
    "trailing-space": f"{SECRET} ",
    "trailing-nbsp": f"{SECRET}\u00a0",
    "bearer": f"Bearer {SECRET}",
    "lower-bearer": f"bearer {SECRET}",
    "upper-bearer-tab": f"BEARER\t{SECRET}",
    "mixed-bearer-newline": f"bEaReR\n{SECRET}",
    "padded-bearer": f"  Bearer {SECRET}",
    "bare-bearer": "Bearer",
    "bytes": SECRET.encode(),
    "int": 42,
    "bool": True,
    "list": [SECRET],
    "dict": {"token": SECRET},
    "one-mebibyte": SECRET * (1024 * 1024 // len(SECRET)),
    "non-ascii": f"{SECRET}é",
    "lone-surrogate": f"{SECRET}\ud800",
}

OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "no-token": ({"subject_token": None}, "INVALID_TOKEN_FORMAT"),
    "no-type": ({"subject_token_type": None}, "INVALID_TOKEN_FORMAT"),
    "empty-type": ({"subject_token_type": ""}, "INVALID_TOKEN_FORMAT"),
    "blank-type": ({"subject_token_type": " \t"}, "INVALID_TOKEN_FORMAT"),
    "padded-type": ({"subject_token_type": " urn:acme:x"}, "INVALID_TOKEN_FORMAT"),
    "int-type": ({"subject_token_type": 7}, "INVALID_TOKEN_FORMAT"),
    "newline-in-type": ({"subject_token_type": "urn:acme:\nx"}, "INVALID_TOKEN_FORMAT"),
    "actor-without-type": ({"actor_token": SECRET}, "MISSING_ACTOR_TOKEN_TYPE"),
    "actor-type-without-actor": ({"actor_token_type": "urn:acme:x"}, "MISSING_ACTOR_TOKEN"),
    "empty-actor": ({"actor_token": "", "actor_token_type": "urn:acme:x"}, "INVALID_TOKEN_FORMAT"),
    "bearer-actor": ({"actor_token": f"Bearer {SECRET}", "actor_token_type": "urn:acme:x"}, "INVALID_TOKEN_FORMAT"),
    "blank-actor-type": ({"actor_token": SECRET, "actor_token_type": " "}, "INVALID_TOKEN_FORMAT"),
    "supplied-bearer": ({"subject_token": lambda: f"Bearer {SECRET}"}, "INVALID_TOKEN_FORMAT"),
    "supplied-none": ({"subject_token": lambda: None}, "INVALID_TOKEN_FORMAT"),
    "supplied-function": ({"subject_token": lambda: len}, "INVALID_TOKEN_FORMAT"),
    "supplied-bad-actor": ({"actor_token": lambda: "", "actor_token_type": "urn:acme:x"}, "INVALID_TOKEN_FORMAT"),
    "blank-audience": ({"audience": " "}, "INVALID_OPTIONS"),
    "int-audience": ({"audience": 1}, "INVALID_OPTIONS"),
    "blank-organization": ({"organization": ""}, "INVALID_OPTIONS"),
    "control-in-organization": ({"organization": "acme\r\n"}, "INVALID_OPTIONS"),
    "empty-scope-list": ({"scope": []}, "INVALID_OPTIONS"),
    "bytes-scope": ({"scope": b"openid"}, "INVALID_OPTIONS"),
    "int-in-scope": ({"scope": ["openid", 1]}, "INVALID_OPTIONS"),
    "blank-resource": ({"resource": [" "]}, "INVALID_OPTIONS"),
    "forwarded-for-host": ({"forwarded_for": "example.com"}, "INVALID_OPTIONS"),
    "forwarded-for-zone": ({"forwarded_for": "fe80::1%eth0"}, "INVALID_OPTIONS"),
    "forwarded-for-folded-zone": ({"forwarded_for": "::1%\r\n X: y"}, "INVALID_OPTIONS"),
    "forwarded-for-zone-outside-ascii": ({"forwarded_for": "::1%\u20ac"}, "INVALID_OPTIONS"),
    "forwarded-for-digits-outside-ascii": ({"forwarded_for": "\u0661.2.3.4"}, "INVALID_OPTIONS"),
    "forwarded-for-large": ({"forwarded_for": "1" * 70_000}, "INVALID_OPTIONS"),
    "forwarded-for-large-zone": ({"forwarded_for": "::1%" + "1" * 70_000}, "INVALID_OPTIONS"),
    "forwarded-for-injection": ({"forwarded_for": "192.0.2.1\r\nX: y"}, "INVALID_OPTIONS"),
    "unknown-option": ({"subject": SECRET}, "INVALID_OPTIONS"),
    "none-param": ({"authorization_params": {"x": None}}, "INVALID_AUTHORIZATION_PARAMS"),
    "dict-param": ({"authorization_params": {"x": {"y": 1}}}, "INVALID_AUTHORIZATION_PARAMS"),
    "float-param": ({"authorization_params": {"x": 1.5}}, "INVALID_AUTHORIZATION_PARAMS"),
    "bytes-param": ({"authorization_params": {"x": b"y"}}, "INVALID_AUTHORIZATION_PARAMS"),
    "21-values": ({"authorization_params": {"x": ["v"] * 21}}, "INVALID_AUTHORIZATION_PARAMS"),
    "no-values": ({"authorization_params": {"x": []}}, "INVALID_AUTHORIZATION_PARAMS"),
    "nested-list": ({"authorization_params": {"x": [["y"]]}}, "INVALID_AUTHORIZATION_PARAMS"),
    "none-in-list": ({"authorization_params": {"x": ["y", None]}}, "INVALID_AUTHORIZATION_PARAMS"),
    "huge-int-param": ({"authorization_params": {"x": 10**5000}}, "INVALID_AUTHORIZATION_PARAMS"),
    "surrogate-param": ({"authorization_params": {"x": "\udfff"}}, "INVALID_AUTHORIZATION_PARAMS"),
    "int-name": ({"authorization_params": {1: "y"}}, "INVALID_AUTHORIZATION_PARAMS"),
    "empty-name": ({"authorization_params": {"": "y"}}, "INVALID_AUTHORIZATION_PARAMS"),
    "list-params": ({"authorization_params": [("x", "y")]}, "INVALID_AUTHORIZATION_PARAMS"),
    "contradiction": (
        {"audience": "https://a.example", "authorization_params": {"audience": "https://b.example"}},
        "INVALID_AUTHORIZATION_PARAMS",
    ),
    "promoted-blank": ({"authorization_params": {"organization": " "}}, "INVALID_OPTIONS"),
    "promoted-actor-alone": ({"authorization_params": {"actor_token": SECRET}}, "MISSING_ACTOR_TOKEN_TYPE"),
    "promoted-audience-list": ({"authorization_params": {"audience": ["a", "b"]}}, "INVALID_OPTIONS"),
}

DOMAINS: dict[str, object] = {
    "none": None,
    "empty": "",
    "blank": " ",
    "int": 5,
    "list": ["tenant.auth0.com"],
    "userinfo": "user:pw@tenant.auth0.com",
    "userinfo-trick": "https://tenant.auth0.com@evil.example",
    "path": "tenant.auth0.com/oauth",
    "query": "tenant.auth0.com?x=y",
    "fragment": "tenant.auth0.com#x",
    "backslash": "tenant.auth0.com\\@evil.example",
    "port": "tenant.auth0.com:8443",
    "http": "http://tenant.auth0.com",
    "ftp": "ftp://tenant.auth0.com",
    "idn": "tenänt.auth0.com",
    "inner-space": "tenant .auth0.com",
    "newline": "tenant.auth0.com\n",
    "two-slashes": "https://tenant.auth0.com//",
    "scheme-relative": "//tenant.auth0.com",
    "single-label": "tenant",
    "trailing-dot": "tenant.auth0.com.",
    "underscore": "ten_ant.auth0.com",
    "leading-hyphen": "-tenant.auth0.com",
    "public-ip": "192.0.2.7",
    "link-local": "http://169.254.169.254",
    "decimal-ip": "http://2130706433",
    "short-ip": "127.1",
    "hex-ip": "0x7f.0.0.1",
    "zero-port": "http://localhost:0",
    "high-port": "http://localhost:65536",
    "overlong": "a" * 250 + ".example",
}


def _shown(error: BaseException) -> str:
    return f"{error!s} {error!r} {error.args} {vars(error)} {getattr(error, 'hint', '')}"


def _held(error: BaseException) -> str:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if "auth0_cte" in frame.f_code.co_filename]
    assert frames
    return " ".join(f"{frame.f_locals}" for frame in frames)


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS.keys())
@pytest.mark.parametrize("role", ["subject_token", "actor_token"])
def test_a_malformed_token_is_refused_unsent_and_unshown(role: str, token: object, client: ServerClient) -> None:
    """A malformed token is INVALID_TOKEN_FORMAT, no request is made, and no text repeats the token."""
    options: Any = {**GOOD, "actor_token": "a", "actor_token_type": "urn:acme:actor", role: token}
    with responses.RequestsMock() as wire, pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(CustomTokenExchangeOptions(**options))
    assert "INVALID_TOKEN_FORMAT" == caught.value.code
    assert role in caught.value.message
    assert SECRET not in _shown(caught.value) + _held(caught.value)
    assert 0 == len(wire.calls)


@pytest.mark.parametrize(("changes", "code"), OTHER.values(), ids=OTHER.keys())
def test_a_bad_option_is_refused_unsent_and_unshown(changes: dict[str, Any], code: str, client: ServerClient) -> None:
    """Every rule has its code, holds before any request, and its message does not repeat a token."""
    with responses.RequestsMock() as wire, pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange({**GOOD, **changes})
    assert code == caught.value.code
    assert caught.value.hint
    assert not caught.value.is_retryable
    assert not caught.value.may_have_reached_server
    assert SECRET not in _shown(caught.value) + _held(caught.value)
    assert 0 == len(wire.calls)


@pytest.mark.parametrize("options", [None, "token", 3, [("subject_token", "x")]])
def test_options_of_another_type_are_refused(options: Any, client: ServerClient) -> None:
    """What is neither options nor a dict is INVALID_OPTIONS."""
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(options)
    assert "INVALID_OPTIONS" == caught.value.code


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS.keys())
def test_a_bad_domain_is_refused_at_construction(domain: Any, new_client: type[ServerClient]) -> None:
    """What is no plain host name is a ConfigurationError, which is a ValueError as well."""
    with pytest.raises(ConfigurationError, match="domain") as caught:
        new_client(domain=domain, client_id="c", client_secret="s")
    assert isinstance(caught.value, ValueError)
    assert "user:pw" not in str(caught.value)


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS.keys())
def test_a_resolver_cannot_lead_elsewhere(domain: Any, new_client: type[ServerClient]) -> None:
    """What a resolver returns is held to the same rules, before anything is sent."""
    client = new_client(domain=lambda _context: domain, client_id="c", client_secret="s")
    with responses.RequestsMock() as wire, pytest.raises(ConfigurationError, match="domain"):
        client.custom_token_exchange(GOOD)
    assert 0 == len(wire.calls)


@pytest.mark.parametrize(
    "arguments",
    [
        {"client_id": ""},
        {"client_id": None},
        {"client_id": "a\nb"},
        {"client_secret": None},
        {"client_secret": " "},
        {"client_secret": 5},
        {"secret": ""},
        {"secret": ["x" * 40, ""]},
        {"leeway": -1},
        {"leeway": 301},
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": "15"},
        {"pool_size": 0},
        {"connect_timeout": True},
        {"id_token_algorithms": []},
        {"id_token_algorithms": ["none"]},
        {"id_token_algorithms": ["HS256"], "client_secret": "short"},
        {"ca_bundle": "/no/such/file.pem"},
        {"ca_bundle": False},
        {"organization": " "},
        {"authorization_params": {"x": None}},
        {"authorization_params": {"actor_token": "x"}},
    ],
    ids=str,
)
def test_a_bad_argument_is_refused_at_construction(arguments: dict[str, Any], new_client: type[ServerClient]) -> None:
    """Arguments that cannot work are a ConfigurationError with a hint, and no secret is shown."""
    with pytest.raises(ConfigurationError) as caught:
        new_client(**{"domain": DOMAIN, "client_id": "c", "client_secret": SECRET, **arguments})
    assert isinstance(caught.value, Auth0CTEError)
    assert caught.value.hint
    assert SECRET not in _shown(caught.value)


@pytest.mark.parametrize("token", ["b", "Bear", "bearings", "B.e.arer", "base64"])
def test_a_token_may_begin_as_the_scheme_does(token: str, client: ServerClient, wire: responses.RequestsMock) -> None:
    """It is the word Bearer before a token that is refused, not a token with these letters."""
    wire.post(TOKEN_ENDPOINT, json={"access_token": "issued"})
    assert "issued" == client.custom_token_exchange({**GOOD, "subject_token": token}).access_token
