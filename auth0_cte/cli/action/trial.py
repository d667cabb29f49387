"""An exchange through an Action's file at a tenant of this process, with all that can be seen of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from auth0_cte.error import Auth0CTEError
from auth0_cte.oauth.retry import RetryPolicy
from auth0_cte.testing import LocalTenant
from auth0_cte.token_types import ID_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from auth0_cte.auth_types import TokenExchangeResponse
    from auth0_cte.testing import ApiCall, LogEntry

__all__ = ["Trial", "declared_type", "try_action"]

MAX_LENGTH: Final = 200
_DECLARED: Final = re.compile(r"subject_token_type:\s*(\S+)")


@frozen(kw_only=True)
class Trial:
    """What came of an exchange.

    Args:
        calls: The calls of ``api`` that the Action made, in order.
        log: The entry of the tenant log, or None when the options were refused before a request was sent.
        response: The tokens, or None.
        error: The failure, or None.
    """

    calls: Sequence[ApiCall]
    log: LogEntry | None
    response: TokenExchangeResponse | None = field(default=None, repr=False)
    error: Auth0CTEError | None = None

    @property
    def console(self) -> str:
        """What the Action printed."""
        return "" if self.log is None else str(self.log.details.get("console", ""))

    @property
    def traceback(self) -> str:
        """Where the Action failed; empty when it did not."""
        return "" if self.log is None else str(self.log.details.get("traceback", ""))

    @property
    def is_broken(self) -> bool:
        """Whether the Action itself failed, rather than say no."""
        refused = {"api.access.deny", "api.access.rejectInvalidSubjectToken"}
        code = None if self.error is None else self.error.code
        return code == "server_error" and not any(call.name in refused and call.error is None for call in self.calls)

    def trace(self) -> list[tuple[str, str]]:
        """Return the calls as text: what was called, and what came of it."""
        return [(f"{call.name}({', '.join(map(_shown, call.arguments))})", _outcome(call)) for call in self.calls]


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}..."


def _outcome(call: ApiCall) -> str:
    if call.error is not None:
        return f"threw: {call.error}"
    return "" if call.result is None else _shown(call.result)


def declared_type(source: str) -> str | None:
    """Return the ``subject_token_type`` that the comment of a file names, or None."""
    found = _DECLARED.search(source)
    return None if found is None else found[1]


def try_action(
    file: Path,
    options: Mapping[str, Any],
    *,
    secrets: Mapping[str, str],
    users: Mapping[str, Mapping[str, Any]],
    actor: str | None = None,
    post_login: Sequence[Path] = (),
    strict: bool = False,
    time_limit: float = 20,
) -> Trial:
    """Exchange a token through an Action's file.

    Args:
        file: The Action.
        options: What to exchange, as for ``custom_token_exchange``.
        secrets: What the Action sees as ``event.secrets``.
        users: The users of the tenant, by id, with the arguments of ``LocalTenant.add_user``.
        actor: The id of a user whose ID token is the actor token, or None.
        post_login: Post-Login Actions that run afterwards.
        strict: Whether the tenant refuses what Auth0 refuses.
        time_limit: Seconds that an Action may run.

    Raises:
        ConfigurationError: Node.js 18 or newer was not found.
        ValueError: The type or a secret is not acceptable.
    """
    calls: list[ApiCall] = []
    with LocalTenant(strict=strict) as tenant:
        tenant.actions.time_limit, tenant.actions.on_call = time_limit, calls.append
        for user_id, attributes in users.items():
            tenant.add_user(user_id, **attributes)
        tenant.action_file(options["subject_token_type"], file, secrets=secrets)
        for each in post_login:
            tenant.post_login_file(each, secrets=secrets)
        acting = {} if actor is None else {"actor_token": tenant.id_token(actor), "actor_token_type": ID_TOKEN}
        response, error = None, None
        with tenant.client(retry=RetryPolicy(sleep=lambda _: None)) as client:
            try:
                response = client.custom_token_exchange({**options, **acting})
            except Auth0CTEError as failure:
                error = failure
        entries = [entry for entry in tenant.logs if entry.type in ("secte", "fecte")]
        return Trial(calls=calls, log=entries[-1] if entries else None, response=response, error=error)
