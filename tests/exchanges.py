"""A tenant whose subject tokens name the user, and what tests of reused tokens ask of it."""

from __future__ import annotations

import base64
import json
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import auth0_cte
from auth0_cte import CustomTokenExchangeOptions, ExchangeRequest, ServerClient
from auth0_cte.exchange.cache_key import credentials_of
from auth0_cte.exchange.request import to_form
from auth0_cte.jose import Jws, KeySet
from auth0_cte.testing import FakeClock, LocalTenant

TYPE = "urn:acme:mcp-token"
API = "https://api.example.com"
LIFETIME = 600
DEADLINE = 60.0
LEGACY_TYPE = "urn:acme:legacy-token"
LEGACY_LOGIN: dict[str, Any] = {
    "subject_token": "x",
    "subject_token_type": LEGACY_TYPE,
    "scope": "openid offline_access",
}
SESSION_SECRET = "a-secret-of-more-than-thirty-two-bytes"

T = TypeVar("T")


class Gate:
    """Holds back a reply of the tenant that was scripted to be late, until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, _seconds: float) -> None:
        self.reached.set()
        assert self.opened.wait(DEADLINE)


def make_tenant(users: int = 3, **settings: Any) -> LocalTenant:
    """Make a tenant with users ``auth0|0`` and so on, each of whom is exchanged for by the user id."""
    tenant = LocalTenant(**{"clock": FakeClock(), "default_audience": API, **settings})
    tenant.add_api(API, token_lifetime=LIFETIME, token_dialect="rfc9068_profile")  # no two tokens are the same
    for number in range(users):
        tenant.add_user(f"auth0|{number}")

    @tenant.action(TYPE)
    def exchange(event: Any, api: Any) -> None:
        if event.transaction.subject_token.startswith("bad"):
            api.access.reject_invalid_subject_token("Unknown token.")
        else:
            api.authentication.set_user_by_id(event.transaction.subject_token)

    return tenant


def make_legacy_tenant(*, mfa_required: bool = False, **settings: Any) -> LocalTenant:
    """Make a tenant that takes any subject token of `LEGACY_TYPE`, and exchanges it for ``auth0|ada``."""
    tenant = LocalTenant(**settings)
    tenant.add_user("auth0|ada", mfa_required=mfa_required)
    tenant.accept(LEGACY_TYPE, "auth0|ada")
    return tenant


def accept_user_ids(tenant: LocalTenant, kind: str = TYPE) -> LocalTenant:
    """Let a subject token be the id of the user it stands for, whom the tenant need not know; return the tenant.

    A user with "big" in the id has a name that makes a large session.
    """

    @tenant.action(kind)
    def exchange(event: Any, api: Any) -> None:
        user = event.transaction.subject_token
        if user not in tenant.users:
            tenant.add_user(user, name="x" * 1100 if "big" in user else "Ada")
        api.authentication.set_user_by_id(user)

    return tenant


def options(user: Any = "auth0|0", **more: Any) -> dict[str, Any]:
    return {"subject_token": user, "subject_token_type": TYPE, **more}


def request_of(client: ServerClient, given: dict[str, Any]) -> ExchangeRequest:
    """Return what caches see of an exchange."""
    settings = client.settings
    return ExchangeRequest(
        issuer=str(settings.domain),
        client_id=settings.client_id,
        credentials=credentials_of(settings.client_auth) or [],
        form=to_form(CustomTokenExchangeOptions(**given), settings.client_id),
        headers={},
        dpop_thumbprint=client.dpop_thumbprint,
    )


def exchanges(tenant: LocalTenant) -> int:
    """Count the exchanges that arrived at the tenant."""
    return sum("token-exchange" in str(request.form["grant_type"]) for request in tenant.token_requests)


def shown_by(error: BaseException) -> str:
    """Return what an error tracker would collect of our frames: the text and the variables of each."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = Path(auth0_cte.__file__).parent
    for each in (trace, trace.__cause__, trace.__context__):
        if each is not None:
            each.stack[:] = [frame for frame in each.stack if Path(frame.filename).is_relative_to(ours)]
    return "".join(trace.format())


def sub_of(access_token: str) -> str:
    payload = access_token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=="))["sub"])


def claims_of(tenant: LocalTenant, token: str) -> dict[str, Any]:
    """Verify a token with the keys that a tenant publishes, and return its claims."""
    with tenant.session() as session:
        keys = KeySet.from_jwks(session.get(f"{tenant.issuer}.well-known/jwks.json").json())
    jws = Jws.parse(token)
    return jws.verify(keys.select(jws.header))


def at_once(*work: Callable[[], T]) -> list[T]:
    """Do all of the work at the same time, each in a thread, and return the results; the first error is raised."""
    barrier = threading.Barrier(len(work))

    def do(each: Callable[[], T]) -> T:
        barrier.wait(DEADLINE)
        return each()

    with ThreadPoolExecutor(len(work)) as pool:
        futures = [pool.submit(do, each) for each in work]
        return [future.result(DEADLINE) for future in futures]
