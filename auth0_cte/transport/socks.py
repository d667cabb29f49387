"""Connections through a SOCKS proxy, by PySocks; imported only where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from urllib3.contrib import socks

from auth0_cte.transport.connections import Connection, WaitingPool, chosen, genuine

if TYPE_CHECKING:
    from urllib3.connectionpool import HTTPConnectionPool
    from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection

__all__ = ["SOCKS_POOL_CLASSES"]

if not TYPE_CHECKING:
    SOCKSConnection = genuine(socks.SOCKSConnection)
    SOCKSHTTPSConnection = genuine(socks.SOCKSHTTPSConnection)


class _SocksConnection(Connection, SOCKSConnection):  # pyright: ignore[reportIncompatibleVariableOverride]
    pass


class _SecureSocksConnection(Connection, SOCKSHTTPSConnection):  # pyright: ignore[reportIncompatibleVariableOverride]
    pass


class _SocksPool(WaitingPool, socks.SOCKSHTTPConnectionPool):
    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802 - urllib3's name
        """The class of the connections."""
        return chosen(socks.SOCKSHTTPConnectionPool, SOCKSConnection, _SocksConnection)


class _SecureSocksPool(WaitingPool, socks.SOCKSHTTPSConnectionPool):
    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802
        """The class of the connections."""
        return chosen(socks.SOCKSHTTPSConnectionPool, SOCKSHTTPSConnection, _SecureSocksConnection)


SOCKS_POOL_CLASSES: Final[dict[str, type[HTTPConnectionPool]]] = {"http": _SocksPool, "https": _SecureSocksPool}
