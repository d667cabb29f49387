"""How the application proves to the token endpoint who it is: values that are applied to a request."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote_plus

from attrs import field, frozen

from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from attrs import Attribute

    from auth0_cte.oauth.issuer import Issuer

__all__ = [
    "ClientAuth",
    "ClientSecretBasic",
    "ClientSecretPost",
    "Form",
    "PublicClient",
]

Form = list[tuple[str, str]]
"""The parameters of a token request, in order; a name may repeat."""


class ClientAuth(Protocol):
    """A method of client authentication; applied anew to every attempt, so that it can sign each."""

    def apply(self, client_id: str, issuer: Issuer, form: Form, headers: dict[str, str]) -> None:
        """Add the authentication to a request.

        Args:
            client_id: The application's client id; the form has it already.
            issuer: The server that the request goes to.
            form: The request's parameters, to be added to.
            headers: The request's headers, to be added to.
        """


def _require_secret(_instance: object, _attribute: Attribute[str], value: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError("client_secret must be a string that is not blank")


@frozen(eq=False)
class ClientSecretPost:
    """Sends the client secret in the form (RFC 6749 section 2.3.1): Auth0's default.

    Args:
        client_secret: The application's secret.
    """

    client_secret: str = field(repr=False, validator=_require_secret)

    def apply(self, client_id: str, issuer: Issuer, form: Form, headers: dict[str, str]) -> None:  # noqa: ARG002
        """Add ``client_secret`` to the form."""
        form.append(("client_secret", self.client_secret))


@frozen(eq=False)
class ClientSecretBasic:
    """Sends id and secret by HTTP Basic, each form-encoded first (RFC 6749 section 2.3.1).

    Args:
        client_secret: The application's secret.
    """

    client_secret: str = field(repr=False, validator=_require_secret)

    def apply(self, client_id: str, issuer: Issuer, form: Form, headers: dict[str, str]) -> None:  # noqa: ARG002
        """Add an ``Authorization`` header."""
        pair = f"{quote_plus(client_id)}:{quote_plus(self.client_secret)}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")


@frozen(eq=False)
class PublicClient:
    """Sends no proof: for applications whose authentication method is "none"."""

    def apply(self, client_id: str, issuer: Issuer, form: Form, headers: dict[str, str]) -> None:
        """Add nothing."""
