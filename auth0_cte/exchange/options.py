"""The rules that the options of an exchange must keep, each checked before any I/O."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from attrs import evolve, fields

from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.error import CustomTokenExchangeError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.foundation.validation import call_given, text_fault, unknown_fault
from auth0_cte.token_types import ACCESS_TOKEN, MAX_TYPE_LENGTH, lint_token_type

if TYPE_CHECKING:
    from auth0_cte.exchange.defaults import ExchangeDefaults

__all__ = [
    "address_fault",
    "call_suppliers",
    "check_text",
    "check_token",
    "one_of",
    "sendable",
    "validate",
    "with_openid",
]

logger: Final = logging.getLogger("auth0_cte")

MAX_TOKEN_LENGTH: Final = 64 * 1024
MAX_VALUES: Final = 20

# What authorization_params may never say: the identity of the request and of the client.
_GUARDED: Final = frozenset(
    {
        "grant_type",
        "client_id",
        "subject_token",
        "subject_token_type",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
    }
)
# What belongs to /authorize alone; programs that also log users in there have it among their defaults.
_NOT_SENT: Final = frozenset(
    {
        *("redirect_uri", "response_type", "response_mode", "code_challenge", "code_challenge_method", "state"),
        *("nonce", "prompt", "screen_hint", "request", "request_uri"),
    }
)
_PROMOTED: Final = frozenset(
    {"audience", "scope", "organization", "actor_token", "actor_token_type", "requested_token_type", "resource"}
)
_TYPE_HINT: Final = "Give the URI that the token exchange profile is registered for; nothing was sent."
_BEARER: Final = r"(?i)\s*bearer(?:\s|$)"

Options = TypeVar("Options", bound=CustomTokenExchangeOptions)


def one_of(options: object, named: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options that were given by keywords.

    Raises:
        CustomTokenExchangeError: Options were given as one value, too.
    """
    if options is not None:
        raise CustomTokenExchangeError(
            "options must be given as one value or by keywords, not both", code=Code.INVALID_OPTIONS
        )
    return named


def validate(
    options: Options | Mapping[str, Any] | None, kind: type[Options], defaults: ExchangeDefaults | None = None
) -> Options:
    """Check options by every rule there is, before any I/O.

    Args:
        options: The caller's options, or a dict of them; None is refused.
        kind: The class to make of a dict.
        defaults: What applies where the options say nothing.

    Returns:
        The options with defaults in, parameters that have a typed option promoted, and guarded ones dropped.

    Raises:
        CustomTokenExchangeError: A rule is broken; the message names the option and never repeats a token.
    """
    given = options if isinstance(options, CustomTokenExchangeOptions) else _made_of(options, kind)
    for name, fault in (
        ("subject_token", _token_fault(given.subject_token)),
        ("subject_token_type", _bare_fault(given.subject_token_type)),
    ):
        if fault is not None:
            _require(fault, name, Code.INVALID_TOKEN_FORMAT)
    if given.authorization_params is not None or defaults is not None:
        given = _promote(given, defaults)
    if given.actor_token is not None or given.actor_token_type is not None:
        _check_actor(given)
    _check_rest(given)
    # On-Behalf-Of is the one use of a reserved type.
    on_behalf_of = given.subject_token_type == given.requested_token_type == ACCESS_TOKEN
    # What is found of a long one, which is nobody's usual type, is not kept.
    lint = lint_token_type if len(given.subject_token_type) <= MAX_TYPE_LENGTH else lint_token_type.__wrapped__
    finding = None if on_behalf_of else lint(given.subject_token_type)
    if finding is not None:
        logger.warning("subject_token_type: %s", finding)
    return given


def _require(fault: str | None, name: str, code: str) -> None:
    if fault is not None:
        hint = _TYPE_HINT if name.endswith("_type") else ""
        raise CustomTokenExchangeError(f"{name} {fault}", code=code, _hint=hint)


def check_token(name: str, value: object) -> None:
    """Refuse a value that is not a bare token.

    Raises:
        CustomTokenExchangeError: ``INVALID_TOKEN_FORMAT``; the message names the argument and not its value.
    """
    _require("is a function" if callable(value) else _token_fault(value), name, Code.INVALID_TOKEN_FORMAT)


