"""Connected accounts: what the My Account API answers below ``/me/v1/connected-accounts/``, and the browser's part.

Source: Auth0, My Account API, "Connected Accounts". The tenant lacks providers: the browser is sent back at once, as if
the user had consented.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from auth0_cte.foundation.urls import is_loopback
from auth0_cte.testing.endpoints.bearer import verify_access_token
from auth0_cte.testing.issued.account_requests import LIFETIME, AccountRequest
from auth0_cte.testing.journal import iso_date
from auth0_cte.testing.wire.messages import RefusalError, Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.testing.issued.connected_accounts import ConnectedAccount
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["connected_accounts_endpoints"]

_HOME: Final = "/me/v1/connected-accounts"
_MAX_PAGE: Final = 20
_NO_STORE: Final = {"cache-control": "no-store"}


class _Text(NamedTuple):
    low: int
    high: int
    is_required: bool = False


_CONNECT: Final = {
    "connection": _Text(1, 128, is_required=True),
    "redirect_uri": _Text(1, 2048, is_required=True),
    "state": _Text(1, 4096),
    "code_challenge": _Text(43, 128),
    "code_challenge_method": _Text(4, 4),
}
_COMPLETE: Final = {
    "auth_session": _Text(1, 64, is_required=True),
    "connect_code": _Text(1, 46, is_required=True),
    "redirect_uri": _Text(1, 2048, is_required=True),
    "code_verifier": _Text(43, 128),
}


def connected_accounts_endpoints() -> dict[str, dict[str, Callable[[TenantState, TenantRequest], Reply]]]:
    """Return the endpoints by path and method."""
    return {
        f"{_HOME}/connect": {"POST": _api(_connect, "create:me:connected_accounts")},
        f"{_HOME}/complete": {"POST": _api(_complete, "create:me:connected_accounts")},
        f"{_HOME}/accounts": {"GET": _api(_accounts, "read:me:connected_accounts")},
        f"{_HOME}/accounts/*": {"DELETE": _api(_disconnect, "delete:me:connected_accounts")},
        f"{_HOME}/connections": {"GET": _api(_connections, "read:me:connected_accounts")},
        "/connected-accounts/connect": {"GET": _browse},
    }


def _api(
    answer: Callable[[TenantState, TenantRequest, str], Reply], scope: str
) -> Callable[[TenantState, TenantRequest], Reply]:
    """Make an endpoint that needs an access token with a scope, and tells errors as this API does."""

    def serve(state: TenantState, request: TenantRequest) -> Reply:
        try:
            user_id = str(verify_access_token(state, request, "me/", scope)["sub"])
            return answer(state, request, user_id).with_headers(_NO_STORE)
        except RefusalError as refusal:
            problem = {
                "type": f"https://auth0.com/api-errors/{refusal.error}",
                "status": refusal.status,
                "title": refusal.error.replace("_", " ").capitalize(),
                "detail": refusal.description,
                **refusal.members,
            }
            return json_reply(problem, status=refusal.status, headers={**_NO_STORE, **refusal.headers})

    return serve


def _connect(state: TenantState, request: TenantRequest, user_id: str) -> Reply:
    given = _read(request, _CONNECT, {"scopes", "authorization_params"})
    _check_redirect_uri(given["redirect_uri"])
    if "code_challenge" in given and given.get("code_challenge_method", "S256") != "S256":
        raise _invalid("code_challenge_method", "must be S256")
    if given["connection"] not in _names(state):
        raise _invalid("connection", "must be a connection of the tenant")
    pending = AccountRequest(
        user_id=user_id,
        connection=given["connection"],
        redirect_uri=given["redirect_uri"],
        state=given.get("state"),
        code_challenge=given.get("code_challenge"),
        scopes=tuple(request.many("scopes")),
        login_hint=_login_hint(request),
        expires_at=state.clock() + LIFETIME,
    )
    state.account_requests.add(pending)
    body = {
        "connect_uri": f"{request.issuer}connected-accounts/connect",
        "auth_session": pending.auth_session,
        "connect_params": {"ticket": pending.ticket},
        "expires_in": LIFETIME,
    }
    return json_reply(body, status=201)


def _browse(state: TenantState, request: TenantRequest) -> Reply:
    """Send the browser of a user back, with the code that completes the request."""
    ticket = parse_qs(request.query).get("ticket", [""])[0]
    pending = state.account_requests.consent(ticket)
    if pending is None:
        raise RefusalError(400, "invalid_request", "The ticket is unknown, was used before, or has expired.")
    parts = urlsplit(pending.redirect_uri)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("connect_code", pending.connect_code or "")]
    query += [] if pending.state is None else [("state", pending.state)]
    return Reply(status=302, headers={**_NO_STORE, "location": urlunsplit(parts._replace(query=urlencode(query)))})


def _complete(state: TenantState, request: TenantRequest, user_id: str) -> Reply:
    given = _read(request, _COMPLETE)
    pending = state.account_requests.take(given["auth_session"])
    if pending is None or pending.user_id != user_id:
        raise _invalid("auth_session", "is unknown, was used before, or has expired")
    if not pending.accepts(given["connect_code"], given["redirect_uri"], given.get("code_verifier")):
        raise RefusalError(
            400, "invalid_request", "connect_code, redirect_uri and code_verifier must match the request."
        )
    account = state.connected_accounts.connect(
        user_id, pending.connection, scopes=pending.scopes, login_hint=pending.login_hint
    )
    return json_reply(_view(account), status=201)


def _accounts(state: TenantState, request: TenantRequest, user_id: str) -> Reply:
    wanted = parse_qs(request.query).get("connection", [None])[0]
    accounts = [each for each in state.connected_accounts.of(user_id) if wanted in (None, each.connection)]
    return _page("accounts", [_view(account) for account in accounts], request)


def _disconnect(state: TenantState, request: TenantRequest, user_id: str) -> Reply:
    account_id = unquote(request.path.rpartition("/")[2])
    for account in state.connected_accounts.of(user_id):
        if account.id == account_id:
            state.connected_accounts.disconnect(account)
            return Reply(status=204)
    raise RefusalError(404, "not_found", "The connected account does not exist.")


def _connections(state: TenantState, request: TenantRequest, _user_id: str) -> Reply:
    return _page("connections", [{"name": name, "strategy": kind} for name, kind in _names(state).items()], request)


def _names(state: TenantState) -> dict[str, str]:
    """Return the connections with accounts at providers, and the kind of each: all but databases."""
    return {each.name: each.strategy for each in state.users.connections() if each.strategy != "auth0"}


def _view(account: ConnectedAccount) -> dict[str, Any]:
    return {
        "id": account.id,
        "connection": account.connection,
        "access_type": "offline",
        "scopes": list(account.scopes),
        "created_at": iso_date(account.created_at),
    }


def _page(name: str, items: list[dict[str, Any]], request: TenantRequest) -> Reply:
    query = parse_qs(request.query)
    take, start = query.get("take", [str(_MAX_PAGE)])[0], query.get("from", ["0"])[0]
    if not (take.isascii() and take.isdecimal() and 1 <= int(take) <= _MAX_PAGE):
        raise _invalid("take", f"must be a number from 1 to {_MAX_PAGE}")
    if not (start.isascii() and start.isdecimal()):
        raise _invalid("from", "must be the next of the page before")
    end = int(start) + int(take)
    following = {"next": str(end)} if end < len(items) else {}
    return json_reply({name: items[int(start) : end], **following})


def _read(request: TenantRequest, wanted: Mapping[str, _Text], others: set[str] | None = None) -> dict[str, str]:
    """Return the members of a JSON body, by what the API's schema says of them."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RefusalError(415, "unsupported_media_type", "Content-Type must be application/json.")
    for name in request.form.keys() - wanted.keys() - (others or set()):
        raise _invalid(name, "is not a member of the request")
    given: dict[str, str] = {}
    for name, limits in wanted.items():
        value = request.form.get(name)
        if value is None and not limits.is_required:
            continue
        if not isinstance(value, str) or not limits.low <= len(value) <= limits.high:
            raise _invalid(name, f"must be a string of {limits.low} to {limits.high} characters")
        given[name] = value
    return given


def _check_redirect_uri(uri: str) -> None:
    parts = urlsplit(uri)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not is_safe or not parts.hostname or parts.fragment:
        raise _invalid("redirect_uri", "must be an https URL, or an http URL of a loopback host, without a fragment")


def _login_hint(request: TenantRequest) -> str | None:
    try:
        params = json.loads(str(request.form.get("authorization_params", "{}")))
    except ValueError:
        params = None
    if not isinstance(params, dict):
        raise _invalid("authorization_params", "must be an object")
    hint = params.get("login_hint")
    return hint if isinstance(hint, str) and hint else None


def _invalid(field: str, problem: str) -> RefusalError:
    errors = [{"detail": f"{field} {problem}", "field": field}]
    return RefusalError(400, "invalid_request", f"{field} {problem}.", members={"validation_errors": errors})
