"""The authentication backend for Django: whom ``request.user`` shows, and when no longer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from traceback import TracebackException
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from auth0_cte import ConfigurationError, MemoryStateStore
from auth0_cte.django import get_client
from auth0_cte.testing import LocalTenant
from tests.django_project import (
    AUTHENTICATION,
    BACKEND,
    MODEL_BACKEND,
    OURS,
    SECRET,
    SESSIONS,
    database,
    make_tenant,
    options,
    project,
)
from tests.integrations.test_django import Browser


@pytest.fixture
def tenant() -> LocalTenant:
    return make_tenant()


@pytest.fixture
def store() -> MemoryStateStore:
    return MemoryStateStore()


@pytest.fixture(autouse=True)
def _project(tenant: LocalTenant, store: MemoryStateStore) -> Iterator[None]:
    with project(tenant, backends=(MODEL_BACKEND, BACKEND), state_store=store), database():
        yield


@pytest.fixture(params=["wsgi", "asgi"])
def browser(request: pytest.FixtureRequest) -> Browser:
    return Browser(request.param)


def users() -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model().objects


def key(tenant: LocalTenant, sub: str) -> str:
    from auth0_cte.django.backends import Auth0Backend

    return Auth0Backend.user_key(f"https://{tenant.domain}/", sub)


def who(browser: Browser, a: str = "") -> str | None:
    found = browser.get(f"/{a}who").json()
    return found["user"] if found["is_authenticated"] else None


@pytest.mark.parametrize("a", ["", "a"])
def test_request_user_follows_the_session(a: str, browser: Browser, tenant: LocalTenant) -> None:
    """Logging in makes a user without a password; logging out ends it, and Django's session with it."""
    assert who(browser, a) is None
    browser.post(f"/{a}login/ada")
    assert key(tenant, "ada") == who(browser, a)
    (user,) = users().all()
    assert (False, False, False) == (user.has_usable_password(), user.is_staff, user.is_superuser)
    assert user.last_login is not None
    browser.post(f"/{a}logout")
    assert who(browser, a) is None
    assert {} == browser.cookies


@pytest.mark.parametrize("a", ["", "a"])
def test_the_same_request_sees_it(a: str, browser: Browser) -> None:
    """request.user and request.auser change with the login and the logout, in one request."""
    assert {"seen": [False, True, False]} == browser.post(f"/{a}login_and_logout").json()


@pytest.mark.parametrize("a", ["", "a"])
def test_a_second_login_finds_the_first_user(a: str, browser: Browser) -> None:
    """Issuer and sub are the key: a user comes back, another is another, and the session's key rotates."""
    keys = []
    for name in ("ada", "ada", "eve"):
        browser.post(f"/{a}login/{name}")
        keys.append((who(browser, a), browser.cookies["sessionid"]))
    assert keys[0][0] == keys[1][0] != keys[2][0]
    assert keys[1][1] != keys[2][1]
    assert 2 == users().count()


def test_a_login_rotates_an_anonymous_session(browser: Browser) -> None:
    """The key of Django's session from before the login is good for nothing afterwards."""
    from django.contrib.sessions.backends.db import SessionStore

    before = SessionStore()
    before["basket"] = 1
    before.save()
    browser.client.cookies["sessionid"] = before.session_key
    browser.post("/login/ada")
    assert before.session_key != browser.cookies["sessionid"]
    assert not SessionStore().exists(before.session_key)
    assert 1 == SessionStore(browser.cookies["sessionid"])["basket"]


@pytest.mark.parametrize("a", ["", "a"])
def test_backchannel_logout_ends_request_user(a: str, browser: Browser, tenant: LocalTenant) -> None:
    """When Auth0 ends the session, Django's user has gone with it."""
    browser.post("/login/ada")
    browser.post("/backchannel-logout", {"logout_token": tenant.logout_token(sub="ada")})
    assert who(browser, a) is None
    assert who(browser, "") is None


@pytest.mark.parametrize("a", ["", "a"])
def test_what_is_lost_or_exchanged_is_nobody(a: str, browser: Browser) -> None:
    """Without the cookie, or with another session's, Django's session shows nobody, for good."""
    browser.post("/login/ada")
    first = browser.cookies["_a0_session_0"]
    del browser.client.cookies["_a0_session_0"]
    assert who(browser, a) is None
    browser.client.cookies["_a0_session_0"] = first
    assert who(browser, a) is None
    browser.post("/login/ada")
    other = Browser("wsgi")
    other.post("/login/eve")
    browser.client.cookies["_a0_session_0"] = other.cookies["_a0_session_0"]
    assert who(browser, a) is None


