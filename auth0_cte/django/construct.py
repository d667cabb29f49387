"""What settings stand for: an object, what makes one, the dotted path of either, or a dict as in ``CACHES``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

from django.utils.module_loading import import_string

from auth0_cte.error import ConfigurationError

__all__ = ["is_spec", "load", "make", "make_store"]

STORE_METHODS: Final = ("check", "create", "get", "replace", "touch", "delete", "delete_by_owner", "lock")
SPEC_KEYS: Final = ("BACKEND", "LOCATION", "OPTIONS")
_EXAMPLES: Final = {
    "exchange_cache": '{"BACKEND": "auth0_cte.RedisExchangeCache", "LOCATION": "redis://…", "OPTIONS": {"secret": …}}',
    "rate_limit": '{"BACKEND": "auth0_cte.RateLimit", "LOCATION": "redis://…", "OPTIONS": {"rate": "4/s"}}',
    "rotations": '{"BACKEND": "auth0_cte.RedisRotations", "LOCATION": "redis://…"}',
    "state_store": '{"BACKEND": "auth0_cte.RedisStateStore", "LOCATION": "redis://…", "OPTIONS": {…}}',
}
_OF_SQL: Final = '{"BACKEND": "auth0_cte.SQLStateStore", "LOCATION": "postgresql+psycopg://…", "OPTIONS": {…}}'


def is_spec(name: str, value: object) -> bool:
    """Tell whether a setting stands for an object by its import path, or by a dict as in ``CACHES``.

    Args:
        name: The argument of `ServerClient`: a ``rate_limit`` of its own has the short form ``"4/s"``.
        value: The setting.
    """
    return isinstance(value, Mapping) or (name != "rate_limit" and (isinstance(value, str) or callable(value)))


def load(name: str, value: Any) -> Any:
    """Import what a dotted path names; a dict's ``BACKEND`` as well. Anything else is returned as it is.

    Args:
        name: What messages call the setting.
        value: The setting.

    Raises:
        ConfigurationError: It cannot be imported, or the dict has other keys.
    """
    if isinstance(value, Mapping):
        unknown = sorted(str(key) for key in value if key not in SPEC_KEYS)
        if unknown or not isinstance(value.get("BACKEND"), str) or not isinstance(_options(value), Mapping):
            more = f"; unknown: {', '.join(unknown)}" if unknown else ""
            raise ConfigurationError(f"{name} must be a dict such as {_example(name)}{more}")
        return load(name, value["BACKEND"])
    if not isinstance(value, str):
        return value
    if "://" in value:  # not shown, as it may hold a password
        raise ConfigurationError(f"{name} must not be a URL alone, but a dict such as {_example(name)}")
    try:
        return import_string(value)
    except ImportError as error:
        raise ConfigurationError(f"{name}: {value!r} cannot be imported: {error}") from error


def _options(spec: Mapping[str, Any]) -> Any:
    return {} if spec.get("OPTIONS") is None else spec["OPTIONS"]


def _example(name: str, kind: object = None) -> str:
    if "SQLStateStore" in _name_of(kind):
        return _OF_SQL
    return next((example for key, example in _EXAMPLES.items() if key in name), _EXAMPLES["state_store"])


def make(name: str, value: Any) -> Any:
    """Return the object that a setting stands for.

    Args:
        name: What messages call the setting.
        value: The object, a function or class that makes it without arguments, the dotted path of either, or a dict:
            ``BACKEND`` is a dotted path, ``LOCATION`` the URL, or the alias in ``CACHES``, that it keeps things at, and
            ``OPTIONS`` has further arguments. ``rotations`` among them may be such a dict as well.

    Raises:
        ConfigurationError: It cannot be made.
    """
    loaded = load(name, value)
    if isinstance(value, Mapping):
        return _make_by_spec(name, loaded, value)
    if not callable(loaded):
        return loaded
    if not _takes(loaded):
        raise ConfigurationError(
            f"{name}: {_name_of(loaded)} requires arguments; give a dict such as {_example(name, loaded)}"
        )
    return _call(name, loaded)


def _make_by_spec(name: str, kind: Any, spec: Mapping[str, Any]) -> Any:
    options = dict(_options(spec))
    if options.get("rotations") is not None:
        options["rotations"] = make(f'{name}["OPTIONS"]["rotations"]', options["rotations"])
    location = spec.get("LOCATION")
    maker = kind if location is None else getattr(kind, "from_url", kind)
    arguments = () if location is None else (location,)
    if not callable(maker) or not _takes(maker, *arguments, **options):
        given = ", ".join([*(["LOCATION"] if arguments else []), *options]) or "nothing"
        raise ConfigurationError(
            f"{name}: {_name_of(kind)} cannot be made of {given}; give a dict such as {_example(name, kind)}"
        )
    return _call(name, maker, *arguments, **options)


def _call(name: str, maker: Any, /, *arguments: Any, **options: Any) -> Any:
    try:
        return maker(*arguments, **options)
    except ConfigurationError as error:
        fault = f"{name}: {error.message}"
    except (TypeError, ModuleNotFoundError) as error:  # of a constructor behind from_url(**options); of an extra
        fault = f"{name}: {error}"
    raise ConfigurationError(fault)


def make_store(name: str, value: Any) -> Any:
    """Return the store of sessions that a setting stands for.

    Args:
        name: What messages call the setting.
        value: As for `make`.

    Raises:
        ConfigurationError: It cannot be made, or is something else.
    """
    made = make(name, value)
    if not all(callable(getattr(made, each, None)) for each in STORE_METHODS):
        raise ConfigurationError(f"{name} must be a store of sessions, or what makes one, not a {type(made).__name__}")
    return made


def _takes(maker: Any, /, *args: Any, **kwargs: Any) -> bool:
    try:
        inspect.signature(maker).bind(*args, **kwargs)
    except TypeError:
        return False
    except ValueError:
        return True  # a class of C's, without a signature
    return True


def _name_of(made: Any) -> str:
    return f"{made.__module__}.{made.__qualname__}" if hasattr(made, "__qualname__") else repr(made)
