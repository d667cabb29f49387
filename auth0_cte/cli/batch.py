"""``auth0-cte batch``: exchange many tokens, each at most once."""

from __future__ import annotations

import math
import signal
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.batch.brake import Brake, Gate, Stop
from auth0_cte.batch.journal import Journal
from auth0_cte.batch.ledger import LocalLedger, SharedLedger
from auth0_cte.batch.output_file import OutputFile
from auth0_cte.batch.rows import RowFile
from auth0_cte.batch.runner import Batch
from auth0_cte.batch.survey import survey
from auth0_cte.cli.shared.failures import ExitCode
from auth0_cte.cli.shared.output import Output, json_option
from auth0_cte.cli.shared.parameters import parameters_option, target_options, type_option
from auth0_cte.cli.shared.progress import progress
from auth0_cte.cli.shared.target import connection_options, open_target
from auth0_cte.cli.shared.words import duration, moment
from auth0_cte.oauth.rate_limit.limiter import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import redis

    from auth0_cte.batch.ledger import Ledger
    from auth0_cte.batch.rows import Row
    from auth0_cte.batch.runner import Tally
    from auth0_cte.batch.survey import Survey
    from auth0_cte.cli.shared.target import Target

__all__ = ["command"]

EXAMPLES: Final = """\b
Examples:
  auth0-cte batch users.csv -t urn:acme:legacy-token --dry-run
  auth0-cte batch users.csv -t urn:acme:legacy-token --id-column id
  auth0-cte batch users.csv -t urn:acme:legacy-token --id-column id --resume
"""

INTERRUPTED: Final = 130
PLANS: Final = {"b2b-pro": "4/s", "enterprise": "15/s"}
"""Auth0's limits on Custom Token Exchange by plan, for the whole tenant."""
_EXIT: Final = {
    "attack_limit": ExitCode.LIMIT,
    "rate_limit": ExitCode.LIMIT,
    "configuration": ExitCode.CONFIGURATION,
    "network": ExitCode.NETWORK,
    "interrupted": INTERRUPTED,
}


@click.command("batch", epilog=EXAMPLES)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@type_option
@click.option("--format", type=click.Choice(["csv", "jsonl"]), help="The file's format; by its suffix if left out.")
@click.option("--token-column", default="subject_token", show_default=True, metavar="NAME", help="Where the token is.")
@click.option("--id-column", metavar="NAME", help="Where the row's id is; the row's number if left out.")
@click.option("--actor-token-column", metavar="NAME", help="Where an actor token is.")
@click.option("--actor-token-type", metavar="URI", help="The type of the actor tokens.")
@target_options
@parameters_option
@click.option("--plan", type=click.Choice(list(PLANS)), default="b2b-pro", show_default=True, help="Sets the rate.")
@click.option("--rate", metavar="RATE", help="Exchanges at most, e.g. 4/s; the plan's limit if left out.")
@click.option("--workers", type=click.IntRange(1, 256), help="Exchanges under way at once; by the rate if left out.")
@click.option("--attempts", type=click.IntRange(1, 20), default=3, show_default=True, help="For errors that allow it.")
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path), help="FILE.journal if left out.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="FILE.results.jsonl if left out.")
@click.option("--with-tokens", is_flag=True, help="Write the tokens to the output file, too.")
@click.option("--resume", is_flag=True, help="Go on where the journal's run ended.")
@click.option("--retry-unknown", is_flag=True, help="Send rows again that may have been exchanged.")
@click.option("--redis", "redis_url", metavar="URL", help="Share rate and rows with other machines.")
@click.option("--dry-run", is_flag=True, help="Check all rows and say how long it will take; send nothing.")
@json_option
@connection_options
def command(file: Path, as_json: bool, local: bool, dry_run: bool, **given: Any) -> None:
    """Exchange the tokens of a CSV or JSON Lines FILE.

    Each row is sent at most once. A row that was under way when the run was
    killed is reported as unknown and not sent again; --resume goes on with the
    others. The run stops at once when Auth0 blocks this address
    (too_many_attempts), and says when to go on.

    Journal and output hold row ids, users and error codes; tokens only with
    --with-tokens. The last line of a row in the output is what became of it.
    """
    out = Output(as_json=as_json)
    source = RowFile(
        path=file,
        format=given["format"],
        token=given["token_column"],
        id=given["id_column"],
        actor_token=given["actor_token_column"],
    )
    options, rate = _options_of(given), given["rate"] or PLANS[given["plan"]]
    RateLimit(rate)  # refused before a file is made
    if given["retry_unknown"] and not given["resume"]:
        raise click.UsageError("--retry-unknown requires --resume")
    found = survey(source, options)
    _tell_survey(out, found, rate)
    if dry_run:
        _finish_dry_run(out, found, rate)
        return
    with open_target(local=local, token_types=[given["subject_token_type"]]) as target:
        _run(out, source, target, {**given, "rate": rate, "options": options, "found": found})


