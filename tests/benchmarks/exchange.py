"""How fast exchanges are, beside the libraries that people use for them: ``python -m tests.benchmarks.exchange``.

One client, one exchange after the other, warm connections, over TLS to nginx on another CPU that answers from memory:
the figures are the client's own cost. It is a benchmark and no test: it says whether targets are met and exits with 0.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from attrs import frozen

from auth0_cte.jose import SigningKey
from tests.benchmarks.canned_server import EDGE_HEADERS, Replies, canned_server
from tests.benchmarks.contenders import (
    ALL,
    AUTH0_CTE,
    AUTH0_SERVER_PYTHON,
    CLIENT_ID,
    PACKAGES,
    REQUESTS,
    SCOPE,
    URLLIB3,
    Destination,
    open_contender,
)
from tests.benchmarks.import_time import measure_imports
from tests.benchmarks.measure import Results, Target, describe, interleave, interpreter, isolate, pin, table

REPLY_BYTES: Final = 2048
MORE_VARIABLES: Final = 200

BASELINE_IMPORT: Final = "import requests, attrs"
CLIENT_IMPORT: Final = "from auth0_cte import ServerClient, CustomTokenExchangeOptions"
BARE_IMPORT: Final = "import auth0_cte"

HEAD: Final = ("", "exchanges/s", "CPU µs", "rate / Session.post", "CPU / Session.post", "rate / urllib3")


@frozen(kw_only=True)
class Scenario:
    """A table: its title, who takes part, and the targets by what they are compared with."""

    title: str
    names: Sequence[str] = ALL
    id_token: bool = False
    more_variables: int = 0
    rate_to_requests: float
    cpu_to_requests: float | None = None
    rate_to_urllib3: float | None = None
    rate_to_auth0_server_python: float | None = None

    def targets(self, results: Results) -> Iterator[Target]:
        """Hold the results against the targets."""
        rates = {
            REQUESTS: self.rate_to_requests,
            URLLIB3: self.rate_to_urllib3,
            AUTH0_SERVER_PYTHON: self.rate_to_auth0_server_python,
        }
        for name, bound in rates.items():
            if bound is not None and name in results.samples:
                yield Target(f"rate / {name}", results.rate_ratio(AUTH0_CTE, name), at_least=bound)
        if self.cpu_to_requests is not None:
            cpu = results.cpu_ratio(AUTH0_CTE, REQUESTS)
            yield Target(f"CPU / {REQUESTS}", cpu, at_most=self.cpu_to_requests)


# From CPython 3.12 on the parser of headers that the others use is quicker, and so are they.
_IS_QUICKER: Final = sys.version_info >= (3, 12)

SCENARIOS: Final = (
    Scenario(
        title="Reply of 2 KB, no ID token",
        rate_to_requests=2.0 if _IS_QUICKER else 2.25,
        rate_to_urllib3=None if _IS_QUICKER else 1.1,
        rate_to_auth0_server_python=45,
    ),
    Scenario(
        title="The same and an ID token (RS256), which auth0_cte alone verifies",
        id_token=True,
        rate_to_requests=1.5 if _IS_QUICKER else 1.75,
        rate_to_urllib3=None if _IS_QUICKER else 0.85,
    ),
    Scenario(
        title=f"Reply of 2 KB, and {MORE_VARIABLES} more environment variables",
        names=(AUTH0_CTE, REQUESTS, URLLIB3),
        more_variables=MORE_VARIABLES,
        rate_to_requests=2.8,
    ),
)


def canned_replies(*, id_token: bool) -> Replies:
    """Make the replies of a tenant: its configuration, its keys, and a successful exchange.

    Args:
        id_token: Whether an ID token is among the issued tokens.
    """
    key = SigningKey.generate("RS256")

    def replies(issuer: str) -> dict[str, object]:
        configuration = {
            "issuer": issuer,
            "authorization_endpoint": issuer + "authorize",
            "token_endpoint": issuer + "oauth/token",
            "jwks_uri": issuer + ".well-known/jwks.json",
        }
        return {
            "/.well-known/openid-configuration": configuration,
            "/.well-known/jwks.json": {"keys": [key.public_jwk()]},
            "/oauth/token": _tokens({"id_token": key.sign(_claims(issuer), header={"typ": "JWT"})} if id_token else {}),
        }

    return replies


def _tokens(more: Mapping[str, str]) -> dict[str, object]:
    tokens = {"access_token": "", "scope": SCOPE, "expires_in": 86400, "token_type": "Bearer"}
    tokens["access_token"] = "x" * (REPLY_BYTES - len(json.dumps(tokens)))
    return {**tokens, **more}


def _claims(issuer: str) -> dict[str, object]:
    now = int(time.time())
    return {
        "iss": issuer,
        "sub": "auth0|64f1c2d3e4b5a69788990011",
        "aud": CLIENT_ID,
        "iat": now,
        "exp": now + 36000,
        "sid": "s-8hY2kQ0vTn5LrX1cJm4Zw7Pd3Fb6Ga9",
        "name": "Ada Example",
        "nickname": "ada",
        "email": "ada@example.com",
        "email_verified": True,
        "picture": "https://cdn.example.com/avatars/ad.png",
        "updated_at": "2025-01-31T12:00:00.000Z",
    }


@contextmanager
def _more_variables(count: int) -> Iterator[None]:
    names = [f"BENCH_VAR_{number}" for number in range(count)]
    os.environ.update(dict.fromkeys(names, "a value as environments have them"))
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]


def run_scenario(
    scenario: Scenario, rounds: int, calls: int, cpu: int | None, headers: Mapping[str, str] = EDGE_HEADERS
) -> str:
    """Measure a scenario.

    Args:
        scenario: What to measure.
        rounds: How many interleaved rounds.
        calls: How many exchanges of each library a round.
        cpu: The server's CPU, or None.
        headers: What the server adds to its own headers.

    Returns:
        The table and the targets.
    """
    with ExitStack() as stack:
        stack.enter_context(_more_variables(scenario.more_variables))
        server = stack.enter_context(canned_server(canned_replies(id_token=scenario.id_token), cpu, headers=headers))
        to = Destination(server.issuer, server.ca_file)
        opened = [open_contender(name, to, stack) for name in scenario.names]
        results = interleave([each for each in opened if each is not None], rounds, calls)
    rows = [_row(name, results) for name in scenario.names]
    targets = [str(target) for target in scenario.targets(results)]
    title = f"{scenario.title} ({interpreter()}, {rounds} rounds of {calls} calls, medians of the rounds' ratios)"
    return "\n".join([title, table(HEAD, rows), *targets, ""])


def _row(name: str, results: Results) -> list[str]:
    if name not in results.samples:
        return [name + ": not installed (pip install 'auth0-cte[bench]')"]
    return [
        name,
        f"{results.rate(name):.0f}",
        f"{results.cpu(name) * 1e6:.0f}",
        f"{results.rate_ratio(name, REQUESTS):.3f}",
        f"{results.cpu_ratio(name, REQUESTS):.3f}",
        f"{results.rate_ratio(name, URLLIB3):.3f}",
    ]


def run_imports(rounds: int) -> str:
    """Measure the imports; return the table and the targets.

    Args:
        rounds: How often each import is run.
    """
    statements = (BASELINE_IMPORT, CLIENT_IMPORT, BARE_IMPORT)
    alone, whole = measure_imports(statements, rounds)
    rows = [
        [
            statement,
            f"{alone.cpu(statement) * 1e3:.1f}",
            f"{alone.cpu_ratio(statement, BASELINE_IMPORT):.3f}",
            f"{whole.cpu(statement) * 1e3:.1f}",
            f"{whole.cpu_ratio(statement, BASELINE_IMPORT):.3f}",
        ]
        for statement in statements
    ]
    targets = [
        Target(
            f"import / {BASELINE_IMPORT}, whole processes",
            whole.cpu_ratio(CLIENT_IMPORT, BASELINE_IMPORT),
            at_most=1.12,
        ),
        Target(f"bare import / {BASELINE_IMPORT}", alone.cpu_ratio(BARE_IMPORT, BASELINE_IMPORT), at_most=0.1),
    ]
    head = ("", "alone, ms", "ratio", "whole process, ms", "ratio")
    title = (
        f"CPU time of imports from compiled bytecode ({interpreter()}, {rounds} rounds, medians of the rounds' ratios)"
    )
    return "\n".join([title, table(head, rows), *map(str, targets), ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything and print it.

    Args:
        arguments: The command line; `sys.argv` when None.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.exchange", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=100, help="exchanges a round (default: %(default)s)")
    parser.add_argument("--few-headers", action="store_true", help="the server sends 5 headers instead of 23")
    given = parser.parse_args(arguments)
    isolate()
    cpu, placement = pin()
    print(describe((*PACKAGES, "attrs", "cryptography")))
    print(f"{placement}; trusted CAs: certifi's and the server's\n", flush=True)
    for scenario in SCENARIOS:
        headers = {} if given.few_headers else EDGE_HEADERS
        print(run_scenario(scenario, given.rounds, given.calls, cpu, headers), flush=True)
    print(run_imports(max(1, given.rounds // 2)))


if __name__ == "__main__":
    main()
