"""URLs: the one place that takes them apart, and what the package asks of them and of host names."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, Self
from urllib.parse import quote, urlsplit

from attrs import frozen

__all__ = ["DEFAULT_PORTS", "Url", "is_loopback", "normalized"]

DEFAULT_PORTS: Final = {"https": 443, "http": 80}

MAX_KEPT: Final = 512
"""Characters of a URL that may be remembered."""
# The standard library's remembers the last 128, whatever their size.
_forgetful_urlsplit: Final = getattr(urlsplit, "__wrapped__", urlsplit)

_FORBIDDEN: Final = frozenset(' "<>\\^`{|}')


@frozen(eq=False, repr=False)
class Url:
    """An absolute http or https URL, taken apart.

    Args:
        scheme: ``https`` or ``http``.
        host: The host name in lower case, or an IP address, without brackets.
        port: The port that is written, or None.
        authority: Host and port as they are written, with user information if there is any.
        path: The path as it is written; may be empty.
        query: What stands behind ``?``, or empty.
        fragment: What stands behind ``#``, or empty.
    """

    scheme: str
    host: str
    port: int | None
    authority: str
    path: str
    query: str
    fragment: str

    @classmethod
    def parse(cls, text: object) -> Self:
        """Take a URL apart.

        Raises:
            ValueError: It is not an absolute http or https URL with a host, or its port is out of range.
        """
        if not isinstance(text, str):
            raise ValueError("a URL must be text")  # noqa: TRY004 - one error for all that is not a URL
        parts = urlsplit(text) if len(text) <= MAX_KEPT else _forgetful_urlsplit(text)
        host, port = parts.hostname, parts.port
        if parts.scheme not in DEFAULT_PORTS or not host:
            raise ValueError("a URL must be an absolute http or https URL")
        if port == 0:
            raise ValueError("a port must be between 1 and 65535")
        return cls(parts.scheme, host, port, parts.netloc, parts.path, parts.query, parts.fragment)

    @classmethod
    def parse_strictly(cls, text: object) -> Self:
        """Take a URL apart that is written as RFC 3986 has it: no other reader can understand it otherwise.

        Raises:
            ValueError: As for `parse`; or it has characters that a URL cannot have, among them spaces, line breaks and
                backslashes, which ``urlsplit`` drops and browsers read as slashes.
        """
        if not isinstance(text, str) or not text.isascii() or not text.isprintable() or _FORBIDDEN & set(text):
            raise ValueError("a URL must consist of the characters that RFC 3986 allows")
        return cls.parse(text)

    @property
    def has_user(self) -> bool:
        """Whether it has user information."""
        return "@" in self.authority

    @property
    def effective_port(self) -> int:
        """The port that is written, or else the scheme's own."""
        return self.port or DEFAULT_PORTS[self.scheme]

    @property
    def origin(self) -> str:
        """Scheme, host and port (RFC 6454), as they are sent: the scheme's own port left out, the host in ASCII.

        Raises:
            ValueError: The host cannot be written in ASCII.
        """
        host = self.host if self.host.isascii() else self.host.encode("idna").decode("ascii")
        host = f"[{host}]" if ":" in host else host
        shown = "" if self.port in (None, DEFAULT_PORTS[self.scheme]) else f":{self.port}"
        return f"{self.scheme}://{host}{shown}"

    @property
    def is_encrypted_or_local(self) -> bool:
        """Whether nobody on the way can read what is sent there: by https, or because it stays on this machine."""
        return self.scheme == "https" or is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine: ``localhost``, 127.0.0.0/8 or ``::1``."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def normalized(url: str) -> str:
    """Return a URL without query and fragment, normalized by RFC 3986 sections 6.2.2 and 6.2.3.

    Args:
        url: An absolute http or https URL.

    Raises:
        ValueError: It is something else.
    """
    # A long one is hardly asked for again, and not kept.
    normalize = _normalized if len(url) <= MAX_KEPT else _normalized.__wrapped__
    return normalize(url)


@lru_cache(maxsize=512)
def _normalized(url: str) -> str:
    parts = Url.parse(url)
    escaped = re.sub(r"%[0-9A-Fa-f]{2}", _normalized_escape, quote(parts.path, safe="/%:@!$&'()*+,;=-._~"))
    return parts.origin + _without_dots(escaped)


def _normalized_escape(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if re.fullmatch(r"[A-Za-z0-9._~-]", character) else match[0].upper()


def _without_dots(path: str) -> str:
    """Remove dot segments as RFC 3986 section 5.2.4 does."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
