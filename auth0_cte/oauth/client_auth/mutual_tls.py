"""Client authentication by a TLS certificate (RFC 8705)."""

from __future__ import annotations

import hashlib
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.boundary import guarded

if TYPE_CHECKING:
    from auth0_cte.oauth.client_auth.base import Form
    from auth0_cte.oauth.issuer import Issuer

__all__ = ["MutualTls", "fingerprint_of"]

FilePath: TypeAlias = "str | os.PathLike[str]"


class MutualTls:
    """Presents a client certificate in the TLS handshake: of an authority, or self-signed; no secret travels.

    Requests for tokens go to the server's ``mtls_endpoint_aliases`` where it has them. The certificate is presented to
    whichever of the issuer's hosts asks for one. The files are read when the client is made: after a renewal make a
    new one.

    Args:
        certificate: A PEM file of the certificate, and of those between it and the authority's; None when an
            ``ssl_context`` or ``session`` that the client is given has a certificate already.
        key: A PEM file of its private key; in ``certificate`` when None.
        password: The key's password.

    Attributes:
        certificate: The file of the certificate, or None.
        fingerprint: The SHA-256 of that file's content when it was read, or empty.

    Raises:
        ConfigurationError: The files cannot be read, or do not belong together.
    """

    @guarded()
    def __init__(
        self, certificate: FilePath | None = None, key: FilePath | None = None, password: str | None = None
    ) -> None:
        _check_path("certificate", certificate)
        _check_path("key", key)
        if password is not None and not isinstance(password, str):
            raise ConfigurationError("password must be text")
        if certificate is None and (key is not None or password is not None):
            raise ConfigurationError("key or password is given without certificate")
        self.certificate: FilePath | None = certificate
        self._key, self._password = key, password
        self.fingerprint: str = "" if certificate is None else fingerprint_of(certificate)
        if certificate is not None:
            self.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self, 'certificate', None)!r})"

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have connections of a context present the certificate.

        Raises:
            ConfigurationError: The files cannot be read, or do not belong together.
        """
        names = " and ".join(os.fspath(each) for each in (self.certificate, self._key) if each is not None)
        fault = "a certificate or a key is missing, or malformed"

        def give_password() -> str:
            nonlocal fault
            fault = "the key is encrypted; give its password" if self._password is None else "the password is wrong"
            return self._password or ""

        try:
            # A function, because without one OpenSSL would ask at the terminal.
            context.load_cert_chain(str(self.certificate), self._key, password=give_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                fault = "the key is another certificate's"
            raise ConfigurationError(f"the client certificate cannot be used ({names}): {fault}") from None
        except (OSError, ValueError) as error:  # the latter for a password that is too long, or a path with a NUL
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(f"the client certificate cannot be read ({names}): {reason}") from None

    def apply(self, client_id: str, issuer: Issuer, form: Form, headers: dict[str, str]) -> None:  # noqa: ARG002
        """Add nothing: the form has the ``client_id``, and the connection the proof.

        Raises:
            ConfigurationError: The server is reached by plain http, which has no certificates.
        """
        if not issuer.issuer.startswith("https://"):
            raise ConfigurationError("a client certificate needs https, but domain is a plain http one")


def fingerprint_of(certificate: str | bytes | os.PathLike[str]) -> str:
    """Return the SHA-256 of what a certificate's file holds, in hexadecimal digits.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    try:
        return hashlib.sha256(Path(os.fsdecode(certificate)).read_bytes()).hexdigest()
    except (OSError, ValueError) as error:  # the latter for a path with a NUL
        reason = getattr(error, "strerror", None) or error
        shown = os.fsdecode(certificate)
        raise ConfigurationError(f"the client certificate cannot be read ({shown}): {reason}") from None


def _check_path(name: str, path: object) -> None:
    if path is not None and not isinstance(path, str | os.PathLike):
        raise ConfigurationError(f"{name} is the path of a PEM file")
    # A path is shown in messages; a key must not be.
    if isinstance(path, str) and "-----BEGIN" in path:
        raise ConfigurationError(f"{name} is the path of a PEM file, not what is in it")
