"""Read JSON that a stranger wrote: strictly, with every surprise turned into a `ValueError`."""

from __future__ import annotations

import json
from typing import Any, Final, Generic, NoReturn, TypeVar

__all__ = ["loads_array", "loads_object"]

T = TypeVar("T")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member names")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if number - number != 0:  # infinity: the digits overflowed
        raise ValueError("a number is out of range")
    return number


# One decoder for all: building one takes longer than most of the replies take to read.
_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite).decode


class _Reader(Generic[T]):
    """Parses one JSON value of a kind (RFC 8259).

    Calling it takes UTF-8 bytes without a byte order mark, or text. It raises `ValueError` when the data is not UTF-8,
    not JSON, of another kind, too deep, or has duplicate names, NaN, infinities, over-long numbers or lone surrogates.
    The message does not repeat the data.
    """

    def __init__(self, kind: type[T], name: str) -> None:
        self._kind, self._name = kind, name

    def __call__(self, data: bytes | str) -> T:
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
        if not isinstance(value, self._kind):
            raise ValueError(f"a JSON {self._name} is expected, not {type(value).__name__}")  # noqa: TRY004 - it is bad data
        return value


loads_object: Final[_Reader[dict[str, Any]]] = _Reader(dict, "object")
"""Parse one JSON object, strictly."""
loads_array: Final[_Reader[list[Any]]] = _Reader(list, "array")
"""Parse one JSON array, strictly."""
