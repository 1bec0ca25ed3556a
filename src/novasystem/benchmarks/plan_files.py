"""Plans as files: TOML or JSON, to be kept beside what they measure.

A file holds the fields of :class:`~novasystem.benchmarks.plan.Plan`. A workload of the kind
``prompts`` or ``trace`` may name a ``file`` in the place of its list, beside the plan's own file.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.prompts import read_prompts, read_trace
from novasystem.errors import InvalidRequest

__all__ = ["build_plan", "plan_fields", "read_fields", "read_plan", "write_plan"]


def read_plan(path: Path) -> Plan:
    """The plan of a file that ends in ``.toml`` or ``.json``; ``InvalidRequest`` says what is
    wrong with it, and where."""
    return build_plan(read_fields(path), f" in '{path}'")


def read_fields(path: Path) -> dict[str, Any]:
    """The fields that a plan's file gives, unchecked but for its files of prompts."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidRequest(
            f"The plan '{path}' cannot be read: {error.strerror}.", hint="Check its path."
        ) from error
    is_json = path.suffix.lower() == ".json"
    try:
        fields = orjson.loads(data) if is_json else tomllib.loads(data.decode())
    except (orjson.JSONDecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        kind = "JSON" if is_json else "TOML"
        raise InvalidRequest(
            f"The plan '{path}' is not valid {kind}: {error}.",
            hint="A plan's file ends in .toml or .json.",
        ) from error
    if not isinstance(fields, dict):
        raise InvalidRequest(f"The plan '{path}' is not an object.", hint="See 'nova bench run'.")
    workload = fields.get("workload")
    if isinstance(workload, dict) and isinstance(workload.get("file"), str):
        fields["workload"] = _from_file(workload, path.parent)
    return fields


def _from_file(workload: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    rest = {name: value for name, value in workload.items() if name != "file"}
    path = folder / workload["file"]
    if rest.get("kind") == "trace":
        return {**read_trace(path).model_dump(mode="json", exclude={"speed"}), **rest}
    if rest.get("kind") == "prompts":
        return {**read_prompts(path).model_dump(mode="json", exclude={"system"}), **rest}
    raise InvalidRequest(
        f"A workload of the kind '{rest.get('kind')}' cannot name a file.",
        hint="Those of the kinds 'prompts' and 'trace' can.",
    )


def build_plan(fields: Mapping[str, Any], where: str = "") -> Plan:
    """The plan of these fields; ``InvalidRequest`` names the first that is wrong."""
    try:
        return Plan.model_validate(fields)
    except ValidationError as error:
        found = error.errors()
        first = found[0]
        # What is wrong inside one of several kinds comes with the name of the kind.
        name = ".".join(str(part) for part in first["loc"]) or "the plan"
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        said = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(
            f"The plan{where} cannot be carried out: {name}: {said}{more}.",
            hint="docs/how-to/benchmarks.md describes plans.",
            param=name,
        ) from error


def plan_fields(plan: Plan) -> dict[str, Any]:
    """What :func:`build_plan` makes the same plan of: what is as usual is left out."""
    fields = plan.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    for name in ("workload", "load"):
        if name in fields:
            fields[name] = {"kind": getattr(plan, name).kind, **fields[name]}
    return fields


def write_plan(plan: Plan, path: Path) -> None:
    """Write the plan as JSON, or as TOML where the name ends in ``.toml``."""
    fields = plan_fields(plan)
    if path.suffix.lower() == ".toml":
        import tomli_w

        text = tomli_w.dumps(fields, multiline_strings=True)
    else:
        text = orjson.dumps(fields, option=orjson.OPT_INDENT_2).decode() + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(
            f"The plan cannot be written to '{path}': {error.strerror}.", hint="Check its path."
        ) from error
