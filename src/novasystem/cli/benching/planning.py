"""From the flags of ``nova bench run``, and a plan's file, to a plan. Flags win over the file."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.plan_files import build_plan, read_fields
from novasystem.benchmarks.prompts import read_prompts, read_trace
from novasystem.errors import InvalidRequest

__all__ = ["PROMPT", "Flags", "plan_of"]

PROMPT = "Why is the sky blue? Answer in two sentences."
"""What is asked where nothing says what to ask."""
_SECONDS = 10
_ROUNDS = 10
_COUNTS = {"sentences", "min_chars", "max_chars"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """As they were given; ``None`` and nothing: not given."""

    plan: Path | None
    name: str | None
    model: Sequence[str]
    mode: str | None
    prompt: Sequence[str]
    prompts: Path | None
    conversation: Path | None
    trace: Path | None
    speed: float | None
    prompt_tokens: str | None
    output_tokens: str | None
    depth: str | None
    system: str | None
    concurrency: int | None
    requests: int | None
    rate: float | None
    poisson: float | None
    burst: str | None
    ramp: str | None
    sweep: str | None
    step: float | None
    repeat: int | None
    until_stable: str | None
    warm_up: int | None
    processes: int | None
    phase: str | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    seed: int | None
    stop: Sequence[str]
    option: Sequence[str]
    check: Sequence[str]
    slo: str | None
    time_limit: float | None


def plan_of(flags: Flags) -> Plan:
    """Raises ``InvalidRequest`` for flags that do not go together or mean nothing."""
    fields = read_fields(flags.plan) if flags.plan is not None else {}
    where = f" in '{flags.plan}'" if flags.plan is not None else ""
    if flags.model:
        fields["models"] = list(flags.model)
    given: dict[str, Any] = {"name": flags.name, "mode": flags.mode, "warm_up": flags.warm_up}
    given["processes"] = flags.processes
    fields |= {name: value for name, value in given.items() if value is not None}
    _workload(flags, fields)
    _load(flags, fields)
    _parameters(flags, fields)
    _repetitions(flags, fields)
    if flags.phase is not None:
        fields["phases"] = _words(flags.phase)
    if flags.check:
        fields["checks"] = [*fields.get("checks", ()), *map(_check, flags.check)]
    if flags.slo is not None:
        slo = {name: _number("--slo", value) for name, value in _pairs("--slo", _words(flags.slo))}
        fields["objectives"] = {**fields.get("objectives", {}), **slo}
    if flags.time_limit is not None:
        fields["limits"] = {**fields.get("limits", {}), "benchmark_s": flags.time_limit}
    return build_plan(fields, where)


def _workload(flags: Flags, fields: dict[str, Any]) -> None:
    made_up = flags.prompt_tokens or flags.output_tokens or flags.depth
    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "--prompt": lambda: _prompts(flags.prompt),
        "--prompts": lambda: read_prompts(flags.prompts or Path()).model_dump(mode="json"),
        "--conversation": lambda: _conversation(flags.conversation or Path()),
        "--trace": lambda: read_trace(flags.trace or Path()).model_dump(mode="json"),
        "--prompt-tokens": lambda: _made_up(flags),
    }
    given = [flags.prompt, flags.prompts, flags.conversation, flags.trace, made_up]
    chosen = [way for way, value in zip(ways, given, strict=True) if value]
    if len(chosen) > 1:
        raise _wrong(f"{' and '.join(chosen)} do not go together.", "Give one of them.")
    if chosen:
        fields["workload"] = ways[chosen[0]]()
    workload = fields.setdefault("workload", _prompts([PROMPT]))
    if isinstance(workload, dict):
        if flags.system is not None:
            workload["system"] = flags.system
        if flags.speed is not None:
            workload["speed"] = flags.speed


def _prompts(prompts: Sequence[str]) -> dict[str, Any]:
    if len(prompts) == 1:
        return {"kind": "prompt", "prompt": prompts[0]}
    return {"kind": "prompts", "prompts": list(prompts)}


def _conversation(path: Path) -> dict[str, Any]:
    return {"kind": "conversation", "turns": read_prompts(path).prompts}


def _made_up(flags: Flags) -> dict[str, Any]:
    if flags.prompt_tokens is None or flags.output_tokens is None:
        raise _wrong(
            "Made-up prompts need both of their lengths.",
            "Give --prompt-tokens and --output-tokens.",
        )
    prompt = _counts("--prompt-tokens", flags.prompt_tokens)
    output = _counts("--output-tokens", flags.output_tokens)
    if flags.depth is None and len(prompt) == len(output) == 1:
        return {"kind": "synthetic", "prompt_tokens": prompt[0], "output_tokens": output[0]}
    depths = [0] if flags.depth is None else _counts("--depth", flags.depth)
    return {"kind": "matrix", "prompt_tokens": prompt, "output_tokens": output, "depths": depths}


def _load(flags: Flags, fields: dict[str, Any]) -> None:
    ways: dict[str, tuple[object, Callable[[], dict[str, Any]]]] = {
        "--concurrency": (flags.concurrency, lambda: _concurrent(flags)),
        "--rate": (flags.rate, lambda: _steady("constant", flags.rate or 0.0, flags)),
        "--poisson": (flags.poisson, lambda: _steady("poisson", flags.poisson or 0.0, flags)),
        "--burst": (flags.burst, lambda: _burst(flags.burst or "")),
        "--ramp": (flags.ramp, lambda: _ramp(flags.ramp or "")),
        "--sweep": (flags.sweep, lambda: _sweep(flags)),
    }
    chosen = [way for way, (value, _) in ways.items() if value is not None]
    if len(chosen) > 1:
        raise _wrong(f"{' and '.join(chosen)} do not go together.", "Give one of them.")
    if chosen:
        fields["load"] = ways[chosen[0]][1]()
    elif flags.requests is not None:
        load = fields.get("load")
        if not isinstance(load, dict) or load.get("kind") not in {
            "concurrent",
            "constant",
            "poisson",
        }:
            raise _wrong(
                "--requests needs --concurrency, --rate or --poisson.",
                "One request at a time is repeated with --repeat.",
            )
        load["requests"] = flags.requests


def _concurrent(flags: Flags) -> dict[str, Any]:
    concurrency = flags.concurrency or 1
    requests = flags.requests or concurrency * _ROUNDS
    return {"kind": "concurrent", "concurrency": concurrency, "requests": requests}


def _steady(kind: str, rate_per_s: float, flags: Flags) -> dict[str, Any]:
    requests = flags.requests or max(1, math.ceil(rate_per_s * _SECONDS))
    load: dict[str, Any] = {"kind": kind, "rate_per_s": rate_per_s, "requests": requests}
    return load


def _burst(text: str) -> dict[str, Any]:
    size, every_s, bursts = _three("--burst", text, "SIZE,SECONDS,TIMES, such as 8,5,10")
    return {"kind": "burst", "size": int(size), "every_s": every_s, "bursts": int(bursts)}


def _ramp(text: str) -> dict[str, Any]:
    first, last, duration_s = _three("--ramp", text, "FROM,TO,SECONDS, such as 1,20,60")
    return {"kind": "ramp", "from_per_s": first, "to_per_s": last, "duration_s": duration_s}


def _sweep(flags: Flags) -> dict[str, Any]:
    load: dict[str, Any] = {"kind": "sweep"}
    if flags.sweep != "auto":
        rates = _words(flags.sweep or "")
        load["rates_per_s"] = [_number("--sweep", rate) for rate in rates]
    if flags.step is not None:
        load["step_s"] = flags.step
    return load


def _parameters(flags: Flags, fields: dict[str, Any]) -> None:
    given: dict[str, Any] = {
        "max_tokens": flags.max_tokens,
        "temperature": flags.temperature,
        "top_p": flags.top_p,
        "top_k": flags.top_k,
        "seed": flags.seed,
        "stop": list(flags.stop) or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    kept = fields.get("parameters", {})
    if flags.option:
        options = {name: _value(text) for name, text in _pairs("--option", flags.option)}
        given["options"] = {**kept.get("options", {}), **options}
    if given:
        fields["parameters"] = {**kept, **given}


def _repetitions(flags: Flags, fields: dict[str, Any]) -> None:
    if flags.until_stable is None:
        if flags.repeat is not None:
            fields["repetitions"] = flags.repeat
            fields.pop("until", None)
        return
    metric, equals, text = flags.until_stable.rpartition("=")
    share = _number("--until-stable", text.strip().removesuffix("%"))
    until: dict[str, Any] = {"relative_half_width": share / (100 if "%" in text else 1)}
    if equals:
        until["metric"] = metric.strip()
    if flags.repeat is not None:
        until["max_repetitions"] = flags.repeat
        until["min_repetitions"] = max(3, min(5, flags.repeat))
    fields["until"] = until


def _check(text: str) -> dict[str, Any]:
    """``kind=value``; ``contains-i`` and the like do not look at upper and lower case."""
    kind, equals, value = text.partition("=")
    kind = kind.strip().replace("-", "_")
    ignore_case = kind.endswith("_i")
    check: dict[str, Any] = {"kind": kind.removesuffix("_i"), "ignore_case": ignore_case}
    if not equals:
        return check
    if check["kind"] == "json_schema":
        check["value"] = _schema(value)
    elif check["kind"] in _COUNTS or check["kind"] == "relevant":
        number = _number("--check", value)
        check["value"] = int(number) if number == int(number) else number
    else:
        check["value"] = value
    return check


def _schema(value: str) -> Any:
    try:
        text = Path(value[1:]).read_text() if value.startswith("@") else value
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise _wrong(
            f"--check: the JSON schema cannot be read: {error}.",
            "Write json_schema={…}, or json_schema=@FILE.",
        ) from error


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _pairs(flag: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise _wrong(f"{flag}: '{text}' has no value.", f"Write {flag} name=value.")
        pairs.append((name.strip(), value.strip()))
    return pairs


def _value(text: str) -> Any:
    """As JSON where it is that, else as text: ``num_ctx=8192`` is a number."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _number(flag: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _wrong(f"{flag}: '{text}' is no number.", "Write it as 5 or 0.5.")
    return number


def _counts(flag: str, text: str) -> list[int]:
    numbers = [_number(flag, word) for word in _words(text)]
    if not numbers or any(number != int(number) for number in numbers):
        raise _wrong(f"{flag}: '{text}' is no count of tokens.", "Write it as 128 or 128,512.")
    return [int(number) for number in numbers]


def _three(flag: str, text: str, how: str) -> tuple[float, float, float]:
    numbers = [_number(flag, word) for word in _words(text)]
    if len(numbers) != 3:
        raise _wrong(f"{flag}: '{text}' cannot be read.", f"Write {flag} {how}.")
    return numbers[0], numbers[1], numbers[2]


def _wrong(message: str, hint: str) -> InvalidRequest:
    return InvalidRequest(message, hint=hint)
