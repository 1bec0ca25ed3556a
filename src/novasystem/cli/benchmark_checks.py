"""Whether the benchmarks can be kept, and those that wait until they can."""

import asyncio
from collections.abc import AsyncGenerator

from novasystem.cli.checks import Check, problem
from novasystem.errors import NovaError
from novasystem.settings import Settings

__all__ = ["of_benchmarks"]


async def of_benchmarks(settings: Settings) -> AsyncGenerator[Check]:
    """Nothing where they are in the database, and none waits from before."""
    from novasystem.benchmarks.local import places_of
    from novasystem.benchmarks.stores import find_store
    from novasystem.benchmarks.stores.fallback import waiting
    from novasystem.keeping import find_database

    places = places_of(settings, find_database(settings))
    try:
        if settings.benchmark_store == "mongo":
            try:
                store = find_store("mongo", places)
            except NovaError as error:
                yield problem("benchmarks", error)
                return
            try:
                await store.check()
                yield Check("benchmarks", "ok", store.where)
            except NovaError as error:
                yield problem("benchmarks", error)
            finally:
                await store.aclose()
        if settings.benchmark_store != "sql" or places.aside.exists():
            count = await asyncio.to_thread(lambda: len(list(waiting(places.aside))))
            if count:
                shown = f"{count} benchmark{'s' if count > 1 else ''}"
                yield Check(
                    "benchmarks",
                    "warning",
                    f"{shown} could not be stored and wait at {places.aside}",
                    "They are carried over when 'nova bench list' finds their store up.",
                )
    finally:
        await places.database.aclose()