def _options_of(given: Mapping[str, Any]) -> Callable[[Row], CustomTokenExchangeOptions]:
    def options(row: Row) -> CustomTokenExchangeOptions:
        return CustomTokenExchangeOptions(
            subject_token=row.token,
            subject_token_type=given["subject_token_type"],
            actor_token=row.actor_token,
            actor_token_type=given["actor_token_type"] if row.actor_token is not None else None,
            audience=given["audience"],
            scope=" ".join(given["scope"]) or None,
            organization=given["organization"],
            authorization_params=given["parameters"] or None,
        )

    return options


def _per_second(rate: str) -> float:
    number, _, unit = rate.partition("/")
    return float(number) / {"s": 1.0, "m": 60.0, "h": 3600.0}[unit.strip()[0]]


def _tell_survey(out: Output, found: Survey, rate: str) -> None:
    seconds = found.sendable / _per_second(rate)
    out.say(f"{found.rows:,} rows at {rate} are {duration(seconds)}, until {moment(time.time() + seconds)} or later")
    for problem in found.problems:
        out.warn(problem)
    others = found.invalid + found.duplicates - len(found.problems)
    if others > 0:
        out.warn(f"{others:,} further rows cannot be sent")


def _finish_dry_run(out: Output, found: Survey, rate: str) -> None:
    told = {
        "rows": found.rows,
        "sendable": found.sendable,
        "invalid": found.invalid,
        "duplicates": found.duplicates,
        "rate": rate,
        "seconds": math.ceil(found.sendable / _per_second(rate)),
    }
    if out.as_json:
        out.data({**told, "problems": found.problems})
    else:
        out.pairs("Dry run: nothing was sent", [(name, f"{value}") for name, value in told.items()])
    if found.sendable < found.rows:
        click.get_current_context().exit(ExitCode.REJECTED)


def _run(out: Output, source: RowFile, target: Target, given: Mapping[str, Any]) -> None:
    beside = source.path.parent
    journal_path = given["journal"] or beside / f"{source.path.name}.journal"
    output_path = given["output"] or beside / f"{source.path.name}.results.jsonl"
    brake, found = Brake(), given["found"]
    with ExitStack() as stack:
        about = {
            "file": source.fingerprint(),
            "id column": source.id or "",
            "tenant": target.domain,
            "subject token type": given["subject_token_type"],
            "audience": given["audience"] or "",
        }
        # First, because settings that cannot work must leave no file behind.
        stack.enter_context(target.make_client())
        connection = _connection(given["redis_url"])
        Journal.check(journal_path, resume=given["resume"])
        output = OutputFile(output_path, with_tokens=given["with_tokens"], resume=given["resume"])
        stack.callback(output.close)
        journal = Journal(journal_path, about, output=output, resume=given["resume"])
        stack.callback(journal.close)
        ledger, shared = _ledger(journal, connection, given, about)
        recovered = ledger.recover()
        lost = sum(outcome.state == "unknown" for outcome in recovered)
        if lost:
            out.warn(f"{lost} rows were under way when the run before ended: unknown, and not sent again by themselves")
        gate = Gate(given["rate"], brake, ledger, **shared)
        workers = given["workers"] or min(64, max(4, math.ceil(_per_second(given["rate"]))))
        client = stack.enter_context(target.make_client(rate_limit=gate, pool_size=workers))
        batch = Batch(
            client=client,
            rows=source,
            ledger=ledger,
            brake=brake,
            options=given["options"],
            workers=workers,
            attempts=given["attempts"],
        )
        with _stopping(brake, out), progress(out, found.rows) as tick:
            stop = batch.run(tick)
        status = _summarize(out, journal, batch.tally, stop, output_path)
    if status:
        click.get_current_context().exit(status)


