"""What ties ``request.user`` to the Auth0 session, in projects that have `Auth0Backend` configured.

Django's own session remembers who logged in, and of which Auth0 session that was. Once that session has ended, by
whichever way, or another has taken its place, ``request.user`` is nobody. The session of a user who was deactivated at
Django does not pass `requires_session` any more.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from anyio import from_thread
from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

from auth0_cte.django.settings import SettingsError
from auth0_cte.session.stores.contract import file_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from auth0_cte.auth_types import Session

__all__ = [
    "Admission",
    "aadmits",
    "acurrent",
    "admission",
    "admits",
    "alog_in",
    "alog_out",
    "async_admission",
    "backend_paths",
    "current",
    "follow",
    "is_welcome",
    "log_in",
    "log_out",
    "nobody",
    "require_middleware",
]

logger: Final = logging.getLogger("auth0_cte")

SESSION_KEY: Final = "_auth0_cte_session"
REFUSED: Final = "This user may not log in here."
_MISORDERED: Final = (
    "Auth0Backend is configured: SessionMiddleware and AuthenticationMiddleware must come before Auth0CTEMiddleware in "
    "MIDDLEWARE"
)
_FOLLOWED: Final = "_auth0_cte_is_followed"


def backend_paths() -> tuple[str, ...]:
    """Return which of ``AUTHENTICATION_BACKENDS`` are `Auth0Backend` or derived from it."""
    if not apps.is_installed("django.contrib.auth"):
        return ()
    return _auth0_backends(tuple(settings.AUTHENTICATION_BACKENDS))


@lru_cache(maxsize=8)
def _auth0_backends(paths: tuple[str, ...]) -> tuple[str, ...]:
    from auth0_cte.django.backends import Auth0Backend

    found = [(path, import_string(path)) for path in paths]
    return tuple(path for path, backend in found if isinstance(backend, type) and issubclass(backend, Auth0Backend))


def follow(request: Any) -> None:
    """Check ``request.user`` and ``request.auser`` when they are first looked at.

    Raises:
        ConfigurationError: `Auth0Backend` is configured, and Django's middleware has not run: ``request.user`` would
            outlast the session.
    """
    if not backend_paths():
        return
    if not _has_users(request):
        raise SettingsError(_MISORDERED)
    setattr(request, _FOLLOWED, True)
    user, auser = request.user, request.auser
    request.user = SimpleLazyObject(lambda: _checked(request, user))
    request.auser = partial(_achecked, request, auser)


def _has_users(request: Any) -> bool:
    return hasattr(request, "session") and hasattr(request, "user")


def require_middleware(request: Any) -> None:
    """Refuse a login that Django could not remember, or not forget, before the subject token is spent.

    Raises:
        ConfigurationError: `Auth0Backend` is configured, and the middleware has not seen this request.
    """
    if backend_paths() and not getattr(request, _FOLLOWED, False):
        raise SettingsError(_MISORDERED)


def admits(request: Any, session: Session) -> bool:
    """Tell whether the session's user may go on: not when `Auth0Backend` is configured and would refuse a login now.

    Args:
        request: The request.
        session: Its session.
    """
    if not backend_paths():
        return True
    if _is_ours(request.session) and _is_same(request.session.get(SESSION_KEY), session):
        return bool(request.user.is_authenticated)
    # Django's session remembers somebody else, or has ended sooner.
    return is_welcome(session)


def is_welcome(session: Session) -> bool:
    """Tell whether `Auth0Backend`, if it is configured, lets the user of a session log in."""
    return not backend_paths() or any(import_string(path)().admits(session) for path in backend_paths())


async def aadmits(request: Any, session: Session) -> bool:
    """Tell whether the session's user may go on, as `admits` does."""
    return not backend_paths() or await sync_to_async(admits)(request, session)


def _is_same(marked: object, session: Session | None) -> bool:
    return session is not None and marked == _mark(session)


def _mark(session: Session) -> str:
    return file_name(f"{session.domain} {session.user['sub']} {session.sid} {session.created_at}")


def _checked(request: Any, user: Any) -> Any:
    if not _is_ours(request.session) or _is_same(request.session.get(SESSION_KEY), request.auth0.get_session()):
        return user
    log_out(request, user)
    return request.user


async def _achecked(request: Any, auser: Callable[[], Awaitable[Any]]) -> Any:
    if not await _ais_ours(request.session):
        return await auser()
    if _is_same(await request.session.aget(SESSION_KEY), await request.auth0.aget_session()):
        return await auser()
    await alog_out(request, await auser())
    return await request.auser()


