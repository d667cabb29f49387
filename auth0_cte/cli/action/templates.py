"""The Actions that ``auth0-cte action new`` writes: templates, their parts, and lines that are there on request."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Final, Literal, TypeAlias

from attrs import frozen

__all__ = ["KINDS", "Kind", "Plan", "render"]

Kind: TypeAlias = Literal["jwt", "hmac", "introspect", "legacy-db"]

KINDS: Final[dict[Kind, str]] = {
    "jwt": "a JWT of another issuer, verified with its JWKS",
    "hmac": "a session that the legacy system signed with a shared secret",
    "introspect": "an opaque token, checked by token introspection (RFC 7662)",
    "legacy-db": "a session id, looked up in the legacy system over HTTP",
}
_SECRETS: Final[dict[Kind, tuple[str, ...]]] = {
    "jwt": (),
    "hmac": ("LEGACY_SECRET",),
    "introspect": ("INTROSPECTION_CLIENT_ID", "INTROSPECTION_CLIENT_SECRET"),
    "legacy-db": ("LEGACY_API_KEY",),
}
JOSE_VERSION: Final = "5.10.0"
_MARK: Final = re.compile(r"//#(if|else|endif|include)(?: (\S+))?")


@frozen(kw_only=True)
class Plan:
    """What an Action is written for.

    Args:
        kind: The kind of subject token.
        token_type: The ``subject_token_type`` of the profile.
        by_connection: Whether the user is found or created in a connection; else by the Auth0 user id.
        connection: The connection.
        delegation: Whether an actor takes part.
        issuer: Who must have issued the token.
        jwks_url: Where the issuer's keys are.
        audience: Whom the token must be for.
        url: Where to ask about the token.
    """

    kind: Kind
    token_type: str
    by_connection: bool = True
    connection: str = "legacy"
    delegation: bool = False
    issuer: str = "https://issuer.example.com/"
    jwks_url: str = ""
    audience: str = "https://exchange.example.com"
    url: str = "https://legacy.example.com/"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that the Action reads."""
        return _SECRETS[self.kind]

    @property
    def dependencies(self) -> dict[str, str]:
        """The npm packages that the Action needs, with their versions."""
        return {"jose": JOSE_VERSION} if self.kind == "jwt" else {}


def render(plan: Plan) -> str:
    """Write the Action's JavaScript.

    Args:
        plan: What it is for.
    """
    flags = {
        "replay": plan.kind in ("jwt", "hmac"),
        "by-connection": plan.by_connection,
        "delegation": plan.delegation,
    }
    user_id = "sub" if plan.kind in ("jwt", "introspect") else "user_id"
    values = {
        "@TYPE@": plan.token_type,
        "@USER_ID@": user_id,
        "@ISSUER@": json.dumps(plan.issuer),
        "@JWKS_URL@": json.dumps(plan.jwks_url or f"{plan.issuer.rstrip('/')}/.well-known/jwks.json"),
        "@AUDIENCE@": json.dumps(plan.audience),
        "@CONNECTION@": json.dumps(plan.connection),
        "@URL@": json.dumps(plan.url),
    }
    text = "\n".join(_lines(f"{plan.kind}.js", flags)) + "\n"
    return re.sub("|".join(values), lambda found: values[found[0]], text)


def _lines(name: str, flags: dict[str, bool]) -> list[str]:
    kept: list[str] = []
    shown = [True]
    source = files("auth0_cte.cli.action").joinpath("javascript", name).read_text("utf-8")
    for line in source.splitlines():
        mark = _MARK.fullmatch(line)
        if mark is None:
            if all(shown):
                kept.append(line)
        elif mark[1] == "if":
            shown.append(flags[mark[2]])
        elif mark[1] == "else":
            shown[-1] = not shown[-1]
        elif mark[1] == "endif":
            shown.pop()
        elif all(shown):
            kept += _lines(f"parts/{mark[2]}.js", flags)
    return kept
