"""Other libraries at a served tenant: the real packages, over TLS, as their users run them."""

from __future__ import annotations

import json
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
import requests

import tests.openid_client
from tests.cli.served_tenant import PATH, TYPE, Served, serving
from tests.testing.node import NODES, install_packages

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its dependencies deprecate is its own business
    from auth0_server_python.auth_server.server_client import ServerClient  # type: ignore[import-untyped]
    from auth0_server_python.auth_types import (  # type: ignore[import-untyped]
        CustomTokenExchangeOptions,
        LogoutOptions,
    )
    from auth0_server_python.error import ApiError  # type: ignore[import-untyped]

OPENID_CLIENT = Path(tests.openid_client.__file__ or "").parent


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    seed = tmp_path_factory.mktemp("seed") / "tenant.json"
    seed.write_text(
        json.dumps(
            {
                "users": [{"user_id": "auth0|ada", "name": "Ada"}],
                "actions": [{"subject_token_type": TYPE, "accept": "auth0|ada"}],
            }
        )
    )
    with serving("--tls", "--name", "localhost", "--seed", str(seed)) as served:
        yield served


def test_auth0_server_python(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """It exchanges, refreshes, and logs out: the browser comes back, and the revoked refresh token is refused."""
    monkeypatch.setenv("SSL_CERT_FILE", served.settings["SSL_CERT_FILE"])
    settings = served.settings
    domain = settings["AUTH0_DOMAIN"].removeprefix("https://")

    async def use() -> dict[str, Any]:
        client = ServerClient(
            domain, settings["AUTH0_CLIENT_ID"], settings["AUTH0_CLIENT_SECRET"], secret="a secret of 32 bytes or more"
        )
        options = CustomTokenExchangeOptions(
            subject_token="a-subject-token", subject_token_type=TYPE, scope="openid offline_access"
        )
        exchanged = await client.custom_token_exchange(options)
        refreshed = await client.get_token_by_refresh_token({"refresh_token": exchanged.refresh_token})
        with pytest.raises(ApiError):  # it was used up
            await client.get_token_by_refresh_token({"refresh_token": exchanged.refresh_token})
        url = await client.logout(LogoutOptions(return_to="https://app.example/bye"))
        return {"exchanged": exchanged.refresh_token, "refreshed": refreshed["refresh_token"], "logout": url}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its dependencies deprecate is its own business
        done = anyio.run(use)
    assert done["exchanged"] != done["refreshed"]
    logout = requests.get(done["logout"], allow_redirects=False, verify=settings["SSL_CERT_FILE"], timeout=30)
    assert (302, "https://app.example/bye") == (logout.status_code, logout.headers["location"])
    assert [settings["AUTH0_CLIENT_ID"]] == parse_qs(urlsplit(done["logout"]).query)["client_id"]


def test_openid_client(served: Served) -> None:
    """openid-client for Node.js exchanges, refreshes, reads the profile and revokes, with the CA of the tenant."""
    install_packages(OPENID_CLIENT)
    done = subprocess.run(
        [NODES["wheel"], "session.mjs"],
        cwd=OPENID_CLIENT,
        env={"PATH": PATH, "NODE_EXTRA_CA_CERTS": served.settings["SSL_CERT_FILE"], **served.settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    saw = json.loads(done.stdout)
    assert f"{served.url}/" == saw["issuer"] == saw["exchanged"]["iss"] == saw["refreshed"]["iss"]
    assert "auth0|ada" == saw["exchanged"]["sub"] == saw["refreshed"]["sub"] == saw["user"]
    assert (True, "invalid_grant") == (saw["rotated"], saw["afterwards"])
