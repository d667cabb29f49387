"""Every public name as a stranger's program uses it. Never run: mypy and pyright read it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, assert_type

import requests

import auth0_cte
from auth0_cte import (
    AccessTokenError,
    AccessTokenForConnectionError,
    AccessTokenForConnectionErrorCode,
    Actor,
    AsyncServerClient,
    ClientEvent,
    ClientSecretBasic,
    ClientSecretPost,
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    DefaultParams,
    DomainResolverContext,
    DPoPKey,
    DPoPNonceStore,
    ExchangeAuth,
    ExchangeCache,
    ExchangeCacheBackend,
    ExchangeFailed,
    ExchangeOptionsDict,
    ExchangeRequest,
    IdTokenError,
    LoginWithCustomTokenExchangeOptions,
    MfaRequiredError,
    MutualTls,
    PrivateKeyJwt,
    PublicClient,
    RateLimit,
    RateLimitError,
    RateLimitKind,
    RateLimitStatus,
    RedisExchangeCache,
    Reexchange,
    RetryPolicy,
    RevocationError,
    ServerClient,
    Session,
    SessionSettings,
    SessionTransferTokenResult,
    TokenExchangeResponse,
    TokenRequestRetried,
    TransportError,
    token_types,
)
from auth0_cte.testing import FakeClock, LocalTenant


def resolve(context: DomainResolverContext) -> str:
    assert_type(context.request_url, str | None)
    return "tenant.auth0.com"


class OwnAuth:
    def apply(self, client_id: str, issuer: Any, form: list[tuple[str, str]], headers: dict[str, str]) -> None:
        form.append(("client_secret", "of my own"))


def construct() -> None:
    ServerClient("tenant.auth0.com", "id", "secret")
    ServerClient(domain=resolve, client_id="id", client_auth=ClientSecretBasic("secret"), secret=["new", "old"])
    ServerClient("d", "id", client_auth=PublicClient(), session=requests.Session(), retry=RetryPolicy())
    ServerClient("d", "id", client_auth=ClientSecretPost("s"), authorization_params={"a": 1, "b": [True, "x"]})
    ServerClient("d", "id", "s", dpop=DPoPKey.generate("EdDSA"))
    ServerClient("d", "id", "s", dpop="-----BEGIN PRIVATE KEY-----")
    ServerClient("d", "id", "s", dpop=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ServerClient("d", "id", client_auth=PrivateKeyJwt("-----BEGIN", "PS256", kid="k", password="p"))
    ServerClient("d", "id", client_auth=PrivateKeyJwt({"kty": "EC"}, clock=lambda: 0.0))
    ServerClient("d", "id", client_auth=PrivateKeyJwt(lambda data: data[::-1], "RS256"))
    ServerClient("d", "id", client_auth=MutualTls(Path("c.pem"), "k.pem", "password"))
    ServerClient("d", "id", client_auth=MutualTls(), ssl_context=ssl.create_default_context())
    ServerClient("d", "id", client_assertion_signing_key=b"-----BEGIN", client_assertion_signing_alg="RS256")
    ServerClient("d", "id", client_auth=OwnAuth())
    PrivateKeyJwt(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ServerClient.from_env(timeout=3.0)
    ServerClient()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ServerClient("d", "id", "s", domian="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ServerClient("d", "id", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def reuse(cache: ExchangeCacheBackend, request: ExchangeRequest) -> None:
    client = ServerClient("d", "id", "s", exchange_cache=cache)
    ServerClient("d", "id", "s", exchange_cache=ExchangeCache(100, skew=30.0, max_age=600))
    ServerClient("d", "id", "s", exchange_cache=RedisExchangeCache.from_url("redis://h", secret=["new", "old"]))
    ServerClient("d", "id", "s", exchange_cache={})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(client.exchange_cache, ExchangeCacheBackend | None)
    assert_type(client.forget_exchanged_token("t"), bool)
    assert_type(client.refresh_exchanged_token("r", scope="read"), TokenExchangeResponse)
    assert_type(client.custom_token_exchange({}, use_cache=False).from_cache, bool)
    assert_type(request.name(b"key"), str)
    requests.get("https://api.example.com", auth=ExchangeAuth(client, {}, origin=["https://a.example"]), timeout=5)


def on_event(event: ClientEvent) -> None:
    assert_type(event.name, str)
    if isinstance(event, TokenRequestRetried):
        assert_type(event.delay, float)
    if isinstance(event, ExchangeFailed):
        assert_type(event.error_code, str | None)


def limits(error: RateLimitError) -> None:
    ServerClient("d", "id", "s", rate_limit="4/s", on_event=on_event)
    ServerClient("d", "id", "s", rate_limit=RateLimit("100/min", burst=2, headroom=0.1))
    ServerClient("d", "id", "s", rate_limit=4)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(error.kind, RateLimitKind)
    assert_type(error.rate_limit, RateLimitStatus | None)


def options() -> None:
    CustomTokenExchangeOptions(subject_token="t", subject_token_type=token_types.JWT, scope=["a", "b"])
    CustomTokenExchangeOptions(subject_token=lambda: "t", subject_token_type="urn:acme:x")
    LoginWithCustomTokenExchangeOptions(subject_token="t", subject_token_type="urn:acme:x", organization="org_1")
    CustomTokenExchangeOptions("t", "urn:acme:x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CustomTokenExchangeOptions(token="t")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def option_dicts(client: ServerClient) -> None:
    given: ExchangeOptionsDict = {"subject_token": "t", "subject_token_type": "urn:acme:x", "scope": ["a"]}
    client.custom_token_exchange(given)
    client.login_with_custom_token_exchange(given)
    client.custom_token_exchange(**given, store_options={"request": None}, use_cache=False)
    misspelt: ExchangeOptionsDict = {"audiance": "a"}  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportAssignmentType]
    client.custom_token_exchange(misspelt)


def exchange(client: ServerClient) -> None:
    response = client.custom_token_exchange({"subject_token": "t", "subject_token_type": "urn:acme:x"})
    assert_type(response, TokenExchangeResponse)
    assert_type(response.access_token, str)
    assert_type(response.expires_in, int | None)
    assert_type(response.act, Actor | None)
    assert_type(response.id_token_error, IdTokenError | None)
    if response.act is not None:
        assert_type(response.act.sub, str)
        assert_type(response.act["sub"], Any)
    response.access_token = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    client.custom_token_exchange(option={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def again(session: Session) -> dict[str, str]:
    return {"subject_token": session.sid, "subject_token_type": "urn:acme:x"}


async def again_later(session: Session) -> CustomTokenExchangeOptions:
    return CustomTokenExchangeOptions(subject_token=session.sid, subject_token_type="urn:acme:x")


def reexchange(error: AccessTokenError) -> None:
    function: Reexchange = again
    ServerClient("d", "id", "s", reexchange=function)
    ServerClient("d", "id", "s", reexchange="t")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncServerClient("d", "id", "s", reexchange=again_later)
    assert_type(error.session_ended, bool)


def connections(client: ServerClient, error: AccessTokenForConnectionError) -> None:
    assert_type(client.get_access_token_for_connection({"connection": "c", "login_hint": "h"}, {}), str)
    assert_type(client.get_access_token_for_connection(connection="c", login_hint=None, store_options={}), str)
    client.get_access_token_for_connection("c")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(error.error, str | None)
    assert_type(error.code == AccessTokenForConnectionErrorCode.API_ERROR, bool)


def access_tokens(client: ServerClient) -> None:
    params: DefaultParams = {"scope": {"https://api.example": "read"}, "audience": "https://api.example"}
    ServerClient("d", "id", "s", authorization_params=params)
    assert_type(client.get_access_token({}, force_refresh=True, leeway=60, forwarded_for=True), str)
    client.get_access_token({}, leeway="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def revocation(client: ServerClient) -> None:
    url = client.logout(return_to="https://app.example/", revoke=True)
    assert_type(url, str)
    assert_type(RevocationError("x").logout_url, str | None)
    client.revoke_refresh_token("t")
    client.revoke_refresh_token(store_options={})
    SessionSettings(revoke_refresh_tokens=True)


def delegation(client: ServerClient, mirror: AsyncServerClient, response: TokenExchangeResponse) -> None:
    assert_type(response.delegation_chain(), list[Actor])
    assert_type(response.current_actor(), Actor | None)
    assert_type(response.act_verified, bool | None)
    assert_type(response.act_error, IdTokenError | None)
    assert_type(response.refresh_token_withheld, bool)
    session = client.get_session()
    if session is not None:
        assert_type(session.act, Actor | None)
        assert_type(session.delegation_chain(), list[Actor])
        assert_type(session.refresh_token_withheld, bool)
    result = client.request_session_transfer_token("t", "urn:acme:x", organization="org_1", reason="a ticket")
    assert_type(result, SessionTransferTokenResult)
    assert_type(result.session_transfer_token, str)
    assert_type(client.build_session_transfer_redirect("https://a.example/", result, allowed_hosts=["a.example"]), str)
    assert_type(mirror.build_session_transfer_redirect("https://a.example/", result), str)
    client.build_session_transfer_redirect("https://a.example/", "t")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(client.get_token_on_behalf_of(lambda: "t", "https://api.example", ["a"]), TokenExchangeResponse)


def sender_constraining(client: ServerClient, response: TokenExchangeResponse) -> None:
    key = DPoPKey({"kty": "EC"}, alg="ES256", clock=lambda: 1.0)
    nonces = DPoPNonceStore(maxsize=10)
    assert_type(nonces.learn("https://api.example/", {"DPoP-Nonce": "n"}), str | None)
    nonce = nonces.get("https://api.example/")
    assert_type(key.proof("GET", "https://api.example/", access_token="t", nonce=nonce), str)
    assert_type(key.thumbprint, str)
    assert_type(key.public_jwk, dict[str, str])
    assert_type(client.dpop, DPoPKey | None)
    assert_type(client.dpop_thumbprint, str | None)
    assert_type(response.dpop_bound, bool | None)
    assert_type(response.dpop_thumbprint, str | None)


def failures(client: ServerClient) -> None:
    try:
        exchange(client)
    except RateLimitError as error:
        assert_type(error.blocked, bool)
        assert_type(error.retry_after, float | None)
    except MfaRequiredError as error:
        assert_type(error.mfa_token, str | None)
    except CustomTokenExchangeError as error:
        assert_type(error.code, str)
        assert_type(error.hint, str)
    except TransportError as error:
        assert_type(error.may_have_reached_server, bool)


def names() -> None:
    assert_type(auth0_cte.__version__, str)
    auth0_cte.Bogus  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # noqa: B018


def testing() -> None:
    tenant = LocalTenant(clock=FakeClock())
    with tenant.serve(tls=True) as server:
        assert_type(server.client(), ServerClient)
