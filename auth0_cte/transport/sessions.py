"""The ways from a prepared request to a response: by an adapter of our own, or by a session of the application's.

Neither goes through ``Session.send``, which keeps cookies and reads the bodies of redirects to their end, unless
somebody has replaced it: requests-mock answers there, and tracers watch there.
"""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import requests
import requests.adapters
import requests.sessions
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.hooks import dispatch_hook
from requests.structures import CaseInsensitiveDict
from requests.utils import select_proxy
from urllib3.util import Timeout

from auth0_cte.error import ConfigurationError
from auth0_cte.transport.adapter import Adapter
from auth0_cte.transport.settings import checked_proxy

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from requests.adapters import BaseAdapter

    from auth0_cte.foundation.deadline import Deadline
    from auth0_cte.transport.settings import TransportSettings

__all__ = ["ByAdapter", "BySession"]


class _Timeout(Timeout):
    """The time-outs of every call; the connections cut them at its deadline, so that none needs a clock of its own."""

    def clone(self) -> _Timeout:
        return self

    def start_connect(self) -> float:
        return 0.0


class _Courier(requests.Session):
    """Goes through a replaced ``Session.send`` to given adapters, and keeps nothing of what it carries."""

    def __init__(self, adapters: MutableMapping[str, BaseAdapter]) -> None:
        super().__init__()
        self.trust_env = False
        self.adapters = adapters
        self.cookies = RequestsCookieJar(DefaultCookiePolicy(allowed_domains=[]))

    def resolve_redirects(self, *_args: Any, **_kwargs: Any) -> Any:
        """Follow none, and read the body of none."""
        return iter(())


def _genuine(send: Any, module: ModuleType) -> object:
    return send if type(send) is FunctionType and send.__globals__ is vars(module) else None


# None where this module is imported while a test tool has replaced them: then all requests go the long way.
_SESSION_SEND: Final = _genuine(requests.Session.send, requests.sessions)
_ADAPTER_SEND: Final = _genuine(HTTPAdapter.send, requests.adapters)


class ByAdapter:
    """Sends by our own adapter.

    Args:
        settings: How to reach servers.

    Attributes:
        keeps_deadlines: Whether the connections end with the deadline of a call by themselves.
        certificate: None: a client certificate is presented by the SSL context.
    """

    keeps_deadlines: bool = True
    certificate: None = None

    def __init__(self, settings: TransportSettings) -> None:
        self.adapter: Adapter = Adapter(settings)
        self.trusted: str = settings.trusted
        self._timeout = _Timeout(connect=settings.connect_timeout, read=settings.read_timeout)

    def transmit(self, prepared: requests.PreparedRequest, deadline: Deadline) -> requests.Response:  # noqa: ARG002
        """Send a request; the connections keep its deadline."""
        timeout: Any = self._timeout
        if requests.Session.send is _SESSION_SEND and HTTPAdapter.send is _ADAPTER_SEND:
            return self.adapter.send(prepared, stream=True, timeout=timeout)
        prepared.headers = CaseInsensitiveDict(prepared.headers)  # as the code that replaced them expects
        courier = _Courier({"https://": self.adapter, "http://": self.adapter})
        return courier.send(prepared, stream=True, allow_redirects=False, timeout=timeout, proxies={})

    def close(self) -> None:
        """Close the pooled connections."""
        self.adapter.close()


class BySession:
    """Sends by a session of the application's: its adapters, proxies, certificates and hooks.

    Args:
        settings: The time-outs.
        session: The session.

    Attributes:
        keeps_deadlines: False: its connections have a time-out for each step.

    Raises:
        ConfigurationError: The session does not verify certificates.
    """

    keeps_deadlines: bool = False

    def __init__(self, settings: TransportSettings, session: requests.Session) -> None:
        self._settings, self._session = settings, session
        _check_verification(session.verify)

    @property
    def certificate(self) -> str | bytes | tuple[str, str] | None:
        """The file of the client certificate that is presented, or that and its key's."""
        found: str | bytes | tuple[str, str] | None = self._session.cert
        return found

    @property
    def trusted(self) -> str:
        """Whose certificates are trusted, for messages."""
        verify = self._session.verify
        return (
            "certifi's CAs, by session.verify; ca_bundle is not used" if verify is True else f"session.verify, {verify}"
        )

    def transmit(self, prepared: requests.PreparedRequest, deadline: Deadline) -> requests.Response:
        """Send a request.

        Raises:
            ConfigurationError: The session cannot send it.
        """
        session, url = self._session, prepared.url or ""
        left = max(0.001, deadline.remaining())
        timeout = (min(self._settings.connect_timeout, left), min(self._settings.read_timeout, left))
        # Its own verify and cert count before the environment's: requests would let REQUESTS_CA_BUNDLE undo a pin.
        options = session.merge_environment_settings(url, {}, True, session.verify, session.cert)
        _check_verification(options["verify"])
        proxy = select_proxy(url, options["proxies"])
        if proxy:
            checked_proxy(proxy)
        options |= {"timeout": timeout, "stream": True}
        prepared.headers = CaseInsensitiveDict(prepared.headers)
        if "send" in vars(session) or requests.Session.send is not _SESSION_SEND:
            prepared.hooks = session.hooks
            send = session.send if "send" in vars(session) else _Courier(session.adapters).send
            return send(prepared, allow_redirects=False, **options)
        response = _adapter(session, url).send(prepared, **options)
        return dispatch_hook("response", session.hooks, response, **options)

    def close(self) -> None:
        """Leave the session open: it is not ours."""


def _adapter(session: requests.Session, url: str) -> BaseAdapter:
    try:
        return session.get_adapter(url)
    except requests.exceptions.InvalidSchema:
        raise ConfigurationError(f"session has no adapter for {url.partition('?')[0]}") from None


def _check_verification(verify: object) -> None:
    # Whatever is false switches verification off, None included.
    if not verify:
        raise ConfigurationError(f"session.verify is {verify!r}, but TLS verification cannot be switched off")
    if verify is not True and not Path(str(verify)).exists():
        raise ConfigurationError(f"session.verify names {str(verify)!r}, which does not exist")
