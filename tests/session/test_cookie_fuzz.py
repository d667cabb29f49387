"""Whatever a browser sends as cookies: no exception, and never a session that was not sealed as it stands."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from attrs import frozen
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse
from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response as WerkzeugResponse

from auth0_cte import MemoryStateStore, ServerClient
from auth0_cte.jose import b64url_encode
from auth0_cte.testing import LocalTenant
from tests.integration.apps import configure_django
from tests.load import load, sized
from tests.session.clients import MakeClient, new_jar, options

HEADERS = sized(10_000, 2_500)
NAME = "_a0_session_"

Pairs = list[tuple[str, str]]
Mutation = Callable[[random.Random, Pairs, Pairs], Pairs]

FORGED_HEADERS = [
    {"alg": "PBES2-HS256+A128KW", "enc": "A256CBC-HS512", "p2c": 1_000_000, "p2s": "c2FsdA"},
    {"alg": "PBES2-HS512+A256KW", "enc": "A256CBC-HS512", "p2c": 2**31, "p2s": ""},
    {"alg": "dir", "enc": "A256GCM"},
    {"alg": "dir", "enc": "A128CBC-HS256"},
    {"alg": "dir", "enc": "A256CBC-HS512", "zip": "DEF"},
    {"alg": "dir", "enc": "A256CBC-HS512", "crit": ["exp"]},
    {"alg": "A256KW", "enc": "A256CBC-HS512"},
    {"alg": "none"},
    {"enc": "A256CBC-HS512", "alg": "dir"},
    {},
]


def joined(pairs: Pairs) -> str:
    return "".join(value for name, value in pairs if name.startswith(NAME))


def chunked(value: str, *cuts: int) -> Pairs:
    ends = [0, *sorted(cuts), len(value)]
    return [(f"{NAME}{number}", value[ends[number] : ends[number + 1]]) for number in range(len(ends) - 1)]


def as_it_stands(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    return mine


def flip_a_bit(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    index = rng.randrange(len(mine))
    name, value = mine[index]
    place = rng.randrange(len(value))
    flipped = chr(ord(value[place]) ^ (1 << rng.randrange(8)))
    return [*mine[:index], (name, value[:place] + flipped + value[place + 1 :]), *mine[index + 1 :]]


def truncate(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    index = rng.randrange(len(mine))
    name, value = mine[index]
    start, end = sorted(rng.choices([0, 1, len(value) - 1, len(value), rng.randrange(len(value))], k=2))
    return [*mine[:index], (name, value[start:end]), *mine[index + 1 :]]


def swap_chunks(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    values = [*(value for _, value in mine), *(value for _, value in other)]
    return [(f"{NAME}{number}", rng.choice(values)) for number in range(rng.randint(1, 4))]


def splice(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    first, second = joined(mine), joined(other)
    place = rng.randrange(min(len(first), len(second)))
    return chunked(first[:place] + second[place:])


def swap_segments(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    first, second = joined(mine).split("."), joined(other).split(".")
    return chunked(".".join(rng.choice(pair) for pair in zip(first, second, strict=False)))


def split_elsewhere(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    value = joined(mine)
    return chunked(value, *(rng.randrange(len(value)) for _ in range(rng.randint(0, 18))))


def lose_a_chunk(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    index = rng.randrange(len(mine))
    return [*mine[:index], *mine[index + 1 :]]


def duplicate(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    return rng.sample([*mine, *other], len(mine) + len(other))


def reorder(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    return rng.sample(mine, len(mine))


def renumber(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    numbers = rng.sample(range(20), len(mine))
    return [(f"{NAME}{number}", value) for number, (_, value) in zip(numbers, mine, strict=True)]


def rename(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    names = ["x", "-1", "00", "0x0", "0 ", "", "\u0661", "1e0", "0_0", "999999999999", "0\0", "%30"]
    strange = [(f"{NAME}{rng.choice(names)}", value) for _, value in other]
    return rng.sample([*strange, *mine], len(strange) + len(mine)) if rng.random() < 0.5 else strange


def other_prefix(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    prefix = rng.choice(["__Host-", "__Secure-", "x", " ", "_A0_SESSION_"])
    return [(prefix + name, value) for name, value in mine]


def append_a_stale_chunk(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    return [*mine, (f"{NAME}{len(mine) + rng.randint(0, 1)}", rng.choice(["", "x", other[-1][1]]))]


def switch_algorithm(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    segments = joined(mine).split(".")
    header = json.dumps(rng.choice(FORGED_HEADERS), separators=rng.choice([(",", ":"), (", ", ": ")]))
    key = rng.choice(["", "AAAA", b64url_encode(rng.randbytes(40))])
    return chunked(".".join([b64url_encode(header.encode()), key, *segments[2:]]))


def json_serialization(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    names = ["protected", "encrypted_key", "iv", "ciphertext", "tag"]
    members: dict[str, Any] = dict(zip(names, joined(mine).split("."), strict=False))
    general = {**members, "recipients": [{"encrypted_key": ""}]}
    return chunked(json.dumps(rng.choice([members, general]), separators=(",", ":")))


def huge(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    segments = joined(mine).split(".")
    filler = rng.choice("A.=;\\") * rng.choice([10_000, 70_000])
    return [(f"{NAME}0", rng.choice([filler, ".".join([*segments[:3], filler, segments[-1]]), joined(mine) + filler]))]


def noise(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    kinds = ["\0\x01\x1f\x7f\t\r\n", "äß€𝄞\u202e\u0661", '";,= \\%', "AZaz09-_.", "{}[]:", "\xff\xfe\x80"]
    alphabet = "".join(rng.sample(kinds, 3))
    return [(f"{NAME}{number}", "".join(rng.choices(alphabet, k=rng.randint(0, 60)))) for number in range(2)]


def insert_noise(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    name, value = mine[0]
    place = rng.randrange(len(value))
    return [
        (
            name,
            value[:place] + rng.choice(["\0", "é", "€", "\x80", " ", "=", '"', "\\", ";", ",", "\n"]) + value[place:],
        )
    ]


def quote(rng: random.Random, mine: Pairs, other: Pairs) -> Pairs:
    return [(name, rng.choice(['"{}"', '"{}', "{} ", " {}", "'{}'"]).format(value)) for name, value in mine]


MUTATIONS: list[Mutation] = [
    *(as_it_stands, flip_a_bit, truncate, swap_chunks, splice, swap_segments, split_elsewhere, lose_a_chunk, duplicate),
    *(reorder, renumber, rename, other_prefix, append_a_stale_chunk, switch_algorithm, json_serialization, huge, noise),
    *(insert_noise, quote),
]


def werkzeug_request(header: bytes) -> WerkzeugRequest:
    return WerkzeugRequest(environ(header))


def starlette_request(header: bytes) -> StarletteRequest:
    headers = [(b"host", b"127.0.0.1"), (b"cookie", header)]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers, "scheme": "http"}
    return StarletteRequest(scope)


def django_request(header: bytes) -> Any:
    from django.core.handlers.wsgi import WSGIRequest

    configure_django()
    return WSGIRequest(environ(header))


def django_response() -> Any:
    from django.http import HttpResponse

    return HttpResponse()


def environ(header: bytes) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "HTTP_COOKIE": header.decode("latin-1"),
    }


@frozen
class Framework:
    request: Callable[[bytes], Any]
    response: Callable[[], Any]

    def cookies(self, request: Any) -> Mapping[str, str]:
        found: Mapping[str, str] = request.COOKIES if hasattr(request, "COOKIES") else request.cookies
        return found


FRAMEWORKS = {
    "flask": Framework(werkzeug_request, WerkzeugResponse),
    "django": Framework(django_request, django_response),
    "fastapi": Framework(starlette_request, StarletteResponse),
}


@frozen
class Prey:
    """A client, the cookies of its users and of others, and whom each value stands for here."""

    client: ServerClient
    jars: list[Pairs]
    users: dict[str, str]
    headers: int

    def expected(self, cookies: Mapping[str, str], header: bytes) -> set[str | None]:
        """Return whose values the cookies make up, read as plainly as can be."""
        value = ""
        for number in range(16):
            if not cookies.get(f"{NAME}{number}"):
                break
            value += cookies[f"{NAME}{number}"]
        if value in self.users:
            return {self.users[value]}
        # Not at first sight: cut short, or of cookies that came twice, it can be a user's whole value alone.
        sent = header.decode("latin-1")
        return {None, *(user for each, user in self.users.items() if all(chunk in sent for chunk in _chunks(each)))}


def _chunks(value: str) -> list[str]:
    return [value[start : start + 3800] for start in range(0, len(value), 3800)]


@pytest.fixture(params=["cookie", "memory"])
def prey(
    request: pytest.FixtureRequest, tenant: LocalTenant, make_client: MakeClient, new_client: type[ServerClient]
) -> Prey:
    store = MemoryStateStore() if request.param == "memory" else None
    client = make_client(tenant, store)
    strangers = [
        make_client(tenant, secret="another-secret-of-more-than-32-bytes"),
        make_client(tenant, state_identifier="_other_session"),
    ]
    jars, users = [], {}
    for each in [client, *strangers]:
        for user, name in (("auth0|ada", ""), ("auth0|eve", ""), ("auth0|big", "b" * 1100), ("auth0|fat", "f" * 1150)):
            tenant.add_user(user, name=name)
            jar = new_jar()
            each.login_with_custom_token_exchange(options(user, scope="profile"), {"cookies": jar})
            pairs = [(f"{NAME}{number}", value) for number, (_, value) in enumerate(sorted(jar.items()))]
            jars.append(pairs)
            if each is client:
                users[joined(pairs)] = user
    return Prey(client, jars, users, HEADERS if new_client is ServerClient else HEADERS // 10)


def header_of(rng: random.Random, jars: list[Pairs]) -> bytes:
    mine, other = rng.sample(jars, 2)
    pairs = rng.choice(MUTATIONS)(rng, mine, other)
    if rng.random() < 0.2:
        pairs = [("other", "cookie"), *pairs, ("_a0_sessio", "x"), ("", "nameless")]
    separator = rng.choice(["; ", "; ", "; ", ";", ";; "])
    encoding = rng.choice(["utf-8", "utf-8", "utf-16-le"]) if rng.random() < 0.05 else "utf-8"
    return separator.join(f"{name}={value}" for name, value in pairs).encode(encoding, "surrogatepass")


@load
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_no_header_is_taken_for_a_session_that_it_is_not(name: str, prey: Prey) -> None:
    """Headers of each framework and kind of store bring nobody, or the user whose untouched value they hold.

    There are 10,000 of each, a quarter in a short run; the mirror reads a tenth of them, since it reads none itself.
    """
    rng, framework = random.Random(f"read {name}"), FRAMEWORKS[name]
    found = 0
    for number in range(prey.headers):
        header = header_of(rng, prey.jars)
        request = framework.request(header)
        expected = prey.expected(framework.cookies(request), header)
        user = prey.client.get_user({"request": request})
        assert (None if user is None else user["sub"]) in expected, (number, header)
        found += user is not None
    assert prey.headers / 50 < found < prey.headers / 2, "the mutations hit too seldom, or not hard enough"


@load
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_login_over_any_header_is_the_new_users(name: str, prey: Prey) -> None:
    """Whatever cookies there were, a login works, is seen by the same request, and a logout leaves nobody."""
    rng, framework = random.Random(f"write {name}"), FRAMEWORKS[name]
    for number in range(sized(200, 60)):
        header = header_of(rng, prey.jars[4:])
        store_options = {"request": framework.request(header), "response": framework.response()}
        result = prey.client.login_with_custom_token_exchange(options("auth0|ada"), store_options)
        user = prey.client.get_user(store_options)
        assert result.user == user, (number, header)
        prey.client.logout(None, store_options)
        assert prey.client.get_user(store_options) is None, (number, header)
