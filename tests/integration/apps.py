"""One small application in three frameworks, each behind a real server: what is a framework's own stands here."""

from __future__ import annotations

import atexit
import json
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
import fastapi
import flask
import uvicorn
import werkzeug.serving
from attrs import frozen
from django.conf import settings as django_settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path

from auth0_cte import AccessTokenError, ServerClient, SessionError

StoreOptions = dict[str, Any]
Query = Mapping[str, str]

TYPE = "urn:acme:mcp-token"
DEADLINE = 20.0


@frozen
class Answer:
    """What a page says: JSON, or where to go."""

    body: Mapping[str, Any]
    status: int = 200
    location: str | None = None


def log_in(client: ServerClient, user: str, scope: str, store_options: StoreOptions) -> None:
    options = {"subject_token": user, "subject_token_type": TYPE, "scope": scope}
    client.login_with_custom_token_exchange(options, store_options)


def login(client: ServerClient, query: Query, store_options: StoreOptions) -> Answer:
    """Log a user in, and show whom the same request sees from then on."""
    before = client.get_user(store_options)
    log_in(client, query["user"], query.get("scope", "openid"), store_options)
    after = client.get_user(store_options)
    return Answer({"before": before and before["sub"], "sub": after and after["sub"]})


def switch(client: ServerClient, query: Query, store_options: StoreOptions) -> Answer:
    """Log two users in, one after the other, in one response."""
    for name in ("first", "second"):
        log_in(client, query[name], query.get("scope", "openid"), store_options)
    user = client.get_user(store_options)
    return Answer({"sub": user and user["sub"]})


def login_without_response(client: ServerClient, query: Query, store_options: StoreOptions) -> Answer:
    """Forget the response."""
    try:
        log_in(client, query["user"], "openid", {"request": store_options["request"]})
    except SessionError as error:
        return Answer({"code": error.code}, 500)
    return Answer({})


def me(client: ServerClient, query: Query, store_options: StoreOptions) -> Answer:
    """Show the user; as a page does that only reads, without the response."""
    user = client.get_user({"request": store_options["request"]})
    return Answer({"user": None if user is None else dict(user)})


def session(client: ServerClient, query: Query, store_options: StoreOptions) -> Answer:
    """Show the whole session."""
    found = client.get_session(store_options)
    if found is None:
        return Answer({"session": None})
    # By name, because a whole session shows no token.
    tokens = [each.access_token for each in found.token_sets]
    return Answer({"session": {**found, "refresh_token": found.refresh_token, "access_tokens": tokens}})


def token(client: ServerClient, query: Query, store_options: StoreOptions) -> Answer:
    """Show the access token."""
    try:
        return Answer({"access_token": client.get_access_token(store_options)})
    except AccessTokenError as error:
        return Answer({"code": error.code}, 401)


def logout(client: ServerClient, query: Query, store_options: StoreOptions) -> Answer:
    """Log the user out, and send the browser to the tenant."""
    return Answer({}, 302, client.logout(None, store_options, return_to=query.get("return_to")))


Page = Callable[[ServerClient, Query, StoreOptions], Answer]
PAGES: dict[str, Page] = {
    page.__name__: page for page in (login, switch, login_without_response, me, session, token, logout)
}


def flask_app(client: ServerClient) -> flask.Flask:
    app = flask.Flask(__name__)

    @app.route("/<name>", methods=["GET", "POST"])
    def page(name: str) -> flask.Response:
        response = flask.make_response()
        answer = PAGES[name](client, flask.request.args, {"request": flask.request, "response": response})
        response.status_code = answer.status
        response.content_type = "application/json"
        response.set_data(json.dumps(answer.body))
        if answer.location is not None:
            response.location = answer.location
        return response

    return app


def django_page(request: HttpRequest, name: str) -> HttpResponse:
    response = HttpResponse(content_type="application/json")
    client = request.META["tests.client"]
    query = {key: str(value) for key, value in request.GET.items()}
    answer = PAGES[name](client, query, {"request": request, "response": response})
    response.status_code = answer.status
    response.content = json.dumps(answer.body)
    if answer.location is not None:
        response["Location"] = answer.location
    return response


