"""Connecting to a host: all of its addresses share the time that there is (RFC 8305, "Happy Eyeballs").

``socket.create_connection`` gives each address the whole time-out, and ``socket.getaddrinfo`` waits as long as the
resolver likes: six dead addresses make 12 seconds of 2, a dead name server 30 of any.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from urllib3.util.connection import allowed_gai_family

from auth0_cte.foundation.concurrency import reset_in_child
from auth0_cte.foundation.urls import is_loopback

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["connect"]

Address: TypeAlias = "tuple[Any, ...]"
"""An address as ``socket.getaddrinfo`` returns it."""
SocketOptions: TypeAlias = "Sequence[tuple[int, int, int | bytes]]"

HEAD_START_SECONDS: Final = 0.25
"""How long an address is waited for before the next one is tried as well: RFC 8305 section 5."""
MAX_LOOKUPS: Final = 32


class _Lookup:
    """A question to the resolver that several callers may wait for."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.addresses: Sequence[Address] = []
        self.error: BaseException | None = None

    def ask(self, host: str, port: int, family: int) -> None:
        try:
            self.addresses = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        except BaseException as error:  # noqa: BLE001 - nothing is swallowed: the waiting call raises it
            self.error = error
        finally:
            self.answered.set()


class _Resolver:
    """Asks the system's resolver in threads, because nothing else ends a question that it does not answer.

    A thread that got no answer in time stays until the system gives up, some 30 seconds by default. There is one for a
    host at most, which later callers join, and no more than `MAX_LOOKUPS` in all.
    """

    def __init__(self) -> None:
        self._after_fork_in_child()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self._lookups: dict[tuple[str, int, int], _Lookup] = {}

    def resolve(self, host: str, port: int, timeout: float) -> Sequence[Address]:
        """Return the addresses of a host.

        Raises:
            socket.gaierror: It has none.
            TimeoutError: The resolver did not answer in time.
        """
        key = (host, port, int(allowed_gai_family()))
        if is_loopback(host):  # which no name server is asked for
            return socket.getaddrinfo(*key, socket.SOCK_STREAM)
        lookup = self._join(key)
        if not lookup.answered.wait(timeout):
            raise TimeoutError("the name could not be resolved in time")
        if isinstance(lookup.error, OSError | UnicodeError):
            raise socket.gaierror(socket.EAI_NONAME, str(lookup.error))  # a new one for each that waited
        if lookup.error is not None:
            raise lookup.error
        return lookup.addresses

    def _join(self, key: tuple[str, int, int]) -> _Lookup:
        with self._lock:
            lookup = self._lookups.get(key)
            if lookup is not None:
                return lookup
            if len(self._lookups) >= MAX_LOOKUPS:
                raise TimeoutError("too many names are being resolved")
            lookup = self._lookups[key] = _Lookup()

        def ask() -> None:
            lookup.ask(*key)
            with self._lock:
                self._lookups.pop(key, None)

        try:
            threading.Thread(target=ask, name=f"auth0-cte-resolve-{key[0]}", daemon=True).start()
        except RuntimeError:  # the interpreter is ending, and starts no threads any more
            ask()
        return lookup


_resolver: Final = _Resolver()


def connect(host: str, port: int, timeout: float, options: SocketOptions) -> socket.socket:
    """Connect to the first address of a host that answers.

    Args:
        host: A name or an IP address.
        port: The port.
        timeout: Seconds for all of it: looking the name up, and all addresses together.
        options: What is set on a socket before it connects.

    Returns:
        The connected socket; its time-out is what is left.

    Raises:
        socket.gaierror: The host has no address.
        TimeoutError: No address answered in time.
        OSError: All addresses refused; the last one's error.
    """
    ends_at = time.monotonic() + timeout
    addresses = _interleave(_resolver.resolve(host.strip("[]"), port, timeout))
    connected = _Race(addresses, options, ends_at).run()
    connected.settimeout(max(0.001, ends_at - time.monotonic()))
    return connected


def _interleave(addresses: Sequence[Address]) -> list[Address]:
    """Let the families take turns, beginning with the one that the system prefers (RFC 8305 section 4)."""
    first = [each for each in addresses if each[0] == addresses[0][0]]
    others = [each for each in addresses if each[0] != addresses[0][0]]
    merged: list[Address] = []
    while first or others:
        merged += first[:1] + others[:1]
        first, others = first[1:], others[1:]
    return merged


class _Race:
    """Attempts to connect, each begun when the one before it failed or had its head start. The first success wins."""

    def __init__(self, addresses: list[Address], options: SocketOptions, ends_at: float) -> None:
        self._addresses, self._options, self._ends_at = addresses, options, ends_at
        self._error = OSError("the host has no address")
        self._next_at = 0.0

    def run(self) -> socket.socket:
        with selectors.DefaultSelector() as running:
            try:
                while True:
                    winner = self._step(running)
                    if winner is not None:
                        return winner
            finally:
                for key in list(running.get_map().values()):
                    key.fileobj.close()  # type: ignore[union-attr]  # a socket, not a number

    def _step(self, running: selectors.BaseSelector) -> socket.socket | None:
        now = time.monotonic()
        if now >= self._ends_at:
            raise TimeoutError("no address answered in time")
        if self._addresses and now >= self._next_at:
            self._begin(running, self._addresses.pop(0))
            self._next_at = now + HEAD_START_SECONDS
        if not running.get_map():
            if not self._addresses:
                raise self._error
            self._next_at = now
            return None
        until = min(self._next_at, self._ends_at) if self._addresses else self._ends_at
        for key, _ in running.select(until - now):
            ended: Any = key.fileobj
            running.unregister(ended)
            code = ended.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return ended  # type: ignore[no-any-return]  # a socket, too
            ended.close()
            self._error, self._next_at = OSError(code, os.strerror(code)), now
        return None

    def _begin(self, running: selectors.BaseSelector, address: Address) -> None:
        family, kind, protocol, _, place = address
        try:
            candidate = socket.socket(family, kind, protocol)
        except OSError as error:  # a family that this machine does not have
            self._error = error
            return
        try:
            candidate.setblocking(False)
            for option in self._options:
                candidate.setsockopt(*option)
            with suppress(BlockingIOError):
                candidate.connect(place)
            running.register(candidate, selectors.EVENT_WRITE)
        except OSError as error:
            self._error = error
            candidate.close()
