"""The options that say what is exchanged for what, of all commands that exchange."""

from __future__ import annotations

from typing import Any, Final

import click

__all__ = ["parameters_option", "target_options", "type_option"]


def type_option(command: Any) -> Any:
    """Add ``-t`` to a command; its parameter is ``subject_token_type``."""
    return click.option(
        "-t",
        "--subject-token-type",
        "--type",
        envvar="AUTH0_SUBJECT_TOKEN_TYPE",
        required=True,
        metavar="URI",
        help="The type that the profile is registered for. [AUTH0_SUBJECT_TOKEN_TYPE]",
    )(command)


def target_options(command: Any) -> Any:
    """Add ``--audience``, ``--scope`` and ``--organization`` to a command."""
    for name, settings in reversed(_TARGET.items()):
        command = click.option(name, **settings)(command)
    return command


_TARGET: Final[dict[str, dict[str, Any]]] = {
    "--audience": {"metavar": "API", "help": "The API that the access token is for. [AUTH0_AUDIENCE]"},
    "--scope": {"multiple": True, "help": "Scopes; repeat it or separate them by spaces. [AUTH0_SCOPE]"},
    "--organization": {"metavar": "ORG", "help": "An organization's id or name. [AUTH0_ORGANIZATION]"},
}


def parameters_option(command: Any) -> Any:
    """Add ``-p`` to a command; its parameter is ``parameters``, a dict."""
    return click.option(
        "-p",
        "--param",
        "parameters",
        multiple=True,
        callback=_collect,
        metavar="KEY=VALUE",
        help="A parameter that the Action reads in event.request.body; may be repeated.",
    )(command)


def _collect(context: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str | list[str]]:
    collected: dict[str, list[str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter("a parameter must be KEY=VALUE", context, parameter)
        collected.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in collected.items()}
