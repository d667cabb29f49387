"""Certificates of applications, as they are registered."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["is_issued_by", "read_certificates", "subject_of"]

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def read_certificates(certificates: Iterable[str | os.PathLike[str]]) -> tuple[bytes, ...]:
    """Read certificates, each PEM or the path of a PEM file.

    Returns:
        Their DER bytes.

    Raises:
        ValueError: The text or file does not hold a certificate.
    """
    return tuple(ssl.PEM_cert_to_DER_cert(_pem(each)) for each in certificates)


def _pem(certificate: str | os.PathLike[str]) -> str:
    given = isinstance(certificate, str) and _BEGIN in certificate
    text = str(certificate) if given else Path(certificate).read_text()
    return text[text.index(_BEGIN) : text.index(_END) + len(_END)]


def is_issued_by(certificate: bytes, authority: bytes) -> bool:
    """Tell whether an authority signed a certificate itself; intermediate ones are not known here."""
    try:
        x509.load_der_x509_certificate(certificate).verify_directly_issued_by(x509.load_der_x509_certificate(authority))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def subject_of(certificate: bytes) -> str:
    """Return a certificate's subject as text (RFC 4514): ``CN=client,O=Acme``."""
    return x509.load_der_x509_certificate(certificate).subject.rfc4514_string()
