"""A certificate authority of a server's own."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ServerCertificate"]


@frozen(kw_only=True)
class ServerCertificate:
    """A server's certificate, and the authority that it is to be trusted by.

    Args:
        context: For connections without client certificates.
        asking: For connections that may have one.
        directory: Holds the authority's certificate, and is removed with the server.
        ca_bundle: The path of the authority's certificate (PEM).
    """

    context: ssl.SSLContext
    asking: ssl.SSLContext
    directory: Path
    ca_bundle: str

    @classmethod
    def make(cls, names: Iterable[str]) -> ServerCertificate:
        """Make an authority and a certificate.

        Args:
            names: The host names and IP addresses of the server.

        Raises:
            ConfigurationError: trustme is not installed.
        """
        try:
            import trustme  # pyright: ignore[reportMissingImports] - comes with an extra
        except ImportError as error:
            raise ConfigurationError("serve(tls=True) needs trustme: pip install 'auth0-cte[testing]'") from error
        authority = trustme.CA()
        certificate = authority.issue_cert(*dict.fromkeys(map(_identity, names)))
        context, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        certificate.configure_cert(asking)
        # Not required, so that a client without one reads why it is refused.
        asking.verify_mode = ssl.CERT_OPTIONAL
        directory = Path(tempfile.mkdtemp(prefix="auth0-cte-"))
        bundle = directory / "ca.pem"
        authority.cert_pem.write_to_path(bundle)
        return cls(context=context, asking=asking, directory=directory, ca_bundle=str(bundle))


def _identity(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()
