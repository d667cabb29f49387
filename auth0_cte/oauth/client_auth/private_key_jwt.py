"""Client authentication by a signed assertion (RFC 7523 section 2.2; OpenID Connect Core 1.0, section 9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from attrs import evolve

from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.boundary import guarded
from auth0_cte.foundation.deadline import system_clock
from auth0_cte.foundation.validation import call_given, is_asynchronous

if TYPE_CHECKING:
    from typing import Self

    from auth0_cte.jose import RemoteSigner, SigningKey
    from auth0_cte.oauth.client_auth.base import Form
    from auth0_cte.oauth.issuer import Issuer

__all__ = ["AssertionKey", "PrivateKeyJwt", "Signer"]

ALGORITHMS: Final = ("RS256", "RS384", "PS256", "ES256")
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME: Final = 60
"""The longest that Auth0 accepts, in seconds."""

Signer: TypeAlias = Callable[[bytes], bytes]
"""Signs a JWS signing input (ASCII) and returns the raw signature: for keys that stay in a KMS or HSM."""

AssertionKey: TypeAlias = str | bytes | Mapping[str, Any] | Signer
"""A private key: PEM, a JWK as a mapping or JSON text, or a function that signs."""


def _load(key: AssertionKey, alg: str | None, kid: str | None, password: str | None) -> SigningKey | RemoteSigner:
    # Here and not above, because it brings jwcrypto.
    from auth0_cte.jose import JoseError, RemoteSigner, load_signing_key

    _check_names(alg, kid, password)
    if callable(key):
        if alg is None:
            raise ConfigurationError(f"alg must be given with a function that signs: one of {', '.join(ALGORITHMS)}")
        if password is not None:
            raise ConfigurationError("password is for an encrypted PEM, not for a function that signs")
        return RemoteSigner(_guarded(key), alg, kid)
    try:
        own = load_signing_key(key, algorithms=ALGORITHMS, alg=alg, password=password)
    except JoseError as error:
        raise ConfigurationError(f"the key of the client assertion cannot be used: {error}") from None
    return own if kid is None else evolve(own, kid=kid)


def _name_of(key: SigningKey | RemoteSigner) -> str:
    import secrets  # late, because most clients do not sign

    from auth0_cte.jose import SigningKey

    if isinstance(key, SigningKey):
        return f"jkt:{key.thumbprint()}"
    return f"unknown:{secrets.token_hex(16)}" if key.kid is None else f"kid:{key.alg}:{key.kid}"


def _check_names(alg: object, kid: object, password: object) -> None:
    if alg is not None and alg not in ALGORITHMS:
        raise ConfigurationError(f"alg of a client assertion is one of {', '.join(ALGORITHMS)}")
    if kid is not None and not (isinstance(kid, str) and kid):
        raise ConfigurationError(
            "kid must be text that is not empty; copy the key's id from the application's credentials"
        )
    if password is not None and not isinstance(password, str):
        raise ConfigurationError("password must be text")


def _guarded(sign: Signer) -> Signer:
    """Have whatever a function raises come as a `ConfigurationError`, from a frame that holds no token."""
    name = "the function that signs the client assertion"
    if is_asynchronous(sign):
        raise ConfigurationError(f"{name} is asynchronous; give a plain function")
    return partial(call_given, sign, name=name, code="CLIENT_ASSERTION_FAILED")


class PrivateKeyJwt:
    r"""Signs an assertion for each request (private_key_jwt), so that no secret travels.

    The key is parsed and tried out once, here. Every attempt, a retry too, has an assertion of its own: with a new
    ``jti``, good for 60 seconds, for the issuer as its ``aud``. Register the public key with the application in Auth0.

    Args:
        key: The private key: PEM (in which ``\n`` may stand for the ends of lines), a JWK as a mapping or JSON text, or
            a function for a key in a KMS: it is given the signing input as bytes, and returns the raw signature (for
            ES256 the 64 bytes of R and S, RFC 7518 section 3.4; most KMS return DER, which must be converted). It is
            called for each attempt, by the threads of the callers.
        alg: ``RS256``, ``RS384``, ``PS256`` or ``ES256``; for a key the JWK's own, else the first that fits. Must be
            given with a function.
        kid: The key's id at Auth0, which names it when the application has several; a JWK's own when None.
        password: The password of an encrypted PEM.
        clock: The time in Unix seconds; the client's when None.

    Attributes:
        alg: The signature algorithm.
        kid: The key's id, or None.
        key_name: What tells the key from others: the thumbprint of the public half (RFC 7638); of a function that signs
            its ``kid``, and without one a random name, because the key cannot be seen.

    Raises:
        ConfigurationError: The key cannot be read, or does not fit the algorithm; the message does not show it.
    """

    @guarded()
    def __init__(
        self,
        key: AssertionKey,
        alg: str | None = None,
        kid: str | None = None,
        *,
        password: str | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._key, self._clock = _load(key, alg, kid, password), clock
        self.alg: str = self._key.alg
        self.kid: str | None = self._key.kid
        self.key_name: str = _name_of(self._key)

    def __repr__(self) -> str:
        if not hasattr(self, "_key"):  # error trackers call this on a failed constructor's variables
            return f"{type(self).__name__}()"
        return f"PrivateKeyJwt(alg={self.alg!r}, kid={self.kid!r})"

    def with_clock(self, clock: Callable[[], float]) -> Self:
        """Return the same authentication by a client's clock, unless it has one of its own."""
        if self._clock is not None:
            return self
        other = type(self).__new__(type(self))
        vars(other).update(vars(self) | {"_clock": clock})
        return other

    def __reduce__(self) -> NoReturn:
        raise TypeError("a PrivateKeyJwt cannot be pickled or copied: the key would leave the process")

    def apply(self, client_id: str, issuer: Issuer, form: Form, headers: dict[str, str]) -> None:  # noqa: ARG002
        """Add ``client_assertion`` and its type to the form.

        Raises:
            ConfigurationError: The function that signs returned no signature of its algorithm, or raised an exception,
                which is the ``__cause__`` (``CLIENT_ASSERTION_FAILED``). Nothing has been sent then.
        """
        import secrets

        now = int((self._clock or system_clock)())
        claims = {
            "iss": client_id,
            "sub": client_id,
            # Auth0 compares it exactly, with one slash behind.
            "aud": issuer.issuer.rstrip("/") + "/",
            "iat": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_urlsafe(24),
        }
        form.append(("client_assertion_type", ASSERTION_TYPE))
        form.append(("client_assertion", self._sign(claims)))

    def _sign(self, claims: Mapping[str, Any]) -> str:
        from auth0_cte.jose import JoseError

        try:
            return self._key.sign(claims, header={"typ": "JWT"})
        except JoseError as error:
            raise ConfigurationError(
                f"the client assertion cannot be signed: {error}", code="CLIENT_ASSERTION_FAILED"
            ) from None
