"""How fast logins and session reads are, and what they are made of: ``python -m tests.benchmarks.session``.

Logins go over TLS to nginx on another CPU that answers from memory, one after the other on a warm connection, so the
figures are the client's own cost. The limit is the same wire and bare ``cryptography``, with the least that a login can
check. It is a benchmark and no test: it says whether targets are met and exits with 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

from attrs import evolve, field, frozen

from tests.benchmarks.canned_server import EDGE_HEADERS, canned_server
from tests.benchmarks.contenders import AUTH0_CTE, AUTH0_SERVER_PYTHON, SCOPE, SUBJECT, Destination
from tests.benchmarks.crypto_contenders import (
    BARE_VERIFY,
    GCM,
    GCM_BYTES,
    OUR_SEALER,
    OUR_VERIFIER,
    SEALERS,
    VERIFIERS,
    IdToken,
    open_sealers,
    open_verifiers,
    sample_state,
)
from tests.benchmarks.exchange import canned_replies
from tests.benchmarks.measure import Contender, Results, Target, describe, interleave, interpreter, isolate, pin, table
from tests.benchmarks.session_contenders import ALL, JWCRYPTO, LIMIT, connect, fetch_keys, open_sessions

PACKAGES: Final = ("auth0-cte", "jwcrypto", "cryptography", "requests", "auth0-server-python", "PyJWT", "joserfc")
STATE_BYTES: Final = 3072
# What needs no server is over so soon that it must be done more often.
MORE_CALLS: Final = 4


@frozen(kw_only=True)
class Comparison:
    """A table: its title, who takes part, whom they are compared with, and the targets of our own row.

    Args:
        title: The title.
        own: The name of our own row, the first.
        others: The other rows.
        bases: Whom rates and CPU times are compared with, by what the columns call them.
        at_least: Lower bounds of our rate, by whom it is compared with.
        at_most: Upper bounds of our CPU time, by whom it is compared with.
    """

    title: str
    own: str
    others: Sequence[str]
    bases: Mapping[str, str]
    at_least: Mapping[str, float] = field(factory=dict)
    at_most: Mapping[str, float] = field(factory=dict)

    def measure(self, contenders: Sequence[Contender], rounds: int, calls: int) -> str:
        """Let the contenders work in turn.

        Args:
            contenders: Those of them whose libraries are installed.
            rounds: How many interleaved rounds.
            calls: How many calls of each a round.

        Returns:
            The table and the targets.
        """
        results = interleave(contenders, rounds, calls)
        title = f"{self.title} ({interpreter()}, {rounds} rounds of {calls} calls, medians of the rounds' ratios)"
        head = ["", "a second", "CPU µs", *(f"{what} / {base}" for base in self.bases for what in ("rate", "CPU"))]
        rows = [self._row(name, results) for name in (self.own, *self.others)]
        return "\n".join([title, table(head, rows), *map(str, self._targets(results)), ""])

    def _row(self, name: str, results: Results) -> list[str]:
        if name not in results.samples:
            return [name + ": not installed (pip install 'auth0-cte[bench]')"]
        ratios = [
            f"{ratio(name, base):.3f}"
            for base in self.bases.values()
            for ratio in (results.rate_ratio, results.cpu_ratio)
        ]
        return [name, f"{results.rate(name):.0f}", f"{results.cpu(name) * 1e6:.1f}", *ratios]

    def _targets(self, results: Results) -> Iterator[Target]:
        for other, bound in self.at_least.items():
            if other in results.samples:
                yield Target(f"rate / {other}", results.rate_ratio(self.own, other), at_least=bound)
        for other, bound in self.at_most.items():
            if other in results.samples:
                yield Target(f"CPU / {other}", results.cpu_ratio(self.own, other), at_most=bound)


LOGIN: Final = Comparison(
    title="Login: exchange over TLS, ID token (RS256) verified, session sealed into cookies",
    own=AUTH0_CTE,
    others=[name for name in ALL if name != AUTH0_CTE],
    bases={"jwcrypto": JWCRYPTO, "limit": LIMIT},
    at_least={JWCRYPTO: 1.4, AUTH0_SERVER_PYTHON: 40, LIMIT: 0.72},
)
READ: Final = evolve(LOGIN, title="Session read: from the cookies to the user", at_least={})
VERIFICATION: Final = Comparison(
    title="Verification of an ID token (RS256, 2048 bits)",
    own=OUR_VERIFIER,
    others=[name for name in VERIFIERS if name != OUR_VERIFIER],
    bases={"bare": BARE_VERIFY},
    at_most={BARE_VERIFY: 2.0},
)
SEALING: Final = Comparison(
    title=f"Sealing and opening a session of {STATE_BYTES} bytes of JSON",
    own=OUR_SEALER,
    others=[name for name in SEALERS if name != OUR_SEALER],
    bases={"text": GCM, "bytes": GCM_BYTES},
    at_most={GCM: 2.0},
)


def run_sessions(to: Destination, rounds: int, calls: int) -> Iterator[str]:
    """Measure logins and session reads.

    Args:
        to: Where the logins go.
        rounds: How many interleaved rounds.
        calls: How many logins of each a round.

    Yields:
        The tables and the targets.
    """
    with ExitStack() as stack:
        opened = open_sessions(to, stack)
        logins = [Contender(name, each.login, each.share) for name, each in opened.items()]
        yield LOGIN.measure(logins, rounds, calls)
        reads = [Contender(name, partial(each.read, each.login(1))) for name, each in opened.items()]
        yield READ.measure(reads, rounds, calls * MORE_CALLS)


def run_jose(to: Destination, rounds: int, calls: int) -> Iterator[str]:
    """Measure what needs no network.

    Args:
        to: Who issues the ID token.
        rounds: How many interleaved rounds.
        calls: How many calls of each a round, before there are more because they are so short.

    Yields:
        The tables and the targets.
    """
    with ExitStack() as stack:
        client = connect(to, stack)
        id_token = client.custom_token_exchange({**SUBJECT, "scope": SCOPE}).id_token or ""
        given = IdToken(id_token, to.issuer, fetch_keys(to))
        yield VERIFICATION.measure(open_verifiers(given, client), rounds, calls * MORE_CALLS)
    yield SEALING.measure(open_sealers(sample_state(id_token, STATE_BYTES)), rounds, calls * MORE_CALLS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything and print it.

    Args:
        arguments: The command line; `sys.argv` when None.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.session", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=100, help="logins a round (default: %(default)s)")
    parser.add_argument("--few-headers", action="store_true", help="the server sends 5 headers instead of 23")
    given = parser.parse_args(arguments)
    isolate()
    cpu, placement = pin()
    print(describe(PACKAGES))
    print(f"{placement}; trusted CAs: certifi's and the server's\n", flush=True)
    headers = {} if given.few_headers else EDGE_HEADERS
    with canned_server(canned_replies(id_token=True), cpu, headers=headers) as server:
        to = Destination(server.issuer, server.ca_file)
        for run in (run_sessions, run_jose):
            for text in run(to, given.rounds, given.calls):
                print(text, flush=True)


if __name__ == "__main__":
    main()
