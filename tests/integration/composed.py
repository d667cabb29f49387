"""An application and an API, each a process of its own: ``python -m tests.integration.composed application``."""

from __future__ import annotations

import os
import sys
from typing import Any

import flask
import requests
from joserfc import jwt
from joserfc.jwk import KeySet
from werkzeug.wrappers import Response

from auth0_cte import Auth0CTEError
from auth0_cte.flask import Auth0CTE, current_user, handle_error, requires_session

API = "https://api.acme.example"
TYPE = "urn:acme:legacy"


def application() -> flask.Flask:
    """Users log in here, and see what the API answers."""
    app, auth0 = flask.Flask(__name__), Auth0CTE()
    auth0.init_app(app)
    app.register_error_handler(Auth0CTEError, handle_error)

    @app.get("/")
    def home() -> str:
        user = auth0.get_user()
        if user is None:
            return '<form method="post" action="/login"><button>Log in</button></form>'
        logout = '<form method="post" action="/logout"><button>Log out</button></form>'
        return f'<h1>{user["name"]}</h1><a href="/call">Call</a>{logout}'

    @app.post("/login")
    def login() -> Response:
        auth0.login(
            {
                "subject_token": "a-legacy-session",
                "subject_token_type": TYPE,
                "audience": API,
                "scope": "openid profile read:data",
            }
        )
        return flask.redirect("/", 303)

    @app.get("/call")
    @requires_session
    def call() -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {auth0.get_access_token()}"}
        answer: dict[str, Any] = requests.get(os.environ["API_URL"], headers=headers, timeout=30).json()
        return {"application": current_user["iss"], **answer}

    @app.post("/logout")
    def logout() -> Response:
        return flask.redirect(auth0.logout(return_to=flask.request.host_url), 303)

    return app


def api() -> flask.Flask:
    """Takes access tokens of the tenant, whose keys it fetches."""
    app, issuer = flask.Flask(__name__), f"{os.environ['AUTH0_DOMAIN']}/"

    @app.get("/")
    def data() -> dict[str, Any]:
        keys = requests.get(f"{issuer}.well-known/jwks.json", timeout=30).json()
        token = flask.request.headers["Authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, KeySet.import_key_set(keys)).claims
        jwt.JWTClaimsRegistry(iss={"essential": True, "value": issuer}, aud={"essential": True, "value": API}).validate(
            claims
        )
        return {"api": claims["iss"], "sub": claims["sub"], "scope": claims["scope"]}

    return app


if __name__ == "__main__":
    {"application": application, "api": api}[sys.argv[1]]().run("127.0.0.1", int(os.environ["PORT"]))
