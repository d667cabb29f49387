"""Flask behind a real gunicorn: a stream that has begun, and an error page after the logout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from flask import Flask, Response, stream_with_context

from auth0_cte import SessionError
from auth0_cte.error import Auth0CTEError
from auth0_cte.flask import Auth0CTE, current_user, handle_error
from auth0_cte.testing import LocalTenant
from tests.integration.servers import serving

SECRET = "a-secret-of-more-than-thirty-two-bytes"
TYPE = "urn:acme:mcp-token"
OPTIONS = {"subject_token": "x", "subject_token_type": TYPE}


def create_app() -> Flask:
    """Make the application that the workers serve."""
    app = Flask(__name__)
    auth0 = Auth0CTE(app)
    app.register_error_handler(Auth0CTEError, handle_error)

    @app.post("/login")
    def login() -> str:
        return str(auth0.login(OPTIONS).user["sub"])

    @app.get("/who")
    def who() -> str:
        return str(current_user["sub"]) if current_user else "nobody"

    @app.get("/stream")
    def stream() -> Response:
        def parts() -> Iterator[str]:
            for call in (lambda: auth0.login(OPTIONS), auth0.logout):
                try:
                    yield str(call())
                except SessionError as error:
                    yield error.code + " "

        return Response(stream_with_context(parts()))

    @app.post("/out")
    def out() -> str:
        auth0.logout()
        raise RuntimeError("the view fails")

    return app


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_cookies_arrive_or_the_call_is_refused(worker: str) -> None:
    """In a stream login and logout are refused and spend nothing; a view that fails after the logout logs out."""
    tenant = LocalTenant()
    tenant.accept(TYPE, "auth0|ada")
    tenant.add_user("auth0|ada")
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", "2", "--worker-class", worker]
    with tenant.serve() as server, requests.Session() as browser:
        browser.trust_env = False
        environment = {
            "AUTH0_DOMAIN": server.domain,
            "AUTH0_CLIENT_ID": tenant.client_id,
            "AUTH0_CLIENT_SECRET": tenant.client_secret,
            "AUTH0_SECRET": SECRET,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH", "")))),
        }
        with serving([*command, f"{__name__}:create_app()"], **environment) as url:
            assert "auth0|ada" == browser.post(f"{url}/login", timeout=20).text
            assert "RESPONSE_SENT RESPONSE_SENT " == browser.get(f"{url}/stream", timeout=20).text
            assert 1 == len(tenant.token_requests)
            assert "auth0|ada" == browser.get(f"{url}/who", timeout=20).text
            assert 500 == browser.post(f"{url}/out", timeout=20).status_code
            assert "nobody" == browser.get(f"{url}/who", timeout=20).text
