"""How long load tests are: ``AUTH0_CTE_LOAD_SECONDS``, short by default; from a minute on they run at full size."""

from __future__ import annotations

import os
from typing import Final

import pytest

__all__ = ["LOAD_SECONDS", "load", "sized"]

LOAD_SECONDS: Final = float(os.environ.get("AUTH0_CTE_LOAD_SECONDS", "5"))
FULL_SECONDS: Final = 60
load: Final = pytest.mark.load
"""Marks the tests that take their size from here."""


def sized(full: int, short: int) -> int:
    """Return how many there are of something: users, exchanges, rows."""
    return full if LOAD_SECONDS >= FULL_SECONDS else short
