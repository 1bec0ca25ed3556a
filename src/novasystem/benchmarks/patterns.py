"""Regular expressions and JSON schemas that end in time, whatever they are given.

Python's ``re`` cannot be interrupted: a pattern such as ``(a+)+$`` keeps a thread for ever. The
library ``regex`` reads the same patterns, looks at the time while it searches, and lets other
threads run meanwhile; a process for each search would cost a thousand times as much. ``jsonschema``
searches with ``re`` and never looks at the time, so each of its keywords is wrapped here.

Both libraries are imported when the first check needs them.
"""

import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import regex
    from jsonschema.protocols import Validator

__all__ = ["MOST_PATTERN", "bad_pattern", "bad_schema", "bad_value", "first_fault", "matches"]

MOST_PATTERN = 2000
"""Characters of a pattern."""
SCHEMA_S = 2.0
SEARCH_S = 0.3

Keyword = Callable[["Validator", Any, Any, Any], "Iterator[Any] | None"]


@lru_cache(maxsize=64)
def _compiled(pattern: str, ignore_case: bool) -> "regex.Pattern[str]":
    import regex

    return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0, cache_pattern=False)


def bad_pattern(pattern: str) -> str | None:
    """Why it is no pattern; ``None`` where it is one."""
    import regex

    if len(pattern) > MOST_PATTERN:
        return f"it has {len(pattern)} characters, and {MOST_PATTERN} at most are allowed"
    try:
        _compiled(pattern, False)
    except regex.error as error:
        return str(error)
    except (RecursionError, OverflowError):
        return "it is nested too deeply"
    return None


def matches(
    pattern: str, text: str, *, ignore_case: bool = False, limit_s: float = SEARCH_S
) -> bool:
    """Whether the pattern is found anywhere in the text; ``TimeoutError`` after ``limit_s`` of the
    process's CPU time, which is what ``regex`` counts."""
    found = _compiled(pattern, ignore_case).search(text, timeout=limit_s, concurrent=True)
    return found is not None


def bad_schema(schema: dict[str, Any]) -> str | None:
    """Why it is no JSON schema (2020-12, unless it names another draft); ``None`` where it is.

    Patterns in it must compile, and references must lie inside it: nothing is ever fetched. Plans
    are read again and again, so what was found is kept.
    """
    try:
        return _bad_schema(orjson.dumps(schema))
    except orjson.JSONEncodeError as error:
        return str(error)


@lru_cache(maxsize=64)
def _bad_schema(as_json: bytes) -> str | None:
    from jsonschema import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for

    schema = orjson.loads(as_json)
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        where = "/".join(map(str, error.absolute_path))
        return error.message + (f" (at {where})" if where else "")
    except RecursionError:
        return "it is nested too deeply"
    for pattern in _patterns(schema):
        if why := bad_pattern(pattern):
            return f"pattern '{pattern[:80]}': {why}"
    for reference in _references(schema):
        if not reference.startswith("#"):
            return f"'{reference[:80]}' lies outside of it, and nothing is fetched"
    return None


def first_fault(schema: dict[str, Any], value: Any, *, limit_s: float = SCHEMA_S) -> str | None:
    """What is wrong with the value; ``None`` where it fits. ``TimeoutError`` after ``limit_s``.

    ``ValueError`` for a schema that cannot be followed, as its references lead nowhere or in a
    circle.
    """
    from jsonschema.exceptions import ValidationError, best_match
    from jsonschema.validators import Draft202012Validator, extend, validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    ends_at = time.monotonic() + limit_s
    kind = validator_for(schema, default=Draft202012Validator)
    keywords = {name: _timed(keyword, ends_at) for name, keyword in kind.VALIDATORS.items()}
    keywords["pattern"] = _timed(_pattern, ends_at)
    keywords["patternProperties"] = _timed(_pattern_properties, ends_at)
    empty: Registry[Any] = Registry()
    try:
        timed = extend(kind, keywords)  # type: ignore[no-untyped-call]
        found: ValidationError | None = best_match(timed(schema, registry=empty).iter_errors(value))
    except RecursionError as error:
        msg = "the schema leads in a circle, or too deep"
        raise ValueError(msg) from error
    except Unresolvable as error:
        msg = f"the schema's reference '{error.ref}' leads nowhere"
        raise ValueError(msg) from error
    if found is None:
        return None
    where = "/".join(map(str, found.absolute_path))
    return str(found.message) + (f" (at {where})" if where else "")


def bad_value(kind: str, value: Any) -> str | None:
    """Why a check of this kind cannot have this value; ``None`` where it can."""
    if kind in {"not_empty", "same"}:
        return None if value is None else "takes no value"
    if kind == "json_schema":
        if not isinstance(value, dict):
            return "needs a JSON schema as its value"
        why = bad_schema(value)
        return f"needs a JSON schema as its value: {why}" if why else None
    if kind in {"equals", "contains", "regex"}:
        if not isinstance(value, str) or not value:
            return "needs a text as its value"
        why = bad_pattern(value) if kind == "regex" else None
        return f"needs a pattern that compiles: {why}" if why else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "needs a number as its value"
    if kind == "relevant":
        return None if 0 <= value <= 1 else "needs a share between 0 and 1 as its value"
    return None if value >= 0 and value == int(value) else "needs a count as its value"


def _timed(keyword: Keyword, ends_at: float) -> Keyword:
    def timed(validator: "Validator", value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if time.monotonic() > ends_at:
            raise TimeoutError
        yield from keyword(validator, value, instance, schema) or ()

    return timed


def _pattern(validator: "Validator", pattern: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and not matches(pattern, instance):
        yield ValidationError(f"{instance[:80]!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    for pattern, below in patterns.items():
        for key, value in instance.items():
            if matches(pattern, key):
                yield from validator.descend(value, below, path=key, schema_path=pattern)


def _patterns(schema: Any) -> Iterator[str]:
    for name, value in _entries(schema):
        if name == "pattern" and isinstance(value, str):
            yield value
        elif name == "patternProperties" and isinstance(value, dict):
            yield from value


def _references(schema: Any) -> Iterator[str]:
    for name, value in _entries(schema):
        if name in {"$ref", "$dynamicRef", "$recursiveRef"} and isinstance(value, str):
            yield value


def _entries(schema: Any) -> Iterator[tuple[str, Any]]:
    left = [schema]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield from one.items()
        if isinstance(one, dict | list):
            left.extend(one.values() if isinstance(one, dict) else one)
