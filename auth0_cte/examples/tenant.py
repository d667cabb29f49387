"""The tenant of the examples: the one that the environment names, or else one on a loopback port.

An application that runs in several processes has them share one::

    python -m auth0_cte.examples.tenant gunicorn --workers 4 'auth0_cte.examples.flask_app:create_app()'

starts a tenant and runs the command with its address and credentials in the environment, until either ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from auth0_cte import CookieStateStore
from auth0_cte.examples import legacy
from auth0_cte.testing import LocalTenant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auth0_cte import StateStore

__all__ = ["make_tenant", "provided", "run", "state_store"]

API: Final = "https://api.example.com"


def make_tenant() -> LocalTenant:
    """Return a tenant that knows the users of the legacy system by the tokens that it gives them."""
    tenant = LocalTenant(default_audience=API)
    tenant.add_connection("legacy", strategy="oauth2")

    @tenant.action(legacy.TOKEN_TYPE)
    def migrate(event: Any, api: Any) -> None:
        profile = legacy.read(event.transaction.subject_token)
        if profile is None:
            api.access.reject_invalid_subject_token("The legacy system did not issue this token, or it has expired.")
            return
        # For the Action below: the legacy system knows who must be asked.
        api.transaction.set_metadata("second_factor", profile.pop("second_factor"))
        api.authentication.set_user_by_connection(
            "legacy", profile, creation_behavior="create_if_not_exists", update_behavior="replace"
        )

    @tenant.post_login
    def protect(event: Any, api: Any) -> None:
        if event.transaction.metadata.get("second_factor"):
            api.multifactor.enable("any")

    return tenant


@contextmanager
def provided() -> Iterator[None]:
    """Have a tenant in the environment: the one that ``AUTH0_DOMAIN`` names, or a local one for the while."""
    if os.environ.get("AUTH0_DOMAIN"):
        yield
        return
    tenant = make_tenant()
    tenant.factors.deliver = lambda factor: print(f"{factor.kind} to {factor.name}: {factor.code()}", file=sys.stderr)
    with tenant.serve() as server, tempfile.TemporaryDirectory(prefix="auth0-cte-") as directory:
        os.environ |= {
            "AUTH0_DOMAIN": server.domain,
            "AUTH0_CLIENT_ID": tenant.client_id,
            "AUTH0_CLIENT_SECRET": tenant.client_secret,
        }
        # What processes must share when sessions are in cookies: what refreshes brought, and who logged out.
        os.environ.setdefault("ROTATIONS_URL", f"sqlite:///{directory}/rotations.db")
        # What seals sessions, and what signs legacy tokens: all processes of an application must have the same.
        for name in ("AUTH0_SECRET", "LEGACY_SECRET"):
            os.environ.setdefault(name, secrets.token_hex(32))
        yield


def state_store() -> StateStore | None:
    """Return the store of sessions: Redis if ``REDIS_URL`` names one, and cookies if not.

    Several processes with sessions in cookies share rotations in the SQL database that ``ROTATIONS_URL`` names: a
    browser that comes with the cookie from before a refresh finds what the refresh brought.
    """
    url = os.environ.get("REDIS_URL")
    if url:
        from auth0_cte.session.redis import RedisStateStore

        return RedisStateStore.from_url(url)
    url = os.environ.get("ROTATIONS_URL")
    if not url:
        return None
    from auth0_cte.session.sql import SQLRotations

    rotations = SQLRotations.from_url(url)
    rotations.create_tables()
    return CookieStateStore(rotations=rotations)


def run(command: Sequence[str]) -> int:
    """Run a command with a tenant in its environment, and return its exit status as a shell does."""
    with provided(), subprocess.Popen(command) as process:  # noqa: S603 - it is the caller's own
        # The tenant must outlive the command, so the command ends with this process.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: process.terminate())
        status = process.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(f"usage: python -m {__spec__.name} COMMAND [ARGUMENT]…")
    if shutil.which(sys.argv[1]) is None:
        sys.exit(f"{sys.argv[1]} was not found; servers come with: python -m pip install 'auth0-cte[examples]'")
    sys.exit(run(sys.argv[1:]))
