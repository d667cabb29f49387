from __future__ import annotations

import os
from pathlib import Path

import pytest

from auth0_cte.cli.shared.env_file import parse
from auth0_cte.testing import LocalTenant, TenantServer
from tests.cli.users import TYPE, environment, run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("\n# nothing\n  \n", {}),
        ("A=1", {"A": "1"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("export A = 1  # one\n", {"A": "1"}),
        ("A=\nB=2\n", {"A": "", "B": "2"}),
        ("A= # nothing\n", {"A": ""}),
        ("A=x#y\n", {"A": "x#y"}),
        ("A='$x \"y\" \\n'\n", {"A": '$x "y" \\n'}),
        ('A="x\\n\\"y\\" \\\\ \\$z" # more\n', {"A": 'x\n"y" \\ $z'}),
        ('KEY="-----BEGIN\nabc=\n-----END"\nB=2', {"KEY": "-----BEGIN\nabc=\n-----END", "B": "2"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("A=https://x.example/?a=b&c='d'\n", {"A": "https://x.example/?a=b&c='d'"}),
    ],
)
def test_settings_are_read(text: str, expected: dict[str, str]) -> None:
    """Plain and quoted values, comments, export, and values of several lines are read."""
    assert expected == parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nsecret words\n", "line 2 must be NAME=value"),
        ("1A=x", "line 1 must be NAME=value"),
        ("\n\nA='x\n", "the quote in line 3 is never closed"),
        ('A="x" secret\n', "line 1 has text behind the closing quote"),
    ],
)
def test_what_is_no_setting_is_refused(text: str, message: str) -> None:
    """A line that is none is named by its number; its text, which may be a secret, is not shown."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        parse(text)


def test_the_file_wins_for_the_command_alone(
    tenant: LocalTenant, served: TenantServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--env-file wins over the environment while the command runs, for its own options too, and leaves no trace."""
    settings = {**environment(tenant, served), "AUTH0_SUBJECT_TOKEN_TYPE": TYPE, "AUTH0_SUBJECT_TOKEN": "of-the-file"}
    file = tmp_path / ".env"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    monkeypatch.setenv("AUTH0_DOMAIN", "other.example.com")
    result = run("exchange", "--env-file", str(file))
    assert 0 == result.exit_code, result.stderr
    assert "of-the-file" == tenant.requests[-1].form["subject_token"]
    assert ("other.example.com", None) == (os.environ["AUTH0_DOMAIN"], os.environ.get("AUTH0_SUBJECT_TOKEN"))


@pytest.mark.parametrize(("content", "message"), [(b"A=\xff", "must be UTF-8 text"), (b"oops", "line 1 must be")])
def test_a_file_that_cannot_be_read_ends_with_2(content: bytes, message: str, tmp_path: Path) -> None:
    """A broken file is wrong use, told without a traceback."""
    file = tmp_path / ".env"
    file.write_bytes(content)
    result = run("exchange", "-t", TYPE, "--env-file", str(file))
    assert 2 == result.exit_code
    assert message in " ".join(result.stderr.split())