urlpatterns = [path("<name>", django_page)]


def django_app(client: ServerClient) -> Callable[[dict[str, Any], Any], Any]:
    configure_django()
    handler = WSGIHandler()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        # Settings are the process's, clients are a test's.
        return handler({**environ, "tests.client": client}, start_response)

    return app


def configure_django() -> None:
    """Configure Django, which can be done once a process: what all tests share stands here, and they override it."""
    if not django_settings.configured:
        directory = tempfile.mkdtemp(prefix="auth0-cte-")  # a database in memory would be one thread's own
        atexit.register(shutil.rmtree, directory, True)
        database = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{directory}/django.db",
            "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE"},
        }
        django_settings.configure(
            ALLOWED_HOSTS=["127.0.0.1", "localhost", "[::1]", "app.example", "testserver"],
            DATABASES={"default": database},
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
            INSTALLED_APPS=[
                "django.contrib.contenttypes",
                "django.contrib.auth",
                "django.contrib.sessions",
                "auth0_cte.django",
            ],
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
            ROOT_URLCONF=__name__,
            SECRET_KEY="unused",
            USE_TZ=True,
            LOGGING_CONFIG=None,
        )
        django.setup(set_prefix=False)


def fastapi_app(client: ServerClient) -> fastapi.FastAPI:
    app = fastapi.FastAPI()

    @app.get("/{name}")
    @app.post("/{name}")
    def page(name: str, request: fastapi.Request, response: fastapi.Response) -> Mapping[str, Any]:
        answer = PAGES[name](client, request.query_params, {"request": request, "response": response})
        response.status_code = answer.status
        if answer.location is not None:
            response.headers["Location"] = answer.location
        return answer.body

    return app


@contextmanager
def flask_server(client: ServerClient) -> Iterator[str]:
    """Serve by Werkzeug, a thread for each request."""
    server = werkzeug.serving.make_server(
        "127.0.0.1", 0, flask_app(client), threaded=True, request_handler=_QuietWerkzeugHandler
    )
    with _in_thread(lambda: server.serve_forever(0.01), server.shutdown):
        yield f"http://127.0.0.1:{server.server_port}"
    server.server_close()


@contextmanager
def django_server(client: ServerClient) -> Iterator[str]:
    """Serve by wsgiref, a thread for each request."""
    with make_server("127.0.0.1", 0, django_app(client), _ThreadingWSGIServer, _QuietWSGIHandler) as server:
        with _in_thread(lambda: server.serve_forever(0.01), server.shutdown):
            yield f"http://127.0.0.1:{server.server_port}"


def fastapi_server(client: ServerClient) -> AbstractContextManager[str]:
    """Serve by uvicorn; the pages are no coroutines, so each runs in a thread."""
    return serve_asgi(fastapi_app(client))


@contextmanager
def serve_asgi(app: Any) -> Iterator[str]:
    """Serve an ASGI application by uvicorn."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", ws="websockets-sansio", loop="asyncio"
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    # The protocol is named, because asyncio switches Nagle's algorithm off only where it is.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        with _in_thread(lambda: server.run([listener]), stop):
            end = time.monotonic() + DEADLINE
            while not server.started:
                assert time.monotonic() < end, "uvicorn did not start"
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


SERVERS: dict[str, Callable[[ServerClient], AbstractContextManager[str]]] = {
    "flask": flask_server,
    "django": django_server,
    "fastapi": fastapi_server,
}


@contextmanager
def _in_thread(serve: Callable[[], object], stop: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=serve, name="application")
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(DEADLINE)
        assert not thread.is_alive()


class _QuietWerkzeugHandler(werkzeug.serving.WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - named by the base class
        pass


class _QuietWSGIHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the base class
        pass


class _ThreadingWSGIServer(ThreadingMixIn, WSGIServer):
    daemon_threads = False
    request_queue_size = 64
