"""Stores and rotations of the user's own: what they raise becomes an error of ours."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.validation import call_given
from auth0_cte.session.stores.contract import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from auth0_cte.session.stores.contract import Owner, Record, Rotations, SearchableStore, StateStore

__all__ = ["GuardedRotations", "GuardedStore"]

P = ParamSpec("P")
R = TypeVar("R")


def _call(method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a method; anything but an error of this library becomes a `SessionError` with it as the cause."""
    try:
        result: R = call_given(partial(method, *args, **kwargs), name="the session store", code="STORE_UNAVAILABLE")
    except ConfigurationError as error:
        failure = unavailable("the session store", error.__cause__ or error)
    else:
        return result
    raise failure


@contextmanager
def _hold(lock: Callable[[str, float], AbstractContextManager[None]], name: str, timeout: float) -> Iterator[None]:
    held = _call(lock, name, timeout)
    _call(held.__enter__)
    try:
        yield
    finally:
        _call(held.__exit__, None, None, None)


class GuardedStore:
    """A store that raises nothing but errors of this library.

    Args:
        store: The store.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self.stateless: bool = store.stateless

    def check(self) -> None:
        """See `StateStore`."""
        _call(self._store.check)

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:
        """See `StateStore`."""
        return _call(self._store.create, session_id, data, owner, ttl)

    def get(self, cookie: str) -> Record | None:
        """See `StateStore`."""
        return _call(self._store.get, cookie)

    def replace(self, cookie: str, data: str, version: int) -> str | None:
        """See `StateStore`."""
        return _call(self._store.replace, cookie, data, version)

    def touch(self, cookie: str, ttl: float) -> None:
        """See `StateStore`."""
        _call(self._store.touch, cookie, ttl)

    def delete(self, cookie: str) -> None:
        """See `StateStore`."""
        _call(self._store.delete, cookie)

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> int:
        """See `StateStore`."""
        return _call(self._store.delete_by_owner, issuer, sid=sid, sub=sub, until=until)

    def find_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> list[str]:
        """See `SearchableStore`."""
        store = cast("SearchableStore", self._store)
        return _call(store.find_by_owner, issuer, sid=sid, sub=sub, until=until)

    def lock(self, cookie: str, timeout: float) -> AbstractContextManager[None]:
        """See `StateStore`."""
        return _hold(self._store.lock, cookie, timeout)


class GuardedRotations:
    """Rotations that raise nothing but errors of this library.

    Args:
        rotations: The rotations.
    """

    def __init__(self, rotations: Rotations) -> None:
        self._rotations = rotations

    def check(self) -> None:
        """See `Rotations`."""
        _call(self._rotations.check)

    def get(self, names: Sequence[str]) -> Mapping[str, str]:
        """See `Rotations`."""
        return _call(self._rotations.get, names)

    def put(self, name: str, value: str, ttl: float) -> None:
        """See `Rotations`."""
        _call(self._rotations.put, name, value, ttl)

    def lock(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """See `Rotations`."""
        return _hold(self._rotations.lock, name, timeout)
