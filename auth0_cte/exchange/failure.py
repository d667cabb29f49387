"""What an exchange raises, whatever it failed of."""

from __future__ import annotations

from auth0_cte.error import (
    Auth0CTEError,
    CustomTokenExchangeError,
    DiscoveryError,
    ExchangeDiscoveryError,
    ExchangeTimeoutError,
    ExchangeTransportError,
    TransportError,
    TransportTimeoutError,
    without_frames,
)

__all__ = ["exchange_failure"]


def exchange_failure(error: Auth0CTEError) -> Auth0CTEError:
    """Make of any failure the one that an exchange raises, without the frames that it passed through.

    The frames of a traceback hold tokens in their local variables, which error trackers collect.
    """
    kind = next((kind for base, kind in _EXCHANGE_KINDS if isinstance(error, base)), None)
    if kind is None or isinstance(error, CustomTokenExchangeError):
        return without_frames(error)
    failure = kind(error.message)
    vars(failure).update({name: value for name, value in vars(error).items() if name not in ("code", "_notes")})
    if isinstance(error, TransportError):
        failure.is_retryable = not error.may_have_reached_server and error.phase in ("connect", "response")
    return failure


_EXCHANGE_KINDS: tuple[tuple[type[Auth0CTEError], type[CustomTokenExchangeError]], ...] = (
    (TransportTimeoutError, ExchangeTimeoutError),
    (TransportError, ExchangeTransportError),
    (DiscoveryError, ExchangeDiscoveryError),
)
