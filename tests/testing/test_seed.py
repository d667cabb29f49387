"""Seeds: what they register, how their faults are told, and that a tenant returns to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auth0_cte import ConfigurationError, CustomTokenExchangeError, CustomTokenExchangeOptions, ServerClient
from auth0_cte.oauth.id_token import read_unverified
from auth0_cte.testing import LocalTenant
from auth0_cte.testing.seeding.schema import SchemaError, check, schema
from tests.testing.node import NODES

TYPE = "urn:acme:legacy"
API = "https://api.acme.example"
ACTION = """
exports.onExecuteCustomTokenExchange = async (event, api) => {
  if (event.transaction.subject_token !== event.secrets.EXPECTED) {
    return api.access.rejectInvalidSubjectToken("unknown token");
  }
  api.authentication.setUserById("auth0|ada");
};
"""
SEED: dict[str, Any] = {
    "default_audience": API,
    "custom_domains": ["login.acme.example"],
    "connections": [{"name": "Username-Password-Authentication"}],
    "apis": [{"identifier": API, "scopes": ["read:data"], "token_dialect": "access_token_authz"}],
    "roles": [{"name": "reader", "permissions": {API: ["read:data"]}}],
    "users": [
        {"user_id": "auth0|ada", "email": "ada@acme.example", "app_metadata": {"plan": "pro"}, "roles": ["reader"]},
        {"user_id": "auth0|eve", "factors": [{"kind": "otp", "name": "phone"}]},
    ],
    "groups": [{"name": "staff", "members": ["auth0|ada"], "roles": ["reader"]}],
    "organizations": [{"id": "org_acme", "name": "acme", "members": ["auth0|ada"]}],
    "applications": [{"client_id": "shop", "client_secret": {"env": "SHOP_SECRET"}, "metadata": {"tier": "1"}}],
    "actions": [{"subject_token_type": TYPE, "accept": "auth0|ada"}],
}


@pytest.fixture
def tenant(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalTenant]:
    monkeypatch.setenv("SHOP_SECRET", "a-secret-of-the-shop")
    with LocalTenant() as made:
        made.actions.node = NODES["wheel"]
        yield made


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Write a seed file, with an Action beside it."""
    (tmp_path / "actions").mkdir()
    (tmp_path / "actions" / "legacy.js").write_text(ACTION)

    def write(seed: dict[str, Any]) -> Path:
        path = tmp_path / "tenant.json"
        path.write_text(json.dumps(seed))
        return path

    return write


def exchange(client: ServerClient, token: str = "token", **more: Any) -> Any:
    return client.custom_token_exchange(
        CustomTokenExchangeOptions(subject_token=token, subject_token_type=TYPE, **more)
    )


def test_a_seed_registers_everything(tenant: LocalTenant) -> None:
    """An exchange at a seeded tenant finds the application, user, organization, API and permissions."""
    tenant.seed(SEED)
    with tenant.client(client_id="shop") as client:
        response = exchange(client, organization="org_acme", scope="openid email read:data")
    claims = read_unverified(response.access_token)[1]
    assert ("auth0|ada", API, ["read:data"]) == (claims["sub"], claims["aud"][0], claims["permissions"])
    assert {"plan": "pro"} == tenant.users["auth0|ada"].app_metadata
    assert ["otp"] == [factor.kind for factor in tenant.factors.of("auth0|eve")]
    assert (["staff"], {"reader"}) == (
        [group.name for group in tenant.state.groups.of("auth0|ada")],
        tenant.state.groups.roles("auth0|ada"),
    )


