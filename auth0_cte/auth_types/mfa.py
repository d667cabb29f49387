"""What Auth0 tells about second factors; importable from ``auth0_cte.auth_types``, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Required, TypedDict

from attrs import field, frozen

from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from auth0_cte.auth_types.exchange import ForwardedFor

__all__ = [
    "MfaAuthenticator",
    "MfaChallenge",
    "MfaChallengeOptions",
    "MfaDeleteOptions",
    "MfaEnrollment",
    "MfaEnrollOptions",
    "MfaListOptions",
    "MfaVerifyOptions",
]


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


@frozen(kw_only=True)
class MfaEnrollment:
    """A factor whose enrolment has begun (Auth0, ``POST /mfa/associate``); the first right code confirms it.

    Args:
        authenticator_type: ``otp`` for an authenticator application, ``oob`` for codes and push messages.
        secret: The secret to type into the application, where it cannot read the QR code; or None.
        barcode_uri: What its QR code says (``otpauth://…``); None where there is none.
        oob_channel: How codes are sent: ``sms``, ``voice``, ``email`` or ``auth0`` (push); or None.
        oob_code: What names the code or message that was sent; to be given back with it, or None.
        binding_method: ``prompt`` when the user must type the code that was sent; None for push.
        recovery_codes: What the user logs in with should the factor be lost: shown once, with the first factor.
        id: The authenticator's identifier, or None.
    """

    authenticator_type: str
    secret: str | None = field(default=None, repr=False)
    barcode_uri: str | None = field(default=None, repr=False)
    oob_channel: str | None = None
    oob_code: str | None = field(default=None, repr=False)
    binding_method: str | None = None
    recovery_codes: tuple[str, ...] = field(default=(), repr=False)
    id: str | None = None

    def qr_svg(self, *, scale: int = 4) -> str:
        """Return the QR code of ``barcode_uri`` as an SVG image, for the page that shows it. Needs the extra ``cli``.

        Args:
            scale: The width of a module, in pixels.

        Raises:
            ConfigurationError: The enrolment has no ``barcode_uri``, or `segno` must be installed.
        """
        if self.barcode_uri is None:
            raise ConfigurationError("this enrolment has no QR code: a code is sent instead")
        try:
            import segno
        except ModuleNotFoundError as error:
            raise ConfigurationError("qr_svg() needs segno: pip install 'auth0-cte[cli]'") from error
        svg: str = segno.make(self.barcode_uri, micro=False).svg_inline(scale=scale, omitsize=True, light="#fff")
        return svg


class MfaListOptions(TypedDict, total=False):
    """The options of `MfaClient.list_authenticators`."""

    mfa_token: Required[str]
    forwarded_for: ForwardedFor


class MfaEnrollOptions(TypedDict, total=False):
    """The options of `MfaClient.enroll_authenticator`."""

    mfa_token: Required[str]
    factor_type: Required[str]
    phone_number: str | None
    email: str | None
    forwarded_for: ForwardedFor


class MfaDeleteOptions(TypedDict, total=False):
    """The options of `MfaClient.delete_authenticator`."""

    access_token: Required[str]
    authenticator_id: Required[str]
    forwarded_for: ForwardedFor


class MfaChallengeOptions(TypedDict, total=False):
    """The options of `MfaClient.challenge_authenticator`."""

    mfa_token: Required[str]
    factor_type: str | None
    authenticator_id: str | None
    challenge_type: str | None
    forwarded_for: ForwardedFor


class MfaVerifyOptions(TypedDict, total=False):
    """The options of `MfaClient.verify`."""

    mfa_token: Required[str]
    otp: str | None
    oob_code: str | None
    binding_code: str | None
    recovery_code: str | None
    forwarded_for: ForwardedFor
