"""The documentation, built once a test run however many workers there are."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The directory of the HTML pages."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    html, log = shared / "html", shared / "sphinx.log"
    with (shared / "sphinx.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not log.exists():
            command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-E"]
            done = subprocess.run(
                [*command, "-d", str(shared / "doctrees"), str(DOCS), str(html)], capture_output=True, text=True
            )
            log.write_text(done.stdout + done.stderr + f"\nexit status {done.returncode}")
    text = log.read_text()
    assert text.endswith("exit status 0"), text
    return html
