"""Where browsers would log in at Auth0; this tenant only says what it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auth0_cte.testing.wire.messages import Reply

if TYPE_CHECKING:
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["serve_authorize"]

_PAGE: Final = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Local tenant</title>
<h1>This is a local tenant for tests</h1>
<p>It emulates Custom Token Exchange of Auth0. It has no login page, no authorization code flow, no consent and no
single sign-on, so /authorize ends here. Nobody was logged in.</p>
<p>Log in with <code>login_with_custom_token_exchange</code>. In a test, redeem a session transfer token with
<code>tenant.redeem_session_transfer_token(...)</code>.</p>
</html>
"""


def serve_authorize(state: TenantState, request: TenantRequest) -> Reply:  # noqa: ARG001 - an endpoint
    """Answer with a page for the developer who ended here."""
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "default-src 'none'",
        "cache-control": "no-store",
    }
    return Reply(status=501, headers=headers, body=_PAGE)
