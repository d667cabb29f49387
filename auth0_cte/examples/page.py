"""The pages of the example applications, and the style sheet and icon that they share with the playground."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ASSETS", "TOO_LARGE", "asset", "home_page", "make_page", "too_large_page"]

TOO_LARGE: Final = "SESSION_TOO_LARGE"
"""The code of a login whose session does not fit into cookies."""
ASSETS: Final = {"style.css": "text/css; charset=utf-8", "favicon.svg": "image/svg+xml"}
"""The files that pages load below ``/``, with their media types."""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<link rel="stylesheet" href="/style.css">
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<main class="narrow">
<h1>{title}</h1>
{content}
</main>
</html>
"""
_LOGIN = """<form method="post" action="/login" class="card">{hidden}
<p><label>Name in the legacy system <input name="user" required maxlength="200" autofocus></label>
<p><label>Bytes to add to the profile <input name="more" type="number" min="0" max="4000" value="0"></label>
<p><label class="check"><input name="second_factor" type="checkbox" value="yes"> Ask for a second factor</label>
<p><button>Log in</button>
</form>"""
_LOGOUT = """<p>See <a href="/me">what the session knows</a> and <a href="/token">of its access token</a>.
<form method="post" action="/logout" class="card">{hidden}<p><button>Log out</button></form>
<p>Or log in as somebody else:
"""
_TOO_LARGE = """<p>The session does not fit into the cookies that browsers keep. Add fewer bytes, or set
<code>REDIS_URL</code>, so that the application keeps sessions in Redis.
<p><a href="/">Back</a>"""


def asset(name: str) -> tuple[bytes, dict[str, str]]:
    """Return a file of `ASSETS`, and the headers to send it with."""
    content = files("auth0_cte.examples").joinpath("static", name).read_bytes()
    return content, {"Content-Type": ASSETS[name], "Cache-Control": "public, max-age=3600"}


def make_page(title: str, content: str) -> str:
    """Return a page.

    Args:
        title: Its heading, as text.
        content: What comes below, as HTML.
    """
    return _PAGE.format(title=escape(title), content=content)


def too_large_page() -> str:
    """Return the page for a user whose session is too large, which is to be sent with the status 413."""
    return make_page("This user cannot be logged in", _TOO_LARGE)


def home_page(user: Mapping[str, Any] | None, hidden: str = "") -> str:
    """Return the page as HTML: who is logged in, and forms to change it.

    Args:
        user: The claims of the user, or None.
        hidden: HTML that goes into each form: a framework's CSRF token.
    """
    title = "Nobody is logged in" if user is None else f"Hello, {user.get('name', user['sub'])}"
    forms = _LOGIN if user is None else _LOGOUT + _LOGIN
    return make_page(title, forms.format(hidden=hidden))
