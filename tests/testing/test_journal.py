"""Journals: following them while they grow."""

from __future__ import annotations

import threading

from auth0_cte.testing import Journal


def test_following_goes_on_where_it_ended() -> None:
    """Each entry comes once, and clearing does not confuse it."""
    journal = Journal[str]()
    journal.append("a")
    journal.append("b")
    assert (["a", "b"], 2) == journal.follow(0)
    journal.append("c")
    assert (["c"], 3) == journal.follow(2)
    journal.clear()
    assert ([], 3) == journal.follow(3)
    journal.append("d")
    assert (["d"], 4) == journal.follow(1)


def test_following_waits_for_the_next_entry() -> None:
    """An entry that comes meanwhile ends the wait."""
    journal = Journal[str]()
    threading.Timer(0.05, journal.append, ["late"]).start()
    assert (["late"], 1) == journal.follow(0, 30)
