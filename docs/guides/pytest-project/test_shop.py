"""The tests of the shop: the very Action that is deployed decides who may come in."""

import pytest
from shop import LEGACY, sign_in

from auth0_cte import CustomTokenExchangeError

pytestmark = pytest.mark.auth0(users=["auth0|ada"], actions={LEGACY: "legacy.js"})


def test_customer(local_tenant, auth0_client):
    """A customer of the legacy system is logged in."""
    assert sign_in(auth0_client, "ada.good", {}) == "auth0|ada"
    local_tenant.assert_exchanged(subject_token_type=LEGACY, user_id="auth0|ada", times=1)


def test_stranger(local_tenant, auth0_client):
    """Nobody else is."""
    with pytest.raises(CustomTokenExchangeError, match="unknown session"):
        sign_in(auth0_client, "ada.forged", {})
    local_tenant.assert_exchanged(times=0)
