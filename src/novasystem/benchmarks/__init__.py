"""The benchmarker: measures models so that the figures can be trusted, compared and gated on.

For other programs::

    from novasystem.benchmarks import Plan, Prompt, run

    benchmark = run(Plan(models=("nova-tiny",), workload=Prompt(prompt="What is 2+2?")))

:func:`run` blocks until the end; within an event loop, ``await run_async(plan)`` does the same.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from novasystem.benchmarks.api import run, run_async
    from novasystem.benchmarks.plan import (
        Burst,
        Check,
        Concurrent,
        ConstantRate,
        Convergence,
        Conversation,
        Limits,
        Matrix,
        Objectives,
        OneAtATime,
        Parameters,
        Plan,
        Poisson,
        Prompt,
        Prompts,
        Ramp,
        Sweep,
        Synthetic,
        Trace,
        TracedRequest,
    )
    from novasystem.benchmarks.plan_files import read_plan
    from novasystem.benchmarks.prompts import read_prompts, read_trace
    from novasystem.benchmarks.records import Benchmark

__all__ = [
    "Benchmark",
    "Burst",
    "Check",
    "Concurrent",
    "ConstantRate",
    "Convergence",
    "Conversation",
    "Limits",
    "Matrix",
    "Objectives",
    "OneAtATime",
    "Parameters",
    "Plan",
    "Poisson",
    "Prompt",
    "Prompts",
    "Ramp",
    "Sweep",
    "Synthetic",
    "Trace",
    "TracedRequest",
    "read_plan",
    "read_prompts",
    "read_trace",
    "run",
    "run_async",
]

_ELSEWHERE = {
    "Benchmark": "records",
    "read_plan": "plan_files",
    "read_prompts": "prompts",
    "read_trace": "prompts",
    "run": "api",
    "run_async": "api",
}


def __getattr__(name: str) -> Any:
    # On demand: what needs one module of this package does not wait for all of them.
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    module = import_module(f"{__name__}.{_ELSEWHERE.get(name, 'plan')}")
    return getattr(module, name)
