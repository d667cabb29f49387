"""`LocalTenant`: the tenant as tests and demonstrations handle it."""

from __future__ import annotations

from time import sleep as system_sleep
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from auth0_cte.foundation.deadline import system_clock
from auth0_cte.testing.assertions import Assertions
from auth0_cte.testing.clients import make_client
from auth0_cte.testing.control.api import ControlParts
from auth0_cte.testing.endpoints.backchannel_logout import BackchannelLogout
from auth0_cte.testing.issuing import Issuing
from auth0_cte.testing.parts import part_method
from auth0_cte.testing.registry.apis import Apis
from auth0_cte.testing.registry.rate_limits import RateLimits
from auth0_cte.testing.router import Router
from auth0_cte.testing.seeding.people import People
from auth0_cte.testing.seeding.seeding import Seeding
from auth0_cte.testing.serving import Serving
from auth0_cte.testing.setup.actions import ActionSetup
from auth0_cte.testing.setup.apis import ApiSetup
from auth0_cte.testing.setup.applications import ApplicationSetup, check_host_name
from auth0_cte.testing.setup.directory import DirectorySetup
from auth0_cte.testing.state import TenantState
from auth0_cte.testing.wire.messages import TenantRequest
from auth0_cte.testing.wire.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from requests import Session

    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.testing.actions.code import ActionFunction
    from auth0_cte.testing.actions.profiles import Actions
    from auth0_cte.testing.issued.tokens import TokenGrant
    from auth0_cte.testing.journal import Journal, LogEntry
    from auth0_cte.testing.registry.attack_protection import AttackProtection
    from auth0_cte.testing.registry.dpop_settings import DPoPSettings
    from auth0_cte.testing.registry.factors import Factors
    from auth0_cte.testing.registry.users import User
    from auth0_cte.testing.session_settings import SessionSettings
    from auth0_cte.testing.wire.in_process import TenantAdapter
    from auth0_cte.testing.wire.messages import Headers, Reply

__all__ = ["LocalTenant"]

F = TypeVar("F", bound="ActionFunction")
Part = TypeVar("Part")


