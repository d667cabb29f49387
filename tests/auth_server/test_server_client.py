"""The client as a whole: construction, defaults, authentication, suppliers, and what it tells about itself."""

from __future__ import annotations

import base64
import gc
import json
import logging
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs

import pytest
import responses

import auth0_cte
from auth0_cte import (
    ClientSecretBasic,
    ClientSecretPost,
    ConfigurationError,
    CookieSettings,
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    PublicClient,
    ServerClient,
    SessionSettings,
)
from auth0_cte.testing import LocalTenant
from tests.conftest import DOMAIN, TOKEN_ENDPOINT

OPTIONS = {"subject_token": "a-token", "subject_token_type": "urn:acme:mcp-token"}


@pytest.fixture
def sent(wire: responses.RequestsMock, new_client: type[ServerClient]) -> Any:
    """Exchange with a client and return the parameters and the headers that were sent."""
    wire.post(TOKEN_ENDPOINT, json={"access_token": "a"})

    def exchange(options: Any = None, **settings: Any) -> tuple[dict[str, list[str]], Any]:
        arguments: dict[str, Any] = {"client_secret": "the-secret"} if "client_auth" not in settings else {}
        client = new_client(DOMAIN, "the-client", **(arguments | settings))
        client.custom_token_exchange({**OPTIONS, **(options or {})})
        request = wire.calls[-1].request
        return parse_qs(str(request.body)), request.headers

    return exchange


def test_the_secret_goes_into_the_form(sent: Any) -> None:
    """client_secret_post is the default."""
    form, headers = sent()
    assert ["the-secret"] == form["client_secret"]
    assert "Authorization" not in headers


def test_basic_encodes_both_parts_first(sent: Any) -> None:
    """RFC 6749 section 2.3.1: id and secret are form-encoded before they are joined."""
    form, headers = sent(client_auth=ClientSecretBasic("p:ä&ö +"))
    kind, _, value = headers["Authorization"].partition(" ")
    assert ("Basic", "the-client:p%3A%C3%A4%26%C3%B6+%2B") == (kind, base64.b64decode(value).decode())
    assert "client_secret" not in form


def test_a_public_client_proves_nothing(sent: Any) -> None:
    """PublicClient sends the id alone."""
    form, headers = sent(client_auth=PublicClient())
    assert ["the-client"] == form["client_id"]
    assert "client_secret" not in form
    assert "Authorization" not in headers


@pytest.mark.parametrize(
    ("method", "auth"), [("client_secret_basic", ClientSecretBasic("s%:+é")), ("none", PublicClient())]
)
def test_the_tenant_takes_each_method_and_no_other(method: Any, auth: Any, new_client: type[ServerClient]) -> None:
    """Each way to authenticate works against a server that insists on it, and a wrong one is refused."""
    tenant = LocalTenant()
    tenant.accept("urn:acme:mcp-token", "auth0|ada")
    tenant.add_application("app", None if method == "none" else "s%:+é", auth_method=method)
    client = new_client(tenant.domain, "app", client_auth=auth, session=tenant.session())
    assert client.custom_token_exchange(OPTIONS).access_token
    wrong = new_client(tenant.domain, "app", "wrong", session=tenant.session())
    with pytest.raises(CustomTokenExchangeError) as caught:
        wrong.custom_token_exchange(OPTIONS)
    assert ("access_denied", 401) == (caught.value.code, caught.value.status_code)


def test_the_repr_of_an_authentication_is_silent(new_client: type[ServerClient]) -> None:
    """No secret is shown."""
    assert "hush" not in repr(ClientSecretBasic("hush")) + repr(new_client(DOMAIN, "c", "hush", secret="hush" * 10))


def test_defaults_apply_and_the_call_wins(sent: Any) -> None:
    """What the client was constructed with is sent unless the call says otherwise."""
    defaults = {"authorization_params": {"audience": "https://a.example", "x": "1", "y": "1"}, "organization": "org_1"}
    form, _ = sent(**defaults)
    assert ("https://a.example", "1", "org_1") == (form["audience"][0], form["x"][0], form["organization"][0])
    form, _ = sent({"audience": "https://b.example", "authorization_params": {"x": "2"}}, **defaults)
    assert ("https://b.example", "2", "1") == (form["audience"][0], form["x"][0], form["y"][0])
    form, _ = sent({"authorization_params": {"organization": "org_2"}}, **defaults)
    assert ["org_2"] == form["organization"]
    form, _ = sent({"organization": "org_3"}, **defaults)
    assert ["org_3"] == form["organization"]


