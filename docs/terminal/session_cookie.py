"""Log a user in at an application, and write the cookie that a browser then has, and what unseals it."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from auth0_cte.flask import Auth0CTE
from auth0_cte.testing import LocalTenant

SECRET = "a-long-random-secret-of-32-bytes-or-more"

tenant = LocalTenant()
tenant.add_user("auth0|ada", name="Ada Lovelace", email="ada@example.com")
tenant.accept("urn:acme:legacy-session", "auth0|ada")
app = Flask(__name__)
sessions = Auth0CTE(app, client=tenant.client(secret=SECRET))


@app.post("/login")
def login() -> str:
    """Exchange a token, and start a session."""
    sessions.login(
        {
            "subject_token": "legacy-session-of-ada",
            "subject_token_type": "urn:acme:legacy-session",
            "scope": "profile email offline_access",
        }
    )
    return ""


cookies = app.test_client().post("/login").headers.getlist("Set-Cookie")
Path("cookie.txt").write_text("; ".join(cookie.partition(";")[0] for cookie in cookies))
Path("app.env").write_text(f"AUTH0_SECRET={SECRET}\n")
