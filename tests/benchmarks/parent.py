"""A parent of a load process that can be killed: ``parent.py URL LOG`` loads until it is ended."""

import asyncio
import sys
from pathlib import Path

from novasystem.benchmarks.loading import loading
from novasystem.benchmarks.plan import Concurrent, Plan, Prompt
from novasystem.benchmarks.targets import Pinned
from novasystem.engines.openai_http import OpenAIEngine


async def main() -> None:
    load = Concurrent(concurrency=2, requests=1000)
    plan = Plan(workload=Prompt(prompt="Hi"), load=load, warm_up=0)
    engine = OpenAIEngine("far", sys.argv[1], flavour="openai")
    async with loading(plan, "b", [Pinned("m", "m", engine)], Path(sys.argv[2])) as running:
        print(running.pid, flush=True)  # noqa: T201
        async for _ in running.records():
            pass


if __name__ == "__main__":
    asyncio.run(main())
