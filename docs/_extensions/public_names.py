"""The public names of the package, documented where they are imported from, and references to them by short name."""

from __future__ import annotations

import builtins
import inspect
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from token import NAME
from tokenize import tokenize
from typing import TYPE_CHECKING, Any, ClassVar

import django.core.exceptions
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils.nodes import Element, Node, TextElement
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

_INDEX: dict[str, Any] = {}
_OTHERS = sys.stdlib_module_names | {"attrs", "celery", "django", "fastapi", "flask", "opentelemetry", "redis"}
_OTHERS |= {"RemoteUserBackend", "asgiref", "requests", "sqlalchemy", "starlette", "urllib3", "werkzeug"}


class PublicNames(SphinxDirective):
    """Document the names of a module's ``__all__``, in its order.

    The argument is the module. ``rooms`` chooses the names that are defined in these rooms of the package; ``others``
    the names that are in none of these rooms.
    """

    required_arguments = 1
    option_spec: ClassVar[Any] = {"rooms": directives.unchanged, "others": directives.unchanged}

    def run(self) -> list[Node]:
        """Return what autodoc makes of the names."""
        lines = StringList()
        for line in self._lines(self.arguments[0]):
            lines.append(line, "public-names")
        container = nodes.Element()
        self.state.nested_parse(lines, self.content_offset, container)
        return container.children

    def _lines(self, module: str) -> Iterator[str]:
        documented = import_module(module)
        for name in documented.__all__:
            home = _home(getattr(documented, name), name, module)
            if self._is_chosen(home):
                yield from _directive(module, name, home)

    def _is_chosen(self, home: str) -> bool:
        rooms = self.options.get("rooms", self.options.get("others"))
        if rooms is None:
            return True
        inside = any(home.removeprefix("auth0_cte.").startswith(room) for room in rooms.split())
        return inside is ("rooms" in self.options)


def _home(value: Any, name: str, module: str) -> str:
    """Find the module that defines a name: a class or function knows it, an alias is looked for."""
    if (inspect.isclass(value) or inspect.isroutine(value)) and str(value.__module__).startswith("auth0_cte"):
        return str(value.__module__)
    for candidate, found in sorted(sys.modules.items()):
        if candidate.startswith("auth0_cte.") and ("", name) in _comments(candidate) and hasattr(found, name):
            return candidate
    return module


def _comments(module: str) -> dict[tuple[str, str], list[str]]:
    return ModuleAnalyzer.for_module(module).find_attr_docs()


def _directive(module: str, name: str, home: str) -> Iterator[str]:
    value = getattr(import_module(module), name)
    if module != "auth0_cte" and name in import_module("auth0_cte").__all__:
        yield from (f".. py:data:: {module}.{name}", "", f"   The same as :class:`auth0_cte.{name}`.")
    elif inspect.isclass(value):
        yield f".. auto{'exception' if issubclass(value, BaseException) else 'class'}:: {module}.{name}"
        if "auth_server" in home:
            yield "   :inherited-members:"
        if value.__bases__[0].__module__.startswith("auth0_cte."):
            yield "   :show-inheritance:"
    elif inspect.isfunction(value):
        yield f".. autofunction:: {module}.{name}"
    else:
        yield f".. py:data:: {module}.{name}"
        yield ""
        yield from (f"   {line}" for line in _comments(home).get(("", name), [f"A value of {home}."]))
    yield ""


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: TextElement) -> Element | None:
    """Find the documented object that a reference means.

    Annotations also name what is not public; that stays text. What a docstring or a page names must exist.
    """
    target = str(node.get("reftarget", "")).removesuffix("()")
    if node.get("refdomain") != "py":
        return None
    scope = f"{node.get('py:module') or ''}.{node.get('py:class') or ''}"
    short = target.rpartition(".")[2]
    named = _by_short_name(env).get(short, [])
    found = [name for name in named if name == target or name.endswith(f".{target}")]
    if not found and target.startswith("auth0_cte."):
        found = named
    if found:
        name = min(found, key=lambda name: (not name.startswith(scope), len(name)))
        entry = env.domains.python_domain.objects[name]
        return make_refnode(app.builder, str(node["refdoc"]), entry.docname, entry.node_id, text, name)
    is_known = (
        hasattr(builtins, target) or target.partition(".")[0] in _OTHERS or hasattr(django.core.exceptions, target)
    )
    if node.get("reftype") in ("class", "exc") or is_known or set(target.split(".")) <= _inner_names():
        return text
    return None


def _by_short_name(env: BuildEnvironment) -> dict[str, list[str]]:
    """Index the documented objects by the last part of their names, once they are all known."""
    objects = env.domains.python_domain.objects
    if len(objects) != _INDEX.get("size"):
        _INDEX.clear()
        for name in objects:
            _INDEX.setdefault(name.rpartition(".")[2], []).append(name)
        _INDEX["size"] = len(objects)
    return _INDEX


@cache
def _inner_names() -> frozenset[str]:
    """Every name in the code of the package, so that docstrings may name what is not public."""
    names = set[str]()
    for path in Path(import_module("auth0_cte").__file__ or "").parent.rglob("*.py"):
        with path.open("rb") as file:
            names.update(token.string for token in tokenize(file.readline) if token.type == NAME)
    return frozenset(names)


def keep_colons(_app: Sphinx, what: str, _name: str, _value: Any, _options: Any, lines: list[str]) -> None:
    """Have napoleon read no type in "A thing: this one", the first line of an attribute's docstring."""
    if what in ("attribute", "property", "data"):
        lines.insert(0, "\\ ")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and the resolver."""
    app.add_directive("public-names", PublicNames)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", keep_colons, priority=100)
    return {"parallel_read_safe": True}
