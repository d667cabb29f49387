"""How many of the library's own functions, in how many of its files, one exchange with an ID token passes.

Counted are the call events of ``sys.setprofile`` in a warm client's thread, in files of the package other than the test
tenant, without comprehensions, lambdas and the code that attrs generates. Figures are for CPython 3.11.

    python -m tests.benchmarks.calls [--list]
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Final

import auth0_cte
from auth0_cte.testing import LocalTenant

MAX_CALLS: Final = 80
MAX_FILES: Final = 20
WARM_UP: Final = 3
PACKAGE: Final = Path(auth0_cte.__file__).parent
UNCOUNTED: Final = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>", "<lambda>"})
OPTIONS: Final[dict[str, Any]] = {
    "subject_token": "auth0|ada",
    "subject_token_type": "urn:acme:mcp-token",
    "audience": "https://api.example.com",
    "scope": "openid read:data",
}


def count_calls() -> Counter[tuple[str, str]]:
    """Exchange over a loopback connection, and count the calls by file and function."""
    tenant = LocalTenant()
    tenant.add_api(OPTIONS["audience"], scopes=["read:data"])
    tenant.accept(OPTIONS["subject_token_type"], OPTIONS["subject_token"])
    calls: Counter[tuple[str, str]] = Counter()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE) and frame.f_code.co_name not in UNCOUNTED:
            calls[str(path.relative_to(PACKAGE)), frame.f_code.co_qualname] += 1

    with tenant.serve() as server, server.client() as client:
        for _ in range(WARM_UP):
            client.custom_token_exchange(OPTIONS)
        sys.setprofile(note)
        try:
            response = client.custom_token_exchange(OPTIONS)
        finally:
            sys.setprofile(None)
        if response.claims is None:
            raise SystemExit("the exchange brought no verified ID token")
    return Counter({place: count for place, count in calls.items() if not place[0].startswith("testing/")})


def main() -> None:
    """Print the figures, and each function with ``--list``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="print each file and function")
    arguments = parser.parse_args()
    calls = count_calls()
    files = Counter[str]()
    for (path, _), count in calls.items():
        files[path] += count
    if arguments.list:
        for path, count in sorted(files.items()):
            print(f"{count:4}  {path}")
            for (where, name), number in sorted(calls.items()):
                if where == path:
                    print(f"      {number:3} {name}")
    version = platform.python_version()
    print(f"{calls.total()} calls (at most {MAX_CALLS}) in {len(files)} files (at most {MAX_FILES}), CPython {version}")


if __name__ == "__main__":
    main()
