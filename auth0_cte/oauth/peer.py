"""Who asks: the address of the user behind a request, for ``forwarded_for=True``."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network

__all__ = ["check_networks", "peer_address"]

HEADER = "X-Forwarded-For"


def check_networks(networks: Iterable[str | IPv4Network | IPv6Network]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks of ``trusted_proxies``.

    Raises:
        ConfigurationError: One is not a network, or a text was given for a sequence of them.
    """
    if isinstance(networks, str):
        raise ConfigurationError('trusted_proxies must be a sequence such as ["10.0.0.0/8"], not a text')
    try:
        return tuple(ip_network(each) for each in networks)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"trusted_proxies must be networks such as 10.0.0.0/8: {error}") from None


def peer_address(
    store_options: Mapping[str, Any] | None, trusted_proxies: Sequence[IPv4Network | IPv6Network] = ()
) -> str:
    """Return the address of the user who sent a request.

    Without trusted proxies it is the peer of the connection, as the server or its middleware has it. With them it is
    the rightmost hop of ``X-Forwarded-For`` and the peer that is none of them: what stands further left may be the
    user's own invention. A connection without an address, over a Unix socket, comes from a proxy of this machine.

    Args:
        store_options: ``{"request": …}`` with a request of Flask, Django or Starlette.
        trusted_proxies: The networks of the proxies.

    Raises:
        ConfigurationError: The request is missing, or its address cannot be told.
    """
    request = (store_options or {}).get("request")
    if request is None:
        raise ConfigurationError('forwarded_for=True requires a request: pass store_options={"request": request}')
    peer = _peer(request)
    if not trusted_proxies:
        return str(_address(peer))
    hops = [hop for line in _lines(request) for hop in line.split(",") if hop.strip()]
    found: IPv4Address | IPv6Address | None = None
    for hop in reversed([*hops, peer] if peer else hops):
        found = _address(hop)
        if not any(found in network for network in trusted_proxies):
            break
    return str(_address("") if found is None else found)


def _peer(request: Any) -> str:
    if hasattr(request, "META"):
        found = request.META.get("REMOTE_ADDR")  # Django
    elif hasattr(request, "remote_addr"):
        found = request.remote_addr  # Werkzeug
    else:
        client = getattr(request, "client", None)  # Starlette
        found = None if client is None else client.host
    return str(found or "")


def _lines(request: Any) -> Sequence[str]:
    headers = request.headers
    return headers.getlist(HEADER) if hasattr(headers, "getlist") else [headers.get(HEADER, "")]


def _address(hop: str) -> IPv4Address | IPv6Address:
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]  # with a port behind it
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        raise ConfigurationError(
            "forwarded_for=True: the request's address cannot be told; behind a proxy set trusted_proxies, "
            "or pass the address itself"
        ) from None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
