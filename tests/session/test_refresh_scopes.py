"""What a refresh asks for and what the session remembers of it, at a tenant that narrows and omits scopes."""

from __future__ import annotations

import pytest

from auth0_cte import AccessTokenError
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.clients import MakeClient, new_jar, options, refreshes

API = "https://api.example.com"
SCOPE = "openid offline_access read:data write:data"


@pytest.fixture
def api(tenant: LocalTenant) -> LocalTenant:
    """The tenant, with an API of two scopes whose tokens live ten minutes."""
    tenant.add_api(API, ["read:data", "write:data"], token_lifetime=600)
    return tenant


def test_a_refresh_keeps_the_scopes_of_the_login(
    api: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """A reply without scope grants what the login had (RFC 6749, section 6): asking for a part needs no refresh."""
    client, jar = make_client(api, store), new_jar()
    client.login_with_custom_token_exchange(options(audience=API, scope=SCOPE), {"cookies": jar})
    clock.advance(600)
    token = client.get_access_token({"cookies": jar})
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert set(SCOPE.split()) == set((session.token_sets[0].scope or "").split())
    assert token == client.get_access_token({"cookies": jar}, scope="read:data")
    assert 1 == refreshes(api)


def test_a_scope_that_is_not_granted_costs_one_refresh(
    api: LocalTenant, store: StateStore, make_client: MakeClient
) -> None:
    """When the refresh brings less than was asked for, the error comes at once, and the session goes on."""
    client, jar = make_client(api, store), new_jar()
    client.login_with_custom_token_exchange(options(audience=API, scope=SCOPE), {"cookies": jar})
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar}, scope="read:data delete:data")
    assert "INSUFFICIENT_TOKEN" == caught.value.code
    assert 1 == refreshes(api)
    assert client.get_access_token({"cookies": jar})
    assert 1 == len(api.refresh_tokens)
