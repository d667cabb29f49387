"""The pytest plugin."""

from __future__ import annotations

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
        servers = []

        def test_one(local_tenant):
            local_tenant.accept("urn:acme:mcp-token", "auth0|jane")
            with local_tenant.client() as client:
                client.custom_token_exchange({"subject_token": "the-token", "subject_token_type": "urn:acme:mcp-token"})
            servers.append(local_tenant.serve())

        def test_two(local_tenant):
            assert 0 == len(local_tenant.requests)
            assert servers[0]._server.closing.is_set()
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
