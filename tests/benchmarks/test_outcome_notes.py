"""What a result's figures are to be read with."""

import pytest

from novasystem.benchmarks.outcome import OLLAMA_CACHE, Parts, outcome
from novasystem.benchmarks.plan import Plan, Prompt, Synthetic, Workload
from novasystem.benchmarks.records import Environment, ModelEnvironment
from novasystem.benchmarks.reports.figures import absences
from tests.benchmarks.made import benchmark, sample

OWN = Prompt(prompt="What is 2+2?")
MADE_UP = Synthetic(prompt_tokens=8, output_tokens=8)


@pytest.mark.parametrize(
    ("kind", "workload", "requests", "phase", "said"),
    [
        ("ollama", OWN, 2, "warm", True),
        ("ollama", OWN, 1, "warm", False),
        ("ollama", OWN, 2, "cold", False),
        ("ollama", MADE_UP, 2, "warm", False),
        ("embedded", OWN, 2, "warm", False),
    ],
)
def test_a_prompt_that_ollama_keeps_is_told(
    kind: str, workload: Workload, requests: int, phase: str, said: bool
) -> None:
    plan = Plan(models=("nova-tiny",), workload=workload, phases=(phase,), repetitions=2)
    where = ModelEnvironment(model="nova-tiny", engine="e", engine_kind=kind, address="here")
    begun = benchmark().model_copy(
        update={"plan": plan, "environment": Environment(models=(where,))}
    )
    samples = [sample(number, phase=phase) for number in range(requests)]
    ended = outcome(begun, Parts(samples=samples), status="completed")
    assert ended.results[0].notes == ((OLLAMA_CACHE,) if said else ())
    assert any("cache" in line for line in absences(ended)) == said
