"""A session cookie: put together from its chunks, unsealed, measured, and read as the application would."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from auth0_cte.error import Auth0CTEError
from auth0_cte.jose import JoseError, Sealer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CookieReport", "inspect_cookies", "read_cookies"]

MAX_CHUNKS: Final = 100
_PAIR: Final = re.compile(r"\s*([^=;\s]+)\s*=\s*\"?([^;\"\s]*)\"?\s*(?:;|\Z|\n)")
_TOKENS: Final = ("id_token", "refresh_token")


@frozen(kw_only=True)
class CookieReport:
    """What was found about a session.

    Args:
        chunks: The cookies that hold it, with their sizes in bytes, names included.
        parts: What it consists of, with the sizes of the parts as JSON.
        state: The session, tokens left out; None when it cannot be unsealed.
        fault: Why it cannot be unsealed, or None.
    """

    chunks: Mapping[str, int]
    parts: Mapping[str, int] = field(factory=dict)
    state: Mapping[str, Any] | None = field(default=None, repr=False)
    fault: str | None = None


def read_cookies(text: str, name: str) -> dict[str, str]:
    """Return the cookies of a ``Cookie`` header, or a bare value as the one cookie.

    Args:
        text: ``Cookie: a=b; c=d``, one ``name=value`` a line, or a value alone.
        name: The session cookie's name, without a number.
    """
    text = re.sub(r"(?i)\A\s*cookie:\s*", "", text)
    if "=" not in text:
        return {f"{name}_0": text.strip()}
    return {found[1]: found[2] for found in _PAIR.finditer(text)}


def inspect_cookies(cookies: Mapping[str, str], name: str, secrets: Sequence[str]) -> CookieReport:
    """Put a session together and unseal it.

    Args:
        cookies: The cookies of a request.
        name: The session cookie's name, without a number and ``__Host-``.
        secrets: The secrets that it may be sealed with.
    """
    chunks = _chunks(cookies, name)
    sizes = {each: len(each) + 1 + len(value) for each, value in chunks.items()}
    if not chunks:
        seen = ", ".join(sorted(cookies)[:10]) or "none"
        return CookieReport(chunks={}, fault=f"cookie {name}_0 is missing; the cookies are: {seen}")
    try:
        state = Sealer(secrets, name).unseal("".join(chunks.values()))
    except (JoseError, Auth0CTEError) as error:
        return CookieReport(chunks=sizes, fault=f"it cannot be unsealed: {error}")
    parts = {part: len(json.dumps(value, separators=(",", ":"))) for part, value in state.items()}
    return CookieReport(chunks=sizes, parts=parts, state=_without_tokens(state))


def _chunks(cookies: Mapping[str, str], name: str) -> dict[str, str]:
    for prefix in ("", "__Host-"):
        found = {}
        for number in range(MAX_CHUNKS):
            chunk = f"{prefix}{name}_{number}"
            if not cookies.get(chunk):
                break
            found[chunk] = cookies[chunk]
        if found:
            return found
    return {}


def _without_tokens(state: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(state)
    for name in _TOKENS:
        if shown.get(name):
            shown[name] = f"({len(shown[name])} characters)"
    sets = shown.get("token_sets")
    if isinstance(sets, list):
        shown["token_sets"] = [_token_set(each) for each in sets]
    for name in shown.keys() - {"user", "token_sets", "domain", "internal", *_TOKENS}:
        shown[name] = f"({len(json.dumps(shown[name]))} characters)"
    return shown


def _token_set(tokens: Any) -> Any:
    if not isinstance(tokens, dict):
        return "(malformed)"
    size = len(str(tokens.get("access_token", "")))
    return {
        **{name: tokens.get(name) for name in ("audience", "scope", "expires_at")},
        "access_token": f"({size} characters)",
    }
