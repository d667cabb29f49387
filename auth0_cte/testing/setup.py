"""What is registered with a tenant before it is used: applications, users, organizations, APIs, Actions."""

from __future__ import annotations

import secrets as random
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from auth0_cte.testing.actions.api import TRIGGER, ActionApi, Commands
from auth0_cte.testing.actions.code import Action, ActionFunction, PythonCode, check_secrets
from auth0_cte.testing.actions.guard import method_names
from auth0_cte.testing.actions.javascript.node import find_node
from auth0_cte.testing.actions.javascript.pool import JavaScriptCode
from auth0_cte.testing.actions.profiles import check_profile_type
from auth0_cte.testing.registry.apis import Api, TokenDialect
from auth0_cte.testing.registry.applications import Application, AuthMethod
from auth0_cte.testing.registry.client_credentials import Credentials
from auth0_cte.testing.registry.factors import Factor, FactorKind
from auth0_cte.testing.registry.keys import ID_TOKEN_ALGORITHMS
from auth0_cte.testing.registry.organizations import Organization
from auth0_cte.testing.registry.users import DATABASE, Connection, User

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from auth0_cte.testing.registry.dpop_settings import ProofOfPossession
    from auth0_cte.testing.state import TenantState

__all__ = ["Setup", "check_host_name"]

F = TypeVar("F", bound=ActionFunction)