def check_text(name: str, value: object) -> None:
    """Refuse a value that is not a string, or blank.

    Raises:
        CustomTokenExchangeError: ``INVALID_OPTIONS``; the message names the argument and not its value.
    """
    _require(text_fault(value), name, Code.INVALID_OPTIONS)


def _made_of(options: object, kind: type[Options]) -> Options:
    if not isinstance(options, Mapping):
        raise CustomTokenExchangeError(
            f"options must be {kind.__name__} or a dict, not a {type(options).__name__}", code=Code.INVALID_OPTIONS
        )
    known = {attribute.name for attribute in fields(kind)}
    if not known.issuperset(options):
        raise CustomTokenExchangeError(
            f"{unknown_fault(options, sorted(known))}; parameters of your own go into authorization_params",
            code=Code.INVALID_OPTIONS,
        )
    return kind(**{"subject_token": None, "subject_token_type": None, **options})


def _token_fault(value: object) -> str | None:
    if callable(value):
        return None  # its result is checked when it has been called
    if isinstance(value, str) and value.lstrip()[:1] in ("b", "B") and re.match(_BEARER, value):
        return "has a Bearer prefix; pass the bare token"
    return _bare_fault(value)


def _bare_fault(value: object) -> str | None:
    if not isinstance(value, str):
        return "is missing" if value is None else f"is of type {type(value).__name__}, not a string"
    if not value.strip():
        return "is empty or blank"
    if len(value) > MAX_TOKEN_LENGTH:
        return f"is longer than {MAX_TOKEN_LENGTH} characters"
    if not value.isascii() or not value.isprintable():
        return "has control characters or characters outside of ASCII"
    if value[0] == " " or value[-1] == " ":
        return "has surrounding white space"
    return None


def _check_actor(options: CustomTokenExchangeOptions) -> None:
    if options.actor_token is not None:
        _require(_token_fault(options.actor_token), "actor_token", Code.INVALID_TOKEN_FORMAT)
    if options.actor_token_type is not None:
        _require(_bare_fault(options.actor_token_type), "actor_token_type", Code.INVALID_TOKEN_FORMAT)
    if options.actor_token is not None and options.actor_token_type is None:
        raise CustomTokenExchangeError(
            "actor_token_type is required when actor_token is given", code=Code.MISSING_ACTOR_TOKEN_TYPE
        )
    if options.actor_token is None and options.actor_token_type is not None:
        raise CustomTokenExchangeError(
            "actor_token is required when actor_token_type is given", code=Code.MISSING_ACTOR_TOKEN
        )


def _check_rest(options: CustomTokenExchangeOptions) -> None:
    for name in ("audience", "organization", "requested_token_type", "scope", "resource", "forwarded_for"):
        value = getattr(options, name)
        if value is None:
            continue
        if name == "forwarded_for":
            fault = None if value is True else address_fault(value)
        elif isinstance(value, str) and value.isprintable() and value.strip():
            continue  # the usual case, which text_fault would confirm
        elif isinstance(value, str) or name not in ("scope", "resource"):
            fault = text_fault(value)
        else:
            fault = _texts_fault(value)
        if fault is not None:
            raise CustomTokenExchangeError(f"{name} {fault}", code=Code.INVALID_OPTIONS)
    if options.scope is not None and "," in options.scope:
        logger.warning("scope has a comma: scopes are separated by spaces, or given as a sequence")


def _texts_fault(value: object) -> str | None:
    if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray):
        return f"is of type {type(value).__name__}, not a string or a sequence of strings"
    if not value:
        return "is empty; leave it out instead"
    return next((f"has an element that {fault}" for fault in map(text_fault, value) if fault), None)


def address_fault(value: object) -> str | None:
    """Say why a value is not an IP address; None when it is one."""
    text = value if isinstance(value, str) else ""
    try:
        ip_address(text)
    except ValueError:
        return "must be an IP address"
    # A zone is of this machine alone, and may be any text.
    return "must be an IP address without a zone" if "%" in text else None


