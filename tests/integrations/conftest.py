from __future__ import annotations

from typing import Any

import pytest

from auth0_cte.testing import FakeClock, LocalTenant
from tests.django_project import TYPE

API = "https://api.example.com"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def short_lived(clock: FakeClock) -> LocalTenant:
    """A tenant whose access tokens last ten minutes, and where a subject token is the id of its user."""
    tenant = LocalTenant(clock=clock, default_audience=API)
    tenant.add_api(API, token_lifetime=600)

    @tenant.action(TYPE)
    def exchange(event: Any, api: Any) -> None:
        user = event.transaction.subject_token
        if user not in tenant.users:
            tenant.add_user(user, name="Ada")
        api.authentication.set_user_by_id(user)

    return tenant
