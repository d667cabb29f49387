"""The ``api`` object of a Post-Login Action, after an exchange or a refresh.

Source: Auth0, "Actions Triggers: post-login - API Object" and "Create Custom Claims". The calls only take notes, in
`PostLoginCommands`; the tenant acts on them once all Actions have run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.testing.actions.api import CacheApi, TransactionApi, UserApi
from auth0_cte.testing.actions.limits import ActionLimitError, plain, text
from auth0_cte.testing.actions.memberships import GroupsApi, RolesApi
from auth0_cte.testing.actions.records import CamelCase
from auth0_cte.testing.actions.refresh_token import RefreshTokenApi
from auth0_cte.testing.actions.without_browser import (
    AuthenticationApi,
    PromptApi,
    RedirectApi,
    RulesApi,
    SamlResponseApi,
    SessionApi,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auth0_cte.testing.actions.cache import ActionCache
    from auth0_cte.testing.actions.post_login_commands import PostLoginCommands

__all__ = ["TRIGGER", "PostLoginApi"]

TRIGGER: Final = "post-login"
MAX_CLAIMS_BYTES: Final = 100 * 1024
MAX_SCOPE: Final = 280
MAX_SCOPES: Final = 1000

RESERVED_CLAIMS: Final = frozenset(
    (
        *(
            "acr",
            "act",
            "active",
            "amr",
            "at_hash",
            "ath",
            "attest",
            "aud",
            "auth_time",
            "authorization_details",
            "azp",
        ),
        *("c_hash", "client_id", "cnf", "cty", "dest", "entitlements", "events", "exp", "groups", "gty", "htm", "htu"),
        *("iat", "internal", "iss", "jcard", "jku", "jti", "jwe", "jwk", "kid", "may_act", "mky", "nbf", "nonce"),
        *("object", "org_id", "org_name", "orig", "origid", "permissions", "roles", "rph", "s_hash", "sid"),
        *("sip_callid", "sip_cseq_num", "sip_date", "sip_from_tag", "sip_via_branch", "sub", "sub_jwk", "toe", "txn"),
        *("typ", "uuid", "vot", "vtm", "x5t#S256"),
    )
)
"""Claims that ``setCustomClaim`` ignores without a word."""


class _AccessApi(CamelCase):
    def __init__(self, commands: PostLoginCommands) -> None:
        self._commands = commands

    def deny(self, reason: str | None = None) -> None:
        """Refuse the tokens; Actions that come later do not run, and metadata is written all the same."""
        self._commands.denial = text("reason", reason, 1, 4096)


class _IdTokenApi(CamelCase):
    def __init__(self, claims: dict[str, Any]) -> None:
        self._claims = claims

    def set_custom_claim(self, key: str | None = None, value: Any = None) -> None:
        """Set a claim; those that the token has of its own are left alone without a word. None removes it."""
        name = text("key", key, 1, 1024)
        if name == "scope":
            raise ActionLimitError("scope cannot be set as a claim; use addScope and removeScope")
        if name in RESERVED_CLAIMS:
            return
        claims = {**self._claims, name: plain("value", value)}
        if len(json.dumps(claims)) > MAX_CLAIMS_BYTES:
            raise ActionLimitError(f"custom claims must have at most {MAX_CLAIMS_BYTES} bytes")
        self._claims.update(claims)


class _AccessTokenApi(_IdTokenApi):
    def __init__(self, commands: PostLoginCommands) -> None:
        super().__init__(commands.access_claims)
        self._commands = commands

    def add_scope(self, scope: str | None = None) -> None:
        """Grant a scope, whether it was requested, and whether the API defines it, or not."""
        added = [*self._commands.added_scopes, _scope(scope)]
        if len(added) > MAX_SCOPES:
            raise ActionLimitError(f"at most {MAX_SCOPES} scopes can be added")
        self._commands.added_scopes[:] = added
        self._commands.removed_scopes.discard(added[-1])

    def remove_scope(self, scope: str | None = None) -> None:
        """Do not grant a scope."""
        removed = _scope(scope)
        self._commands.removed_scopes.add(removed)
        self._commands.added_scopes[:] = [each for each in self._commands.added_scopes if each != removed]


def _scope(value: object) -> str:
    scope = text("scope", value, 1, MAX_SCOPE)
    if scope.split() != [scope]:
        raise ActionLimitError("scope must not contain blanks")
    return scope


class _MultifactorApi(CamelCase):
    def __init__(self, commands: PostLoginCommands) -> None:
        self._commands = commands

    def enable(self, provider: str | None = None, options: Any = None) -> None:  # noqa: ARG002 - any factor will do
        """Ask for a second factor: the request ends with ``mfa_required``."""
        text("provider", provider, 1, 1024)
        self._commands.multifactor = True


class _ValidationApi(CamelCase):
    def __init__(self, commands: PostLoginCommands) -> None:
        self._commands = commands

    def error(self, error_code: str | None = None, error_message: str | None = None) -> None:
        """Refuse the tokens, as ``api.access.deny`` does with the message."""
        text("errorCode", error_code, 1, 1024)
        self._commands.denial = text("errorMessage", error_message, 1, 4096)


class PostLoginApi(CamelCase):
    """The ``api`` object of a Post-Login Action.

    Attributes:
        access: Refuse the tokens.
        access_token: Change claims and scopes of the access token.
        id_token: Change claims of the ID token.
        multifactor: Ask for a second factor.
        authentication: Choose the primary user; challenges and enrolments fail the request.
        redirect: Fails the request.
        prompt: Fails the request.
        session: Changes nothing: a token request has no session.
        saml_response: Changes nothing.
        rules: Tells that no Rule ran.
        validation: Refuse the tokens.
        refresh_token: Change the refresh token of the request.
        user: Set metadata of the user.
        cache: Keep strings from one request to the next.
        transaction: Leave values for the Actions that come later.
        groups: Ask for the user's groups.
        roles: Ask for the user's roles.

    Args:
        commands: Where the calls are noted.
        cache: The cache of the trigger.
        groups: The user's groups, with ``id`` and ``name``.
        roles: The user's roles, with ``id`` and ``name``.
    """

    def __init__(
        self,
        commands: PostLoginCommands,
        cache: ActionCache,
        *,
        groups: Sequence[Mapping[str, Any]] = (),
        roles: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.access: _AccessApi = _AccessApi(commands)
        self.access_token: _AccessTokenApi = _AccessTokenApi(commands)
        self.id_token: _IdTokenApi = _IdTokenApi(commands.id_claims)
        self.multifactor: _MultifactorApi = _MultifactorApi(commands)
        self.authentication: AuthenticationApi = AuthenticationApi(commands)
        self.redirect: RedirectApi = RedirectApi(commands)
        self.prompt: PromptApi = PromptApi(commands)
        self.session: SessionApi = SessionApi(commands)
        self.saml_response: SamlResponseApi = SamlResponseApi()
        self.rules: RulesApi = RulesApi()
        self.validation: _ValidationApi = _ValidationApi(commands)
        self.refresh_token: RefreshTokenApi = RefreshTokenApi(commands.refresh_token, self.access.deny)
        self.user: UserApi = UserApi(commands)
        self.cache: CacheApi = CacheApi(cache)
        self.transaction: TransactionApi = TransactionApi(commands.transaction_metadata)
        self.groups: GroupsApi = GroupsApi(groups)
        self.roles: RolesApi = RolesApi(roles)
