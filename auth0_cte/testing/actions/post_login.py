"""The ``api`` object of a Post-Login Action, after an exchange or a refresh.

Source: Auth0, "Actions Triggers: post-login - API Object" and "Create Custom Claims". The calls only take notes, in
`PostLoginCommands`; the tenant acts on them once all Actions have run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from auth0_cte.testing.actions.api import CacheApi, Commands, TransactionApi, UserApi
from auth0_cte.testing.actions.limits import ActionLimitError, plain, text
from auth0_cte.testing.actions.records import CamelCase

if TYPE_CHECKING:
    from auth0_cte.testing.actions.cache import ActionCache

__all__ = ["TRIGGER", "PostLoginApi", "PostLoginCommands"]

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


@define
class PostLoginCommands(Commands):
    """What the Post-Login Actions of one request asked for.

    Args:
        denial: The reason of a denial, after which no Action runs.
        access_claims: Custom claims of the access token.
        id_claims: Custom claims of the ID token.
        added_scopes: Scopes of the access token besides those that were granted.
        removed_scopes: Scopes that are not granted.
        multifactor: Whether a second factor is asked for.
        primary_user: The user id that the tokens are about instead, or None.
        unsupported: What was called that a token request cannot do, or None.
    """

    denial: str | None = None
    access_claims: dict[str, Any] = field(factory=dict)
    id_claims: dict[str, Any] = field(factory=dict)
    added_scopes: list[str] = field(factory=list)
    removed_scopes: set[str] = field(factory=set)
    multifactor: bool = False
    primary_user: str | None = None
    unsupported: str | None = None


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


class _Unsupported(CamelCase):
    def __init__(self, commands: PostLoginCommands) -> None:
        self._commands = commands

    def _refuse(self, name: str) -> None:
        # Not thrown: an Action that catches it does not rescue the request.
        self._commands.unsupported = self._commands.unsupported or name


class _AuthenticationApi(_Unsupported):
    def set_primary_user(self, user_id: str | None = None) -> None:
        """Issue the tokens for another user, whom the Action has linked."""
        self._commands.primary_user = text("user_id", user_id, 1, 512)

    def challenge_with(self, factor: Any = None, options: Any = None) -> None:  # noqa: ARG002
        """Fail the request, which has no browser to challenge in."""
        self._refuse("authentication.challengeWith")

    def challenge_with_any(self, factors: Any = None) -> None:  # noqa: ARG002
        """Fail the request, likewise."""
        self._refuse("authentication.challengeWithAny")

    def enroll_with(self, factor: Any = None, options: Any = None) -> None:  # noqa: ARG002
        """Fail the request, likewise."""
        self._refuse("authentication.enrollWith")

    def enroll_with_any(self, factors: Any = None) -> None:  # noqa: ARG002
        """Fail the request, likewise."""
        self._refuse("authentication.enrollWithAny")


class _RedirectApi(_Unsupported):
    def send_user_to(self, url: Any = None, options: Any = None) -> None:  # noqa: ARG002
        """Fail the request, which has no browser to redirect."""
        self._refuse("redirect.sendUserTo")

    def encode_token(self, options: Any = None) -> None:  # noqa: ARG002
        """Fail the request, likewise."""
        self._refuse("redirect.encodeToken")


class _PromptApi(_Unsupported):
    def render(self, prompt: Any = None, options: Any = None) -> None:  # noqa: ARG002
        """Fail the request, which has no browser to show a form in."""
        self._refuse("prompt.render")


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
        user: Set metadata of the user.
        cache: Keep strings from one request to the next.
        transaction: Leave values for the Actions that come later.
    """

    def __init__(self, commands: PostLoginCommands, cache: ActionCache) -> None:
        self.access: _AccessApi = _AccessApi(commands)
        self.access_token: _AccessTokenApi = _AccessTokenApi(commands)
        self.id_token: _IdTokenApi = _IdTokenApi(commands.id_claims)
        self.multifactor: _MultifactorApi = _MultifactorApi(commands)
        self.authentication: _AuthenticationApi = _AuthenticationApi(commands)
        self.redirect: _RedirectApi = _RedirectApi(commands)
        self.prompt: _PromptApi = _PromptApi(commands)
        self.user: UserApi = UserApi(commands)
        self.cache: CacheApi = CacheApi(cache)
        self.transaction: TransactionApi = TransactionApi(commands.transaction_metadata)
