"""Many threads over one client, against a real TLS server."""

from __future__ import annotations

import threading

from auth0_cte import CustomTokenExchangeOptions, ServerClient
from auth0_cte.testing import LocalTenant
from tests.load import load, sized

THREADS, EXCHANGES = 16, sized(200, 40)


@load
def test_sixteen_threads_share_one_client_over_tls() -> None:
    """Many exchanges of sixteen users: no error, nobody gets another's token, at most sixteen connections."""
    tenant = LocalTenant()

    @tenant.action("urn:acme:mcp-token")
    def exchange(event: object, api: object) -> None:
        api.authentication.set_user_by_id(event.transaction.subject_token)  # type: ignore[attr-defined]

    for number in range(THREADS):
        tenant.add_user(f"auth0|{number}")
    failures: list[object] = []

    def work(client: ServerClient, user: str) -> None:
        options = CustomTokenExchangeOptions(
            subject_token=user, subject_token_type="urn:acme:mcp-token", scope="openid"
        )
        for _ in range(EXCHANGES):
            response = client.custom_token_exchange(options)
            if (response.claims or {}).get("sub") != user:
                failures.append(response)

    with tenant.serve(tls=True) as server, server.client() as client:
        threads = [threading.Thread(target=work, args=(client, f"auth0|{number}")) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.connections <= THREADS
    assert [] == failures
    assert THREADS * EXCHANGES == len(tenant.token_requests)
    assert THREADS * EXCHANGES == sum(entry.type == "secte" for entry in tenant.logs)
    assert not any("cookie" in request.headers for request in tenant.requests)
