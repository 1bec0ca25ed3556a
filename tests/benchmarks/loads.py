"""How the tests of the load make one: a plan, engines at a scripted server, what was written."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from novasystem.benchmarks.asking import Enough
from novasystem.benchmarks.load import Load
from novasystem.benchmarks.plan import Plan, Prompt
from novasystem.benchmarks.resuming import Done
from novasystem.benchmarks.sample_log import End, Record
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.targets import Pinned
from novasystem.engines.openai_http import OpenAIEngine
from tests.servers.answers import Stall, Step, openai_stream
from tests.servers.scripted import ScriptedServer, Seen

__all__ = [
    "CHAT",
    "USAGE",
    "Made",
    "asked",
    "carried_out",
    "plan",
    "playing",
    "prepared",
    "prompt_of",
    "stalled",
]

CHAT = "/v1/chat/completions"
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
T = TypeVar("T")


@dataclass(frozen=True)
class Made:
    records: list[Record]

    @property
    def samples(self) -> list[Sample]:
        return [sample for sample in self.of(Sample) if sample.counted]

    @property
    def end(self) -> End:
        last = self.records[-1]
        assert isinstance(last, End)
        return last

    def of(self, kind: type[T]) -> list[T]:
        return [record for record in self.records if isinstance(record, kind)]


def plan(**more: Any) -> Plan:
    return Plan.model_validate({"workload": Prompt(prompt="Hi"), "warm_up": 0, **more})


def playing(server: ScriptedServer, *answers: Sequence[Step]) -> None:
    """These answers, one after the other; the last one again and again."""
    server.on("POST", CHAT, *(answers or (openai_stream(["Hel", "lo"], usage=USAGE),)))


def stalled(*texts: str) -> list[Any]:
    """These pieces, and then silence."""
    steps = openai_stream(texts, finish=None, done=False)
    return [*steps[:-1], Stall()]


def asked(server: ScriptedServer) -> list[Seen]:
    return [seen for seen in server.seen if seen.path == CHAT]


def prompt_of(seen: Seen) -> str:
    content: str = seen.json["messages"][-1]["content"]
    return content


def prepared(
    server: ScriptedServer,
    what: Plan,
    records: list[Record],
    *,
    models: Sequence[str] = ("m",),
    flavour: str = "openai",
    enough: Enough | None = None,
    done: Done | None = None,
) -> tuple[Load, OpenAIEngine]:
    """A load that was not run yet, and the engine, which is to be closed."""
    engine = OpenAIEngine("far", server.url, flavour=flavour)
    pinned = [Pinned(model, model, engine) for model in models]
    load = Load(what, "b", pinned, records.append, time.perf_counter_ns(), done or Done(), enough)
    return load, engine


async def carried_out(
    server: ScriptedServer, what: Plan, *, stop_after_s: float | None = None, **more: Any
) -> Made:
    """Run it to its end; every record, in order."""
    records: list[Record] = []
    load, engine = prepared(server, what, records, **more)
    if stop_after_s is not None:
        asyncio.get_running_loop().call_later(stop_after_s, load.stop)
    try:
        await load.run()
    finally:
        await engine.aclose()
    return Made(records)
