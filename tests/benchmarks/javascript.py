"""What an Action in JavaScript costs an exchange: ``python -m tests.benchmarks.javascript``.

The same Action, in Python and in JavaScript, at the same tenant, in turn. Each exchange makes two api calls.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

from auth0_cte.testing import LocalTenant
from auth0_cte.testing.actions.javascript.node import find_node

SCRIPT: Final = """
exports.onExecuteCustomTokenExchange = async (event, api) => {
  if (event.transaction.subject_token !== "custom-token") return api.access.rejectInvalidSubjectToken("unknown");
  api.user.setAppMetadata("seen", true);
  api.authentication.setUserById("auth0|ada");
};
"""


def exchange_in_python(event: Any, api: Any) -> None:
    """Do the same in Python."""
    if event.transaction.subject_token != "custom-token":
        api.access.reject_invalid_subject_token("unknown")
        return
    api.user.set_app_metadata("seen", True)
    api.authentication.set_user_by_id("auth0|ada")


def main() -> None:
    """Print medians of both, and the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder, LocalTenant() as tenant:
        file = Path(folder) / "action.js"
        file.write_text(SCRIPT)
        tenant.add_user("auth0|ada")
        tenant.action("urn:acme:python")(exchange_in_python)
        tenant.action_file("urn:acme:javascript", file)
        took: dict[str, list[float]] = {"urn:acme:python": [], "urn:acme:javascript": []}
        with tenant.client() as client:
            for number in range(-3, calls):
                for token_type, times in took.items():
                    start = time.perf_counter()
                    client.custom_token_exchange({"subject_token": "custom-token", "subject_token_type": token_type})
                    if number >= 0:
                        times.append(time.perf_counter() - start)
    node = subprocess.run([find_node(None), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    python, javascript = (median(times) * 1000 for times in took.values())
    print(f"CPython {platform.python_version()}, Node.js {node}, auth0_cte: median of {calls} exchanges")
    print(
        f"  Action in Python {python:.2f} ms, in JavaScript {javascript:.2f} ms, overhead {javascript - python:.2f} ms"
    )


if __name__ == "__main__":
    main()
