"""Requests and replies as the tenant sees them, whichever way they travel."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from attrs import Factory, evolve, field, frozen

from auth0_cte.foundation.strict_json import loads_object

if TYPE_CHECKING:
    import threading

__all__ = ["Fault", "Form", "Headers", "RefusalError", "Reply", "Stream", "TenantRequest", "json_reply"]

Form: TypeAlias = Mapping[str, str | list[str]]
"""Parameters by name: a string, or a list of strings for a name that came more than once."""

Fault: TypeAlias = Literal["close", "half_body", "reset"]
"""How a connection breaks: closed without a reply, cut in the middle of the body, reset without a reply."""


class Headers(Mapping[str, str]):
    """Header fields whose names match in any case; repeated ones are joined by a comma (RFC 9110 section 5.3)."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, str] = {}
        for name, value in fields:
            key = name.lower()
            self._fields[key] = f"{self._fields[key]}, {value}" if key in self._fields else value

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        # Values may be credentials.
        return f"<Headers {', '.join(self._fields)}>"


@frozen(kw_only=True)
class TenantRequest:
    """A request that arrived.

    Args:
        method: The HTTP method, e.g. ``"POST"``.
        path: The path, without the query.
        base_url: Scheme and host as the client addressed them, without a trailing slash.
        ip: The address of the connection's other end.
        date: When it arrived, in Unix seconds by the tenant's clock.
        headers: The header fields; names match in any case.
        query: What follows the ``?``, undecoded.
        body: The body as text.
        client_certificate: The certificate (DER) that the client presented in the TLS handshake, or None.
        form: The body's parameters, out of a form or a JSON object; Auth0's token endpoint takes either.
    """

    method: str
    path: str
    base_url: str
    ip: str
    date: float
    headers: Headers = field(factory=Headers)
    query: str = field(default="", repr=False)
    body: str = field(default="", repr=False)
    client_certificate: bytes | None = field(default=None, repr=False)
    form: Form = field(repr=False, init=False, default=Factory(lambda self: _read_form(self), takes_self=True))

    @property
    def issuer(self) -> str:
        """The issuer identifier at the address that the client used; Auth0's end with a slash."""
        return f"{self.base_url}/"

    @property
    def hostname(self) -> str:
        """The host name that the client addressed."""
        return urlsplit(self.base_url).hostname or ""

    def one(self, name: str) -> str | None:
        """Return a parameter that may come once; None when it is absent or empty (RFC 6749 section 3.2).

        Raises:
            RefusalError: It came more than once.
        """
        value = self.form.get(name)
        if isinstance(value, list):
            raise RefusalError(400, "invalid_request", f"Duplicate parameter: {name}")
        return value or None

    def many(self, name: str) -> list[str]:
        """Return a parameter that may come any number of times."""
        value = self.form.get(name, [])
        return value if isinstance(value, list) else [value]

    def required(self, name: str) -> str:
        """Return a parameter that must come once.

        Raises:
            RefusalError: It did not.
        """
        value = self.one(name)
        if value is None:
            raise RefusalError(400, "invalid_request", f"Missing required parameter: {name}")
        return value


def _read_form(request: TenantRequest) -> Form:
    if "json" in request.headers.get("content-type", ""):
        return _json_form(request.body)
    return _collect(parse_qsl(request.body, keep_blank_values=True))


def _json_form(body: str) -> Form:
    try:
        members = loads_object(body)
    except ValueError:
        return {}
    pairs = [
        (name, each) for name, value in members.items() for each in (value if isinstance(value, list) else [value])
    ]
    return _collect((name, value if isinstance(value, str) else json.dumps(value)) for name, value in pairs)


def _collect(pairs: Iterable[tuple[str, str]]) -> Form:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: each if len(each) > 1 else each[0] for name, each in values.items()}


@frozen(kw_only=True)
class Reply:
    """A reply, and what becomes of it on its way.

    Args:
        status: The HTTP status.
        headers: The header fields.
        body: The body's bytes.
        delay: Seconds that pass before the reply is sent.
        fault: How the connection breaks, or None.
    """

    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = field(default=b"", repr=False)
    delay: float = 0.0
    fault: Fault | None = None

    @property
    def reason(self) -> str:
        """The phrase that goes with the status; empty for a status that nobody registered."""
        return next((known.phrase for known in HTTPStatus if known == self.status), "")

    def with_headers(self, headers: Mapping[str, str]) -> Reply:
        """Return the reply with further header fields; those that it has already stay."""
        present = {name.lower() for name in self.headers}
        added = {name: value for name, value in headers.items() if name.lower() not in present}
        return evolve(self, headers={**added, **self.headers})


@frozen(kw_only=True)
class Stream:
    """A reply whose body comes piece by piece, until the client or the server closes the connection.

    Args:
        headers: The header fields.
        chunks: Returns the pieces; its argument is set when the server closes.
    """

    headers: Mapping[str, str]
    chunks: Callable[[threading.Event], Iterator[bytes]]

    def with_headers(self, headers: Mapping[str, str]) -> Stream:
        """Return the stream with further header fields."""
        return evolve(self, headers={**headers, **self.headers})


def json_reply(payload: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Make a reply with a JSON object as its body."""
    return Reply(
        status=status,
        headers={"content-type": "application/json", **(headers or {})},
        body=json.dumps(payload).encode(),
    )


class RefusalError(Exception):
    """The tenant refuses a request; it becomes an OAuth error reply (RFC 6749 section 5.2) and a log entry.

    Args:
        status: The HTTP status.
        error: The OAuth error code.
        description: What the client is told.
        detail: What the tenant log tells beyond that; the description when absent.
        headers: Header fields of the reply.
        user_id: The user, as far as one was found.
        members: Members of the reply's JSON object beside ``error`` and ``error_description``.
        details: What the tenant log tells besides, such as where an Action failed.
        log_type: The type of the log entry, where it is a special one.
        further_logs: The types of further entries, written before that.
    """

    def __init__(
        self,
        status: int,
        error: str,
        description: str,
        *,
        detail: str | None = None,
        headers: Mapping[str, str] | None = None,
        user_id: str | None = None,
        members: Mapping[str, Any] | None = None,
        details: Mapping[str, Any] | None = None,
        log_type: str | None = None,
        further_logs: tuple[str, ...] = (),
    ) -> None:
        super().__init__(description)
        self.status: int = status
        self.error: str = error
        self.description: str = description
        self.detail: str = detail or description
        self.headers: Mapping[str, str] = headers or {}
        self.members: Mapping[str, Any] = members or {}
        self.user_id: str | None = user_id
        self.details: Mapping[str, Any] = details or {}
        self.log_type: str | None = log_type
        self.further_logs: tuple[str, ...] = further_logs

    def reply(self) -> Reply:
        """Make the error reply."""
        payload = {"error": self.error, "error_description": self.description, **self.members}
        return json_reply(payload, status=self.status, headers=self.headers)
