"""Everything that an owner's benchmarks do, in one stream: a snapshot first, then live."""

import asyncio
from collections.abc import AsyncGenerator

from novasystem.benchmarks.encode import encode_events, message, shown
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.service import Benchmarks
from novasystem.benchmarks.stores import Query
from novasystem.errors import NotFound

__all__ = ["watch_all"]

RECENT = 20
_LOOK_S = 0.5


async def watch_all(benchmarks: Benchmarks, owner_id: str) -> AsyncGenerator[bytes, None]:
    """The newest benchmarks as ``snapshot``; then each event of each one that goes on, those that
    begin later included, whichever process carries them out. It has no end of its own."""
    queue: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1000)
    followed: dict[str, asyncio.Task[None]] = {}

    async def follow(one: Benchmark, after: int) -> None:
        try:
            _, events = await benchmarks.follow(owner_id, one.id, after)
        except NotFound:
            # Deleted meanwhile.
            return
        async for data in encode_events(events, one.id, prefix=f"{one.id}/"):
            await queue.put(data)

    async def look() -> None:
        while True:
            for one in await benchmarks.going(owner_id):
                if one.id not in followed:
                    followed[one.id] = asyncio.create_task(follow(one, 0))
            await asyncio.sleep(_LOOK_S)

    query = Query(owner_id=owner_id, limit=RECENT)
    recent = (await benchmarks.list(query)).benchmarks
    snapshot = {
        "type": "snapshot",
        "benchmark_id": None,
        "model": None,
        "benchmarks": [shown(one) for one in recent],
    }
    yield message("snapshot", snapshot)
    looking = asyncio.create_task(look())
    try:
        while True:
            taking = asyncio.ensure_future(queue.get())
            try:
                await asyncio.wait({taking, looking}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not taking.done():
                    taking.cancel()
            if taking.done() and not taking.cancelled():
                yield taking.result()
            if looking.done():
                # It ends by an error alone, which is the stream's.
                looking.result()
    finally:
        tasks = [looking, *followed.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
