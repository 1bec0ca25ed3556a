"""``nova bench``: benchmarks run, end, are compared, before an engine with scripted answers."""

import json
import re
import signal

import pytest

from novasystem.benchmarks.sample_log import End, read_log
from tests.cli.benches import (
    ANSWER,
    COMPLETIONS,
    USAGE,
    asked,
    bench,
    listed,
    logged,
    measure,
    measure_undisturbed,
    shown,
    until,
    until_asked,
    waiting,
)
from tests.cli.preloaded import Preloaded
from tests.servers.answers import Stall, json_answer, openai_stream
from tests.servers.scripted import ScriptedServer

__all__ = ["bench", "waiting"]


def test_a_benchmark_is_shown_kept_and_found(bench: Preloaded, scripted: ScriptedServer) -> None:
    done = bench.run(
        "bench", "run", "-m", "scripted", "-p", "What is 2+2?", "--repeat", "3",
        "--check", "contains=4", "--name", "sums",
    )  # fmt: skip
    head, row = [line for line in done.stdout.splitlines() if line][1:3]
    assert head.split()[:2] == ["MODEL", "TTFT"]
    assert row.split()[0] == "scripted"
    assert row.split()[-3:] == ["3", "0", "3/3"]
    assert "scripted: done, 3 of 3" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    (id_,) = listed(bench)
    assert f"It is kept as {id_}" in done.stderr
    line = bench.run("bench", "list").stdout.splitlines()[1]
    assert line.startswith(id_)
    assert "What is 2+2?" in line
    text = bench.run("bench", "show", id_[:12]).stdout
    assert re.search(r"^ttft_s +3 ", text, re.MULTILINE)
    assert "Last answer: 2+2 is 4." in text
    # One that warms up, and three that count.
    assert len(asked(scripted)) == 4


def test_json_has_the_documented_fields(bench: Preloaded) -> None:
    made = measure(bench, "--repeat", "2", "--check", "contains=4")
    assert made == shown(bench)
    (result,) = made["results"]
    assert result["tokens"]["completion"] == 6
    assert result["checks"][0]["passed"] == 2
    documented = bench.run("bench", "run", "--help").stdout
    for name in ("id", "timestamp", "status", "system_info", "environment", "summary"):
        assert name in made
        assert name in documented
    for name in ("timing", "throughput", "tokens", "system_impact", "response", "metrics"):
        assert name in result
        assert name in documented


def test_a_terminal_shows_what_the_model_says_while_it_says_it(
    bench: Preloaded, scripted: ScriptedServer
) -> None:
    slow = openai_stream(["Sounds ", "[bold]", "good", *["."] * 8], usage=USAGE, pause_s=0.3)
    scripted.on("POST", COMPLETIONS, slow)
    run = ("bench", "run", "-m", "scripted", "-p", "Hi.", "--repeat", "2", "--warm-up", "0")
    with bench.terminal(*run) as terminal:
        terminal.shows("generating")
        terminal.shows("Sounds [bold]good")
        terminal.shows("1 of 2")
        terminal.shows("It is kept as")
        assert terminal.exit_code() == 0


def test_ctrl_c_keeps_and_shows_what_had_arrived_and_resume_ends_it(
    bench: Preloaded, scripted: ScriptedServer
) -> None:
    answer = openai_stream(ANSWER, usage=USAGE)
    scripted.on("POST", COMPLETIONS, *[answer] * 4, [*answer[:3], Stall()])
    run = ("bench", "run", "-m", "scripted", "-p", "Hi.", "--repeat", "6")
    with bench.terminal(*run) as terminal:
        terminal.shows("3 of 6")
        until_asked(scripted, 5)
        terminal.type("\x03")
        terminal.shows("This benchmark is cancelled")
        assert terminal.exit_code() == 130
    found = shown(bench)
    assert found["status"] == "cancelled"
    assert found["results"][0]["metrics"]["e2e_s"]["n"] == 3
    scripted.on("POST", COMPLETIONS, answer)
    before = len(asked(scripted))
    bench.run("bench", "resume", "last")
    found = shown(bench)
    assert found["status"] == "completed"
    assert found["results"][0]["metrics"]["e2e_s"]["n"] == 6
    # Three were left, and one that warms up.
    assert len(asked(scripted)) - before == 4
    again = bench.run("bench", "resume", "last", code=2)
    assert "has ended" in again.stderr


