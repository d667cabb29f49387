"""What Auth0 tells about second factors; importable from ``auth0_cte.auth_types``, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Required, TypedDict

from attrs import field, frozen

if TYPE_CHECKING:
    from auth0_cte.auth_types.exchange import ForwardedFor

__all__ = ["MfaAuthenticator", "MfaChallenge", "MfaChallengeOptions", "MfaListOptions", "MfaVerifyOptions"]


@frozen(kw_only=True)
class MfaAuthenticator:
    """A factor that a user has enrolled (Auth0, ``GET /mfa/authenticators``).

    Args:
        id: Its identifier, to challenge it by.
        authenticator_type: ``otp``, ``oob`` or ``recovery-code``.
        active: Whether it can be used.
        oob_channel: How codes are sent: ``sms``, ``voice``, ``email`` or ``auth0`` (push); None for other types.
        name: What to show the user, e.g. a masked telephone number; or None.
    """

    id: str
    authenticator_type: str
    active: bool = True
    oob_channel: str | None = None
    name: str | None = None


@frozen(kw_only=True)
class MfaChallenge:
    """A challenge that was sent (Auth0, ``POST /mfa/challenge``).

    Args:
        challenge_type: ``otp``: ask the user for the password that the authenticator application shows; ``oob``: for
            the code that was sent, or for the answer to a push message.
        oob_code: What names an ``oob`` challenge to `complete_mfa`; a secret.
        binding_method: ``prompt`` when the user must type the code that was sent (``binding_code``); None for push.
    """

    challenge_type: str
    oob_code: str | None = field(default=None, repr=False)
    binding_method: str | None = None


class MfaListOptions(TypedDict):
    """The options of `MfaClient.list_authenticators`."""

    mfa_token: str


class MfaChallengeOptions(TypedDict, total=False):
    """The options of `MfaClient.challenge_authenticator`."""

    mfa_token: Required[str]
    factor_type: str | None
    authenticator_id: str | None
    challenge_type: str | None


class MfaVerifyOptions(TypedDict, total=False):
    """The options of `MfaClient.verify`."""

    mfa_token: Required[str]
    otp: str | None
    oob_code: str | None
    binding_code: str | None
    recovery_code: str | None
    forwarded_for: ForwardedFor
