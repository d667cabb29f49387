"""Runs the examples of README.rst as tests."""

from sybil import Sybil
from sybil.parsers.rest import PythonCodeBlockParser, SkipParser

pytest_collect_file = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()], patterns=["README.rst"]).pytest()
