"""What Auth0 tells about second factors; importable from ``auth0_cte.auth_types``, too."""

from __future__ import annotations

from attrs import field, frozen

__all__ = ["MfaAuthenticator", "MfaChallenge"]


@frozen(kw_only=True)
class MfaAuthenticator:
    """A factor that a user has enrolled (Auth0, ``GET /mfa/authenticators``).

    Args:
        id: Its identifier, to challenge it by.
        authenticator_type: ``otp``, ``oob`` or ``recovery-code``.
        active: Whether it can be used.
        oob_channel: How codes are sent: ``sms``, ``voice``, ``email`` or ``auth0`` (push); None for other types.
        name: What to show the user: a masked telephone number, say; or None.
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
