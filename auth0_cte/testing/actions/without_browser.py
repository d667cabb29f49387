"""What a Post-Login Action calls for a browser, which a token request has not.

Some calls fail the request, as at Auth0; those that would shape a session or a SAML response change nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.testing.actions.limits import ActionLimitError, text
from auth0_cte.testing.actions.records import CamelCase

if TYPE_CHECKING:
    from auth0_cte.testing.actions.post_login_commands import PostLoginCommands

__all__ = ["AuthenticationApi", "PromptApi", "RedirectApi", "RulesApi", "SamlResponseApi", "SessionApi"]

logger: Final = logging.getLogger("auth0_cte.testing")

MAX_PRIMARY_USER: Final = 128


class _Unsupported(CamelCase):
    def __init__(self, commands: PostLoginCommands) -> None:
        self._commands = commands

    def _refuse(self, name: str) -> None:
        # Not thrown: an Action that catches it does not rescue the request.
        self._commands.unsupported = self._commands.unsupported or name


class AuthenticationApi(_Unsupported):
    """``api.authentication``."""

    def set_primary_user(self, user_id: str | None = None) -> None:
        """Issue the tokens for another user, whom the Action has linked; once in a request.

        Args:
            user_id: The user id, 1 to 128 characters.
        """
        if self._commands.primary_user is not None:
            raise ActionLimitError("setPrimaryUser can be called once")
        self._commands.primary_user = text("user_id", user_id, 1, MAX_PRIMARY_USER)

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

    def record_method(self, provider_url: Any = None) -> None:  # noqa: ARG002
        """Fail the request: that is for the way back from a redirect."""
        self._refuse("authentication.recordMethod")


class RedirectApi(_Unsupported):
    """``api.redirect``."""

    def can_redirect(self) -> bool:
        """Tell that the request has no browser to redirect."""
        return False

    def send_user_to(self, url: Any = None, options: Any = None) -> None:  # noqa: ARG002
        """Fail the request, likewise."""
        self._refuse("redirect.sendUserTo")

    def encode_token(self, options: Any = None) -> None:  # noqa: ARG002
        """Fail the request, likewise."""
        self._refuse("redirect.encodeToken")

    def validate_token(self, options: Any = None) -> None:  # noqa: ARG002
        """Fail the request: that is for the way back from a redirect."""
        self._refuse("redirect.validateToken")


class PromptApi(_Unsupported):
    """``api.prompt``."""

    def render(self, prompt: Any = None, options: Any = None) -> None:  # noqa: ARG002
        """Fail the request, which has no browser to show a form in."""
        self._refuse("prompt.render")


class RulesApi(CamelCase):
    """``api.rules``."""

    def was_executed(self, rule_id: str | None = None) -> bool:
        """Tell that a Rule did not run: there are none here."""
        text("ruleId", rule_id, 1, 1024)
        return False


class SessionApi(CamelCase):
    """``api.session``: a token request has no session, ``event.session`` is absent."""

    def __init__(self, commands: PostLoginCommands) -> None:
        self._commands = commands

    def revoke(self, reason: str | None = None, options: Any = None) -> None:  # noqa: ARG002
        """Refuse the tokens, as ``api.access.deny`` does."""
        self._commands.denial = text("reason", reason, 1, 4096)

    def set_expires_at(self, absolute: Any = None) -> None:  # noqa: ARG002
        """Change nothing, with a warning in the log."""
        _warn("setExpiresAt")

    def set_idle_expires_at(self, inactivity: Any = None) -> None:  # noqa: ARG002
        """Change nothing, likewise."""
        _warn("setIdleExpiresAt")

    def set_cookie_mode(self, mode: Any = None) -> None:  # noqa: ARG002
        """Change nothing, likewise."""
        _warn("setCookieMode")

    def set_metadata(self, key: Any = None, value: Any = None) -> None:  # noqa: ARG002
        """Change nothing, likewise."""
        _warn("setMetadata")

    def delete_metadata(self, key: Any = None) -> None:  # noqa: ARG002
        """Change nothing, likewise."""
        _warn("deleteMetadata")

    def evict_metadata(self) -> None:
        """Change nothing, likewise."""
        _warn("evictMetadata")


def _warn(name: str) -> None:
    logger.warning("api.session.%s changes nothing: a token request has no session", name)


class SamlResponseApi(CamelCase):
    """``api.samlResponse``: a token request has no SAML response, so that the calls change nothing."""


def _ignored(_self: SamlResponseApi, *_values: Any) -> None:
    """Change nothing."""


for _name in (
    *("attribute", "audience", "recipient", "create_upn_claim", "passthrough_claims_with_no_mapping"),
    *("map_unknown_claims_as_is", "map_identities", "signature_algorithm", "digest_algorithm", "destination"),
    *("lifetime_in_seconds", "sign_response", "name_identifier_format", "name_identifier_probes"),
    *("authn_context_class_ref", "signing_cert", "include_attribute_name_format", "typed_attributes"),
    *("encryption_cert", "encryption_public_key", "cert", "key", "relay_state", "issuer", "encryption_algorithm"),
):
    setattr(SamlResponseApi, f"set_{_name}", _ignored)
