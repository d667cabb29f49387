"""The output file: a JSON object a line, for its owner alone, that survives a kill at any moment."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from auth0_cte.batch.outcome import Outcome

__all__ = ["OutputFile"]

TAIL_BYTES: Final = 4 * 1024 * 1024
"""More than the workers of a run can have written since the journal was committed."""


class OutputFile:
    """Lines that are appended; a row's last line is what became of it.

    Args:
        path: The file; it is made with mode 0600, and must not exist unless ``resume``.
        with_tokens: Whether lines have tokens.
        resume: Whether to go on where a run before ended. A line that it could not finish is cut off.

    Raises:
        ConfigurationError: The file exists, or others can read it although it holds tokens.
        OSError: It cannot be written.
    """

    def __init__(self, path: Path, *, with_tokens: bool, resume: bool) -> None:
        self._with_tokens = with_tokens
        flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT if resume else os.O_CREAT | os.O_EXCL)
        try:
            self._file = os.open(path, flags, 0o600)
        except FileExistsError:
            raise ConfigurationError(
                f"{path} exists; name another --output, or --resume the run that wrote it"
            ) from None
        if with_tokens and os.fstat(self._file).st_mode & 0o077:
            os.close(self._file)
            raise ConfigurationError(f"{path} can be read by others; chmod 600 it before tokens are written there")
        if resume:
            self._cut()

    def _cut(self) -> None:
        tail = self._tail()
        whole = tail.rfind(b"\n") + 1
        os.ftruncate(self._file, os.fstat(self._file).st_size - (len(tail) - whole))

    def _tail(self) -> bytes:
        size = os.fstat(self._file).st_size
        os.lseek(self._file, max(0, size - TAIL_BYTES), os.SEEK_SET)
        chunks = []
        while chunk := os.read(self._file, TAIL_BYTES):
            chunks.append(chunk)
        return b"".join(chunks)

    def written(self) -> dict[str, dict[str, Any]]:
        """Return the last line of each row that was written at the end, by row id."""
        records = (_record(line) for line in self._tail().split(b"\n"))
        return {record["id"]: record for record in records if record is not None}

    def append(self, outcomes: Iterable[Outcome]) -> None:
        """Write lines, and wait until the disk has them."""
        records = (outcome.as_record(with_tokens=self._with_tokens) for outcome in outcomes)
        data = "".join(json.dumps(record) + "\n" for record in records).encode()
        while data:
            data = data[os.write(self._file, data) :]
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("id"), str) else None
