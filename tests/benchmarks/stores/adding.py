"""A process of its own that adds samples to a benchmark: ADDRESS FIRST STEP LOTS."""

import asyncio
import sys

from novasystem.benchmarks.stores.mongo import MongoStore
from tests.benchmarks.stores.made import sample

__all__: list[str] = []


async def main(address: str, first: int, step: int, lots: int) -> None:
    store = MongoStore(address)
    await store.check()
    # All of them begin at the same moment.
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for lot in range(lots):
        await store.add_samples("local", "bench_1", [sample(first + step * lot)])
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