def _promote(options: Options, defaults: ExchangeDefaults | None) -> Options:
    """Sort authorization_params into typed options and extras; the call wins over the client's defaults."""
    typed, extras = _split(options.authorization_params)
    for name, value in typed.items():
        if getattr(options, name) not in (None, value):
            raise CustomTokenExchangeError(
                f"{name} is given both as an option and, differently, in authorization_params",
                code=Code.INVALID_AUTHORIZATION_PARAMS,
            )
    if defaults is not None:
        general, more = _split(defaults.authorization_params)
        named = {} if defaults.organization is None else {"organization": defaults.organization}
        typed, extras = {**general, **named, **typed}, {**more, **extras}
        scope = defaults.scope_for(options.audience or typed.get("audience")) if defaults.scopes else None
        if scope is not None:
            typed.setdefault("scope", scope)
    unset = {name: value for name, value in typed.items() if getattr(options, name) is None}
    return evolve(options, authorization_params=extras, **unset)


def _split(params: object) -> tuple[dict[str, Any], dict[str, Any]]:
    if params is None:
        return {}, {}
    if not isinstance(params, Mapping):
        _refuse_params(f"authorization_params is of type {type(params).__name__}, not a dict")
    typed: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    dropped = []
    for name, value in params.items():
        folded = name.strip().casefold() if isinstance(name, str) else ""
        if not _may_be_sent(folded):
            dropped.append(folded)
            continue
        _require(text_fault(name), f"authorization_params: the name {_shown(name)}", Code.INVALID_AUTHORIZATION_PARAMS)
        fault = _value_fault(value)
        if fault is not None:
            _refuse_params(f"authorization_params[{_shown(name)}] {fault}")
        (typed if folded in _PROMOTED else extras)[folded if folded in _PROMOTED else name] = value
    if dropped:
        logger.warning("authorization_params cannot have %s: dropped", ", ".join(sorted(set(dropped))))
    return typed, extras


def sendable(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without those that no exchange can have; `validate` warns of these."""
    return {name: value for name, value in params.items() if _may_be_sent(name.strip().casefold())}


def _may_be_sent(folded: str) -> bool:
    return folded not in _GUARDED and folded not in _NOT_SENT


def _refuse_params(message: str) -> NoReturn:
    raise CustomTokenExchangeError(message, code=Code.INVALID_AUTHORIZATION_PARAMS)


def _shown(name: object) -> str:
    return ascii(name)[:60]


def _value_fault(value: object) -> str | None:
    if isinstance(value, list | tuple):
        if not 1 <= len(value) <= MAX_VALUES:
            return f"has {len(value)} values; 1 to {MAX_VALUES} can be sent"
        return next((f"has an element that {fault}" for fault in map(_scalar_fault, value) if fault), None)
    return _scalar_fault(value)


def _scalar_fault(value: object) -> str | None:
    if not isinstance(value, str | int):
        return f"is of type {type(value).__name__}; str, int, bool or a list of those can be sent"
    try:
        str(value).encode("utf-8")
    except ValueError:  # a lone surrogate, or an integer of thousands of digits
        return "cannot be encoded"
    return None


def with_openid(options: Options) -> Options:
    """Add ``openid`` to the scope, without which no ID token and so no user comes."""
    scopes = options.scope.split() if isinstance(options.scope, str) else list(options.scope or ())
    return evolve(options, scope=" ".join(scopes if "openid" in scopes else ["openid", *scopes]))


def call_suppliers(options: Options, check_actor: Callable[[Options], None] | None = None) -> Options:
    """Replace tokens that are functions by what these return, checked.

    Apart from `validate`, so that no token is fetched for a call that is bound to fail.

    Args:
        options: The options.
        check_actor: Called between the actor's token and the subject's, which may be a single-use one.

    Raises:
        CustomTokenExchangeError: ``INVALID_TOKEN_FORMAT``: a function returned no bare token;
            ``TOKEN_SUPPLIER_FAILED``: it raised an exception, which is the ``__cause__``.
    """
    options = _supplied(options, "actor_token")
    if check_actor is not None:
        check_actor(options)
    return _supplied(options, "subject_token")


def _supplied(options: Options, name: str) -> Options:
    supplier = getattr(options, name)
    if not callable(supplier):
        return options
    token = call_given(
        supplier,
        name=f"the function given as {name}",
        code=Code.TOKEN_SUPPLIER_FAILED,
        kind=CustomTokenExchangeError,
        shows_frames=True,
    )
    fault = "was not returned" if callable(token) else _token_fault(token)
    _require(fault, f"{name}, as its function returned it,", Code.INVALID_TOKEN_FORMAT)
    return evolve(options, **{name: token})
