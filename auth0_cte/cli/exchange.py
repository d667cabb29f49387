"""``auth0-cte exchange``: one exchange, shown."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.cli.shared.claims import claim_rows
from auth0_cte.cli.shared.output import Output, json_option
from auth0_cte.cli.shared.parameters import parameters_option, target_options, type_option
from auth0_cte.cli.shared.target import connection_options, open_target
from auth0_cte.cli.shared.tokens import TokenSource, token_options
from auth0_cte.cli.shared.words import duration, when
from auth0_cte.jose import JoseError
from auth0_cte.oauth.id_token import read_unverified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_types import TokenExchangeResponse

__all__ = ["command"]

EXAMPLES: Final = """\b
Examples:
  auth0-cte exchange -t urn:acme:legacy-token --local < token.txt
  auth0-cte exchange -t urn:acme:legacy-token --token-file token.txt \\
      --audience https://api.example.com --scope "openid read:data"
  curl -H "Authorization: Bearer $(auth0-cte exchange --raw ...)" ...
"""


@click.command("exchange", epilog=EXAMPLES)
@token_options("token", "subject token")
@type_option
@target_options
@token_options("actor-token", "actor token")
@click.option("--actor-token-type", metavar="URI", help="The type of the actor token.")
@click.option("--resource", multiple=True, metavar="URI", help="The resource parameter; may be repeated.")
@click.option("--requested-token-type", metavar="URI", help="The type of token to issue.")
@click.option("--forwarded-for", metavar="IP", help="The end user's address, for attack protection.")
@parameters_option
@click.option("--raw", is_flag=True, help="Print the access token alone.")
@click.option("--curl", is_flag=True, help="Print the request with secrets left out; send nothing.")
@click.option("--with-tokens", is_flag=True, help="Let --json print the tokens, too.")
@json_option
@connection_options
def command(as_json: bool, raw: bool, curl: bool, with_tokens: bool, local: bool, **given: Any) -> None:
    """Exchange a token, and show what came back.

    The subject token comes from --token-file, --token-env, AUTH0_SUBJECT_TOKEN, stdin, or a prompt.
    """
    if raw + curl + as_json > 1:
        raise click.UsageError("use one of --json, --raw and --curl")
    if with_tokens and not as_json:
        raise click.UsageError("--with-tokens requires --json")
    out = Output(as_json=as_json)
    options = _options(out, given, placeholder=curl)
    with open_target(local=local, token_types=[options.subject_token_type]) as target:
        if curl:
            from auth0_cte.cli.shared.curl import curl_command

            out.raw(curl_command(target.domain, target.make_client, options))
            return
        with target.make_client() as client:
            response = client.custom_token_exchange(options)
    if raw:
        _print_raw(out, response)
    elif as_json:
        out.data(_as_json(response, with_tokens=with_tokens))
    else:
        _show(out, response)


def _options(out: Output, given: Mapping[str, Any], *, placeholder: bool) -> CustomTokenExchangeOptions:
    subject = TokenSource(option="token", value=given["token"], file=given["token_file"], variable=given["token_env"])
    actor = TokenSource(
        option="actor-token",
        value=given["actor_token"],
        file=given["actor_token_file"],
        variable=given["actor_token_env"],
    )
    # A request that is only shown needs no token.
    token = (
        subject.read(out) or "token"
        if placeholder
        else subject.read_or_ask(out, "AUTH0_SUBJECT_TOKEN", "Subject token")
    )
    named = ("subject_token_type", "audience", "organization", "actor_token_type", "requested_token_type")
    return CustomTokenExchangeOptions(
        subject_token=token,
        actor_token=actor.read(out),
        scope=" ".join(given["scope"]) or None,
        resource=list(given["resource"]) or None,
        forwarded_for=given["forwarded_for"],
        authorization_params=given["parameters"] or None,
        **{name: given[name] for name in named},
    )


def _print_raw(out: Output, response: TokenExchangeResponse) -> None:
    if sys.stdout.isatty():
        out.warn("the access token stays in the terminal's history; pipe it instead")
    out.raw(response.access_token)


def _as_json(response: TokenExchangeResponse, *, with_tokens: bool) -> dict[str, Any]:
    error = response.id_token_error
    told: dict[str, Any] = {
        "token_type": response.token_type,
        "expires_in": response.expires_in,
        "expires_at": response.expires_at,
        "scope": response.scope,
        "issued_token_type": response.issued_token_type,
        "claims": None if response.claims is None else dict(response.claims),
        "id_token_error": None if error is None else {"code": error.code, "message": error.message},
        "access_token_claims": _unverified(response.access_token),
        "actors": [dict(actor.claims) for actor in response.delegation_chain()],
        "act_verified": response.act_verified,
        "has_refresh_token": response.refresh_token is not None,
        "refresh_token_withheld": response.refresh_token_withheld,
    }
    if with_tokens:
        tokens = ("access_token", "id_token", "refresh_token")
        told |= {name: getattr(response, name) for name in tokens if getattr(response, name) is not None}
    return told


def _unverified(token: str) -> dict[str, Any] | None:
    try:
        return read_unverified(token)[1]
    except (JoseError, ValueError):
        return None


def _show(out: Output, response: TokenExchangeResponse) -> None:
    now, claims = time.time(), _unverified(response.access_token)
    out.pairs("Tokens", _tokens(response, claims, now))
    if response.claims is not None:
        out.pairs("Claims of the ID token, verified", claim_rows(response.claims, now))
    if claims is not None:
        out.pairs("Claims of the access token, which its API verifies", claim_rows(claims, now))
    actors = response.delegation_chain()
    if actors and response.claims is not None:
        roles = ["acts for the user", *("acted before" for _ in actors[1:])]
        levels = [f"{actor.sub}  ({role})" for actor, role in zip(actors, roles, strict=True)]
        out.chain("Who acts", [f"{response.claims['sub']}  (the user)", *levels])
    elif response.act_error is not None:
        out.say(f"note: no verified actor: {response.act_error.message}")


def _tokens(response: TokenExchangeResponse, claims: object, now: float) -> list[tuple[str, str]]:
    kind = "a JWT" if claims is not None else "opaque"
    rows = [("access token", f"{kind} of {len(response.access_token):,} characters")]
    if response.expires_in is not None:
        rows.append(("lifetime", duration(response.expires_in)))
    if response.expires_at is not None:
        rows.append(("expires", when(response.expires_at, now)))
    rows.append(("token type", response.token_type or "not told"))
    if response.dpop_bound is not None:
        rows.append(("bound to the DPoP key", "yes" if response.dpop_bound else "no: a bearer token"))
    if response.issued_token_type:
        rows.append(("issued token type", response.issued_token_type))
    if response.scope is not None:
        rows.append(("scope", response.scope))
    rows.append(("ID token", _id_token(response)))
    withheld = " (withheld: an actor takes part, or the API allows no offline access)"
    absent = "none" + (withheld if response.refresh_token_withheld else "")
    rows.append(("refresh token", "yes" if response.refresh_token is not None else absent))
    return rows


def _id_token(response: TokenExchangeResponse) -> str:
    if response.id_token_error is not None:
        return f"not acceptable: {response.id_token_error.message}"
    return "verified" if response.claims is not None else "none (ask for the scope openid)"
