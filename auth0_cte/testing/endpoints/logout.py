"""Where browsers log out: Auth0's own endpoint, and OpenID Connect's.

Sources: Auth0, "Log Users Out of Auth0" and "Redirect Users after Logout"; OpenID Connect RP-Initiated Logout 1.0.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.foundation.urls import is_loopback
from auth0_cte.jose import JoseError, Jws, VerificationKey
from auth0_cte.testing.endpoints.log import write_log
from auth0_cte.testing.wire.messages import RefusalError, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.testing.endpoints.backchannel_logout import BackchannelLogout
    from auth0_cte.testing.registry.applications import Application
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["serve_logout", "serve_oidc_logout"]

_PRINTABLE = re.compile(r"[!-~]+\Z")


def serve_logout(state: TenantState, request: TenantRequest) -> Reply:
    """Answer ``/v2/logout``: to ``returnTo``, else to the application's first logout URL, else ``OK``."""
    return _serve(state, request, _logout)


def serve_oidc_logout(logouts: BackchannelLogout, state: TenantState, request: TenantRequest) -> Reply:
    """Answer ``/oidc/logout``, the ``end_session_endpoint``, likewise with ``post_logout_redirect_uri``.

    Args:
        logouts: What tells the session's application by the back channel.
        state: The tenant.
        request: The request.
    """
    return _serve(state, request, partial(_oidc_logout, logouts))


def _serve(
    state: TenantState,
    request: TenantRequest,
    act: Callable[[TenantState, Mapping[str, str]], tuple[str | None, str | None]],
) -> Reply:
    parameters: Mapping[str, str] = {}
    try:
        parameters = _parameters(request)
        user_id, target = act(state, parameters)
    except RefusalError as refusal:
        write_log(state, request, "flo", refusal.detail, client_id=parameters.get("client_id"))
        return refusal.reply()
    client_id = parameters.get("client_id")
    write_log(state, request, "slo", "User successfully logged out", client_id=client_id, user_id=user_id)
    if target is None:
        return Reply(headers={"content-type": "text/plain; charset=utf-8"}, body=b"OK")
    return Reply(status=302, headers={"location": target, "cache-control": "no-store"})


def _logout(state: TenantState, parameters: Mapping[str, str]) -> tuple[str | None, str | None]:
    application = _application(state, parameters.get("client_id"))
    target = parameters.get("returnTo")
    if target is None:
        return None, _first_url(application)
    _check_target(application, target, "returnTo", with_query=False)
    return None, target


def _oidc_logout(
    logouts: BackchannelLogout, state: TenantState, parameters: Mapping[str, str]
) -> tuple[str | None, str | None]:
    hint = parameters.get("id_token_hint")
    claims = {} if hint is None else _verify_hint(state, hint)
    client_id, sid = claims.get("aud"), claims.get("sid")
    if hint is not None and parameters.get("client_id", client_id) != client_id:
        raise _refusal("The client_id is not that of the id_token_hint.")
    if hint is not None and parameters.get("logout_hint", sid) != sid:
        raise _refusal("The logout_hint is not the session of the id_token_hint.")
    application = _application(state, client_id or parameters.get("client_id"))
    target = parameters.get("post_logout_redirect_uri")
    if target is not None:
        _check_target(application, target, "post_logout_redirect_uri", with_query=True)
    if sid is not None:
        logouts.session_ended(str(sid))
    if target is None:
        return claims.get("sub"), _first_url(application)
    return claims.get("sub"), _with_state(target, parameters.get("state"))


def _parameters(request: TenantRequest) -> dict[str, str]:
    pairs = parse_qsl(request.body if request.method == "POST" else request.query)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise _refusal("A parameter came more than once.")
    return parameters


def _application(state: TenantState, client_id: str | None) -> Application | None:
    application = state.applications.get(client_id)
    if client_id is not None and application is None:
        raise RefusalError(400, "invalid_request", f"Unknown client: {client_id}")
    return application


def _first_url(application: Application | None) -> str | None:
    urls = application.allowed_logout_urls if application else None
    return urls[0] if urls else None


def _verify_hint(state: TenantState, token: str) -> dict[str, Any]:
    """Verify an ID token that this tenant issued; an expired one will do (RP-Initiated Logout 1.0, section 2)."""
    try:
        jws = Jws.parse(token)
        application = state.applications.get(str(loads_object(jws.payload).get("aud")))
        if application is None:
            raise _refusal("The id_token_hint is for no application of this tenant.")
        claims = jws.verify(_hint_key(state, application, jws.header))
    except (JoseError, ValueError) as error:
        raise _refusal("The id_token_hint is invalid.", str(error)) from None
    if claims.get("iss") not in state.issuers:
        raise _refusal("The id_token_hint is of another issuer.")
    return claims


def _hint_key(state: TenantState, application: Application, header: Mapping[str, Any]) -> VerificationKey:
    if application.id_token_alg == "HS256":
        return VerificationKey.from_secret(application.client_secret or "")
    return state.keys.verification_keys().select(header)


def _check_target(application: Application | None, target: str, name: str, *, with_query: bool) -> None:
    parts = _split(target)
    if application is not None and _is_plain(target, parts):
        allowed = application.allowed_logout_urls
        if allowed is None and (parts.scheme == "https" or is_loopback(parts.hostname or "")):
            return
        if any(_fits(parts, _split(pattern), with_query=with_query) for pattern in allowed or ()):
            return
    raise _refusal(f'The "{name}" parameter "{target}" is not defined as a valid URL in "Allowed Logout URLs".')


def _is_plain(target: str, parts: SplitResult) -> bool:
    # Nothing that could break out of a header, or hide where it leads.
    return bool(_PRINTABLE.match(target)) and parts.scheme in ("http", "https") and "@" not in parts.netloc


def _fits(parts: SplitResult, pattern: SplitResult, *, with_query: bool) -> bool:
    """Compare two URLs; of the query, the names at most. A ``*`` stands for a subdomain."""
    names, allowed = ({name for name, _ in parse_qsl(each.query, True)} for each in (parts, pattern))
    if with_query and names != allowed:
        return False
    host = re.escape(pattern.netloc.lower()).replace(r"\*", "[a-z0-9-]+")
    same_place = (parts.scheme, parts.path.rstrip("/")) == (pattern.scheme, pattern.path.rstrip("/"))
    return same_place and re.fullmatch(host, parts.netloc.lower()) is not None


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _with_state(target: str, state: str | None) -> str:
    if state is None:
        return target
    parts = urlsplit(target)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode({"state": state}))))))


def _refusal(description: str, detail: str | None = None) -> RefusalError:
    return RefusalError(400, "invalid_request", description, detail=detail)
