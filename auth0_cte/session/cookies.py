"""A session's value in cookies: cut into chunks when it is written, found again whatever a browser sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auth0_cte.session.web_carrier import WebCarrier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auth0_cte.session.carrier import Carrier
    from auth0_cte.session.settings import SessionSettings

__all__ = ["MAX_COOKIE_BYTES", "SessionCookies"]

CHUNK_BYTES: Final = 3800
"""Browsers drop cookies whose name and value pass 4096 bytes, without a word."""
MAX_COOKIE_BYTES: Final = 7600
"""Servers answer 431 when all cookies together pass some 8 KB."""
MAX_CHUNKS: Final = 16
MAX_REPEATED: Final = 4
"""As many cookies of one name are looked at."""


class SessionCookies:
    """The cookies of sessions.

    Args:
        settings: Their name and attributes.
    """

    def __init__(self, settings: SessionSettings) -> None:
        self._settings = settings.cookie
        self._names = [settings.cookie.name(f"{settings.identifier}_{number}") for number in range(MAX_CHUNKS)]

    def found(self, carrier: Carrier) -> tuple[str, ...]:
        """Return the chunks as they are read first; they tell whether the cookies have changed."""
        return tuple(values[0] for values in self._chunks(carrier))

    def candidates(self, carrier: Carrier, *, are_ids: bool) -> list[str]:
        """Return the values that the cookies may stand for, the most likely first.

        Another program that shortened a session may have left the last chunks of the longer one. A browser that has
        cookies of one name for two paths or domains sends both.

        Args:
            carrier: What has the cookies.
            are_ids: Whether the values are ids, which one cookie holds; each is looked up in a store, so there are few.
        """
        chunks = self._chunks(carrier)
        found = [each for values in _generations(chunks) for each in _prefixes(values, only_ends=are_ids)]
        return list(dict.fromkeys(found))

    def write(self, carrier: Carrier, value: str, max_age: int) -> None:
        """Set a value, in as many cookies as it takes; older ones are removed."""
        chunks = [value[start : start + CHUNK_BYTES] for start in range(0, len(value), CHUNK_BYTES)]
        stale = [name for name in self._present(carrier) if name not in self._names[: len(chunks)]]
        for name, chunk in zip(self._names, chunks, strict=False):
            carrier.set_cookie(name, chunk, max_age, self._settings)
        self._remove(carrier, stale)

    def delete(self, carrier: Carrier) -> None:
        """Delete all cookies of the session."""
        self._remove(carrier, self._present(carrier))

    def _present(self, carrier: Carrier) -> list[str]:
        cookies = carrier.cookies()
        return [name for name in self._names if name in cookies]

    def _remove(self, carrier: Carrier, names: list[str]) -> None:
        for name in names:
            carrier.set_cookie(name, "", 0, self._settings)

    def _chunks(self, carrier: Carrier) -> list[list[str]]:
        cookies = carrier.cookies()
        chunks: list[list[str]] = []
        for name in self._names:
            repeated = carrier.repeated(name) if isinstance(carrier, WebCarrier) else []
            values = [each for each in dict.fromkeys([cookies.get(name), *repeated]) if each]
            if not values:
                break
            chunks.append(values[:MAX_REPEATED])
        return chunks


def _generations(chunks: list[list[str]]) -> Iterator[list[str]]:
    """Yield the chunks of each cookie that may belong together: the first of each name, then the second, and so on."""
    for number in range(max(map(len, chunks), default=0)):
        yield [values[min(number, len(values) - 1)] for values in chunks]


def _prefixes(values: list[str], *, only_ends: bool) -> Iterator[str]:
    lengths = range(len(values), 0, -1)
    for length in (len(values), 1) if only_ends else lengths:
        yield "".join(values[:length])
