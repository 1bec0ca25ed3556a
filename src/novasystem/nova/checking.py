"""Whether what an agent said fits its schema."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

__all__ = ["Check", "checker"]

Check = Callable[[str], tuple[str, dict[str, Any] | None]]
"""What is wrong with a text, or the object that it is."""


def checker(schema: Mapping[str, Any]) -> Check:
    """A check against that JSON schema; words around the object are no fault."""
    # It takes as long to import as a small server to start.
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(schema)

    def check(text: str) -> tuple[str, dict[str, Any] | None]:
        try:
            value = orjson.loads(text[text.find("{") : text.rfind("}") + 1] or text)
        except orjson.JSONDecodeError as error:
            return f"it is no JSON: {error}.", None
        wrong = next(iter(validator.iter_errors(value)), None)
        if wrong is not None:
            where = wrong.json_path.removeprefix("$").removeprefix(".")
            return f"{where + ': ' if where else ''}{wrong.message[:200]}.", None
        return "", value

    return check