@pytest.mark.parametrize("a", ["", "a"])
def test_inactive_users_are_refused(a: str, browser: Browser, tenant: LocalTenant) -> None:
    """An inactive user gets 403, has no session here nor at Auth0, and is shown no more where there was one."""
    browser.post("/login/ada")
    users().update(is_active=False)
    assert who(browser, a) is None
    assert 401 == browser.get(f"/{a}me").status_code
    assert 403 == browser.post(f"/{a}login/ada").status_code
    assert 401 == browser.get("/me").status_code
    assert who(browser, a) is None


@pytest.mark.parametrize("a", ["", "a"])
def test_a_session_that_django_forgot_is_its_users(a: str, browser: Browser) -> None:
    """Without Django's own session the user passes requires_session, unless deactivated or given a password."""
    browser.post("/login/ada")
    del browser.client.cookies["sessionid"]
    assert 200 == browser.get(f"/{a}me").status_code
    users().update(is_active=False)
    assert 401 == browser.get(f"/{a}me").status_code
    users().update(is_active=True)
    user = users().get()
    user.set_password("somebody else's now")
    user.save()
    assert 401 == browser.get(f"/{a}me").status_code


def test_a_deleted_user_passes_where_users_are_created(tenant: LocalTenant, store: MemoryStateStore) -> None:
    """A session without an account passes while a login would create one, and not where strangers are refused."""
    browser = Browser("wsgi")
    browser.post("/login/ada")
    del browser.client.cookies["sessionid"]
    users().all().delete()
    assert 200 == browser.get("/me").status_code
    with project(tenant, backends=(BACKEND,), state_store=store, create_users=False):
        assert 401 == browser.get("/me").status_code


@pytest.mark.parametrize("a", ["", "a"])
def test_a_refused_login_leaves_no_cookie_while_the_store_fails(
    a: str, browser: Browser, tenant: LocalTenant, caplog: pytest.LogCaptureFixture
) -> None:
    """A user whom Django refuses is not logged in, even if the new session cannot be deleted."""
    from auth0_cte import SessionError

    class Failing(MemoryStateStore):
        def delete(self, cookie: str) -> None:
            raise SessionError("down", code="STORE_UNAVAILABLE")

    failing = Failing()
    with project(tenant, backends=(BACKEND,), state_store=failing, create_users=False):
        assert 403 == browser.post(f"/{a}login/ada").status_code
        assert ({}, 0) == (browser.cookies, len(failing))
        assert 401 == browser.get(f"/{a}me").status_code


@pytest.mark.parametrize("a", ["", "a"])
def test_a_login_that_django_cannot_remember_leaves_nothing(a: str, browser: Browser, store: MemoryStateStore) -> None:
    """When Django's own login fails after the session began, neither record nor cookie is left."""
    from django.contrib.auth.signals import user_logged_in

    def fail(**_: Any) -> None:
        raise RuntimeError("the database is down")

    user_logged_in.connect(fail)
    try:
        assert 500 == browser.post(f"/{a}login/ada").status_code
    finally:
        user_logged_in.disconnect(fail)
    assert ({"csrftoken"}, 0) == (set(browser.cookies), len(store))
    assert who(browser, a) is None


@pytest.mark.parametrize("a", ["", "a"])
def test_what_a_backend_raises_reaches_the_view_without_tokens(a: str, tenant: LocalTenant) -> None:
    """The backend's own exception is raised, and no frame between it and the view holds what was exchanged."""
    browser = Browser("wsgi" if a == "" else "asgi")
    browser.client.raise_request_exception = True
    with project(
        tenant, backends=("tests.integrations.test_django_users.FailingBackend",), state_store=MemoryStateStore()
    ):
        with pytest.raises(ZeroDivisionError) as caught:
            browser.post(f"/{a}login/ada")
    told = TracebackException(type(caught.value), caught.value, caught.tb, capture_locals=True)
    shown = "".join(told.format())
    assert "eyJ" not in shown


def test_a_login_by_the_client_itself_asks_django(browser: Browser) -> None:
    """A view that uses the client with the request alone lets no deactivated user in either."""
    browser.post("/login/ada")
    users().update(is_active=False)
    browser.client.cookies.clear()
    assert 500 == browser.post("/login_by_client").status_code
    assert {} == browser.cookies