def _is_ours(session: Any) -> bool:
    from django.contrib.auth import BACKEND_SESSION_KEY

    return session.get(BACKEND_SESSION_KEY) in backend_paths()


async def _ais_ours(session: Any) -> bool:
    from django.contrib.auth import BACKEND_SESSION_KEY

    return await session.aget(BACKEND_SESSION_KEY) in backend_paths()


def current(request: Any) -> Any:
    """Return the user whom `Auth0Backend` logged in, before the session ends that shows it; None for any other."""
    if not backend_paths() or not _has_users(request) or not _is_ours(request.session):
        return None
    # Looked at, so that it does not change when the session is gone.
    return request.user if request.user.is_authenticated else None


async def acurrent(request: Any) -> Any:
    """Return the user whom `Auth0Backend` logged in; None for any other."""
    if not backend_paths() or not _has_users(request) or not await _ais_ours(request.session):
        return None
    user = await request.auser()
    return user if user.is_authenticated else None


def nobody() -> Any:
    """Return Django's anonymous user; None without `Auth0Backend`."""
    if not backend_paths():
        return None
    from django.contrib.auth.models import AnonymousUser

    return AnonymousUser()


class Admission:
    """Asks Django whether the user of a session that is about to begin may log in. Without `Auth0Backend` all may.

    It is called in the midst of the client's work, where tokens are in the variables of the frames. So what Django
    raises does not pass through them: it is kept, for `error` to be raised when the client has returned.

    Args:
        find: Returns a session's user at Django, or what else is true for users who may log in.
    """

    def __init__(self, find: Callable[[Session], Any]) -> None:
        self._find = find
        self._failure: BaseException | None = None
        self.user: Any = None

    @property
    def error(self) -> BaseException:
        """What Django raised; `PermissionDenied` when it knows no such user, or does not let the user in."""
        return self._failure or PermissionDenied(REFUSED)

    def __call__(self, session: Session) -> bool:
        """Tell whether the user may log in."""
        if not backend_paths():
            return True
        with ExitStack() as stack:
            stack.push(self._keep)
            self.user = self._find(session)
        return bool(self.user)

    def _keep(self, _kind: object, failure: BaseException | None, _trace: object) -> bool:
        self._failure = failure
        if failure is not None:
            logger.warning("a user who was to log in could not be looked up: %s", type(failure).__name__)
        return isinstance(failure, Exception)


def admission(request: Any) -> Admission:
    """Return what finds or creates the user of a login, as `Auth0Backend` does."""
    return Admission(partial(_authenticate, request))


def async_admission(request: Any) -> Admission:
    """Return what `admission` does, for logins that work in a thread for an event loop."""
    return Admission(partial(from_thread.run, partial(_aauthenticate, request)))


def _authenticate(request: Any, session: Session) -> Any:
    from django.contrib import auth

    user = auth.authenticate(request, auth0_session=session)
    return user if user is not None and user.backend in backend_paths() else None


async def _aauthenticate(request: Any, session: Session) -> Any:
    from django.contrib import auth

    user = await auth.aauthenticate(request, auth0_session=session)
    return user if user is not None and user.backend in backend_paths() else None


def log_in(request: Any, user: Any, session: Session) -> None:
    """Log the session's user in at Django, too.

    Args:
        request: The request.
        user: Whom the `Admission` found; nothing is done for None.
        session: The session that began.
    """
    if user is None:
        return
    from django.contrib import auth

    auth.login(request, user)
    request.session[SESSION_KEY] = _mark(session)
    _show(request, user)


async def alog_in(request: Any, user: Any, session: Session) -> None:
    """Log the session's user in at Django, too, as `log_in` does."""
    if user is None:
        return
    from django.contrib import auth

    await auth.alogin(request, user)
    await request.session.aset(SESSION_KEY, _mark(session))
    _show(request, user)


def log_out(request: Any, user: Any) -> None:
    """Log a user out at Django: flush its session, and show nobody; nothing for None."""
    if user is None:
        return
    from django.contrib import auth

    _show(request, user)
    auth.logout(request)
    _show(request, request.user)


async def alog_out(request: Any, user: Any) -> None:
    """Log a user out at Django, as `log_out` does."""
    if user is None:
        return
    from django.contrib import auth

    _show(request, user)
    await auth.alogout(request)
    _show(request, request.user)


def _show(request: Any, user: Any) -> None:
    async def auser() -> Any:
        return user

    request.user, request.auser = user, auser
