from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auth0_cte import ConfigurationError
from auth0_cte.batch.journal import Journal
from auth0_cte.batch.outcome import Outcome
from auth0_cte.batch.output_file import OutputFile
from auth0_cte.batch.rows import Row

ABOUT = {"file": "f", "tenant": "t"}
ROW = Row("a", 1, "the-token")
SAME_ID = Row("a", 2, "other-token")


def ok(row: Row, **more: Any) -> Outcome:
    return Outcome(id=row.id, number=row.number, state="ok", **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "f.journal"


OPENED: list[Journal] = []


def opened(*arguments: Any, **options: Any) -> Journal:
    """Open a journal that is closed at the end of the test."""
    OPENED.append(Journal(*arguments, **options))
    return OPENED[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def test_a_row_is_claimed_once(path: Path) -> None:
    """Who claims a row first may send it, and nobody else, whatever became of it."""
    journal = opened(path, ABOUT)
    assert (None, "in_flight") == (journal.claim(ROW), journal.claim(ROW))
    journal.settle(ok(ROW))
    assert ("ok", "ok") == (journal.claim(ROW), journal.state_of(ROW))


def test_another_row_with_the_same_id_is_a_duplicate(path: Path) -> None:
    """An id names one row: a second one is told apart, before and after the first was sent, and changes nothing."""
    journal = opened(path, ABOUT)
    journal.claim(ROW)
    assert ("duplicate", "duplicate") == (journal.claim(SAME_ID), journal.state_of(SAME_ID))
    journal.settle(Outcome(id="a", number=2, state="failed"))
    assert "in_flight" == journal.state_of(ROW)


def test_a_released_row_can_be_claimed(path: Path) -> None:
    """A claim that was given back is free."""
    journal = opened(path, ABOUT)
    journal.claim(ROW)
    journal.release(ROW)
    assert ("pending", None) == (journal.state_of(ROW), journal.claim(ROW))


def test_an_unknown_row_is_sent_again_on_request_alone(path: Path) -> None:
    """A row whose outcome is unknown is claimed only by who asks for it."""
    journal = opened(path, ABOUT)
    journal.claim(ROW)
    journal.settle(Outcome(id="a", number=1, state="unknown"))
    assert ("unknown", None) == (journal.claim(ROW), journal.claim(ROW, retry_unknown=True))


def test_rows_in_flight_are_unknown_after_a_crash(path: Path, tmp_path: Path) -> None:
    """What a run left in flight is unknown and written down as such, but for what the output file knows better."""
    output = tmp_path / "out"
    first = OutputFile(output, with_tokens=False, resume=False)
    journal = opened(path, ABOUT, output=first)
    other = Row("b", 2, "t")
    journal.claim(ROW)
    journal.claim(other)
    first.append([ok(other)])  # written, and killed before the journal was
    journal.close()
    again = opened(path, ABOUT, output=OutputFile(output, with_tokens=False, resume=True), resume=True)
    assert {("a", "unknown"), ("b", "ok")} == {(each.id, each.state) for each in again.recover()}
    assert {"unknown": 1, "ok": 1} == again.counts()
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [("b", "ok"), ("a", "unknown")] == [(line["id"], line["status"]) for line in lines]
    assert [] == again.recover()


def test_a_row_that_cannot_be_sent_is_reported_once(path: Path, tmp_path: Path) -> None:
    """A bad row is written down in the first run that meets it, not in each."""
    output = OutputFile(tmp_path / "out", with_tokens=False, resume=False)
    journal = opened(path, ABOUT, output=output)
    bad = Outcome(id="row 7", number=7, state="invalid")
    assert [True, False] == [journal.report(bad), journal.report(bad)]
    assert 1 == len((tmp_path / "out").read_text().splitlines())


def test_threads_share_commits(path: Path) -> None:
    """Eight threads claim and settle 400 rows: each is claimed by one of them alone."""
    journal = opened(path, ABOUT)
    claimed: list[str] = []

    def work() -> None:
        for number in range(400):
            row = Row(str(number), number, "t")
            if journal.claim(row) is None:
                claimed.append(row.id)
                journal.settle(ok(row))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert 400 == len(claimed) == len(set(claimed))
    assert {"ok": 400} == journal.counts()


def test_the_journal_holds_no_token(path: Path) -> None:
    """Neither a token nor a token that was issued is in the file, and only its owner can read it."""
    journal = opened(path, ABOUT)
    journal.claim(ROW)
    journal.settle(ok(ROW, tokens={"access_token": "issued-token"}))
    journal.close()
    content = path.read_bytes()
    assert not any(each in content for each in (b"the-token", b"issued-token"))
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_a_journal_is_about_one_batch(path: Path) -> None:
    """A journal is not resumed for another file or tenant: what was done there is not done here."""
    opened(path, ABOUT).close()
    with pytest.raises(ConfigurationError, match="the journal of another batch: tenant differs"):
        opened(path, {**ABOUT, "tenant": "other"}, resume=True)


def test_a_journal_in_use_is_refused(path: Path) -> None:
    """Two batches cannot have the same journal at the same time."""
    journal = opened(path, ABOUT)
    with pytest.raises(ConfigurationError, match="in use by another batch"):
        opened(path, ABOUT, resume=True)
    journal.close()


@pytest.mark.parametrize(
    ("exists", "resume", "message"), [(True, False, "exists; --resume"), (False, True, "no journal")]
)
def test_a_journal_is_not_begun_or_resumed_by_accident(exists: bool, resume: bool, message: str, path: Path) -> None:
    """A new run needs a new journal, and a resumed one an old one."""
    if exists:
        opened(path, ABOUT).close()
    with pytest.raises(ConfigurationError, match=message):
        opened(path, ABOUT, resume=resume)


def test_another_file_is_no_journal(path: Path) -> None:
    """A file that is no SQLite database is refused."""
    path.write_text("something else, long enough to be looked at" * 50)
    with pytest.raises(ConfigurationError, match="is not a journal"):
        opened(path, ABOUT, resume=True)


class TestOutputFile:
    """The file of outcomes."""

    def test_only_the_owner_can_read_it(self, tmp_path: Path) -> None:
        """Its mode is 0600, whatever the umask."""
        before = os.umask(0)
        try:
            OutputFile(tmp_path / "out", with_tokens=False, resume=False)
        finally:
            os.umask(before)
        assert 0o600 == stat.S_IMODE((tmp_path / "out").stat().st_mode)

    @pytest.mark.parametrize("with_tokens", [False, True])
    def test_tokens_are_there_on_request_alone(self, with_tokens: bool, tmp_path: Path) -> None:
        """Tokens are written with ``with_tokens`` alone."""
        output = OutputFile(tmp_path / "out", with_tokens=with_tokens, resume=False)
        output.append([ok(ROW, tokens={"access_token": "issued"})])
        assert with_tokens == ("issued" in (tmp_path / "out").read_text())

    def test_tokens_are_not_written_where_others_can_read_them(self, tmp_path: Path) -> None:
        """An existing file that others can read gets no tokens."""
        (tmp_path / "out").touch(mode=0o644)
        with pytest.raises(ConfigurationError, match="chmod 600"):
            OutputFile(tmp_path / "out", with_tokens=True, resume=True)

    def test_an_existing_file_is_not_overwritten(self, tmp_path: Path) -> None:
        """A new run needs a new file."""
        (tmp_path / "out").touch()
        with pytest.raises(ConfigurationError, match="exists"):
            OutputFile(tmp_path / "out", with_tokens=False, resume=False)

    @pytest.mark.parametrize("torn", ["", '{"id": "b", "sta', "\n", "x" * 100_000])
    def test_a_line_that_a_kill_cut_is_dropped(self, torn: str, tmp_path: Path) -> None:
        """What a kill left half-written is cut off, and whole lines stay."""
        path = tmp_path / "out"
        path.write_text('{"id": "a", "status": "ok"}\n' + torn)
        output = OutputFile(path, with_tokens=False, resume=True)
        output.append([ok(Row("c", 3, "t"))])
        assert {"a", "c"} == set(output.written())
        assert all(line == "" or json.loads(line) for line in path.read_text().splitlines())