class Setup:
    """Registers things with a tenant. `LocalTenant` has the same methods.

    Args:
        state: What the tenant holds.
    """

    def __init__(self, state: TenantState) -> None:
        self._state = state

    def add_application(
        self,
        client_id: str,
        client_secret: str | None = None,
        *,
        auth_method: AuthMethod = "client_secret_post",
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        token_exchange: bool = True,
        trust_forwarded_for: bool = False,
        id_token_alg: str = "RS256",  # noqa: S107 - no password
        allowed_logout_urls: Iterable[str] | None = None,
        resource_server: str | None = None,
        require_proof_of_possession: bool = False,
        public_keys: Iterable[str | bytes | Mapping[str, Any]] = (),
        certificates: Iterable[str | os.PathLike[str]] = (),
        certificate_authority: str | os.PathLike[str] | None = None,
        tls_subject: str | None = None,
    ) -> Application:
        """Register an application; one with the same client id is replaced.

        Args:
            client_id: Its identifier.
            client_secret: Its secret; a random one when None and the method needs one.
            auth_method: The one method that it authenticates by; all others are refused.
            name: Its name; the client id when None.
            metadata: What the Action sees as ``event.client.metadata``.
            token_exchange: Whether Custom Token Exchange is enabled for it.
            trust_forwarded_for: Whether ``auth0-forwarded-for`` is believed.
            id_token_alg: RS256, PS256, ES256, or HS256 with the client secret.
            allowed_logout_urls: Where browsers may be sent after a logout; a ``*`` stands for a subdomain. Any https
                or loopback URL when None.
            resource_server: The identifier of the API that the application is: On-Behalf-Of takes access tokens for
                that one alone. For any API when None.
            require_proof_of_possession: Whether it is issued no tokens without a DPoP proof.
            public_keys: For private_key_jwt: the public keys of its assertions, PEM or JWK. One without a ``kid`` gets
                its thumbprint; see ``Application.public_keys``.
            certificates: For self_signed_tls_client_auth: its certificates, PEM or paths of PEM files.
            certificate_authority: For tls_client_auth: who issues its certificates, without intermediate ones,
                likewise.
            tls_subject: For tls_client_auth: their subject (RFC 4514), e.g. ``CN=client,O=Acme``.

        Raises:
            ValueError: The algorithm is another one, a public application has a secret or HS256, or what the
                application authenticates by is missing, unusable, or given for another method.
        """
        public = auth_method == "none"
        authorities = () if certificate_authority is None else (certificate_authority,)
        credentials = Credentials.read(auth_method, public_keys, certificates, authorities, tls_subject)
        if id_token_alg not in ID_TOKEN_ALGORITHMS:
            raise ValueError(f"id_token_alg must be one of {', '.join(ID_TOKEN_ALGORITHMS)}, not {id_token_alg!r}")
        if public and (client_secret is not None or id_token_alg == "HS256"):
            raise ValueError("a public application (auth_method='none') has no secret")
        self._state.keys.use(id_token_alg)
        application = Application(
            client_id=client_id,
            client_secret=client_secret or (random.token_urlsafe(48) if "secret" in auth_method else None),
            auth_method=auth_method,
            name=name or client_id,
            metadata=dict(metadata or {}),
            token_exchange=token_exchange,
            trust_forwarded_for=trust_forwarded_for,
            id_token_alg=id_token_alg,
            allowed_logout_urls=None if allowed_logout_urls is None else tuple(allowed_logout_urls),
            resource_server=resource_server,
            require_proof_of_possession=require_proof_of_possession,
            public_keys=credentials.public_keys,
            certificates=credentials.certificates,
            tls_subject=tls_subject,
        )
        self._state.client_authorities |= set(map(ssl.DER_cert_to_PEM_cert, credentials.certificates))
        self._state.applications.add(application)
        return application

    def add_custom_domain(self, domain: str) -> None:
        """Let the tenant go by another host name, too, e.g. ``login.acme.example``.

        Tokens that are asked for there have that host as issuer. In process it is reached by clients and sessions that
        are made from now on.

        Args:
            domain: The host name.

        Raises:
            ValueError: It is not a host name.
        """
        check_host_name(domain)
        self._state.custom_domains.append(domain)
        self._state.issuers.add(f"https://{domain}/")

    def add_user(
        self,
        /,
        user_id: str,
        *,
        connection: str | None = None,
        blocked: bool = False,
        mfa_required: bool = False,
        mfa_requirements: Mapping[str, Any] | None = None,
        session_expiry: int | None = None,
        app_metadata: Mapping[str, Any] | None = None,
        user_metadata: Mapping[str, Any] | None = None,
        **attributes: Any,
    ) -> User:
        """Add a user; one with the same id is replaced.

        Args:
            user_id: The id in the tenant, e.g. ``auth0|jane``; the part after the last ``|`` is the id within the
                connection.
            connection: The connection that holds the user; taken from the id when None.
            blocked: Whether the user may not log in.
            mfa_required: Whether exchanges answer ``mfa_required``.
            mfa_requirements: What that reply tells about the factors, or None.
            session_expiry: When the session at the user's own identity provider ends, in Unix seconds: a claim of
                every ID token from now on, refreshed ones too. None for no such claim.
            app_metadata: Application metadata.
            user_metadata: General metadata.
            **attributes: ``email``, ``name`` and the like.
        """
        strategy, *path, identity = ["auth0", *user_id.split("|")] if "|" not in user_id else user_id.split("|")
        held_by = path[0] if path else DATABASE if strategy == "auth0" else strategy
        user = User(
            user_id=user_id,
            connection=connection or held_by,
            identity=identity,
            attributes=attributes,
            app_metadata=dict(app_metadata or {}),
            user_metadata=dict(user_metadata or {}),
            blocked=blocked,
            mfa_required=mfa_required,
            mfa_requirements=mfa_requirements,
            session_expiry=session_expiry,
        )
        self._state.users.add(user)
        return user

    def enroll_factor(self, user_id: str, kind: FactorKind, *, name: str = "") -> Factor:
        """Enroll a second factor for a user, who is asked for one from now on.

        Args:
            user_id: The id in the tenant.
            kind: ``otp``, ``sms``, ``voice``, ``email``, ``push`` or ``recovery-code``.
            name: What the list of authenticators shows, e.g. ``+49 *** 12``.

        Returns:
            The factor; its ``code()`` is what the user reads, ``approve()`` and ``deny()`` answer a push message.

        Raises:
            KeyError: The user does not exist.
        """
        self._state.users[user_id].mfa_required = True
        factor = Factor(user_id=user_id, kind=kind, clock=self._state.clock, name=name)
        self._state.factors.add(factor)
        return factor

    def delete_user(self, user_id: str) -> None:
        """Delete a user, whose refresh tokens are revoked.

        Args:
            user_id: The id in the tenant.

        Raises:
            KeyError: The user does not exist.
        """
        self._state.users.remove(user_id)
        self._state.refresh_tokens.revoke(user_id)

    def add_connection(self, name: str, *, strategy: str = "auth0") -> Connection:
        """Register a connection. Until there is one, Actions may name any; afterwards only those.

        Args:
            name: Its name.
            strategy: ``"auth0"`` for a database, else Auth0's name of the kind; it begins the ids of its users.
        """
        connection = Connection(name=name, strategy=strategy)
        self._state.users.add_connection(connection)
        return connection

    def add_organization(
        self,
        organization_id: str,
        *,
        name: str,
        display_name: str | None = None,
        members: Iterable[str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Organization:
        """Register an organization; one with the same id is replaced.

        Args:
            organization_id: ``org_…``.
            name: Its name.
            display_name: Its name for people; the name when None.
            members: The user ids that belong to it; everybody when None.
            metadata: What the Action sees as ``event.organization.metadata``.
        """
        organization = Organization(
            id=organization_id,
            name=name,
            display_name=display_name or name,
            members=None if members is None else frozenset(members),
            metadata=dict(metadata or {}),
        )
        self._state.organizations.add(organization)
        return organization

    def add_api(
        self,
        identifier: str,
        scopes: Iterable[str] | None = None,
        *,
        token_lifetime: int = 86400,
        token_dialect: TokenDialect = "access_token",  # noqa: S107 - no password
        skip_consent: bool = True,
        proof_of_possession: ProofOfPossession = "allowed",
    ) -> Api:
        """Register an API. Until there is one, every absolute URI is taken as an audience; afterwards only those.

        Args:
            identifier: Its audience.
            scopes: The scopes that it defines; others are not granted. Any is when None.
            token_lifetime: How long its access tokens live, in seconds.
            token_dialect: ``access_token`` for Auth0's own form of a JWT, ``rfc9068_profile`` for RFC 9068.
            skip_consent: Whether no consent is needed; exchanges answer ``consent_required`` when False.
            proof_of_possession: ``none`` (the default of Auth0's own APIs): access tokens are never bound to a DPoP
                key; ``allowed``: they are when the request has a proof; ``required``: there are none without a proof.
        """
        api = Api(
            identifier=identifier,
            scopes=None if scopes is None else frozenset(scopes),
            token_lifetime=token_lifetime,
            token_dialect=token_dialect,
            skip_consent=skip_consent,
            proof_of_possession=proof_of_possession,
        )
        self._state.apis.add(api)
        return api

    def action(self, subject_token_type: str, *, secrets: Mapping[str, str] | None = None) -> Callable[[F], F]:
        """Decorate the Action of a Custom Token Exchange profile: a function of ``event`` and ``api``.

        Args:
            subject_token_type: The profile's type: a URI of 8 to 100 characters that begins with ``https://`` or
                ``urn:``, out of the namespaces that Auth0 reserves; another one is taken with a warning in the log.
                The Action registered last for a type holds.
            secrets: What the Action sees as ``event.secrets``.

        Raises:
            ValueError: A secret is too long, or the tenant is strict and Auth0 would refuse the type.
        """
        check_profile_type(subject_token_type, strict=self._state.strict)
        checked = check_secrets(secrets)

        def register(function: F) -> F:
            self._add_profile(subject_token_type, Action(PythonCode(function), checked))
            return function

        return register

    def action_file(
        self, subject_token_type: str, path: str | os.PathLike[str], *, secrets: Mapping[str, str] | None = None
    ) -> None:
        """Register a JavaScript file as the Action of a Custom Token Exchange profile, as it is deployed to Auth0.

        The file is CommonJS and exports an async function ``onExecuteCustomTokenExchange``. It runs in Node.js, with
        the packages that are installed beside it. A change of the file is taken up by the next exchange.

        Args:
            subject_token_type: The profile's type, as for `action`.
            path: The file.
            secrets: What the Action sees as ``event.secrets``.

        Raises:
            ConfigurationError: Node.js 18 or newer was not found.
            FileNotFoundError: The file does not exist.
            ValueError: As for `action`.
        """
        check_profile_type(subject_token_type, strict=self._state.strict)
        methods = tuple(method_names(ActionApi(Commands(), self._state.actions.cache(TRIGGER))))
        code = self._javascript(path, "onExecuteCustomTokenExchange", methods)
        self._add_profile(subject_token_type, Action(code, check_secrets(secrets)))

    def _add_profile(self, subject_token_type: str, action: Action) -> None:
        replaced = self._state.actions.profiles.get(subject_token_type)
        self._state.actions.profiles[subject_token_type] = action
        if replaced is not None:
            replaced.code.close()

    def _javascript(self, path: str | os.PathLike[str], handler: str, methods: Sequence[str]) -> JavaScriptCode:
        file = Path(path).absolute()
        if not file.is_file():
            raise FileNotFoundError(f"the Action's file does not exist: {file}")
        actions = self._state.actions
        find_node(actions.node)
        return JavaScriptCode(file, handler, methods, lambda: actions.node)

    def accept(
        self,
        subject_token_type: str,
        user_id: str,
        *,
        actor: Mapping[str, Any] | None = None,
    ) -> None:
        """Register an Action that takes every subject token for the same user's.

        Args:
            subject_token_type: The profile's type, as for `action`.
            user_id: The user, who is added when there is none.
            actor: Who acts for the user, or None.
        """
        if user_id not in self._state.users:
            self.add_user(user_id)

        def exchange(_event: Any, api: Any) -> None:
            api.authentication.set_user_by_id(user_id)
            if actor is not None:
                api.authentication.set_actor(actor)

        self.action(subject_token_type)(exchange)


def check_host_name(domain: str) -> None:
    """Raise a `ValueError` for anything but a host name."""
    if not domain or set(domain) & set("/@?# "):
        raise ValueError(f"domain must be a host name, not {domain!r}")
