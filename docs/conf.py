"""How Sphinx builds the documentation: ``sphinx-build -W -n docs docs/_build``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

import django
from django.conf import settings

from auth0_cte import __version__

if not settings.configured:  # what the classes for Django projects need to be imported
    settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"])
    django.setup()

project = "auth0-cte"
author = "The auth0-cte developers"
copyright = "The auth0-cte developers"  # noqa: A001 (the name that Sphinx reads)
release = version = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_parser",
    "command_line",
    "error_codes",
    "examples",
    "log_lines",
    "public_names",
    "readable",
    "terminal",
]
exclude_patterns = ["_build", "_extensions", "terminal"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
toc_object_entries_show_parents = "hide"
default_role = "py:obj"  # as docstrings write names
nitpicky = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = False

suppress_warnings = ["myst.header"]  # of the changelog, whose title is the page's own

html_theme = "furo"
html_title = f"auth0-cte {version}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_copyright = False
html_copy_source = False
pygments_style = "default"
pygments_dark_style = "monokai"
