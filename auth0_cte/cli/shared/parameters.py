"""``-p key=value``: parameters of the caller's own."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["parameters_option"]


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
