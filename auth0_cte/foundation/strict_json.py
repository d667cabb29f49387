"""Read JSON that a stranger wrote: strictly, with every surprise turned into a `ValueError`."""

from __future__ import annotations

import json
from typing import Any, NoReturn

__all__ = ["loads_array", "loads_object"]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member names")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if number - number != 0:  # infinity: the digits overflowed
        raise ValueError("a number is out of range")
    return number


# One decoder for all: building one takes longer than most of the replies take to read.
_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite).decode


def loads_object(data: bytes | str) -> dict[str, Any]:
    """Parse one JSON object (RFC 8259).

    Args:
        data: UTF-8 bytes without a byte order mark, or text.

    Raises:
        ValueError: The data is not UTF-8, no JSON, not an object, too deep, has duplicate names, NaN, infinities,
            over-long numbers or lone surrogates. The message does not repeat the data.
    """
    value = _loads(data)
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object is expected, not {type(value).__name__}")  # noqa: TRY004 - it is bad data
    return value


def loads_array(data: bytes | str) -> list[Any]:
    """Parse one JSON array, as strictly as `loads_object`.

    Raises:
        ValueError: As `loads_object` does.
    """
    value = _loads(data)
    if not isinstance(value, list):
        raise ValueError(f"a JSON array is expected, not {type(value).__name__}")  # noqa: TRY004 - it is bad data
    return value


def _loads(data: bytes | str) -> Any:
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        value = _decode(text)
        if "\\u" in text:  # only an escape can smuggle in a lone surrogate, which no encoder accepts later
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        # Its own text is safe, but the error holds the document.
        raise ValueError(f"not valid JSON: {error.msg} at character {error.pos}") from None
    except UnicodeError:
        raise ValueError("not valid UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value
