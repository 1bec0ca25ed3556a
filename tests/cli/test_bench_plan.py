"""What the flags of ``nova bench run`` and a plan's file mean."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from novasystem.benchmarks.plan import Plan, TracedRequest
from novasystem.benchmarks.plan_files import plan_fields, read_plan, write_plan
from novasystem.cli.benching.planning import PROMPT, Flags, plan_of
from novasystem.errors import InvalidRequest

_LISTS = {"model", "prompt", "stop", "option", "check"}


def flags(**given: Any) -> Flags:
    absent: dict[str, Any] = {
        field.name: () if field.name in _LISTS else None for field in fields(Flags)
    }
    return Flags(**{**absent, **given})


def planned(**given: Any) -> dict[str, Any]:
    return plan_fields(plan_of(flags(**given)))


SAID = {"kind": "prompt", "prompt": "Hi."}


def test_nothing_at_all_asks_every_model_something() -> None:
    assert planned() == {"workload": {"kind": "prompt", "prompt": PROMPT}}


@pytest.mark.parametrize(
    ("given", "part", "meant"),
    [
        ({"model": ["a", "b"]}, "models", ["a", "b"]),
        ({"prompt": ["Hi."], "system": "Be short."}, "workload", SAID | {"system": "Be short."}),
        ({"prompt": ["a", "b"]}, "workload", {"kind": "prompts", "prompts": ["a", "b"]}),
        (
            {"prompt_tokens": "128", "output_tokens": "16"},
            "workload",
            {"kind": "synthetic", "prompt_tokens": 128, "output_tokens": 16},
        ),
        (
            {"prompt_tokens": "128,512", "output_tokens": "16", "depth": "0,64"},
            "workload",
            {
                "kind": "matrix",
                "prompt_tokens": [128, 512],
                "output_tokens": [16],
                "depths": [0, 64],
            },
        ),
        ({"concurrency": 4}, "load", {"kind": "concurrent", "concurrency": 4, "requests": 40}),
        ({"rate": 2.5}, "load", {"kind": "constant", "rate_per_s": 2.5, "requests": 25}),
        (
            {"poisson": 2.0, "requests": 7},
            "load",
            {"kind": "poisson", "rate_per_s": 2.0, "requests": 7},
        ),
        ({"burst": "8,5,3"}, "load", {"kind": "burst", "size": 8, "every_s": 5.0, "bursts": 3}),
        (
            {"ramp": "1,20,60"},
            "load",
            {"kind": "ramp", "from_per_s": 1.0, "to_per_s": 20.0, "duration_s": 60.0},
        ),
        ({"sweep": "auto", "step": 2.0}, "load", {"kind": "sweep", "step_s": 2.0}),
        ({"sweep": "1,2,4"}, "load", {"kind": "sweep", "rates_per_s": [1.0, 2.0, 4.0]}),
        ({"repeat": 20}, "repetitions", 20),
        ({"until_stable": "3%"}, "until", {"relative_half_width": 0.03}),
        (
            {"until_stable": "ttft_s=0.1", "repeat": 4},
            "until",
            {
                "metric": "ttft_s",
                "relative_half_width": 0.1,
                "min_repetitions": 4,
                "max_repetitions": 4,
            },
        ),
        ({"phase": "cold,warm"}, "phases", ["cold", "warm"]),
        (
            {"temperature": 0.0, "top_k": 3, "stop": ["x"], "option": ["num_ctx=8192", "m=on"]},
            "parameters",
            {
                "temperature": 0.0,
                "top_k": 3,
                "stop": ["x"],
                "options": {"num_ctx": 8192, "m": "on"},
            },
        ),
        (
            {"check": ["contains-i=A=b", "sentences=2", "same", 'json_schema={"type":"object"}']},
            "checks",
            [
                {"kind": "contains", "value": "A=b", "ignore_case": True},
                {"kind": "sentences", "value": 2},
                {"kind": "same"},
                {"kind": "json_schema", "value": {"type": "object"}},
            ],
        ),
        ({"slo": "ttft_s=0.5, e2e_s=2"}, "objectives", {"ttft_s": 0.5, "e2e_s": 2.0}),
        ({"time_limit": 30.0}, "limits", {"benchmark_s": 30.0}),
        ({"mode": "sequential"}, "mode", "sequential"),
        ({"warm_up": 0}, "warm_up", 0),
        ({"processes": 2}, "processes", 2),
        ({"name": "nightly"}, "name", "nightly"),
    ],
)
def test_each_flag_means_its_part_of_the_plan(
    given: dict[str, Any], part: str, meant: object
) -> None:
    assert planned(**given)[part] == meant


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"prompt": ["a"], "prompt_tokens": "8", "output_tokens": "8"}, "do not go together"),
        ({"prompt_tokens": "8"}, "--output-tokens"),
        ({"prompt_tokens": "8.5", "output_tokens": "8"}, "8.5"),
        ({"rate": 1.0, "poisson": 1.0}, "--rate and --poisson do not go together"),
        ({"requests": 5}, "--requests needs --concurrency"),
        ({"burst": "8"}, "--burst SIZE,SECONDS,TIMES"),
        ({"phase": "hot"}, "phases"),
        ({"phase": "cold", "concurrency": 2}, "'cold' needs the load shape 'one'"),
        ({"check": ["regex=("]}, "regex"),
        ({"check": ["nothing"]}, "checks"),
        ({"check": ["json_schema=@absent.json"]}, "absent.json"),
        ({"slo": "ttft_s"}, "--slo name=value"),
        ({"slo": "ttft=1"}, "objectives"),
        ({"until_stable": "soon"}, "'soon' is no number"),
        ({"option": ["=8"]}, "--option name=value"),
        ({"prompts": Path("absent.txt")}, "absent.txt"),
        ({"plan": Path("absent.toml")}, "absent.toml"),
    ],
)
def test_what_cannot_be_meant_says_so(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        plan_of(flags(**given))
    assert said in str(caught.value)


def test_flags_win_over_the_file_and_leave_the_rest_of_it(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        """
        name = "nightly"
        models = ["a"]
        repetitions = 3
        [workload]
        kind = "prompts"
        file = "prompts.txt"
        system = "Be short."
        [load]
        kind = "concurrent"
        concurrency = 2
        requests = 10
        [parameters]
        temperature = 0
        seed = 7
        """
    )
    (tmp_path / "prompts.txt").write_text("one\n\ntwo\n")
    assert read_plan(path).models == ("a",)
    assert planned(plan=path, model=["b"], requests=4, seed=8, repeat=2) == {
        "name": "nightly",
        "models": ["b"],
        "repetitions": 2,
        "workload": {"kind": "prompts", "prompts": ["one", "two"], "system": "Be short."},
        "load": {"kind": "concurrent", "concurrency": 2, "requests": 4},
        "parameters": {"temperature": 0.0, "seed": 8},
    }


def test_a_trace_may_stand_in_a_file_beside_the_plan(tmp_path: Path) -> None:
    (tmp_path / "trace.jsonl").write_text('{"at_s": 5, "prompt": "a"}\n{"at_s": 6, "prompt": "b"}')
    path = tmp_path / "plan.json"
    path.write_text('{"workload": {"kind": "trace", "file": "trace.jsonl", "speed": 2}}')
    workload = read_plan(path).workload
    assert workload.kind == "trace"
    assert workload.speed == 2
    assert workload.requests[1] == TracedRequest(at_s=1.0, prompt="b")


@pytest.mark.parametrize("ending", [".toml", ".json"])
def test_a_plan_that_was_written_is_the_same_when_read(tmp_path: Path, ending: str) -> None:
    plan = plan_of(
        flags(
            model=["a"],
            prompt=['Say "x"\nand \\ y\t\u2028.'],
            poisson=3.0,
            stop=["\n", "'''"],
            option=['grammar={"a": [1, 2.5, true]}'],
            check=["contains=4", 'json_schema={"type": "object"}'],
            slo="ttft_s=0.5",
            until_stable="5%",
            phase="warm,cached",
        )
    )
    write_plan(plan, tmp_path / f"plan{ending}")
    assert read_plan(tmp_path / f"plan{ending}") == plan


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("plan.toml", "models = ", "not valid TOML"),
        ("plan.json", "{", "not valid JSON"),
        ("plan.json", "[]", "not an object"),
        ("plan.toml", "modes = 1\n[workload]\nkind = 'prompt'\nprompt = 'a'", "modes"),
        ("plan.toml", "[workload]\nkind = 'matrix'\nfile = 'x'", "cannot name a file"),
        ("plan.toml", "repetitions = 0\n[workload]\nkind = 'prompt'\nprompt = 'a'", "repetitions"),
    ],
)
def test_a_file_that_is_no_plan_says_why_and_where(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidRequest) as caught:
        read_plan(tmp_path / name)
    assert said in str(caught.value)
    assert name in str(caught.value) or "workload" in str(caught.value)


def test_a_plan_as_usual_is_short() -> None:
    assert plan_fields(Plan.model_validate({"workload": SAID})) == {"workload": SAID}
