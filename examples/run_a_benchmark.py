"""Measures models, shows what each says while it says it, and prints what came of it.

No server is needed: python examples/run_a_benchmark.py nova-tiny --prompt "What is 2+2?" --repeat 5
"""

# ruff: noqa: T201  (an example may print)

import argparse

from novasystem.benchmarks import Check, Plan, Prompt, run
from novasystem.benchmarks.sample_log import Live, Record
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.telemetry import MachineFigures


def show(record: Record | MachineFigures) -> None:
    """Called with everything that happens, in its order; models may speak at the same time."""
    match record:
        case Live():
            print(record.text, end="", flush=True)
        case Sample():
            failed = record.failure
            said = failed.message if failed else f"{record.completion_tokens} tokens"
            print(f"\t({record.model}, {said})")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure models.")
    parser.add_argument("model", nargs="*", default=["nova-tiny"])
    parser.add_argument("--prompt", default="What is 2+2?")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()

    plan = Plan(
        models=tuple(arguments.model),
        mode="sequential",  # "parallel": all models at the same time
        workload=Prompt(prompt=arguments.prompt),
        repetitions=arguments.repeat,
        checks=(Check(kind="not_empty"),),
    )
    # It is kept where `nova bench list` has it; keep=False leaves nothing behind.
    benchmark = run(plan, show=show)

    print(f"{benchmark.id}: {benchmark.status}")
    for result in benchmark.results:
        ttft = result.metrics.get("ttft_s")
        if ttft is None:
            print(f"{result.model}: {result.error.message if result.error else 'no answer'}")
            continue
        print(f"{result.model}: time to first token {ttft.mean:.4f} s in the mean of {ttft.n}")


if __name__ == "__main__":
    main()
