"""How an Action and its profile are registered: in the dashboard, by the Management API, by terraform."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auth0_cte.cli.action.templates import Plan

__all__ = ["dashboard_steps", "management_calls", "terraform"]

_CHARACTERS = re.compile(r"[^a-z0-9]+")


def _name(plan: Plan) -> str:
    return _CHARACTERS.sub("-", plan.token_type.lower().partition(":")[2]).strip("-") or "custom-token"


def dashboard_steps(plan: Plan, file: str) -> list[str]:
    """Return what to do in the dashboard, in order.

    Args:
        plan: What the Action is for.
        file: Its file.
    """
    steps = [
        "Actions > Library > Create Action > Build from scratch: trigger Custom Token Exchange, runtime Node 22",
        f"paste {file} into the editor",
    ]
    steps += [f"Dependencies: {name} {version}" for name, version in plan.dependencies.items()]
    steps += [f"Secrets: {name}" for name in plan.secrets]
    steps += [
        "Deploy",
        "the profile has no page in the dashboard: use the Management API or terraform",
        "Applications > your application > Advanced Settings > OAuth: turn OIDC Conformant on",
        "Applications > your application > Advanced Settings > OAuth: turn Trust Token Endpoint IP Header on",
    ]
    if plan.by_connection:
        steps.append(f"Authentication > connection {plan.connection} > Applications: enable your application")
    steps.append("Applications > APIs > your API: turn Allow Skipping User Consent on")
    if plan.delegation:
        steps.append('User Management > Users > who may act: app_metadata {"can_act_for_users": true}')
    return steps


def management_calls(plan: Plan, file: str) -> list[str]:
    """Return the calls of the Management API as commands of the Auth0 CLI, in order.

    Args:
        plan: What the Action is for.
        file: Its file.
    """
    name = _name(plan)
    action = {
        "name": name,
        "runtime": "node22",
        "supported_triggers": [{"id": "custom-token-exchange", "version": "v1"}],
        "dependencies": [{"name": each, "version": version} for each, version in plan.dependencies.items()],
        "secrets": [{"name": each, "value": "..."} for each in plan.secrets],
    }
    profile = {
        "name": name,
        "subject_token_type": plan.token_type,
        "action_id": "ACTION_ID",
        "type": "custom_authentication",
    }
    client = {
        "oidc_conformant": True,
        "is_token_endpoint_ip_header_trusted": True,
        "token_exchange": {"allow_any_profile_of_type": ["custom_authentication"]},
    }
    # jq reads the code from the file; a shell must not see it.
    code = f"jq --rawfile code {shlex.quote(file)} '. + {{code: $code}}' <<< {shlex.quote(json.dumps(action))}"
    calls = [
        f'auth0 api post actions/actions --data "$({code})"',
        "auth0 api post actions/actions/ACTION_ID/deploy",
        f"auth0 api post token-exchange-profiles --data {shlex.quote(json.dumps(profile))}",
        f"auth0 api patch clients/CLIENT_ID --data {shlex.quote(json.dumps(client))}",
    ]
    if plan.by_connection:
        enabled = json.dumps([{"client_id": "CLIENT_ID", "status": True}])
        calls.append(f"auth0 api patch connections/CONNECTION_ID/clients --data {shlex.quote(enabled)}")
    consent = json.dumps({"skip_consent_for_verifiable_first_party_clients": True})
    calls.append(f"auth0 api patch resource-servers/API_ID --data {shlex.quote(consent)}")
    return calls


def terraform(plan: Plan, file: str) -> str:
    """Return the resources of terraform's provider auth0/auth0.

    Args:
        plan: What the Action is for.
        file: Its file.
    """
    name = _name(plan)
    resource = name.replace("-", "_")
    lines = [
        f'resource "auth0_action" "{resource}" {{',
        f'  name    = "{name}"',
        '  runtime = "node22"',
        "  deploy  = true",
        f"  code    = file({_hcl(file)})",
        "  supported_triggers {",
        '    id      = "custom-token-exchange"',
        '    version = "v1"',
        "  }",
    ]
    for each, version in plan.dependencies.items():
        lines += ["  dependencies {", f'    name    = "{each}"', f'    version = "{version}"', "  }"]
    for each in plan.secrets:
        lines += ["  secrets {", f'    name  = "{each}"', f"    value = var.{each.lower()}", "  }"]
    lines += [
        "}",
        "",
        f'resource "auth0_token_exchange_profile" "{resource}" {{',
        f'  name               = "{name}"',
        f"  subject_token_type = {_hcl(plan.token_type)}",
        f"  action_id          = auth0_action.{resource}.id",
        '  type               = "custom_authentication"',
        "}",
        "",
        'resource "auth0_client" "application" {',
        '  name                                = "..."',
        "  oidc_conformant                     = true",
        "  is_token_endpoint_ip_header_trusted = true",
        "  token_exchange {",
        '    allow_any_profile_of_type = ["custom_authentication"]',
        "  }",
        "}",
    ]
    if plan.by_connection:
        lines += [
            "",
            'resource "auth0_connection_client" "application" {',
            "  connection_id = auth0_connection.legacy.id",
            "  client_id     = auth0_client.application.id",
            "}",
        ]
    return "\n".join(lines)


def _hcl(text: str) -> str:
    return json.dumps(text).replace("${", "$${").replace("%{", "%%{")
