"""What a parent and a worker say to each other: JSON objects, one a line.

To a worker::

    {"settings": {…}, "sockets": [3], "children": ["embedded"]}     the first line
    {"child": "embedded", "address": {…} | null, "restarts": 0, "last_exit": null}
    {"answer": 1, "error": {"message": "…", "hint": "…"} | null}
    {"end": false}                                    end in order; true: without waiting

To the parent::

    {"listening": true}
    {"failed": {"type": "…", "message": "…", "hint": "…"}}
    {"ask": 1, "child": "embedded", "do": "start" | "stop"}
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, SecretStr

from novasystem.settings import Settings

__all__ = ["Word", "lines", "said", "told"]

Word = dict[str, Any]


def told(word: Word) -> bytes:
    """As it goes through the pipe."""
    return orjson.dumps(word) + b"\n"


def said(settings: Settings) -> Word:
    """The settings with their secrets, as ``Settings`` takes them again."""
    plain: Word = _plain(settings.model_dump())
    return plain


def lines(descriptor: int) -> Iterator[bytes]:
    """What comes from a pipe until its end; without a buffer that a thread could keep locked."""
    rest = b""
    while data := os.read(descriptor, 65536):
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def _plain(value: object) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, BaseModel):
        return _plain(value.model_dump())
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