def _connection(url: str | None) -> redis.Redis | None:
    if url is None:
        return None
    from auth0_cte.cli.shared.redis_url import connect

    return connect(url)


def _ledger(
    journal: Journal, connection: redis.Redis | None, given: Mapping[str, Any], about: Mapping[str, str]
) -> tuple[Ledger, dict[str, Any]]:
    again = given["retry_unknown"]
    if connection is None:
        return LocalLedger(journal, retry_unknown=again), {}
    from auth0_cte.batch.claims import RedisClaims

    name = "-".join((about["file"][:32], about["tenant"], about["subject token type"], about["audience"]))
    claims = RedisClaims(connection, name)
    if given["resume"]:
        claims.resume()
    return SharedLedger(journal, claims, retry_unknown=again), {"redis": connection}


@contextmanager
def _stopping(brake: Brake, out: Output) -> Iterator[None]:
    """End the batch in good order on Ctrl-C or SIGTERM; a second Ctrl-C ends it at once."""

    def stop(number: int, _frame: object) -> None:
        if not brake.pull(Stop(kind="interrupted")):
            signal.default_int_handler(number, None)
        out.say("stopping: what is under way is awaited; press Ctrl-C again to end at once")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _summarize(out: Output, journal: Journal, tally: Tally, stop: Stop | None, output_path: Path) -> int:
    counts, codes = journal.counts(), journal.codes()
    unfinished = sum(count for state, count in counts.items() if state != "ok")
    status = int(_EXIT[stop.kind]) if stop is not None else int(ExitCode.REJECTED) if unfinished else 0
    go_on = None if stop is None or stop.retry_after is None else time.time() + stop.retry_after
    if out.as_json:
        out.data(
            {
                "rows": counts,
                "codes": codes,
                "this_run": {**tally.states, "skipped": tally.skipped},
                "stopped": None if stop is None else _told(stop),
                "go_on_at": go_on,
                "output": str(output_path),
            }
        )
    else:
        rows = [(state, f"{count:,}") for state, count in sorted(counts.items())]
        out.pairs("Rows, all runs together", rows or [("rows", "none")])
        if codes:
            out.pairs("Codes", [(code, f"{count:,}") for code, count in sorted(codes.items())])
        unknown = list(journal.unknown(10))
        if unknown:
            out.pairs(
                "Unknown", [("first ids", ", ".join(unknown)), ("to send them again", "--resume --retry-unknown")]
            )
    if stop is not None:
        _tell_stop(out, stop, go_on)
    out.say(f"results: {output_path}")
    return status


def _told(stop: Stop) -> dict[str, Any]:
    error = stop.error
    return {"reason": stop.kind, "code": error and error.code, "message": error and error.message}


def _tell_stop(out: Output, stop: Stop, go_on: float | None) -> None:
    reason = {
        "attack_limit": "Auth0 blocks this address because too many tokens were rejected",
        "rate_limit": "the tenant's rate limit is used up, again and again",
        "configuration": "no row can be exchanged as things are set up",
        "network": "the tenant cannot be reached",
        "interrupted": "you asked for it",
    }[stop.kind]
    out.say(f"stopped: {reason}", "red")
    if stop.error is not None:
        out.say(f"error: {stop.error.code}: {stop.error.message}", "red")
        if stop.error.hint:
            out.say(f"hint: {stop.error.hint}")
    at = "" if go_on is None else f", not before {moment(go_on)} (in {duration(go_on - time.time())})"
    out.say(f"go on with --resume{at}")