def test_kill_9_loses_no_sample_and_resume_ends_it(
    bench: Preloaded, scripted: ScriptedServer
) -> None:
    scripted.on("POST", COMPLETIONS, openai_stream(ANSWER, usage=USAGE, pause_s=0.05))
    repeat = 30
    run = ("bench", "run", "-m", "scripted", "-p", "Hi.", "--repeat", str(repeat))
    with bench.start(*run) as process:
        until_asked(scripted, 6, process)
        process.kill()
        process.wait()
    # The load process sees that its parent is gone, writes down what it had, and ends.
    (path,) = (bench.folder / "data/benchmarks/logs").glob("*.log")
    until(lambda: any(isinstance(one, End) for one in read_log(path)))
    kept = [one for one in logged(bench) if one.counted and one.failure is None]
    answered = sum(seen.answered for seen in asked(scripted))
    assert len(kept) >= answered - 1 - 1, "less what warmed up, and one that was being written"
    assert 0 < len(kept) < repeat
    found = shown(bench)
    assert found["status"] == "running"
    assert found["results"][0]["metrics"]["e2e_s"]["n"] == len(kept)
    assert "nova bench resume" in bench.run("bench", "show", "last").stderr

    before = len(asked(scripted))
    done = bench.run("bench", "resume", found["id"])
    assert f"scripted: done, {repeat} of {repeat}" in done.stderr
    assert len(asked(scripted)) - before == repeat - len(kept) + 1
    ended = shown(bench)
    assert ended["status"] == "completed"
    assert ended["results"][0]["metrics"]["e2e_s"]["n"] == repeat
    text = bench.run("bench", "report", "last", "--json").stdout
    samples = {one["number"]: one for one in json.loads(text)["samples"]}
    assert all(samples[one.number]["ended_ns"] == one.ended_ns for one in kept)


def test_one_that_goes_on_is_shown_and_cancelled_from_another_terminal(
    bench: Preloaded, scripted: ScriptedServer
) -> None:
    answer = openai_stream(ANSWER, usage=USAGE)
    scripted.on("POST", COMPLETIONS, answer, answer, answer, [*answer[:3], Stall()])
    with bench.start("bench", "run", "-p", "Hi.", "-m", "scripted", "--repeat", "9") as process:
        until_asked(scripted, 4, process)
        until(lambda: len(logged(bench)) >= 3)
        assert "It is being carried out now" in bench.run("bench", "show", "last").stderr
        assert "being carried out" in bench.run("bench", "delete", "-y", "last", code=2).stderr
        assert "is cancelled" in bench.run("bench", "cancel", "last").stdout
        assert process.wait(30) == 130
    assert shown(bench)["results"][0]["metrics"]["e2e_s"]["n"] == 2
    assert "has ended: cancelled" in bench.run("bench", "cancel", "last", code=2).stderr