@pytest.mark.parametrize(
    "name",
    [
        "grant_type",
        "GRANT_TYPE",
        " client_id ",
        "Client_Secret",
        "subject_token",
        "Subject_Token_Type",
        "\u2003client_assertion",
        "CLIENT_ASSERTION_TYPE\n",
        "\tgrant_type\u00a0",
    ],
)
def test_guarded_parameters_are_dropped_with_one_warning(
    name: str, sent: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """In whatever case and padding, an extra never takes the place of a critical parameter."""
    form, _ = sent({"authorization_params": {name: "mallory", "custom": "kept"}})
    assert "mallory" not in str(form)
    assert ["kept"] == form["custom"]
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "mallory" not in record.getMessage()


def test_typed_parameters_are_promoted(sent: Any) -> None:
    """An extra with the name of an option is that option, once; the same value twice is no contradiction."""
    params = {"Audience": "https://a.example", "scope": ["read:data", "openid"], "resource": ["https://r.example"]}
    form, _ = sent({"audience": "https://a.example", "authorization_params": params})
    assert (["https://a.example"], ["read:data openid"]) == (form["audience"], form["scope"])
    assert ["https://r.example"] == form["resource"]
    assert "Audience" not in form


def test_a_requested_type_is_sent_only_when_given(sent: Any) -> None:
    """Auth0 answers 400 to requested_token_type, so nobody else adds it."""
    assert "requested_token_type" not in sent()[0]
    assert ["urn:x"] == sent({"requested_token_type": "urn:x"})[0]["requested_token_type"]


@pytest.mark.parametrize(
    ("token_type", "says"),
    [
        ("urn:ietf:params:oauth:token-type:jwt", "reserves"),
        ("urn:ietf:params:oauth:token-type:access_token", "On-Behalf-Of"),
        ("https://auth0.com/x", "reserves"),
        ("no-uri", "not an absolute URI"),
        ("urn:a:b", "characters"),
        ("urn:" + "x" * 100, "characters"),
    ],
)
def test_odd_types_are_a_warning(token_type: str, says: str, sent: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Types that no profile can have are sent all the same, with a word in the log."""
    form, _ = sent({"subject_token_type": token_type})
    assert [token_type] == form["subject_token_type"]
    assert says in caplog.text


def test_suppliers_are_called_once_an_exchange(sent: Any) -> None:
    """A token may be a function; it is called when everything else has been checked."""
    calls: list[str] = []

    def supply() -> str:
        calls.append("x")
        return "supplied"

    options = {"subject_token": supply, "actor_token": lambda: "actor", "actor_token_type": "urn:acme:actor"}
    form, _ = sent(options)
    assert (["supplied"], ["actor"], ["x"]) == (form["subject_token"], form["actor_token"], calls)
    with pytest.raises(CustomTokenExchangeError):
        sent({**options, "audience": " "})
    assert ["x"] == calls


@pytest.mark.parametrize("name", ["subject_token", "actor_token"])
def test_what_a_supplier_raises_is_the_cause(sent: Any, name: str) -> None:
    """A function that fails is told as that, with its own exception and its own frames behind."""

    def fail() -> str:
        raise LookupError("no token today")

    with pytest.raises(CustomTokenExchangeError, match=f"the function given as {name} failed") as caught:
        sent({"actor_token_type": "urn:acme:actor", "actor_token": "x", name: fail})
    assert ("TOKEN_SUPPLIER_FAILED", False) == (caught.value.code, caught.value.may_have_reached_server)
    cause = caught.value.__cause__
    assert isinstance(cause, LookupError)
    assert ["fail"] == [frame.name for frame in traceback.extract_tb(cause.__traceback__)]


def test_an_asynchronous_supplier_is_refused(sent: Any) -> None:
    """A coroutine is not a token, and the message says what to give."""

    async def supply() -> str:
        return "x"

    with pytest.raises(ConfigurationError, match="is asynchronous; give a plain function"):
        sent({"subject_token": supply})


def test_telemetry_names_the_library_alone(sent: Any) -> None:
    """Auth0-Client has name, version and Python's version."""
    import platform

    told = json.loads(base64.b64decode(sent()[1]["Auth0-Client"]))
    expected = {"name": "auth0-cte", "version": auth0_cte.__version__, "env": {"python": platform.python_version()}}
    assert expected == told


def test_the_environment_makes_a_client(monkeypatch: pytest.MonkeyPatch, new_client: type[ServerClient]) -> None:
    """The names that all Auth0 SDKs share are read, and arguments win over them."""
    for name, value in {
        "DOMAIN": DOMAIN,
        "CLIENT_ID": "c",
        "CLIENT_SECRET": "s",
        "SECRET": "x" * 40,
        "AUDIENCE": "https://a.example",
        "SCOPE": "openid",
        "ORGANIZATION": "org_1",
        "COOKIE_DOMAIN": "example.com",
        "COOKIE_SAME_SITE": "strict",
        "COOKIE_SECURE": "true",
    }.items():
        monkeypatch.setenv(f"AUTH0_{name}", value)
    client = new_client.from_env()
    assert repr(client).endswith(f"ServerClient(domain='https://{DOMAIN}/', client_id='c')")
    assert "org_1" == client.settings.organization
    assert {"audience": "https://a.example", "scope": "openid"} == client.settings.authorization_params
    cookie = CookieSettings(domain="example.com", same_site="Strict", secure=True)
    assert SessionSettings(cookie=cookie) == client.settings.session_settings
    assert "client_id='d'" in repr(new_client.from_env(client_id="d"))
    monkeypatch.setenv("AUTH0_COOKIE_SECURE", "maybe")
    with pytest.raises(ConfigurationError, match="AUTH0_COOKIE_SECURE"):
        new_client.from_env()


def test_all_that_is_missing_is_listed_at_once(monkeypatch: pytest.MonkeyPatch, new_client: type[ServerClient]) -> None:
    """One error names every variable that is missing; an argument makes its variable unnecessary."""
    with pytest.raises(ConfigurationError, match="AUTH0_DOMAIN, AUTH0_CLIENT_ID, AUTH0_CLIENT_SECRET"):
        new_client.from_env()
    monkeypatch.setenv("AUTH0_DOMAIN", DOMAIN)
    with pytest.raises(ConfigurationError) as caught:
        new_client.from_env(client_auth=PublicClient())
    assert "missing settings: AUTH0_CLIENT_ID" == caught.value.message


def test_a_short_secret_is_a_warning(caplog: pytest.LogCaptureFixture, new_client: type[ServerClient]) -> None:
    """Fewer than 32 bytes are accepted, with a word in the log and how to make a better one."""
    new_client(DOMAIN, "c", "s", secret="short")
    assert "openssl rand" in caplog.text
    assert "short" not in caplog.text.replace("shorter", "")


def test_options_are_frozen_and_silent() -> None:
    """Options cannot change under way, and their repr shows no token."""
    options = CustomTokenExchangeOptions(
        subject_token="hush", subject_token_type="urn:x:y", actor_token="hush", authorization_params={"pin": "hush"}
    )
    assert "hush" not in repr(options)
    with pytest.raises(AttributeError):
        options.subject_token = "x"  # type: ignore[misc]


def test_a_context_manager_closes(wire: responses.RequestsMock, new_client: type[ServerClient]) -> None:
    """After the block the connections are closed, and a later exchange opens new ones."""
    wire.post(TOKEN_ENDPOINT, json={"access_token": "a"})
    with new_client(DOMAIN, "c", "s") as client:
        client.custom_token_exchange(OPTIONS)
    assert "a" == client.custom_token_exchange(OPTIONS).access_token


def parts_of(*roots: object) -> Iterator[object]:
    """Yield what objects are made of: all of the package's own that can be reached from them."""
    seen: set[int] = set()
    left = list(roots)
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, type | ModuleType):
            continue
        seen.add(id(each))
        if type(each).__module__.startswith("auth0_cte"):
            yield each
        if type(each).__module__.startswith(("auth0_cte", "builtins", "functools")):
            left += gc.get_referents(each)


@pytest.mark.parametrize("method", [ClientSecretPost, ClientSecretBasic])
def test_no_part_of_a_client_shows_its_secrets(method: Any, tenant: LocalTenant) -> None:
    """Neither the client secret nor that of the sessions is in the repr of any part, once all parts are made."""
    secret, of_sessions = "the-client-secret-of-32-characters", "the-secret-of-the-sessions-of-32-bytes"
    client = ServerClient(tenant.domain, tenant.client_id, client_auth=method(secret), secret=of_sessions)
    by_secret = ServerClient(tenant.domain, tenant.client_id, secret, id_token_algorithms=["HS256"])
    roots = (client, client.sessions, client.mfa, client.authorization_server, by_secret)
    shown = [repr(each) for each in parts_of(*roots, by_secret.authorization_server)]
    assert len(shown) > 10
    assert [] == [text for text in shown if secret in text or of_sessions in text]
