"""The rows of a CSV or JSON Lines file, one at a time: a million take no more memory than one."""

from __future__ import annotations

import csv
import hashlib
import json
from typing import IO, TYPE_CHECKING, Any, Final

from attrs import field, frozen

from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["BadRow", "Row", "RowFile"]

MAX_LINE: Final = 1024 * 1024
"""The longest line of a JSON Lines file, in bytes; a token has at most 64 KiB."""
MAX_ID_LENGTH: Final = 200
SUFFIXES: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@frozen
class Row:
    """A row that can be exchanged.

    Args:
        id: What names the row in the journal and in the output; never the token.
        number: Which row of the file it is, from 1.
        token: The subject token.
        actor_token: The actor token, or None.
    """

    id: str
    number: int
    token: str = field(repr=False)
    actor_token: str | None = field(default=None, repr=False)


@frozen
class BadRow:
    """A row that cannot be exchanged.

    Args:
        number: Which row of the file it is, from 1.
        fault: Why, without any of its content.
    """

    number: int
    fault: str


@frozen(kw_only=True)
class RowFile:
    """A file of rows.

    Args:
        path: The file.
        format: ``"csv"`` (with a header line), ``"jsonl"``, or None to tell by the suffix.
        token: The name of the column or member with the subject token.
        id: The one with the row's id; None for the row's number.
        actor_token: The one with an actor token, or None.
    """

    path: Path
    format: str | None = None
    token: str = "subject_token"
    id: str | None = None
    actor_token: str | None = None

    def __attrs_post_init__(self) -> None:
        names = [name for name in (self.token, self.id, self.actor_token) if name is not None]
        if len(set(names)) < len(names):
            raise ConfigurationError("the columns of token, id and actor token must be different ones")
        if (self.format or SUFFIXES.get(self.path.suffix.lower())) not in ("csv", "jsonl"):
            raise ConfigurationError(f"{self.path}: name the format, csv or jsonl; the suffix does not tell it")

    def fingerprint(self) -> str:
        """Return the SHA-256 of the file: whether a journal belongs to it."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Read the rows in order.

        Raises:
            ConfigurationError: The file is not such a table, or lacks a column.
            OSError: It cannot be read.
        """
        kind = self.format or SUFFIXES[self.path.suffix.lower()]
        with self.path.open("rb") as file:
            records = _csv_records(self, file) if kind == "csv" else _json_records(file)
            for number, record in enumerate(records, 1):
                yield BadRow(number, record) if isinstance(record, str) else self._row(number, record)

    def _row(self, number: int, record: Mapping[str, Any]) -> Row | BadRow:
        token = record.get(self.token)
        if not isinstance(token, str) or not token:
            return BadRow(number, f"{self.token} is missing")
        actor_token = record.get(self.actor_token) if self.actor_token else None
        if actor_token is not None and not isinstance(actor_token, str):
            return BadRow(number, f"{self.actor_token} must be text")
        if self.id is None:
            return Row(str(number), number, token, actor_token or None)
        name = record.get(self.id)
        if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
            return BadRow(number, f"{self.id} is missing")
        if len(str(name)) > MAX_ID_LENGTH or not str(name).isprintable():
            return BadRow(number, f"{self.id} must be printable text of at most {MAX_ID_LENGTH} characters")
        return Row(str(name), number, token, actor_token or None)


def _csv_records(source: RowFile, file: IO[bytes]) -> Iterator[Mapping[str, Any] | str]:
    reader = csv.DictReader(_lines(source, file), strict=True)
    try:
        wanted = [name for name in (source.token, source.id, source.actor_token) if name is not None]
        missing = [name for name in wanted if name not in (reader.fieldnames or ())]
        if missing:
            raise ConfigurationError(f"{source.path}: the header line has no column {', '.join(missing)}")
        for record in reader:
            yield "it has more fields than the header line" if None in record else record
    except csv.Error as error:
        raise ConfigurationError(f"{source.path}: line {reader.reader.line_num} is not CSV: {error}") from None


def _lines(source: RowFile, file: IO[bytes]) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise ConfigurationError(f"{source.path}: line {number} must be UTF-8") from None


def _json_records(file: IO[bytes]) -> Iterator[Mapping[str, Any] | str]:
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
            yield f"it has more than {MAX_LINE} bytes"
        elif line.strip():
            yield _json_record(line)


def _json_record(line: bytes) -> Mapping[str, Any] | str:
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return "it is not JSON"
    return record if isinstance(record, dict) else "it is not a JSON object"
