"""`LocalTenant`: the tenant as tests and demonstrations handle it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from auth0_cte.testing.endpoints.discovery import serve_configuration, serve_jwks
from auth0_cte.testing.endpoints.dpop import DPoP
from auth0_cte.testing.endpoints.exchange import GRANT_TYPE, TOKEN_EXCHANGE
from auth0_cte.testing.endpoints.logout import serve_logout, serve_oidc_logout
from auth0_cte.testing.endpoints.mfa import MFA_GRANTS, serve_authenticators, serve_challenge
from auth0_cte.testing.endpoints.rate_limits import RateLimiting
from auth0_cte.testing.endpoints.refresh import GRANT_TYPE as REFRESH_GRANT_TYPE
from auth0_cte.testing.endpoints.refresh import REFRESH_TOKEN
from auth0_cte.testing.endpoints.token_endpoint import serve_token
from auth0_cte.testing.endpoints.userinfo import serve_userinfo
from auth0_cte.testing.issued.sessions import Sessions
from auth0_cte.testing.issued.tokens import ID_TOKEN_LIFETIME, TokenGrant, issue_id_token
from auth0_cte.testing.router import answer
from auth0_cte.testing.setup import Registration, check_host_name
from auth0_cte.testing.state import TenantState
from auth0_cte.testing.wire.messages import TenantRequest
from auth0_cte.testing.wire.script import Scripting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from requests import Session

    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.testing.endpoints.session_transfer import TransferredSession
    from auth0_cte.testing.journal import Journal, LogEntry
    from auth0_cte.testing.registry.applications import Application
    from auth0_cte.testing.registry.users import User
    from auth0_cte.testing.wire.in_process import TenantAdapter
    from auth0_cte.testing.wire.messages import Headers, Reply
    from auth0_cte.testing.wire.server import TenantServer

__all__ = ["LocalTenant"]


class LocalTenant(Registration, RateLimiting, Scripting, Sessions, DPoP):
    """An Auth0 tenant that lives in this process: discovery, keys, Custom Token Exchange, and what sessions need.

    It is reached in process (`client`, `session`, `adapter`) or over a loopback port (`serve`); its issuer is the
    address it was reached by, ``https://{domain}/`` in process. It is safe among threads.

    Args:
        domain: The host name that it goes by in process.
        clock: Returns Unix seconds; `FakeClock` stands still until told to move.
        sleep: Called with the seconds of a delay that `fail_next` scripted, in process.
        client_id: The default application, which authenticates by ``client_secret_post``.
        client_secret: Its secret; a random one when None.
        default_audience: The API of requests that name none, or None.

    Attributes:
        state: All that the tenant holds, for code that adds endpoints, grants or ways to authenticate.
        clock: The clock.
        client_id: The default application.
        client_secret: Its secret.
    """

    def __init__(
        self,
        domain: str = "acme.auth0.local",
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        client_id: str = "local-client",
        client_secret: str | None = None,
        default_audience: str | None = None,
    ) -> None:
        check_host_name(domain)
        super().__init__(TenantState(domain=domain, clock=clock, default_audience=default_audience))
        self.clock: Callable[[], float] = clock
        self._sleep = sleep
        self.state.issuers.add(self.issuer)
        self.state.endpoints["/.well-known/openid-configuration"] = {"GET": serve_configuration}
        self.state.endpoints["/.well-known/jwks.json"] = {"GET": serve_jwks}
        self.state.endpoints["/oauth/token"] = {"POST": serve_token}
        self.state.endpoints["/userinfo"] = {"GET": serve_userinfo, "POST": serve_userinfo}
        self.state.endpoints["/v2/logout"] = {"GET": serve_logout}
        self.state.endpoints["/oidc/logout"] = {"GET": serve_oidc_logout, "POST": serve_oidc_logout}
        self.state.endpoints["/mfa/authenticators"] = {"GET": serve_authenticators}
        self.state.endpoints["/mfa/challenge"] = {"POST": serve_challenge}
        self.state.grants[GRANT_TYPE] = TOKEN_EXCHANGE
        self.state.grants[REFRESH_GRANT_TYPE] = REFRESH_TOKEN
        self.state.grants.update(MFA_GRANTS)
        self._servers: list[TenantServer] = []
        default = self.add_application(client_id, client_secret, name="Local application")
        self.client_id: str = default.client_id
        self.client_secret: str = default.client_secret or ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalTenant {self.domain}>"

    @property
    def domain(self) -> str:
        """The host name that the tenant goes by in process."""
        return self.state.domain

    @property
    def issuer(self) -> str:
        """The issuer identifier in process; a server has its own."""
        return f"https://{self.domain}/"

    @property
    def default_audience(self) -> str | None:
        """The API of requests that name none; the userinfo endpoint when None. Can be set."""
        return self.state.default_audience

    @default_audience.setter
    def default_audience(self, audience: str | None) -> None:
        self.state.default_audience = audience

    @property
    def users(self) -> Mapping[str, User]:
        """The users by user id, those that Actions created too."""
        return self.state.users

    @property
    def requests(self) -> Journal[TenantRequest]:
        """Every request that arrived, in order: ``tenant.requests[-1].form["subject_token"]``."""
        return self.state.requests

    @property
    def token_requests(self) -> list[TenantRequest]:
        """Those of the requests that went to the token endpoint."""
        return [request for request in self.state.requests if request.path == "/oauth/token"]

    @property
    def logs(self) -> Journal[LogEntry]:
        """The tenant log: an entry for each exchange, refresh and logout, with more detail than the reply gave."""
        return self.state.logs

    @property
    def rejects(self) -> dict[str, int]:
        """How many rejected subject tokens count at this moment, by IP address; ten block it."""
        return self.state.rejects.snapshot()

    @property
    def refresh_tokens(self) -> Mapping[str, TokenGrant]:
        """What was granted, by the refresh tokens that were issued for it and not used up or revoked."""
        return self.state.refresh_tokens

    def id_token(
        self, user_id: str, *, client_id: str | None = None, lifetime: int = ID_TOKEN_LIFETIME, **claims: Any
    ) -> str:
        """Sign an ID token of a user without an exchange, to be used as an actor token for example.

        Args:
            user_id: The user.
            client_id: The application that it is for; the default one when None.
            lifetime: How long it lives, in seconds; negative for one that has expired.
            **claims: Further claims, which win.

        Raises:
            KeyError: There is no such user or application.
        """
        application = self.state.applications.get(client_id or self.client_id)
        if application is None:
            raise KeyError(client_id)
        api = self.state.apis.find(None, self.issuer)
        grant = TokenGrant(issuer=self.issuer, application=application, user=self.users[user_id], api=api, scopes=())
        return issue_id_token(self.state, grant, lifetime=lifetime, more=claims)

    def redeem_session_transfer_token(self, token: str, *, ip: str = "127.0.0.1") -> TransferredSession:
        """Use a session transfer token up, as ``/authorize`` does; a failed attempt does so, too.

        Args:
            token: The token.
            ip: The address of the browser: that of the request, or what ``auth0-forwarded-for`` said, if trusted.

        Raises:
            ValueError: It is unknown, was used before, is older than 60 seconds, or comes from another address.
        """
        return self.state.session_transfers.redeem(token, ip)

    def rotate_keys(self, *, keep_old: bool = True) -> None:
        """Sign with new keys from now on.

        Args:
            keep_old: Whether the old ones stay in the key set, as at Auth0 until they are revoked.
        """
        self.state.keys.rotate(keep_old=keep_old)

    def handle(
        self,
        *,
        method: str,
        base_url: str,
        target: str,
        headers: Headers,
        body: str,
        ip: str,
        client_certificate: bytes | None = None,
    ) -> Reply:
        """Answer a request, whichever way it came.

        Args:
            method: ``"POST"``, say.
            base_url: Scheme and host as the client addressed them, without a trailing slash.
            target: Path and query.
            headers: The header fields.
            body: The body as text.
            ip: The address of the connection's other end.
            client_certificate: The certificate (DER) that the client presented, or None.
        """
        parts = urlsplit(target)
        request = TenantRequest(
            method=method,
            path=parts.path,
            query=parts.query,
            base_url=base_url,
            ip=ip,
            date=self.clock(),
            headers=headers,
            body=body,
            client_certificate=client_certificate,
        )
        return answer(self.state, request)

    def adapter(self, *, ip: str = "127.0.0.1") -> TenantAdapter:
        """Make a transport adapter for a `requests.Session`.

        Args:
            ip: The address that the requests seem to come from.
        """
        from auth0_cte.testing.wire.in_process import TenantAdapter

        return TenantAdapter(self, ip=ip, sleep=self._sleep)

    def session(self, *, ip: str = "127.0.0.1", beside: Iterable[LocalTenant] = ()) -> Session:
        """Make a session in which ``https://{domain}``, and each custom domain, is this tenant.

        Args:
            ip: The address that the requests seem to come from.
            beside: Further tenants to be reached by theirs: for applications that serve several.
        """
        from requests import Session

        session = Session()
        session.trust_env = False  # no proxy and no .netrc stands between a test and its tenant
        for tenant in (self, *beside):
            for domain in (tenant.domain, *tenant.state.custom_domains):
                session.mount(f"https://{domain}", tenant.adapter(ip=ip))
        return session

    def client(self, **overrides: Any) -> ServerClient:
        """Make a client of the default application that reaches the tenant in process.

        Args:
            **overrides: Arguments of ``ServerClient`` that differ from the usual; the ``client_id`` of another
                application brings that one's secret along.
        """
        return self.make_client({"domain": self.domain, "session": self.session(), **overrides})

    def make_client(self, arguments: Mapping[str, Any]) -> ServerClient:
        """Make a client, adding credentials and the clock to what is given."""
        from auth0_cte.auth_server.server_client import ServerClient

        client_id = arguments.get("client_id", self.client_id)
        application = self.state.applications.get(client_id)
        usual = {} if application is None else _credentials(application, arguments)
        return ServerClient(**{"client_id": client_id, "clock": self.clock, **usual, **arguments})

    def serve(self, *, tls: bool = False, mutual_tls: bool = False) -> TenantServer:
        """Listen on a loopback port, at once; close the server, or use it in a ``with`` statement.

        Args:
            tls: Whether to speak TLS, as ``https://localhost:PORT``; needs ``pip install 'auth0-cte[test]'``.
            mutual_tls: Whether to speak TLS, and to listen on a second port that asks for client certificates; the
                metadata name it in ``mtls_endpoint_aliases``.

        Raises:
            ConfigurationError: TLS is asked for, and trustme is not installed.
        """
        from auth0_cte.testing.wire.server import TenantServer

        server = TenantServer(self, tls=tls, mutual_tls=mutual_tls)
        self._servers.append(server)
        return server

    def close(self) -> None:
        """Close the servers that were started. The tenant itself can be used on."""
        while self._servers:
            self._servers.pop().close()


def _credentials(application: Application, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``ServerClient`` by which an application authenticates and verifies its ID tokens."""
    from auth0_cte.oauth.client_auth.base import ClientSecretBasic, PublicClient

    secret = given.get("client_secret", application.client_secret)
    usual: dict[str, Any] = {} if "client_assertion_signing_key" in given else {"client_secret": secret}
    if application.auth_method == "none":
        usual["client_auth"] = PublicClient()
    if application.auth_method == "client_secret_basic" and usual.get("client_secret") is not None:
        usual["client_auth"] = ClientSecretBasic(secret)
    if application.id_token_alg == "HS256":
        usual["id_token_algorithms"] = ("HS256",)
    return usual