@pytest.mark.parametrize("a", ["", "a"])
def test_a_logout_that_fails_leaves_both_sessions(a: str, browser: Browser, tenant: LocalTenant) -> None:
    """When the store is down the user is still logged in, at Auth0's session and at Django alike."""
    from auth0_cte import SessionError

    class Failing(MemoryStateStore):
        is_down = False

        def delete(self, cookie: str) -> None:
            if self.is_down:
                raise SessionError("down", code="STORE_UNAVAILABLE")
            super().delete(cookie)

    failing = Failing()
    with project(tenant, backends=(BACKEND,), state_store=failing):
        browser.post(f"/{a}login/ada")
        failing.is_down = True
        assert 500 == browser.post(f"/{a}logout").status_code
        assert 200 == browser.get(f"/{a}me").status_code
        assert who(browser, a) is not None


@pytest.mark.parametrize("a", ["", "a"])
def test_a_refused_login_ends_what_was_there(a: str, browser: Browser, store: MemoryStateStore) -> None:
    """Whoever fails to become another is nobody afterwards."""
    browser.post("/login/eve")
    browser.post("/login/ada")
    users().filter(last_login__isnull=False).order_by("pk").first()
    users().exclude(username=who(browser)).update(is_active=False)
    assert 403 == browser.post(f"/{a}login/eve").status_code
    assert who(browser, a) is None
    assert 0 == len(store)


def test_users_are_not_created_where_that_is_off(
    tenant: LocalTenant, store: MemoryStateStore, browser: Browser
) -> None:
    """With create_users off only users who are there can log in; the documented key prepares them."""
    with project(tenant, backends=(BACKEND,), state_store=store, create_users=False):
        assert 403 == browser.post("/login/ada").status_code
        assert (0, 0) == (users().count(), len(store))
        users().create_user(key(tenant, "ada"))
        assert 302 == browser.post("/login/ada").status_code
        assert key(tenant, "ada") == who(browser)


def test_an_account_with_a_password_is_somebody_elses(tenant: LocalTenant, browser: Browser) -> None:
    """Who registered the key as a username does not get the user's session, nor the user that account."""
    users().create_user(key(tenant, "ada"), password="mallory")
    assert 403 == browser.post("/login/ada").status_code


def test_an_email_address_is_stored_and_never_matched(tenant: LocalTenant, browser: Browser) -> None:
    """An address finds nobody; it is kept if verified, and a name is, too."""
    victim = users().create_user("victim", "victim@example.com")
    tenant.add_user("ada", email="victim@example.com", email_verified=True, given_name="Ada", family_name="L" * 151)
    tenant.add_user("eve", email="victim@example.com", email_verified=False)
    for name in ("ada", "eve"):
        browser.post(f"/login/{name}")
        assert who(browser) not in (None, victim.username)
    ada, eve = users().get(username=key(tenant, "ada")), users().get(username=key(tenant, "eve"))
    assert ("victim@example.com", "Ada", "") == (ada.email, ada.first_name, ada.last_name)
    assert "" == eve.email


@pytest.mark.parametrize(
    ("claims", "settings", "expected"),
    [
        ({"name": " Ada Lovelace "}, {}, ("Ada Lovelace", "")),
        ({"name": "Ada L", "given_name": "Ada", "family_name": "Lovelace"}, {}, ("Ada", "Lovelace")),
        ({"name": "Ada L", "family_name": "Lovelace"}, {}, ("", "Lovelace")),
        ({"name": "Ada", "nickname": "countess"}, {"name_claims": ["nickname", "name"]}, ("countess", "")),
        ({"nickname": "countess"}, {}, ("countess", "")),
        ({"email": "ada@example.com", "email_verified": True}, {"name_claims": ("email",)}, ("ada@example.com", "")),
        ({"email": "ada@example.com", "email_verified": False}, {"name_claims": ("email",)}, ("", "")),
        ({"email": "ada@example.com", "email_verified": "true"}, {"name_claims": ("email",)}, ("", "")),
        ({"name": "Ada"}, {"name_claims": []}, ("", "")),
    ],
)
def test_users_can_be_read(
    claims: dict[str, Any], settings: dict[str, Any], expected: tuple[str, str], tenant: LocalTenant
) -> None:
    """Users without first and last name show the name that the settings choose; an address only if it is verified."""
    from auth0_cte.django.backends import Auth0Backend

    with project(tenant, backends=(BACKEND,), **settings):
        user = users().create_user("x")
        Auth0Backend().configure_user(user, {"sub": "ada", **claims})
    user.refresh_from_db()
    assert expected == (user.first_name, user.last_name)


