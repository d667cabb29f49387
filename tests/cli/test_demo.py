from __future__ import annotations

import os
import subprocess
import sys

import pytest


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], **environment},
        check=False,
    )


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    return run("-m", "auth0_cte", "demo")


def test_the_demo_needs_nothing_and_succeeds(demo: subprocess.CompletedProcess[str]) -> None:
    """Without any setting the demonstration ends with status 0 and complains of nothing."""
    assert (0, "") == (demo.returncode, demo.stderr)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:",
        '"sub": "auth0|ada"',
        '"email": "ada@example.com"',
        "agent|grace acts for auth0|ada",
        "event.request.body['campaign'] was 'migration-2026'",
        "client_id stayed",
        "refresh token: yes",
        "refresh token: none",
    ],
)
def test_the_demo_shows_what_happens(text: str, demo: subprocess.CompletedProcess[str]) -> None:
    """Claims, the actor, and what the Action saw are there to read."""
    assert text in demo.stdout


@pytest.mark.parametrize(
    "code",
    [
        "INVALID_TOKEN_FORMAT",
        "MISSING_ACTOR_TOKEN_TYPE",
        "MISSING_ACTOR_TOKEN",
        "INVALID_OPTIONS",
        "INVALID_AUTHORIZATION_PARAMS",
        "TOKEN_EXCHANGE_FAILED",
        "INVALID_RESPONSE",
        "invalid_request",
        "account_closed",
        "server_error",
        "mfa_required",
        "too_many_requests",
        "too_many_attempts",
    ],
)
def test_the_demo_shows_each_error_with_its_hint(code: str, demo: subprocess.CompletedProcess[str]) -> None:
    """Every documented error appears with code, message and hint."""
    lines = demo.stdout.splitlines()
    (place, *_) = [number for number, line in enumerate(lines) if line.startswith(f"    {code} - ")]
    assert lines[place + 1].startswith("    hint: ")
    assert len(lines[place + 1]) > len("    hint: ")


def test_the_demo_is_plain_when_it_is_piped(demo: subprocess.CompletedProcess[str]) -> None:
    """There are no escape sequences in a pipe."""
    assert "\x1b" not in demo.stdout
