"""The pytest plugin."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import auth0_cte

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A test run of its own that has the plugin, whether or not the distribution is installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "auth0_cte.testing.plugin")
    monkeypatch.setenv("PYTHONPATH", str(Path(auth0_cte.__file__).parent.parent))
    return pytester


def test_fixture_is_a_tenant_of_ones_own(run: pytest.Pytester) -> None:
    """Each test gets a fresh tenant, and its servers are closed afterwards."""
    run.makepyfile(
        """
        import pytest
        import requests

        servers = []

        def test_one(local_tenant):
            local_tenant.accept("urn:acme:mcp-token", "auth0|jane")
            with local_tenant.client() as client:
                client.custom_token_exchange({"subject_token": "the-token", "subject_token_type": "urn:acme:mcp-token"})
            servers.append(local_tenant.serve())

        def test_two(local_tenant):
            assert 0 == len(local_tenant.requests)
            with pytest.raises(requests.ConnectionError):
                requests.get(servers[0].url, timeout=10)
        """
    )

    run.runpytest_subprocess("-W", "error").assert_outcomes(passed=2)


def test_plugin_is_light(run: pytest.Pytester) -> None:
    """A run that does not use the fixture does not load what it needs."""
    run.makepyfile(
        """
        import sys

        def test_modules():
            assert not {"requests", "jwcrypto", "urllib3", "trustme"} & set(sys.modules)
        """
    )

    run.runpytest_subprocess().assert_outcomes(passed=1)


def test_clients_of_the_tenant(run: pytest.Pytester) -> None:
    """``auth0_client`` and its mirror exchange at ``local_tenant`` and log users in."""
    run.makepyfile(
        """
        import anyio
        import pytest

        LOGIN = {"subject_token": "x", "subject_token_type": "urn:acme:t"}

        @pytest.mark.auth0(users=["auth0|ada"], actions={"urn:acme:t": "auth0|ada"})
        def test_both(local_tenant, auth0_client, auth0_async_client):
            jar = {}
            auth0_client.login_with_custom_token_exchange(LOGIN, {"cookies": jar})
            assert "auth0|ada" == auth0_client.get_user({"cookies": jar})["sub"]

            async def exchange():
                return await auth0_async_client.custom_token_exchange(LOGIN)

            assert anyio.run(exchange).access_token
            local_tenant.assert_exchanged(subject_token_type="urn:acme:t", user_id="auth0|ada", times=2)
        """
    )
    run.runpytest_subprocess("-W", "error", "--strict-markers").assert_outcomes(passed=1)


def test_marker_fills_the_tenant(run: pytest.Pytester) -> None:
    """A seed (a mapping or a file beside the test), users, and Actions as functions, files or ids of users."""
    run.makefile(".json", seed='{"users": [{"user_id": "auth0|max"}], "apis": [{"identifier": "https://api"}]}')
    run.makefile(
        ".js",
        action="""
        exports.onExecuteCustomTokenExchange = async (event, api) => {
          api.authentication.setUserById(event.transaction.subject_token);
        };
        """,
    )
    run.makepyfile(
        """
        import pytest

        def act(event, api):
            api.authentication.set_user_by_id("auth0|eve")

        pytestmark = pytest.mark.auth0(seed="seed.json")

        def exchange(tenant, token_type):
            with tenant.client() as client:
                client.custom_token_exchange({"subject_token": "auth0|max", "subject_token_type": token_type})

        @pytest.mark.auth0(
            seed={"users": [{"user_id": "auth0|ada"}]},
            users=["auth0|eve", {"user_id": "auth0|sue", "email": "sue@example.com"}],
            actions={"urn:a": act, "urn:b": "action.js", "urn:c": "auth0|ada"},
        )
        def test_marked(local_tenant):
            assert {"auth0|max", "auth0|ada", "auth0|eve", "auth0|sue"} == set(local_tenant.users)
            for token_type, user in {"urn:a": "auth0|eve", "urn:b": "auth0|max", "urn:c": "auth0|ada"}.items():
                exchange(local_tenant, token_type)
                local_tenant.assert_exchanged(subject_token_type=token_type, user_id=user, times=1)
        """
    )
    run.runpytest_subprocess("-W", "error", "--strict-markers").assert_outcomes(passed=1)


def test_one_server_for_the_session(run: pytest.Pytester) -> None:
    """The served tenant is the same in all tests, and each finds it empty but for its own marker."""
    run.makepyfile(
        """
        import pytest
        import requests

        urls = []

        @pytest.mark.auth0(users=["auth0|ada"], actions={"urn:a": "auth0|ada"})
        def test_one(auth0_server, served_tenant):
            urls.append(auth0_server.url)
            with auth0_server.client() as client:
                client.custom_token_exchange({"subject_token": "x", "subject_token_type": "urn:a"})
            served_tenant.assert_exchanged(times=1)

        @pytest.mark.auth0(users=["auth0|eve"])
        def test_two(auth0_server, served_tenant):
            assert [auth0_server.url] == urls
            assert {"auth0|eve"} == set(served_tenant.users)
            served_tenant.assert_exchanged(times=0)
            reply = requests.get(f"{auth0_server.url}/.well-known/openid-configuration", timeout=10)
            assert auth0_server.url.rstrip("/") == reply.json()["issuer"].rstrip("/")
        """
    )
    run.runpytest_subprocess("-W", "error", "--strict-markers").assert_outcomes(passed=2)


def test_failing_assertion_shows_what_arrived(run: pytest.Pytester) -> None:
    """The report lists the exchanges with their reasons, and no token."""
    run.makepyfile(
        """
        import pytest

        @pytest.mark.auth0(users=["auth0|ada"], actions={"urn:a": "auth0|ada"})
        def test_fails(local_tenant, auth0_client):
            auth0_client.custom_token_exchange({"subject_token": "s3cr3t-t0k3n", "subject_token_type": "urn:a"})
            try:
                auth0_client.custom_token_exchange({"subject_token": "s3cr3t-t0k3n", "subject_token_type": "urn:b"})
            except Exception:
                pass
            local_tenant.assert_exchanged(subject_token_type="urn:b", organization="acme", times=2)
        """
    )
    result = run.runpytest_subprocess("--show-capture=no", "--tb=line")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*expected 2 exchanges (subject_token_type='urn:b', organization='acme'), found 0*"])
    result = run.runpytest_subprocess("--show-capture=no", "--tb=short")
    result.stdout.fnmatch_lines(
        ["*succeeded (subject_token_type='urn:a'*user_id='auth0|ada')", "*failed (subject_token_type='urn:b')*profile*"]
    )
    assert not [line for line in result.stdout.lines if "found" in line and "s3cr3t" in line]


def test_exception_of_an_action_is_shown(run: pytest.Pytester) -> None:
    """The report of a failing test has the traceback of the Action that raised."""
    run.makepyfile(
        """
        import pytest

        def act(event, api):
            raise LookupError("the table of legacy users is missing")

        @pytest.mark.auth0(actions={"urn:a": act})
        def test_fails(auth0_client):
            auth0_client.custom_token_exchange({"subject_token": "x", "subject_token_type": "urn:a"})
        """
    )
    result = run.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*Captured log call*",
            "*Traceback (most recent call last):",
            "*test_exception_of_an_action_is_shown.py*, line *, in act",
            "LookupError: the table of legacy users is missing",
        ]
    )


ROOT = Path(auth0_cte.__file__).parent.parent
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as its wheel has it, unpacked."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "auth0_cte", source / "auth0_cte", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "setup.py", "README.rst", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-c", BUILD, str(site)], cwd=source, check=True, capture_output=True)
    (built,) = site.glob("*.whl")
    shutil.unpack_archive(built, site, "zip")
    return site


def test_project_of_the_guide(wheel: Path, tmp_path: Path) -> None:
    """The project of the guide passes with the wheel alone, whose entry point brings the plugin."""
    shutil.copytree(ROOT / "docs" / "guides" / "pytest-project", tmp_path / "shop")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "--strict-markers", "-p", "no:cacheprovider", "."],
        cwd=tmp_path / "shop",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(wheel), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
