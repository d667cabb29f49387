"""The second factor of a login, in every example: enroll one or choose one, type its code, and the login is finished.

The forms keep the pending login, which is sealed and bound to the browser, so the application remembers nothing.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from auth0_cte.error import CustomTokenExchangeError, MfaRequiredError, RateLimitError
from auth0_cte.examples.page import make_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte import LoginWithCustomTokenExchangeResult, MfaAuthenticator, ServerClient

    Resume: TypeAlias = Callable[..., LoginWithCustomTokenExchangeResult]

__all__ = ["STEPS", "Answer", "SecondFactor"]

_OVER: Final = frozenset({"expired_token", "INVALID_PENDING_LOGIN"})
_OFFER: Final = """<p>{intro}
<form method="post" action="/mfa/enroll" class="card">{hidden}
<h2>Authenticator app</h2>
<p>An app on your phone shows a new code every 30 seconds.
<p><button name="factor_type" value="otp">Use an authenticator app</button>
</form>
<form method="post" action="/mfa/enroll" class="card">{hidden}
<h2>Text message</h2>
<p><label>Phone number <input name="phone_number" type="tel" required maxlength="20" placeholder="+49 151 23456789"
autocomplete="tel"></label>
<p><button name="factor_type" value="sms">Send a code by SMS</button>
</form>"""
_CODE: Final = """{above}<form method="post" action="/mfa/verify" class="card">{hidden}
{error}<p><label>{label} <input name="code" required maxlength="40" autofocus autocomplete="one-time-code"></label>
<p><button>Continue</button>
</form>
<p><a href="/">Cancel</a>"""
_KINDS: Final = {"otp": "Code of the authenticator app", "oob": "Code that was sent", "recovery": "Recovery code"}


class Answer(NamedTuple):
    """A page, or where to go.

    Args:
        page: HTML.
        status: The HTTP status.
        location: Where to redirect to instead, or empty.
    """

    page: str = ""
    status: int = 200
    location: str = ""


class SecondFactor:
    """The steps of one request.

    Args:
        client: The client.
        store_options: Those of the request.
        resume: Finishes a login: the ``resume_login`` of the integration.
        csrf: HTML that goes into each form: a framework's CSRF token.
    """

    def __init__(self, client: ServerClient, store_options: Mapping[str, Any], resume: Resume, csrf: str = "") -> None:
        self._mfa, self._store_options, self._resume, self._csrf = client.mfa, store_options, resume, csrf

    def begin(self, error: MfaRequiredError) -> Answer:
        """Ask which factor to use, or to enroll, when Auth0 interrupted a login."""
        pending = error.pending_login or ""
        if "enroll" in (error.mfa_requirements or {}):
            return self._offer(pending, "Your account is not protected by a second factor yet. Choose one.")
        found = self._mfa.list_authenticators({"mfa_token": pending}, self._store_options)
        forms = "".join(self._choice(pending, each) for each in found if each.active)
        return Answer(make_page("One more step", f"<p>How do you want to confirm that it is you?\n{forms}"))

    def enroll(self, form: Mapping[str, str]) -> Answer:
        """Begin to enroll the factor of a form, and show what the user needs."""
        return self._unless_over(self._enroll, form)

    def challenge(self, form: Mapping[str, str]) -> Answer:
        """Send the code of the authenticator that was chosen, if it is one that codes are sent to; ask for the code."""
        return self._unless_over(self._challenge, form)

    def verify(self, form: Mapping[str, str]) -> Answer:
        """Finish the login with the code of a form; a wrong one can be corrected."""
        return self._unless_over(self._verify, form)

    def _enroll(self, form: Mapping[str, str]) -> Answer:
        pending = form.get("pending_login", "")
        wanted: Any = {"mfa_token": pending, "factor_type": form.get("factor_type", "otp")}
        if form.get("phone_number"):
            wanted["phone_number"] = form["phone_number"]
        try:
            begun = self._mfa.enroll_authenticator(wanted, self._store_options)
        except CustomTokenExchangeError as error:
            if error.code not in ("invalid_request", "INVALID_OPTIONS"):
                raise
            return self._offer(pending, "That phone number is not valid. Try again.")._replace(status=400)
        above = ""
        if begun.barcode_uri is not None:
            above = (
                f'<div class="card"><p>Scan this code with the app:\n<div class="qr">{begun.qr_svg()}</div>\n'
                f"<p>Or type in this key: <code>{escape(begun.secret or '')}</code></div>\n"
            )
        for code in begun.recovery_codes:
            above += f"<p>Keep this recovery code, in case you lose your phone: {_code(code)}\n"
        return self._ask("otp" if begun.authenticator_type == "otp" else "oob", pending, begun.oob_code, above=above)

    def _challenge(self, form: Mapping[str, str]) -> Answer:
        pending, kind = form.get("pending_login", ""), form.get("kind", "")
        if kind != "oob":
            return self._ask(kind, pending, None)
        wanted: Any = {"mfa_token": pending, "authenticator_id": form.get("authenticator_id")}
        return self._ask(kind, pending, self._mfa.challenge_authenticator(wanted, self._store_options).oob_code)

    def _verify(self, form: Mapping[str, str]) -> Answer:
        pending, kind, oob_code = form.get("pending_login", ""), form.get("kind", ""), form.get("oob_code")
        code = form.get("code", "").strip()
        proof: dict[str, Any] = {"oob_code": oob_code, "binding_code": code}
        if kind != "oob":
            proof = {"recovery_code" if kind == "recovery" else "otp": code}
        try:
            result = self._resume(pending, **proof)
        except CustomTokenExchangeError as error:
            if error.code not in ("invalid_grant", "INVALID_OPTIONS"):
                raise
            return self._ask(kind, pending, oob_code, error="That code is wrong. Try again.")._replace(status=400)
        if result.recovery_code is None:
            return Answer(status=303, location="/")
        content = f'<p>Your new recovery code: {_code(result.recovery_code)}\n<p><a href="/">Continue</a>'
        return Answer(make_page("Keep this code", content))

    def _unless_over(self, step: Callable[[Mapping[str, str]], Answer], form: Mapping[str, str]) -> Answer:
        try:
            return step(form)
        except RateLimitError:
            return Answer(make_page("Too many wrong codes", '<p>Wait a few minutes. <a href="/">Log in again</a>'), 429)
        except CustomTokenExchangeError as error:
            if error.code not in _OVER:
                raise
            return Answer(make_page("This login is over", '<p>It took too long. <a href="/">Log in again</a>'), 400)

    def _offer(self, pending: str, intro: str) -> Answer:
        content = _OFFER.format(intro=intro, hidden=self._hidden(pending_login=pending))
        return Answer(make_page("Protect your account", content))

    def _choice(self, pending: str, found: MfaAuthenticator) -> str:
        kind = {"otp": "otp", "recovery-code": "recovery"}.get(found.authenticator_type, "oob")
        hidden = self._hidden(pending_login=pending, kind=kind, authenticator_id=found.id)
        label = f"Send a code to {found.name or 'your phone'}" if kind == "oob" else f"Use the {_USED[kind]}"
        button = f"<button>{escape(label)}</button>"
        return f'<form method="post" action="/mfa/challenge" class="card">{hidden}{button}</form>\n'

    def _ask(self, kind: str, pending: str, oob_code: str | None, *, above: str = "", error: str = "") -> Answer:
        hidden = self._hidden(pending_login=pending, kind=kind, oob_code=oob_code or "")
        told = f'<p class="bad" role="alert">{escape(error)}\n' if error else ""
        label = _KINDS.get(kind, _KINDS["otp"])
        return Answer(make_page("Type the code", _CODE.format(above=above, hidden=hidden, error=told, label=label)))

    def _hidden(self, **fields: str) -> str:
        inputs = (f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in fields.items())
        return self._csrf + "".join(inputs)


def _code(code: str) -> str:
    return f'<code class="recovery">{escape(code)}</code>'


_USED: Final = {"otp": "authenticator app", "recovery": "recovery code"}
STEPS: Final[dict[str, Callable[[SecondFactor, Mapping[str, str]], Answer]]] = {
    "enroll": SecondFactor.enroll,
    "challenge": SecondFactor.challenge,
    "verify": SecondFactor.verify,
}
"""What a form is answered by: the form that is posted to ``/mfa/enroll`` by `SecondFactor.enroll`, and so on."""