@pytest.mark.parametrize("verified", ["true", "false", 1, None, False])
def test_an_address_that_is_not_verified_is_not_stored(verified: Any, tenant: LocalTenant) -> None:
    """Verified is true and nothing else: other providers write it as text."""
    from auth0_cte.django.backends import Auth0Backend

    with project(tenant, backends=(BACKEND,)):
        user = users().create_user("x")
        Auth0Backend().configure_user(user, {"sub": "ada", "email": "ada@example.com", "email_verified": verified})
    user.refresh_from_db()
    assert "" == user.email


def test_a_unique_address_is_left_alone(tenant: LocalTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where addresses are unique, one that another account has must not fail the login, nor be taken from it."""
    from auth0_cte.django.backends import Auth0Backend

    with project(tenant, backends=(BACKEND,)):
        monkeypatch.setattr(users().model._meta.get_field("email"), "unique", True)  # noqa: SLF001 - Django's
        user = users().create_user("x")
        Auth0Backend().configure_user(user, {"sub": "ada", "email": "ada@example.com", "email_verified": True})
    user.refresh_from_db()
    assert "" == user.email


def test_usernames_can_be_read_where_the_key_has_its_own_field(tenant: LocalTenant) -> None:
    """With key_field the username is the readable name: one that is taken gets a suffix, and none finds anybody."""
    victim = users().create_user("Ada-Lovelace", password="password")
    tenant.add_user("ada", name="Ada Lovelace")
    tenant.add_user("eve", name="Ada Lovelace")
    browser = Browser("wsgi")
    with project(tenant, backends=("tests.integrations.test_django_users.KeyFieldBackend",)):
        for name in ("ada", "eve", "ada"):
            assert 302 == browser.post(f"/login/{name}").status_code
            assert who(browser) == f"Ada-Lovelace-{key(tenant, name)[-8:]}"
    assert 3 == users().count()
    victim.refresh_from_db()
    assert victim.has_usable_password()


def test_an_existing_account_is_linked_by_its_key(tenant: LocalTenant, browser: Browser) -> None:
    """An account that is given the key is its user's: without a password, or where a subclass says that it is."""
    account = users().create_user("ada.l", password="password", is_staff=True)
    account.username = key(tenant, "ada")
    account.save()
    assert 403 == browser.post("/login/ada").status_code
    with project(tenant, backends=("tests.integrations.test_django_users.TrustingBackend",)):
        assert 302 == browser.post("/login/ada").status_code
        assert users().get().is_staff
    account.set_unusable_password()
    account.save()
    assert 302 == browser.post("/login/ada").status_code
    assert (key(tenant, "ada"), 1) == (who(browser), users().count())


def test_a_subclass_decides_who_is_created(tenant: LocalTenant, browser: Browser) -> None:
    """create_users of the class wins over the settings."""
    with project(tenant, backends=("tests.integrations.test_django_users.StrictBackend",), create_users=True):
        assert 403 == browser.post("/login/ada").status_code
        users().create_user(key(tenant, "ada"))
        assert 302 == browser.post("/login/ada").status_code


def test_the_key_fits_and_tells_users_apart(tenant: LocalTenant) -> None:
    """Long, odd and alike subs of several issuers have keys of their own, which every username field takes."""
    from django.contrib.auth.validators import UnicodeUsernameValidator

    from auth0_cte.django.backends import Auth0Backend

    issuers = ("https://a.auth0.com/", "https://b.auth0.com/")
    subs = ("ada", "ADA", "auth0|ada", "x" * 255, "é", "\ud800", "a b")
    keys = {Auth0Backend.user_key(issuer, sub) for issuer in issuers for sub in subs}
    assert len(issuers) * len(subs) == len(keys)
    for each in keys:
        UnicodeUsernameValidator()(each)
        assert (46, each) == (len(each), each.lower())


def test_users_of_other_backends_are_left_alone(browser: Browser) -> None:
    """Who logged in with a password stays, whatever becomes of Auth0's session."""
    users().create_user("staff", password="password")
    browser.post("/password_login")
    assert "staff" == who(browser)
    assert "staff" == who(browser, "a")
    browser.post("/logout")
    assert "staff" == who(browser)


def test_the_mapping_can_be_changed(tenant: LocalTenant, browser: Browser) -> None:
    """A subclass decides what becomes of the claims."""
    with project(tenant, backends=("tests.integrations.test_django_users.StaffBackend",)):
        browser.post("/login/ada")
        assert key(tenant, "ada") == who(browser)
    assert users().get().is_staff


def make_failing_backend() -> Any:
    from auth0_cte.django.backends import Auth0Backend

    class FailingBackend(Auth0Backend):
        def authenticate(self, request: Any, auth0_session: Any = None) -> Any:
            return 1 / 0

    return FailingBackend


def make_backend(**attributes: Any) -> Any:
    from auth0_cte.django.backends import Auth0Backend

    return type("Backend", (Auth0Backend,), attributes)


def make_staff_backend() -> Any:
    from auth0_cte.django.backends import Auth0Backend

    class StaffBackend(Auth0Backend):
        def configure_user(self, user: Any, claims: Any) -> None:
            super().configure_user(user, claims)
            user.is_staff = claims["name"] == "Ada"
            user.save()

    return StaffBackend


def __getattr__(name: str) -> Any:
    makers = {
        "StaffBackend": make_staff_backend,
        "FailingBackend": make_failing_backend,
        # The user model of these tests has no other field for it.
        "KeyFieldBackend": lambda: make_backend(key_field="last_name"),
        "StrictBackend": lambda: make_backend(create_users=False),
        "TrustingBackend": lambda: make_backend(is_own=lambda self, user: True),
    }
    if name not in makers:
        raise AttributeError(name)
    make: Any = makers[name]
    return globals().setdefault(name, make())


@pytest.mark.parametrize("middleware", [[OURS], [OURS, SESSIONS, AUTHENTICATION], [SESSIONS, OURS, AUTHENTICATION]])
def test_a_misordered_middleware_is_refused_when_used(middleware: list[str], tenant: LocalTenant) -> None:
    """Where Django could not remember the user, or not forget, no login costs a token, and nobody is request.user."""
    from django.core.exceptions import ImproperlyConfigured
    from django.test import Client, override_settings

    browser = Browser("wsgi")
    browser.post("/login/ada")
    spent = len(tenant.token_requests)
    with override_settings(MIDDLEWARE=middleware):
        same = Browser("wsgi")  # has not loaded the middleware yet
        same.client.cookies = browser.client.cookies
        assert 500 == same.post("/login/eve").status_code
        for path in ("/who", "/me", "/plain"):
            assert 500 == same.get(path).status_code
        with pytest.raises(ImproperlyConfigured, match="AuthenticationMiddleware must come before"):
            Client().post("/login/ada")
    assert spent == len(tenant.token_requests)


def test_a_request_that_passed_no_middleware_costs_no_token(tenant: LocalTenant) -> None:
    """A login by hand, in a request that the middleware has not seen, is refused; so is one that is resumed."""
    from django.test import RequestFactory

    from auth0_cte.django import RequestAuth0

    auth0 = RequestAuth0(RequestFactory().post("/"))
    with pytest.raises(ConfigurationError, match="must come before Auth0CTEMiddleware"):
        auth0.login(options("ada"))
    with pytest.raises(ConfigurationError, match="must come before Auth0CTEMiddleware"):
        auth0.resume_login("x", otp="1")
    with pytest.raises(ConfigurationError, match="must come before Auth0CTEMiddleware"):
        async_to_sync(auth0.alogin)(options("ada"))
    with pytest.raises(ConfigurationError, match="must come before Auth0CTEMiddleware"):
        async_to_sync(auth0.aresume_login)("x", otp="1")
    assert [] == tenant.token_requests


def test_logins_at_the_same_time_make_one_user(tenant: LocalTenant) -> None:
    """Of several first logins of a user one creates the account."""
    from django.contrib import auth
    from django.db import connections

    jar: dict[str, str] = {}
    get_client().login_with_custom_token_exchange(options("ada"), {"cookies": jar})
    session = get_client().get_session({"cookies": jar})

    def authenticate(_: int) -> int:
        try:
            user = auth.authenticate(None, auth0_session=session)
            assert user is not None
            return int(user.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert 1 == len(set(pool.map(authenticate, range(4))))
    user = async_to_sync(auth.aauthenticate)(None, auth0_session=session)
    assert user == users().get()


def test_an_expired_session_ends_request_user(tenant: LocalTenant) -> None:
    """When the session's time is over, so is the user's."""
    from auth0_cte.testing import FakeClock

    clock = FakeClock()
    browser = Browser("wsgi")
    client = make_tenant_client(clock)
    with project(make_tenant(), backends=(BACKEND,)):
        from django.test import override_settings

        with override_settings(AUTH0_CTE={"client": client}):
            browser.post("/login/ada")
            assert who(browser) is not None
            clock.advance(4 * 24 * 3600)
            assert who(browser) is None


def make_tenant_client(clock: Any) -> Any:
    tenant = LocalTenant(clock=clock)
    tenant.accept("urn:acme:mcp-token", "auth0|ada")
    tenant.add_user("auth0|ada")
    return tenant.client(secret=SECRET)
