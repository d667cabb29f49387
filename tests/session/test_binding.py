"""With equal secrets: a session belongs to one application, one domain and one kind of store."""

from __future__ import annotations

from typing import Any

import pytest

from auth0_cte import CookieStateStore
from auth0_cte.jose import Sealer
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.clients import SECRET, MakeClient, new_jar, options

IDENTIFIER = "_a0_session"


OTHER = "another-application"


@pytest.fixture
def tenant(tenant: LocalTenant) -> LocalTenant:
    """The tenant, with a second application."""
    tenant.add_application(OTHER)
    return tenant


def test_a_session_of_another_application_is_none(
    tenant: LocalTenant, store: StateStore, make_client: MakeClient
) -> None:
    """The cookie of one application opens nothing at another one, although secret and store are the same."""
    mine, theirs, jar = make_client(tenant, store), make_client(tenant, store, client_id=OTHER), new_jar()
    mine.login_with_custom_token_exchange(options(), {"cookies": jar})
    assert theirs.get_user({"cookies": dict(jar)}) is None
    assert "auth0|ada" == (mine.get_user({"cookies": jar}) or {})["sub"]
    theirs.login_with_custom_token_exchange(options("auth0|eve"), {"cookies": jar})
    assert "auth0|eve" == (theirs.get_user({"cookies": jar}) or {})["sub"]
    assert mine.get_user({"cookies": jar}) is None


@pytest.mark.parametrize("ends", [False, True], ids=["live", "logged out"])
def test_a_record_is_no_cookie(
    ends: bool, tenant: LocalTenant, server_store: StateStore, make_client: MakeClient
) -> None:
    """What a server-side store holds is not a session in a cookie, neither before a logout nor after it."""
    client, jar = make_client(tenant, server_store), new_jar()
    client.login_with_custom_token_exchange(options(), {"cookies": jar})
    record = server_store.get(jar["_a0_session_0"])
    assert record is not None
    if ends:
        client.logout(store_options={"cookies": jar})
    chunks = [record.data[start : start + 3800] for start in range(0, len(record.data), 3800)]
    stolen = {f"{IDENTIFIER}_{number}": chunk for number, chunk in enumerate(chunks)}
    assert make_client(tenant, CookieStateStore()).get_user({"cookies": stolen}) is None


def test_a_cookie_is_no_record(tenant: LocalTenant, server_store: StateStore, make_client: MakeClient) -> None:
    """What a browser holds is not a record, wherever it is put."""
    jar, theirs = new_jar(), new_jar()
    make_client(tenant).login_with_custom_token_exchange(options(), {"cookies": jar})
    client = make_client(tenant, server_store)
    client.login_with_custom_token_exchange(options("auth0|eve"), {"cookies": theirs})
    server_store.replace(theirs["_a0_session_0"], "".join(jar.values()), 0)
    assert client.get_user({"cookies": theirs}) is None
    assert client.get_user({"cookies": jar}) is None


def sealed(state: dict[str, Any]) -> dict[str, str]:
    return {f"{IDENTIFIER}_0": Sealer([SECRET], IDENTIFIER).seal(state)}


def state_of(clock: FakeClock, **members: Any) -> dict[str, Any]:
    return {
        "user": {"sub": "auth0|ada"},
        "id_token": None,
        "refresh_token": None,
        "token_sets": [],
        "domain": None,
        "internal": {"sid": "the-sid", "created_at": int(clock())},
        **members,
    }


@pytest.mark.parametrize(
    ("claims", "is_found"),
    [
        ({"aud": "APP"}, True),
        ({"aud": ["APP"]}, True),
        ({"aud": ["APP", "api"], "azp": "APP"}, True),
        ({"aud": ["APP", "other"], "azp": "other"}, False),
        ({"aud": "other"}, False),
        ({"aud": ["other"]}, False),
        ({"aud": "APP-2"}, False),
        ({"aud": None}, False),
        ({"aud": []}, False),
        ({"aud": {"APP": 1}}, False),
        ({}, False),
    ],
)
def test_the_audience_tells_the_application(
    claims: dict[str, Any], is_found: bool, tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """The application must be the audience, and the authorized party where there is one; no audience is not any."""

    def named(value: Any) -> Any:
        return [named(each) for each in value] if isinstance(value, list) else _in_text(value, tenant.client_id)

    user = {"sub": "auth0|ada", **{name: named(value) for name, value in claims.items()}}
    jar = sealed(state_of(clock, user=user, domain=tenant.domain))
    found = make_client(tenant).get_user({"cookies": jar})
    assert (user if is_found else None) == found


def _in_text(value: Any, client_id: str) -> Any:
    return value.replace("APP", client_id) if isinstance(value, str) else value


def test_the_id_token_tells_where_the_user_does_not(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """A session of another SDK may have audience and issuer in its ID token alone."""
    tenant.add_user("auth0|ada")
    jar = sealed(state_of(clock, id_token=tenant.id_token("auth0|ada")))
    assert make_client(tenant).get_user({"cookies": jar})
    assert make_client(tenant, client_id=OTHER).get_user({"cookies": jar}) is None
    for unreadable in ("an.id.token", "", None, 5):
        assert make_client(tenant).get_user({"cookies": sealed(state_of(clock, id_token=unreadable))}) is None


@pytest.mark.parametrize(
    ("domain", "issuer", "is_found"),
    [
        ("HERE", None, True),
        (None, "https://HERE/", True),
        (None, "https://other.auth0.com/", False),
        (None, None, False),
        ("other.auth0.com", "https://HERE/", False),
        ("https://u@HERE/", "https://HERE/", False),
        ("", "https://HERE/", True),
    ],
)
def test_the_domain_is_the_sessions_or_its_issuers(
    domain: str | None,
    issuer: str | None,
    is_found: bool,
    tenant: LocalTenant,
    clock: FakeClock,
    make_client: MakeClient,
) -> None:
    """A session without a domain is of its ID token's issuer; one that names neither is of nobody's."""
    user = {"sub": "auth0|ada", "aud": tenant.client_id}
    if issuer is not None:
        user["iss"] = issuer.replace("HERE", tenant.domain)
    found = None if domain is None else domain.replace("HERE", tenant.domain)
    jar = sealed(state_of(clock, user=user, domain=found))
    assert is_found == (make_client(tenant).get_user({"cookies": jar}) is not None)


@pytest.mark.parametrize(
    "members",
    [
        {"token_sets": ["x"]},
        {"token_sets": 5},
        {"token_sets": [{"audience": "a"}]},
        {"internal": "x"},
        {"internal": {}},
        {"user": ["sub"]},
        {"user": "x"},
    ],
)
def test_what_is_sealed_and_no_session_is_nobodys(
    members: dict[str, Any], tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """Another program with the same secret may seal anything: it is no session, and no error."""
    good = state_of(clock, user={"sub": "auth0|ada", "aud": tenant.client_id}, domain=tenant.domain)
    client = make_client(tenant)
    assert client.get_user({"cookies": sealed(good)})
    assert client.get_user({"cookies": sealed({**good, **members})}) is None
