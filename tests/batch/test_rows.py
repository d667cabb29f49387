from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auth0_cte import ConfigurationError
from auth0_cte.batch.rows import BadRow, Row, RowFile


def rows_of(tmp_path: Path, name: str, content: str | bytes, **settings: Any) -> list[Row | BadRow]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(RowFile(path=path, **settings))


def test_csv_rows(tmp_path: Path) -> None:
    """A CSV file has a header line, quoted fields, and maybe a byte order mark."""
    content = '\ufeffemail,subject_token\r\na@x,tok1\r\n"b,c@x","to""k\n2"\r\n'
    expected = [Row("a@x", 1, "tok1"), Row("b,c@x", 2, 'to"k\n2')]
    assert expected == rows_of(tmp_path, "users.csv", content, id="email")


def test_json_lines(tmp_path: Path) -> None:
    """A JSON Lines file has an object a line; blank lines do not count."""
    content = '{"id": 7, "subject_token": "t"}\n\n{"id": "b", "subject_token": "u", "actor": "a"}'
    expected = [Row("7", 1, "t"), Row("b", 2, "u", "a")]
    assert expected == rows_of(tmp_path, "users.jsonl", content, id="id", actor_token="actor")


def test_rows_without_ids_are_numbered(tmp_path: Path) -> None:
    """Without an id column a row's id is its number."""
    assert [Row("1", 1, "t"), Row("2", 2, "u")] == rows_of(tmp_path, "f", "token\nt\nu\n", format="csv", token="token")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("nonsense", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[1]", "it is not a JSON object"),
        ('{"id": "a"}', "subject_token is missing"),
        ('{"id": "a", "subject_token": ""}', "subject_token is missing"),
        ('{"id": "a", "subject_token": 5}', "subject_token is missing"),
        ('{"subject_token": "t"}', "id is missing"),
        ('{"id": true, "subject_token": "t"}', "id is missing"),
        ('{"id": " ", "subject_token": "t"}', "id is missing"),
        ('{"id": "a\\nb", "subject_token": "t"}', "id must be printable text of at most 200 characters"),
        (f'{{"id": "{"x" * 201}", "subject_token": "t"}}', "id must be printable text of at most 200 characters"),
        ('{"id": "a", "subject_token": "t", "actor": 1}', "actor must be text"),
        ('{"id": "a", "subject_token": "' + "t" * 1024 * 1024 + '"}', "it has more than 1048576 bytes"),
    ],
)
def test_rows_that_cannot_be_sent(line: str, fault: str, tmp_path: Path) -> None:
    """A malformed row is told by its number and fault, without its content, and the next one is read."""
    rows = rows_of(tmp_path, "f.jsonl", f'{line}\n{{"id": 1, "subject_token": "t"}}\n', id="id", actor_token="actor")
    assert [BadRow(1, fault), Row("1", 2, "t")] == rows


def test_csv_rows_that_cannot_be_sent(tmp_path: Path) -> None:
    """Too few and too many fields are told."""
    rows = rows_of(tmp_path, "f.csv", "id,subject_token\na\nb,t,more\n", id="id")
    assert [BadRow(1, "subject_token is missing"), BadRow(2, "it has more fields than the header line")] == rows


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.csv", "a,b\n", "the header line has no column subject_token"),
        ("f.csv", "", "the header line has no column subject_token"),
        ("f.csv", b"subject_token\n\xff\n", "line 2 must be UTF-8"),
        ("f.csv", 'subject_token\n"open', "line 2 is not CSV"),
        ("f.txt", "", "name the format"),
    ],
)
def test_files_that_are_no_table(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    """A file that cannot be read as rows is refused as a whole."""
    with pytest.raises(ConfigurationError, match=message):
        rows_of(tmp_path, name, content)


def test_the_token_is_not_an_id(tmp_path: Path) -> None:
    """The token's column cannot name the rows, for ids are written down."""
    with pytest.raises(ConfigurationError, match="must be different"):
        RowFile(path=tmp_path / "f.csv", token="t", id="t")


def test_a_row_does_not_show_its_tokens() -> None:
    """No token is in a repr."""
    assert "secret" not in repr(Row("a", 1, "secret", "secret"))
