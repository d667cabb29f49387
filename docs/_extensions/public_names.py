"""References by short name, as docstrings and annotations write them, lead to the page of the public name."""

from __future__ import annotations

import builtins
import sys
from typing import TYPE_CHECKING

from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from docutils.nodes import Element, TextElement
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

_OTHERS = sys.stdlib_module_names | {"attrs", "celery", "django", "fastapi", "flask", "opentelemetry", "redis"}
_OTHERS |= {"requests", "sqlalchemy", "starlette", "urllib3", "werkzeug"}


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: TextElement) -> Element | None:
    """Find the documented object that a reference means; names of Python and of other packages stay text."""
    target = str(node.get("reftarget", ""))
    if node.get("refdomain") != "py":
        return None
    objects = env.domains.python_domain.objects
    short = target.rpartition(".")[2]
    found = sorted((name for name in objects if name.rpartition(".")[2] == short), key=len)
    if found and (target.startswith("auth0_cte.") or "." not in target):
        entry = objects[found[0]]
        return make_refnode(app.builder, str(node["refdoc"]), entry.docname, entry.node_id, text, found[0])
    if hasattr(builtins, target) or target.partition(".")[0] in _OTHERS:
        return text
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the resolver."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True}
