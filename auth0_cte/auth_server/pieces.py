"""Collaborators that are given to a client: of the right kind, or refused where they are given."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.validation import check_number, is_asynchronous
from auth0_cte.oauth.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.exchange.cache import ExchangeCacheBackend
    from auth0_cte.session.settings import SessionSettings
    from auth0_cte.session.stores.contract import StateStore
    from auth0_cte.transport.client import InjectedSession

__all__ = [
    "check_clock",
    "check_exchange_cache",
    "check_pool_size",
    "check_retry",
    "check_session",
    "check_session_settings",
    "check_ssl_context",
    "check_state_identifier",
    "check_state_store",
]

STORE_METHODS = ("create", "get", "replace", "delete", "lock")


def check_state_store(store: StateStore | None) -> StateStore | None:
    """Refuse what is not a store of sessions: its class, a URL, a client of redis-py, a store of another library."""
    if store is not None and (isinstance(store, type) or not _has(store, *STORE_METHODS)):
        raise ConfigurationError(
            "state_store must be a store such as MemoryStateStore(), RedisStateStore(client) or SQLStateStore(engine),"
            f" not {_kind(store)}"
        )
    return store


def check_session_settings(settings: SessionSettings | None) -> SessionSettings | None:
    """Refuse what is not a `SessionSettings`."""
    if settings is not None:
        from auth0_cte.session.settings import SessionSettings  # late, as all that belongs to sessions

        if not isinstance(settings, SessionSettings):
            raise ConfigurationError(f"session_settings must be SessionSettings(...), not {_kind(settings)}")
    return settings


def check_state_identifier(identifier: str) -> str:
    """Refuse what cannot be the name of cookies; the usual one needs no look."""
    if identifier != "_a0_session":
        from auth0_cte.session.settings import SessionSettings

        SessionSettings(identifier=identifier)
    return identifier


def check_retry(policy: RetryPolicy | None) -> RetryPolicy:
    """Refuse what is not a `RetryPolicy`; None is the usual one."""
    if policy is not None and not isinstance(policy, RetryPolicy):
        raise ConfigurationError(f"retry must be RetryPolicy(...), not {_kind(policy)}")
    return policy or RetryPolicy()


def check_session(session: InjectedSession | None) -> InjectedSession | None:
    """Refuse what is not a `requests.Session`."""
    if session is not None and (isinstance(session, type) or not _has(session, "get_adapter", "prepare_request")):
        raise ConfigurationError(f"session must be a requests.Session(), not {_kind(session)}")
    return session


def check_exchange_cache(cache: ExchangeCacheBackend | None) -> ExchangeCacheBackend | None:
    """Refuse what lacks the methods of a cache, e.g. its class instead of an instance."""
    if cache is not None and (isinstance(cache, type) or not _has(cache, "fetch", "forget", "clear")):
        raise ConfigurationError("exchange_cache must be a cache such as ExchangeCache() or RedisExchangeCache(...)")
    return cache


def check_ssl_context(context: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """Refuse what is not a context, or one that does not verify."""
    if context is not None and not isinstance(context, ssl.SSLContext):
        raise ConfigurationError(f"ssl_context must be an ssl.SSLContext, not {_kind(context)}")
    if context is not None and (context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname):
        raise ConfigurationError("ssl_context must verify certificates and host names (ssl.create_default_context())")
    return context


def check_pool_size(size: int) -> int:
    """Refuse what is not a whole number of connections."""
    return check_number("pool_size", size, at_least=1, whole=True)


def check_clock(clock: Callable[[], float]) -> Callable[[], float]:
    """Refuse what is not a function; it is not called here."""
    if not callable(clock) or is_asynchronous(clock):
        raise ConfigurationError("clock must be a plain function that returns the time in Unix seconds")
    return clock


def _has(piece: object, *methods: str) -> bool:
    return all(callable(getattr(piece, name, None)) for name in methods)


def _kind(piece: Any) -> str:
    kind = piece if isinstance(piece, type) else type(piece)
    return f"{'the class' if kind is piece else 'a'} {kind.__module__}.{kind.__qualname__}"
