"""A script that exchanges a token, logs in, calls an API and logs out: ``python -m auth0_cte.examples.script``."""

from __future__ import annotations

import os

import requests

from auth0_cte import MemoryStateStore, ServerClient
from auth0_cte.examples import legacy, tenant

__all__ = ["main"]


def main() -> None:
    """Do it, and tell."""
    # A script has no browser that would keep a session, so it keeps one itself.
    with ServerClient.from_env(state_store=MemoryStateStore(script=True)) as auth0:
        exchange(auth0)
        log_in(auth0)
        call_api(auth0.get_access_token())
        log_out(auth0)


def subject_token() -> dict[str, str]:
    """Return what to exchange; a new token each time, because it is good for one exchange."""
    return {"subject_token": legacy.mint("ada"), "subject_token_type": legacy.TOKEN_TYPE}


def exchange(auth0: ServerClient) -> None:
    """Exchange a token, without a session."""
    response = auth0.custom_token_exchange({**subject_token(), "scope": "openid profile"})
    print(f"Exchanged: a {response.token_type} token that lives for {response.expires_in} seconds")
    print(f"Verified:  {response.claims and response.claims['sub']}")


def log_in(auth0: ServerClient) -> None:
    """Exchange a token for a session."""
    result = auth0.login_with_custom_token_exchange({**subject_token(), "scope": "profile offline_access"})
    print(f"Logged in: {result.user['name']}")


def call_api(access_token: str) -> None:
    """Call an API with an access token: the one that every tenant has."""
    domain = os.environ["AUTH0_DOMAIN"]
    url = f"{domain if '://' in domain else f'https://{domain}'}/userinfo"
    response = requests.get(url, headers={"Authorization": f"Bearer {access_token}"}, timeout=10)
    response.raise_for_status()
    print(f"API says:  {response.json()['name']}")


def log_out(auth0: ServerClient) -> None:
    """End the session."""
    auth0.logout()
    print(f"Logged out, and the user is {auth0.get_user()}")


if __name__ == "__main__":
    with tenant.provided():
        main()
