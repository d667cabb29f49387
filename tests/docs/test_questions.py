"""What people ask is at most two links away from the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import README
from tests.docs.test_build import Page

QUESTIONS = {
    "How do I try it without an account?": "start/tutorial#a-tenant-in-your-process",
    "How do I set up my Auth0 tenant?": "tenant/index#the-profile",
    "What does an Action look like?": "tenant/action#the-action",
    "My exchange is refused. What do I check?": "tenant/symptoms#when-it-does-not-work",
    "What does this error code mean?": "reference/errors#error-invalid-token-format",
    "Which options does an exchange take?": "guides/exchange#options",
    "How do I pass parameters to my Action?": "guides/exchange#custom-parameters",
    "Why are all my users locked out after ten bad tokens?": "guides/exchange#pass-the-user-s-address-on",
    "How do I log a user in with Flask?": "guides/flask#flask",
    "How do I log a user in with Django?": "guides/django#views",
    "How do I give users permissions in Django?": "guides/django#django-s-users-and-permissions",
    "How do I use it in FastAPI?": "guides/starlette#starlette-and-fastapi",
    "Where are sessions kept, and how do several processes share them?": "guides/stores#several-processes",
    "How do I change the secret?": "guides/stores#change-the-secret",
    "How do I log users out from Auth0's side?": "guides/stores#back-channel-logout",
    "How are access tokens refreshed?": "guides/refresh#who-refreshes-when",
    "How do I make a refresh token worthless?": "guides/revocation#at-a-logout",
    "How do I call Google for a user?": "guides/token-vault#tokens-of-other-providers-token-vault",
    "How does a service act for a user?": "guides/delegation#actor-tokens",
    "How does a delegated session go on without a refresh token?": "guides/delegation#delegated-sessions-that-go-on",
    "How does a support agent see what a customer sees?": "guides/delegation#session-transfer-impersonation",
    "How does one API call another for the same user?": "guides/on-behalf-of#call-an-api-on-behalf-of-a-user",
    "How do I ask for a second factor?": "guides/mfa#multi-factor-authentication",
    "How do I stay below the rate limit, and migrate a million users?": "guides/rate-limits#migrate-many-users",
    "How do I authenticate with a private key?": "guides/client-authentication#private-key",
    "How do I get through a proxy with its own authority?": "guides/network#networks-and-proxies",
    "What is retried?": "guides/errors#what-is-retried",
    "What is logged?": "guides/logging#levels",
    "How do I test my application?": "guides/testing#with-pytest",
    "What do I change when I come from auth0-server-python?": (
        "coming-from/auth0-server-python#coming-from-auth0-server-python"
    ),
    "Which environment variables are read?": "reference/settings#the-client",
    "Is it safe that sessions are in cookies?": "explanations/sealed-sessions#in-cookies",
    "Can a token be sent twice?": "explanations/never-sent-twice#three-outcomes-not-two",
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_is_two_links_away(question: str, built: Path) -> None:
    """The README links to the page of the answer, or to one that does; the answer has an anchor."""
    name, _, anchor = QUESTIONS[question].partition("#")
    assert anchor in Page((built / f"{name}.html").read_text()).ids
    linked = re.findall(r"<docs/([^>#]+)\.rst[^>]*>`__", README.read_text())
    assert name in linked or any(_links(built, page, name) for page in linked)


def _links(built: Path, page: str, name: str) -> bool:
    path = built / f"{page}.html"
    article = path.read_text().partition('<article role="main"')[2].partition("</article>")[0]
    targets = (link.partition("#")[0] for link in Page(article).links)
    return built.joinpath(f"{name}.html").resolve() in {(path.parent / target).resolve() for target in targets}