def test_sigterm_ends_it_in_order(bench: Preloaded, scripted: ScriptedServer) -> None:
    answer = openai_stream(ANSWER, usage=USAGE)
    scripted.on("POST", COMPLETIONS, answer, answer, [*answer[:3], Stall()])
    with bench.start("bench", "run", "-p", "Hi.", "-m", "scripted", "--repeat", "9") as process:
        until_asked(scripted, 3, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130
    assert shown(bench)["status"] == "cancelled"


def test_a_model_that_fails_spoils_no_other_and_the_code_says_it(bench: Preloaded) -> None:
    made = measure(bench, "-m", "scripted", "-m", "absent", code=3)
    assert made["status"] == "partial"
    good, bad = made["results"]
    assert good["success"]
    assert bad["error"]["code"] == "model_not_found"
    none = bench.run("bench", "run", "-m", "absent", code=2)
    assert "There are: scripted." in none.stderr


def test_a_parallel_and_a_sequential_one_have_their_own_figures(
    bench: Preloaded, scripted: ScriptedServer
) -> None:
    models = [{"id": name, "object": "model"} for name in ("one", "two")]
    scripted.on("GET", "/v1/models", json_answer(200, {"object": "list", "data": models}))
    slow = openai_stream(ANSWER, usage=USAGE, pause_s=0.15)
    scripted.on("POST", COMPLETIONS, slow)
    both = ("-m", "one", "-m", "two", "--repeat", "3", "--warm-up", "0")
    parallel = measure(bench, *both)["summary"]
    sequential = measure(bench, *both, "--mode", "sequential")["summary"]
    assert parallel["parallel_speedup"] > 1.2
    assert parallel["efficiency_ratio"] == pytest.approx(parallel["parallel_speedup"] / 2)
    assert sequential["parallel_speedup"] is sequential["efficiency_ratio"] is None
    for summary in (parallel, sequential):
        assert summary["average_model_time"] * 2 == pytest.approx(summary["total_model_time"])
        assert summary["overhead_s"] >= 0
    assert "Parallel speed-up" in bench.run("bench", "show", "last-1").stdout
    assert "Parallel speed-up" not in bench.run("bench", "show", "last").stdout


def test_compare_says_slower_of_a_model_that_was_slowed_and_ends_with_1(
    bench: Preloaded, scripted: ScriptedServer
) -> None:
    scripted.on("POST", COMPLETIONS, openai_stream(ANSWER, usage=USAGE, pause_s=0.02))
    first = measure_undisturbed(bench, "--repeat", "12")["id"]
    scripted.on("POST", COMPLETIONS, openai_stream(ANSWER, usage=USAGE, pause_s=0.1))
    last = measure_undisturbed(bench, "--repeat", "12")["id"]
    done = bench.run("bench", "compare", first, last, code=1)
    row = next(line for line in done.stdout.splitlines() if line.startswith("e2e_s"))
    assert "slower (p " in row
    assert "Failed: scripted (warm)" in done.stderr
    bench.run("bench", "compare", first, last, "--fail-on", "e2e_s>9000%")
    gated = bench.run("bench", "compare", first, last, "--fail-on", "e2e_s>10%", code=1)
    assert "Failed: e2e_s>10%" in gated.stderr
    said = json.loads(
        bench.run("bench", "compare", last, first, "--json", "--fail-on", "e2e_s>10%").stdout
    )
    assert said["passed"] is True
    wrong = bench.run("bench", "compare", last, first, "--fail-on", "speed>1%", code=2)
    assert "There is no metric 'speed'" in wrong.stderr
    assert "two or more" in bench.run("bench", "compare", last, last, code=2).stderr


def test_plans_are_saved_and_run_again(bench: Preloaded) -> None:
    first = measure(bench, "--repeat", "2", "--seed", "7", "--save-plan", "plan.toml")
    again = json.loads(bench.run("bench", "run", "--plan", "plan.toml", "--json").stdout)
    assert again["plan"] == first["plan"]


@pytest.mark.parametrize(
    "name",
    [
        "run",
        "list",
        "show",
        "compare",
        "report",
        "export",
        "resume",
        "cancel",
        "delete",
        "archive",
        "prune",
        "import",
    ],
)
def test_each_command_has_examples_and_whole_sentences(bench: Preloaded, name: str) -> None:
    shown = bench.run("bench", name, "--help").stdout
    assert f"Examples:\n    nova bench {name}" in shown
    _usage, _, rest = shown.partition("\n")
    assert "..." not in rest.replace("{ID}...", "")
