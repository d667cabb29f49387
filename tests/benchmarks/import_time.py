"""What imports cost, each in a process of its own, from compiled bytecode: CPU time, user and system."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.measure import Results, Sample

_CHILD = "import time; start = time.process_time(); {statement}; print(time.process_time() - start)"


def measure_imports(statements: Sequence[str], rounds: int) -> tuple[Results, Results]:
    """Run import statements in fresh interpreters, in turn.

    Args:
        statements: The statements.
        rounds: How often each one is run.

    Returns:
        Results by statement, of the statements alone and of whole processes. Rates are imports a second.
    """
    alone: dict[str, list[Sample]] = {statement: [] for statement in statements}
    whole: dict[str, list[Sample]] = {statement: [] for statement in statements}
    with TemporaryDirectory(prefix="bytecode-") as prefix:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": prefix}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(-2, rounds):  # two rounds to compile, and to have the files in memory
            for statement in statements[:: 1 if number % 2 else -1]:
                inner, outer = _run(statement, environment)
                if number >= 0:
                    alone[statement].append(Sample(1 / inner, inner))
                    whole[statement].append(Sample(1 / outer, outer))
    return Results(alone), Results(whole)


def _run(statement: str, environment: Mapping[str, str]) -> tuple[float, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD.format(statement=statement)],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(done.stdout), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