def test_files_are_beside_the_seed_and_secrets_in_the_environment(
    tenant: LocalTenant, write: Callable[[dict[str, Any]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An Action's path is relative to the seed file, and its secret comes from the variable that is named."""
    monkeypatch.setenv("LEGACY_SECRET", "open sesame")
    entry = {"subject_token_type": TYPE, "file": "actions/legacy.js", "secrets": {"EXPECTED": {"env": "LEGACY_SECRET"}}}
    tenant.seed(write({"users": [{"user_id": "auth0|ada"}], "actions": [entry]}))
    with tenant.client() as client:
        assert exchange(client, "open sesame").access_token
        with pytest.raises(CustomTokenExchangeError, match="unknown token"):
            exchange(client, "another one")


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ({"users": [{"user_id": "a"}, {"email": "b@acme.example"}]}, r"\$\.users\[1\]\.user_id is required"),
        ({"users": [{"user_id": "a", "emial": "x"}]}, r"\$\.users\[0\]\.emial is unknown; did you mean email\?"),
        ({"users": [{"user_id": 7}]}, r"\$\.users\[0\]\.user_id must be a string"),
        ({"users": [{"user_id": "a", "blocked": 1}]}, r"\$\.users\[0\]\.blocked must be a boolean"),
        ({"users": {}}, r"\$\.users must be an array"),
        ({"users": [{"user_id": "a"}, {"user_id": "a"}]}, r"\$\.users\[1\]\.user_id must be unique"),
        ({"users": [{"user_id": "a", "roles": ["x"]}]}, r"\$\.users\[0\] has a role that does not exist: x"),
        ({"groups": [{"name": "a", "roles": ["x"]}]}, r"\$\.groups\[0\] has a role that does not exist: x"),
        ({"groups": [{"name": "a"}, {"name": "a"}]}, r"\$\.groups\[1\]\.name must be unique"),
        ({"people": []}, r"\$\.people is unknown; use one of"),
        ({"organizations": [{"id": "acme", "name": "a"}]}, r"\$\.organizations\[0\]\.id must match \^org_"),
        ({"apis": [{"identifier": ""}]}, r"\$\.apis\[0\]\.identifier must not be empty"),
        ({"apis": [{"identifier": API, "token_lifetime": 0}]}, r"\.token_lifetime must be 1 or more"),
        ({"apis": [{"identifier": API, "token_lifetime": True}]}, r"\.token_lifetime must be an integer"),
        ({"apis": [{"identifier": API, "token_dialect": "jwt"}]}, r"\.token_dialect must be one of access_token, "),
        (
            {"applications": [{"client_id": "a", "client_secret": 5}]},
            r"\$\.applications\[0\]\.client_secret must be a string or \{\"env\": \"NAME\"\}",
        ),
        (
            {"applications": [{"client_id": "a", "client_secret": {"env": "NOT_SET_ANYWHERE"}}]},
            r"\.client_secret requires the environment variable NOT_SET_ANYWHERE, which is not set",
        ),
        (
            {"applications": [{"client_id": "a", "auth_method": "none", "client_secret": "x"}]},
            r"\$\.applications\[0\] a public application .* has no secret",
        ),
        ({"actions": [{"subject_token_type": TYPE}]}, r"\$\.actions\[0\] must have one of file and accept"),
        (
            {"actions": [{"subject_token_type": TYPE, "file": "no.js"}]},
            r"\$\.actions\[0\]\.file must be a file: .*no\.js does not exist",
        ),
        ({"post_login": [{"file": "no.js"}]}, r"\$\.post_login\[0\]\.file must be a file"),
    ],
)
def test_a_fault_is_told_with_its_path(seed: dict[str, Any], message: str, tenant: LocalTenant) -> None:
    """The JSON path and what must be otherwise, before anything is registered."""
    with pytest.raises(ConfigurationError, match=f"^seed: .*{message}"):
        tenant.seed({"connections": [{"name": "first"}], **seed})
    assert {} == dict(tenant.users)


def test_a_secret_is_in_no_message(tenant: LocalTenant) -> None:
    """What is wrong about an application is told without its secret."""
    application = {"client_id": "a", "auth_method": "none", "client_secret": "canary-of-the-seed"}
    with pytest.raises(ConfigurationError) as caught:
        tenant.seed({"applications": [application]})
    assert "canary" not in f"{caught.value!r} {caught.value}"


@pytest.mark.parametrize("text", ["{", "[]", '{"users": [], "users": []}', "{'users': 1}"])
def test_a_file_that_is_not_an_object_is_told(text: str, tenant: LocalTenant, tmp_path: Path) -> None:
    """The message names the file."""
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"^broken\.json: "):
        tenant.seed(path)


def test_a_file_that_is_absent_is_told(tenant: LocalTenant, tmp_path: Path) -> None:
    """As Python tells it."""
    with pytest.raises(FileNotFoundError):
        tenant.seed(tmp_path / "absent.json")