class LocalTenant:
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
        strict: Whether what Auth0 refuses is refused here, too, where it is otherwise taken with a warning in the log.

    Attributes:
        state: What is configured and what was issued.
        router: What answers, for code that adds endpoints or grants.
        clock: The clock.
        client_id: The default application.
        client_secret: Its secret.
    """

    def __init__(
        self,
        domain: str = "acme.auth0.local",
        *,
        clock: Callable[[], float] = system_clock,
        sleep: Callable[[float], None] = system_sleep,
        client_id: str = "local-client",
        client_secret: str | None = None,
        default_audience: str | None = None,
        strict: bool = False,
    ) -> None:
        check_host_name(domain)
        self.state: TenantState = TenantState(domain=domain, clock=clock, strict=strict, apis=Apis(default_audience))
        logouts = BackchannelLogout(self.state, client_id)
        self.router: Router = Router(self.state, logouts)
        directory, apis = DirectorySetup(self.state, logouts), ApiSetup(self.state)
        setup = (directory, ApplicationSetup(self.state), apis, ActionSetup(self.state, directory))
        people = People(self.state, directory, apis)
        issuing = Issuing(self.state, client_id)
        seeding = Seeding(self.state, people, *setup)
        control = ControlParts(state=self.state, people=people, directory=directory, issuing=issuing, seeding=seeding)
        more = (Serving(self, control), Assertions(self.state))
        parts = (*setup, logouts, issuing, self.state.rate_limits, self.state.script, seeding, *more)
        self._parts: dict[type[Any], Any] = {type(part): part for part in parts}
        self.clock: Callable[[], float] = clock
        self._sleep = sleep
        self.state.issuers.add(self.issuer)
        default = self.add_application(client_id, client_secret, name="Local application")
        self.client_id: str = default.client_id
        self.client_secret: str = default.client_secret or ""
        seeding.begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalTenant {self.domain}>"

    def part(self, kind: type[Part], /) -> Part:
        """Return one of the objects that the tenant is made of, by its class."""
        return cast("Part", self._parts[kind])

    @property
    def domain(self) -> str:
        """The host name that the tenant goes by in process."""
        return self.state.domain

    @property
    def issuer(self) -> str:
        """The issuer identifier in process; a server has its own."""
        return f"https://{self.domain}/"

    @property
    def apis(self) -> Apis:
        """The APIs, and the default one: ``tenant.apis.default_audience = "https://api.acme.example"``."""
        return self.state.apis

    @property
    def factors(self) -> Factors:
        """The second factors: ``tenant.factors.of("auth0|ada")[0].code()`` is what the user reads."""
        return self.state.factors

    @property
    def sessions(self) -> SessionSettings:
        """What can be set about refresh tokens, ID tokens and logout: ``tenant.sessions.refresh_token_leeway = 5``."""
        return self.state.sessions

    @property
    def dpop(self) -> DPoPSettings:
        """What is required of DPoP proofs: ``tenant.dpop.nonce_required = True``."""
        return self.state.dpop

    @property
    def actions(self) -> Actions:
        """The Actions, and what they are limited to: ``tenant.actions.time_limit = 2``."""
        return self.state.actions

    @property
    def rate_limits(self) -> RateLimits:
        """The limits on exchanges: ``tenant.rate_limits.limit_exchanges(4)``."""
        return self.state.rate_limits

    @property
    def attack_protection(self) -> AttackProtection:
        """The limit on rejected subject tokens: ``tenant.attack_protection.max_attempts = 3``."""
        return self.state.attack_protection

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
        return self.state.attack_protection.snapshot()

    @property
    def refresh_tokens(self) -> Mapping[str, TokenGrant]:
        """What was granted, by the refresh tokens that were issued for it and not used up or revoked."""
        return self.state.refresh_tokens

    @property
    def client_authorities(self) -> set[str]:
        """The certificates (PEM) that clients' ones are trusted by in the TLS handshake."""
        return self.state.client_authorities

    @property
    def mtls_aliases(self) -> dict[str, str]:
        """The base URLs for clients with certificates, by the usual ones."""
        return self.state.mtls_aliases

    serve: Final = part_method(Serving, Serving.serve)
    assert_exchanged: Final = part_method(Assertions, Assertions.assert_exchanged)
    seed: Final = part_method(Seeding, Seeding.seed)
    reset: Final = part_method(Seeding, Seeding.reset)
    add_application: Final = part_method(ApplicationSetup, ApplicationSetup.add_application)
    add_custom_domain: Final = part_method(ApplicationSetup, ApplicationSetup.add_custom_domain)
    add_user: Final = part_method(DirectorySetup, DirectorySetup.add_user)
    block_user: Final = part_method(DirectorySetup, DirectorySetup.block_user)
    delete_user: Final = part_method(DirectorySetup, DirectorySetup.delete_user)
    enroll_factor: Final = part_method(DirectorySetup, DirectorySetup.enroll_factor)
    connect_account: Final = part_method(DirectorySetup, DirectorySetup.connect_account)
    add_connection: Final = part_method(DirectorySetup, DirectorySetup.add_connection)
    add_organization: Final = part_method(DirectorySetup, DirectorySetup.add_organization)
    add_api: Final = part_method(ApiSetup, ApiSetup.add_api)
    accept: Final = part_method(ActionSetup, ActionSetup.accept)
    add_role: Final = part_method(ApiSetup, ApiSetup.add_role)
    add_group: Final = part_method(ApiSetup, ApiSetup.add_group)
    assign_roles: Final = part_method(ApiSetup, ApiSetup.assign_roles)
    assign_permissions: Final = part_method(ApiSetup, ApiSetup.assign_permissions)
    post_login_file: Final = part_method(ActionSetup, ActionSetup.post_login_file)
    action_file: Final = part_method(ActionSetup, ActionSetup.action_file)
    id_token: Final = part_method(Issuing, Issuing.id_token)
    redeem_session_transfer_token: Final = part_method(Issuing, Issuing.redeem_session_transfer_token)
    rotate_keys: Final = part_method(Issuing, Issuing.rotate_keys)
    revoke_refresh_tokens: Final = part_method(Issuing, Issuing.revoke_refresh_tokens)
    limit_exchanges: Final = part_method(RateLimits, RateLimits.limit_exchanges)
    limit_on_behalf_of: Final = part_method(RateLimits, RateLimits.limit_on_behalf_of)
    limit_clients: Final = part_method(RateLimits, RateLimits.limit_clients)
    fail_next: Final = part_method(Script, Script.fail_next)
    fail_next_with_rate_limit: Final = part_method(Script, Script.fail_next_with_rate_limit)
    fail_next_with_rate_policy: Final = part_method(Script, Script.fail_next_with_rate_policy)
    logout_token: Final = part_method(BackchannelLogout, BackchannelLogout.logout_token)
    send_backchannel_logout: Final = part_method(BackchannelLogout, BackchannelLogout.send_backchannel_logout)

    def action(self, subject_token_type: str, *, secrets: Mapping[str, str] | None = None) -> Callable[[F], F]:
        """Decorate the Action of a Custom Token Exchange profile: a function of ``event`` and ``api``.

        Args:
            subject_token_type: The profile's type; see `ActionSetup.action`.
            secrets: What the Action sees as ``event.secrets``.
        """
        return self.part(ActionSetup).action(subject_token_type, secrets=secrets)

    @overload
    def post_login(self, function: F, /) -> F: ...
    @overload
    def post_login(self, /, *, secrets: Mapping[str, str]) -> Callable[[F], F]: ...
    def post_login(self, function: ActionFunction | None = None, /, *, secrets: Mapping[str, str] | None = None) -> Any:
        """Decorate a Post-Login Action, a function of ``event`` and ``api``: ``@tenant.post_login``.

        It runs after exchanges and refreshes; several run in the order in which they are added.

        Args:
            function: The function.
            secrets: What the Action sees as ``event.secrets``: ``@tenant.post_login(secrets={...})``.
        """

        def register(action: F) -> F:
            self.part(ActionSetup).post_login(action, secrets=secrets)
            return action

        return register if function is None else register(function)

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
            method: The HTTP method, e.g. ``"POST"``.
            base_url: Scheme and host as the client addressed them, without a trailing slash.
            target: Path and query.
            headers: The header fields.
            body: The body as text.
            ip: The address of the connection's other end.
            client_certificate: The certificate (DER) that the client presented, or None.
        """
        path, _, query = target.partition("#")[0].partition("?")
        request = TenantRequest(
            method=method,
            path=path,
            query=query,
            base_url=base_url,
            ip=ip,
            date=self.clock(),
            headers=headers,
            body=body,
            client_certificate=client_certificate,
        )
        return self.router.answer(request)

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
            beside: Further tenants to be reached by theirs.
        """
        from requests import Session

        session = Session()
        session.trust_env = False  # no proxy and no .netrc stands between a test and its tenant
        for tenant in (self, *beside):
            for domain in (tenant.domain, *tenant.state.custom_domains):
                session.mount(f"https://{domain}", tenant.adapter(ip=ip))
        return session

    def client(self, **overrides: Any) -> ServerClient:
        """Make a client that reaches the tenant in process, of the default application.

        Args:
            **overrides: Arguments of ``ServerClient``; another ``client_id`` brings that application's secret along.
        """
        return self.make_client({"domain": self.domain, "session": self.session(), **overrides})

    def make_client(self, arguments: Mapping[str, Any]) -> ServerClient:
        """Make a client, adding credentials and the clock to what is given."""
        return make_client(self.state, {"client_id": self.client_id, **arguments})

    def close(self) -> None:
        """Close the servers that were started, and the processes of Actions. The tenant itself can be used on."""
        self.state.actions.close()
        self.part(BackchannelLogout).wait()
        self.part(Serving).close()
