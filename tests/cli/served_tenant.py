"""A local tenant in another process, as ``auth0-cte tenant serve`` runs it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from auth0_cte import CustomTokenExchangeOptions, ServerClient
from tests.cli.users import started
from tests.testing.node import NODES

TYPE = "urn:acme:legacy"
PATH = f"{Path(NODES['wheel']).parent}{os.pathsep}{os.environ['PATH']}"


class Served:
    """A tenant in another process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.ready = self.next("ready")
        self.url: str = self.ready["url"]
        self.settings: dict[str, str] = self.ready["settings"]

    def next(self, event: str) -> dict[str, Any]:
        """Read lines of JSON up to an event."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event:
                return told
        assert self.process.stderr is not None
        raise AssertionError(f"no {event}: {self.process.stderr.read()}")

    def client(self, **settings: Any) -> ServerClient:
        return ServerClient(
            **{
                "domain": self.settings["AUTH0_DOMAIN"],
                "client_id": self.settings["AUTH0_CLIENT_ID"],
                "client_secret": self.settings["AUTH0_CLIENT_SECRET"],
                **settings,
            }
        )

    def exchange(self, token: str = "a-subject-token", **settings: Any) -> Any:
        with self.client(**settings) as client:
            return client.custom_token_exchange(
                CustomTokenExchangeOptions(subject_token=token, subject_token_type=TYPE, scope="openid")
            )

    def ask(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        method = "GET" if body is None else "POST"
        return requests.request(method, f"{self.url}/_tenant/{path}", json=body, timeout=30, **options)


@contextmanager
def serving(*arguments: str, **env: str) -> Iterator[Served]:
    """Serve a tenant on any free port, with JSON on stdout."""
    with started("tenant", "serve", "--port", "0", "--json", *arguments, PATH=PATH, **env) as process:
        yield Served(process)
