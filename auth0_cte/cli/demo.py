"""``auth0-cte demo``: every kind of exchange, and every documented error, against a `LocalTenant` over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from auth0_cte import CustomTokenExchangeOptions, RetryPolicy, ServerClient
from auth0_cte.cli.shared.gallery import ADA, API, LEGACY, SUPPORT, error_of, make_tenant, provocations
from auth0_cte.cli.shared.log_lines import log_lines
from auth0_cte.cli.shared.output import Output, json_option
from auth0_cte.oauth.id_token import read_unverified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_types import TokenExchangeResponse

__all__ = ["Demo", "command"]

EXAMPLES: Final = """\b
Example:
  auth0-cte demo
"""


class Demo:
    """Shows every kind of exchange, and every documented error.

    Args:
        out: Where to.
    """

    def __init__(self, out: Output) -> None:
        self._out = out
        self._tenant = make_tenant()
        self._told: dict[str, Any] = {}

    def run(self) -> None:
        """Run the whole demonstration."""
        with (
            log_lines(lambda level, message: self._say(f"log ({level}): {message}")),
            self._tenant.serve() as server,
            server.client(retry=RetryPolicy(sleep=lambda _: None)) as client,
        ):
            self._say(f"An Auth0 tenant runs at {server.url}; every exchange below is a real HTTP request to it.")
            self._exchange_a_legacy_token(client)
            self._exchange_with_an_actor(client)
            self._exchange_with_parameters(client)
            self._show_errors(client)
        self._finish()

    def _finish(self) -> None:
        done = sum(entry.type == "secte" for entry in self._tenant.logs)
        failed = sum(entry.type == "fecte" for entry in self._tenant.logs)
        self._say("")
        self._say(f"Done. The tenant's log has {done} successful exchanges (secte) and {failed} failed ones (fecte).")
        if self._out.as_json:
            self._out.data({**self._told, "log": {"secte": done, "fecte": failed}})

    def _exchange_a_legacy_token(self, client: ServerClient) -> None:
        self._title("1. A token of a legacy system becomes Auth0 tokens")
        response = client.custom_token_exchange(
            CustomTokenExchangeOptions(
                subject_token=ADA,
                subject_token_type=LEGACY,
                audience=API,
                scope="openid profile email read:data offline_access",
            )
        )
        self._show("exchange", response)

    def _exchange_with_an_actor(self, client: ServerClient) -> None:
        self._title("2. A support agent acts on behalf of the user: the chain is in act")
        response = client.custom_token_exchange(
            CustomTokenExchangeOptions(
                subject_token="ticket-4711",
                subject_token_type=SUPPORT,
                actor_token="grace",
                actor_token_type="urn:acme:agent-token",
                audience=API,
                scope="openid",
            )
        )
        self._show("delegation", response)
        self._say(f"response.act: {response.act and response.act.sub} acts for {(response.claims or {}).get('sub')}")

    def _exchange_with_parameters(self, client: ServerClient) -> None:
        self._title("3. Parameters of your own reach the Action")
        client.custom_token_exchange(
            CustomTokenExchangeOptions(
                subject_token=ADA,
                subject_token_type=LEGACY,
                authorization_params={"campaign": "migration-2026", "client_id": "somebody-else"},
            )
        )
        body = self._tenant.requests[-1].form
        self._say(f"event.request.body['campaign'] was {body['campaign']!r}")
        self._say(f"client_id stayed {body['client_id']!r}: critical parameters cannot be overridden")
        self._say(f"the Action stored user_metadata {dict(self._tenant.users['auth0|ada'].user_metadata)}")

    def _show_errors(self, client: ServerClient) -> None:
        self._title("4. What goes wrong has a code, a message and a hint")
        errors = [(what, error_of(case)) for what, case in provocations(self._tenant, client).items()]
        if self._out.is_rich and not self._out.as_json:
            rows = [((what, error.code), (error.message, f"hint: {error.hint}", "")) for what, error in errors]
            self._out.table("", ("provoked by, code", "message, hint"), rows)
        else:
            for what, error in errors:
                for line in (f"- {what}", f"    {error.code} - {error.message}", f"    hint: {error.hint}"):
                    self._say(line)
        self._told["errors"] = [
            {"provoked_by": what, "code": error.code, "message": error.message, "hint": error.hint}
            for what, error in errors
        ]

    def _show(self, name: str, response: TokenExchangeResponse) -> None:
        self._say(f"{response!r}")
        claims = read_unverified(response.access_token)[1]
        self._say("access token, as the API reads it:")
        self._pretty(claims)
        if response.claims is not None:
            self._say("ID token, verified:")
            self._pretty(response.claims)
        self._say(f"refresh token: {'yes' if response.refresh_token else 'none'}")
        self._told[name] = {"access_token_claims": claims, "claims": response.claims and dict(response.claims)}

    def _pretty(self, claims: Mapping[str, Any]) -> None:
        for line in json.dumps(claims, indent=2, default=str).splitlines():
            self._say(line)

    def _title(self, text: str) -> None:
        if not self._out.as_json:
            self._out.title(text)

    def _say(self, text: str) -> None:
        if not self._out.as_json:
            self._out.line(text)


@click.command("demo", epilog=EXAMPLES)
@json_option
def command(as_json: bool) -> None:
    """See every kind of exchange and error, without an account.

    A tenant runs in this process, on a loopback port; nothing else is needed.
    """
    Demo(Output(as_json=as_json)).run()
