"""Collaborators that are given to a client: of the right kind, or refused where they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auth0_cte.error import ConfigurationError
from auth0_cte.oauth.retry import RetryPolicy

if TYPE_CHECKING:
    from auth0_cte.session.settings import SessionSettings
    from auth0_cte.session.stores.contract import StateStore
    from auth0_cte.transport.client import InjectedSession

__all__ = ["check_retry", "check_session", "check_session_settings", "check_state_store"]

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


def _has(piece: object, *methods: str) -> bool:
    return all(callable(getattr(piece, name, None)) for name in methods)


def _kind(piece: Any) -> str:
    kind = piece if isinstance(piece, type) else type(piece)
    return f"{'the class' if kind is piece else 'a'} {kind.__module__}.{kind.__qualname__}"
