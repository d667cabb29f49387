"""An application that has used its client before its server forks, as ``gunicorn --preload`` has it: see test_forks."""

from __future__ import annotations

import base64
import json
import os
from typing import Any, Final

import sqlalchemy as sa
from werkzeug import Request, Response

from auth0_cte import CookieStateStore, RedisExchangeCache, ServerClient
from auth0_cte.django import DjangoCacheStateStore
from auth0_cte.django.cache import DjangoCacheRotations
from auth0_cte.error import Auth0CTEError
from auth0_cte.oauth.rate_limit.limiter import RateLimit
from auth0_cte.session.redis import RedisRotations, RedisStateStore, client_from_url
from auth0_cte.session.sql import SQLRotations, SQLStateStore
from tests.integration.apps import configure_django

BACKENDS: Final = {
    "redis": "django.core.cache.backends.redis.RedisCache",
    "pymemcache": "django.core.cache.backends.memcached.PyMemcacheCache",
    "pylibmc": "django.core.cache.backends.memcached.PyLibMCCache",
    "db": "django.core.cache.backends.db.DatabaseCache",
}

ORDER: Final[dict[str, Any]] = json.loads(os.environ["ORDER"])


def make_store(kind: str) -> Any:
    kept_in, where = kind.split(" ")
    url = ORDER["urls"][kind]
    if where == "redis":
        return RedisStateStore.from_url(url) if kept_in == "records" else RedisRotations.from_url(url)
    if where.startswith("django-"):
        return DjangoCacheStateStore(where) if kept_in == "records" else DjangoCacheRotations(where)
    engine = sa.create_engine(url, pool_pre_ping=True, pool_size=8)
    store = SQLStateStore(engine) if kept_in == "records" else SQLRotations(engine)
    store.create_tables()
    return store


def configure_caches() -> Any:
    from django.core.management import call_command
    from django.test import override_settings

    configure_django()
    caches: dict[str, dict[str, Any]] = {
        kind.split(" ")[1]: {"BACKEND": BACKENDS[kind.rpartition("-")[2]], "LOCATION": url}
        for kind, url in ORDER["urls"].items()
        if " django-" in kind
    }
    caches["django-db"]["OPTIONS"] = {"MAX_ENTRIES": 1_000_000}  # it throws out what exceeds 300 otherwise
    override = override_settings(CACHES={"default": next(iter(caches.values())), **caches})
    override.enable()
    call_command("createcachetable", verbosity=0)
    return override


def make_client(kind: str) -> ServerClient:
    store, redis = make_store(kind), ORDER["redis"]
    return ServerClient(
        **ORDER["client"],
        state_store=store if kind.startswith("records") else CookieStateStore(rotations=store),
        exchange_cache=RedisExchangeCache.from_url(redis, secret=ORDER["client"]["secret"]),
        rate_limit=RateLimit("1000/s", redis=client_from_url(redis, timeout=10, pool_size=20)),
    )


def exchange(user: str) -> dict[str, Any]:
    return {"subject_token": user, "subject_token_type": "urn:acme:mcp-token", "scope": "openid offline_access"}


def warm_up(client: ServerClient) -> None:
    """Use everything once, as the parent of the workers."""
    jar: dict[str, str] = {}
    client.login_with_custom_token_exchange(exchange("auth0|parent"), {"cookies": jar})
    client.custom_token_exchange(exchange("auth0|parent"))
    assert client.get_user({"cookies": jar})


configured: Final = configure_caches()
clients: Final = {kind: make_client(kind) for kind in ORDER["urls"]}
for each in clients.values():
    warm_up(each)


@Request.application
def application(request: Request) -> Response:
    response = Response(mimetype="application/json")
    try:
        return answer(request, response)
    except Auth0CTEError as error:
        response.status_code = 409
        response.set_data(json.dumps([os.getpid(), error.code]))
        return response


def answer(request: Request, response: Response) -> Response:
    store_options = {"request": request, "response": response}
    client, user = clients[request.args["kind"]], request.args.get("user", "")
    if request.path == "/exchange":
        exchanged = client.custom_token_exchange(exchange(user))
        if exchanged.id_token_error is not None:
            raise exchanged.id_token_error
        response.set_data(json.dumps([os.getpid(), exchanged.claims and exchanged.claims["sub"]]))
        return response
    if request.path == "/login":
        client.login_with_custom_token_exchange(exchange(user), store_options)
    elif request.path == "/logout":
        client.logout(store_options=store_options)
    elif request.path == "/token":
        payload = client.get_access_token(store_options).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        response.set_data(json.dumps([os.getpid(), claims["sub"]]))
        return response
    found = client.get_user(store_options)
    response.set_data(json.dumps([os.getpid(), found and found["sub"]]))
    return response
