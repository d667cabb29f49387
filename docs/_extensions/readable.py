"""What readers of finished pages need on narrow screens and without a mouse.

Names in code are broken where a reader would break them: behind an underscore, a dot, a slash, or between words. What
scrolls by itself can be reached by the keyboard.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_NAME = re.compile(r'(?<=<span class="pre">)[^<]{12,}(?=</span>)')
_BREAK = re.compile(r"(?<=[A-Za-z0-9][_./])(?=[A-Za-z0-9{<(])|(?<=[a-z])(?=[A-Z])")
_SCROLLING = re.compile(r'<pre(?=>)|<div class="(?:picture|terminal|table-wrapper[^"]*)"')


def _finish(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    if "body" in context:
        body = _NAME.sub(lambda found: _BREAK.sub("<wbr>", found[0]), context["body"])
        context["body"] = _SCROLLING.sub(r'\g<0> tabindex="0"', body)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the change of finished pages, after the theme's own."""
    app.connect("html-page-context", _finish, priority=900)
    return {"parallel_read_safe": True}
