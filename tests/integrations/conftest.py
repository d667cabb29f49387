from __future__ import annotations

import pytest

from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import accept_user_ids

API = "https://api.example.com"


@pytest.fixture
def short_lived(clock: FakeClock) -> LocalTenant:
    """A tenant whose access tokens last ten minutes, and where a subject token is the id of its user."""
    tenant = LocalTenant(clock=clock, default_audience=API)
    tenant.add_api(API, token_lifetime=600)
    return accept_user_ids(tenant)
