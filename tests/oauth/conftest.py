from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from auth0_cte import RetryPolicy, ServerClient, SessionSettings
from auth0_cte.testing import LocalTenant, TenantServer
from tests.mirrored import mirrored

NewClient = Callable[..., ServerClient]


@pytest.fixture
def server(tenant: LocalTenant) -> Iterator[TenantServer]:
    """The tenant over TLS."""
    with tenant.serve(tls=True) as server:
        yield server


@pytest.fixture
def client_id() -> str:
    """The application whose clients `connect` makes; modules have their own."""
    return "local-client"


@pytest.fixture
def connect(server: TenantServer, client_id: str, new_client: type[ServerClient]) -> Iterator[NewClient]:
    """Make clients of an application over TLS, and their mirrors; all are closed in the end."""
    with ExitStack() as stack:

        def connect(**more: Any) -> ServerClient:
            usual = {"client_id": client_id, "secret": "a secret of thirty-two bytes or more, for tests alone"}
            patient = {"session_settings": SessionSettings(inactivity_duration=200_000)}
            settings = {**usual, **patient, "retry": RetryPolicy(sleep=lambda _: None), **more}
            return mirrored(new_client, stack.enter_context(server.client(**settings)))

        yield connect