def test_reset_returns_to_the_seed(tenant: LocalTenant) -> None:
    """What was added, changed, issued, scripted and recorded since is gone; what was seeded works."""
    tenant.seed(SEED)
    with tenant.client(client_id="shop") as client:
        response = exchange(client, scope="openid offline_access")
        tenant.add_user("auth0|late")
        tenant.block_user("auth0|ada")
        tenant.users["auth0|ada"].app_metadata["plan"] = "free"
        tenant.delete_user("auth0|eve")
        tenant.accept("urn:acme:late", "auth0|late")
        tenant.add_group("staff", members=["auth0|late"])
        tenant.fail_next(503)
        tenant.reset()
        assert {"auth0|ada", "auth0|eve"} == set(tenant.users)
        assert {"plan": "pro"} == tenant.users["auth0|ada"].app_metadata
        assert ([TYPE], ["staff"], []) == (
            list(tenant.actions.profiles),
            [group.name for group in tenant.state.groups.of("auth0|ada")],
            tenant.state.groups.of("auth0|late"),
        )
        assert (0, 0, 0) == (len(tenant.requests), len(tenant.logs), len(tenant.refresh_tokens))
        with pytest.raises(CustomTokenExchangeError):
            client.refresh_exchanged_token(response.refresh_token)
        assert "auth0|ada" == exchange(client, scope="openid").claims["sub"]


def test_reset_works_again_and_again(tenant: LocalTenant) -> None:
    """What is changed after a reset is undone by the next one."""
    tenant.seed(SEED)
    for _ in range(2):
        tenant.users["auth0|ada"].app_metadata["plan"] = "free"
        tenant.assign_permissions("auth0|ada", API, ["write:data"])
        tenant.reset()
        assert {"plan": "pro"} == tenant.users["auth0|ada"].app_metadata
        assert ("read:data",) == tenant.state.roles.permissions("auth0|ada", API, None)


def test_reset_keeps_a_recovery_code(tenant: LocalTenant) -> None:
    """Whoever wrote a seeded user's recovery code down can use it after a reset."""
    tenant.seed({"users": [{"user_id": "auth0|eve", "factors": [{"kind": "recovery-code"}]}]})
    code = tenant.factors.of("auth0|eve")[0].code()
    tenant.reset()
    assert code == tenant.factors.of("auth0|eve")[0].code()


def test_reset_without_a_seed_returns_to_a_new_tenant() -> None:
    """The default application is there, with its secret, and nothing else."""
    with LocalTenant() as tenant, tenant.client() as client:
        tenant.accept(TYPE, "auth0|ada")
        exchange(client)
        tenant.reset()
        assert {} == dict(tenant.users)
        tenant.accept(TYPE, "auth0|ada")
        assert exchange(client).access_token


def test_a_seed_comes_beside_what_python_registered() -> None:
    """Actions that are functions stay, and a reset keeps them."""
    with LocalTenant() as tenant, tenant.client() as client:

        @tenant.action(TYPE)
        def action(_event: Any, api: Any) -> None:
            api.authentication.setUserById("auth0|ada")

        tenant.seed({"users": [{"user_id": "auth0|ada"}]})
        tenant.reset()
        assert exchange(client).access_token


class TestSchema:
    """The schema that is shipped is what is checked."""

    def test_every_member_of_the_setup_is_in_it(self) -> None:
        """What can be registered in Python can be seeded, except for certificates, which are paths."""
        import inspect

        left = {"self", "certificates", "certificate_authority", "attributes", "mfa_requirements"}
        methods: dict[str, Any] = {
            "user": LocalTenant.add_user,
            "application": LocalTenant.add_application,
            "api": LocalTenant.add_api,
            "role": LocalTenant.add_role,
            "connection": LocalTenant.add_connection,
        }
        for name, method in methods.items():
            wanted = set(inspect.signature(method).parameters) - left
            assert set() == wanted - set(schema()["$defs"][name]["properties"])

    def test_it_uses_only_what_is_checked(self) -> None:
        """No keyword of JSON Schema is in it that the check would pass over."""
        known = {"$schema", "$ref", "$defs", "title", "description", "type", "properties", "required", "items"}
        known |= {"additionalProperties", "enum", "anyOf", "pattern", "minLength", "minimum"}

        def keywords(wanted: Any) -> Iterator[str]:
            if isinstance(wanted, dict):
                for name, value in wanted.items():
                    yield name
                    inner = value.values() if name in ("properties", "$defs") else [value]
                    for each in inner:
                        yield from keywords(each)
            elif isinstance(wanted, list):
                for each in wanted:
                    yield from keywords(each)

        assert set() == set(keywords(schema())) - known

    def test_names_in_paths_are_quoted_where_needed(self) -> None:
        """A member whose name is not a word stands in brackets."""
        with pytest.raises(SchemaError, match=r'^\$\["https://api"\] must be an array$'):
            check({"https://api": 1}, "permissions")
