"""One call for all who want the same at the same time: what it brings is everybody's, and so is its failure."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import define

from auth0_cte.error import Auth0CTEError, CustomTokenExchangeError, TransportTimeoutError, without_frames
from auth0_cte.foundation.concurrency import SingleFlight
from auth0_cte.foundation.deadline import sleeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from auth0_cte.foundation.deadline import Deadline

__all__ = ["SharedCalls", "twin_of", "waited_too_long"]

R = TypeVar("R")


@define(eq=False, repr=False)
class _Outcome(Generic[R]):
    """What came of a call: a result, or an error; ``at_rest`` while it only waits, with nothing under way."""

    results: list[R]
    error: BaseException | None = None
    at_rest: bool = False


class SharedCalls(Generic[R]):
    """Has one thread a name make the call that several want, and tells all of them what came of it."""

    def __init__(self) -> None:
        self._flights: SingleFlight[str, _Outcome[R]] = SingleFlight()

    @property
    def waiting(self) -> int:
        """How many callers wait for the call of another one at this moment."""
        return self._flights.waiting

    def run(self, name: str, call: Callable[[], R], deadline: Deadline | None = None) -> tuple[R, bool]:
        """Make the call, or wait for who makes it.

        A failure is the failure of all who waited, each with an error of its own: a hundred of them do not try again
        one after another. Only when the caller who led was cancelled between two attempts, with nothing under way,
        another one takes its place.

        Args:
            name: What the call is about.
            call: The call.
            deadline: When a caller that waits gives up; never, when None.

        Returns:
            What the call returned, and whether this caller made it.

        Raises:
            TransportTimeoutError: The deadline passed; this caller has sent nothing.
            CustomTokenExchangeError: The caller who led was interrupted, or its call failed as no call of ours does.
        """
        while True:
            mine: list[_Outcome[R]] = []

            def lead(mine: list[_Outcome[R]] = mine) -> _Outcome[R]:
                mine.append(_carry_out(call))
                return mine[0]

            try:
                outcome = self._flights.do(name, lead, timeout=None if deadline is None else deadline.remaining())
            except TimeoutError:
                raise waited_too_long() from None
            if outcome.error is None:
                return outcome.results[0], bool(mine)
            if mine:
                raise outcome.error
            if not outcome.at_rest:
                raise twin_of(outcome.error)


def twin_of(error: BaseException) -> Auth0CTEError:
    """Return a copy of an error for another thread to raise: raising one object in two mixes up their tracebacks."""
    if not isinstance(error, Auth0CTEError):
        return CustomTokenExchangeError(
            f"the call that this one waited for ended with {type(error).__name__}; this call has sent nothing",
            may_have_reached_server=True,
        )
    twin = copy(error)
    twin.__cause__ = error.__cause__
    return without_frames(twin)


def _carry_out(call: Callable[[], R]) -> _Outcome[R]:
    outcome: _Outcome[R] = _Outcome([])
    try:
        with _noting_rests(outcome):
            outcome.results.append(call())
    except BaseException as error:  # noqa: BLE001 - nothing is swallowed: whoever leads raises it
        outcome.error = error
    return outcome


@contextmanager
def _noting_rests(outcome: _Outcome[R]) -> Iterator[None]:
    """Note when the call waits for a retry or a turn, which is where asynchronous code cancels it."""
    usual = sleeper.get()

    def rest(seconds: float) -> None:
        outcome.at_rest = True
        usual(seconds)
        outcome.at_rest = False

    token = sleeper.set(rest)
    try:
        yield
    finally:
        sleeper.reset(token)


def waited_too_long() -> TransportTimeoutError:
    """Make the error of a call that waited for another one to the end of its deadline."""
    return TransportTimeoutError(
        "another call for the same was not done in time; this call has sent nothing",
        phase="connect",
        # By this call it did not; by the other one it may.
        may_have_reached_server=True,
    )
