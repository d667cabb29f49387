from __future__ import annotations

from pathlib import Path

from sybil import Sybil
from sybil.parsers.rest import PythonCodeBlockParser, SkipParser

from tests.integration.apps import configure_django

README = Path(__file__).parents[2] / "README.rst"


def test_the_readme_runs() -> None:
    """Every example of the README runs, in order, as one program."""
    configure_django()  # once a process, and so as the other tests need it
    document = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()]).parse(README)
    examples = list(document.examples())
    assert len(examples) > 30
    document.namespace["__name__"] = "__main__"
    for example in examples:
        example.evaluate()


def test_the_two_commands_stand_in_the_readme() -> None:
    """The commands that a newcomer starts with are there to copy."""
    text = README.read_text()
    assert "    python -m pip install '.[cli]' && auth0-cte demo\n" in text
    assert "    python -m pip install -e '.[test]' && python -m pytest\n" in text
