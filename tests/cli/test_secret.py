from __future__ import annotations

import json
import re

import pytest

from tests.cli.users import run


def test_a_secret_is_32_random_bytes() -> None:
    """Each call prints another 32 bytes in hexadecimal, and nothing else."""
    first, second = run("secret"), run("secret")
    assert re.fullmatch(r"[0-9a-f]{64}\n", first.output)
    assert first.output != second.output


def test_a_line_for_a_file() -> None:
    """--env prints a setting."""
    assert re.fullmatch(r"AUTH0_SECRET=[0-9a-f]{128}\n", run("secret", "--env", "--bytes", "64").output)


def test_json() -> None:
    """--json prints an object."""
    assert 64 == len(json.loads(run("secret", "--json").output)["AUTH0_SECRET"])


@pytest.mark.parametrize("arguments", [["--bytes", "16"], ["--bytes", "many"], ["--env", "--json"]])
def test_weak_secrets_are_refused(arguments: list[str]) -> None:
    """Fewer than 32 bytes, and what contradicts itself, is wrong use."""
    assert 2 == run("secret", *arguments).exit_code
