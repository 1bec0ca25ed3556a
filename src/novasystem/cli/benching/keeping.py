"""The care of stored benchmarks: end, delete, archive, prune, take in."""

import asyncio
import datetime
import sys
import time
from collections.abc import Awaitable, Sequence
from dataclasses import asdict
from pathlib import Path

import orjson
import typer

from novasystem.benchmarks import retention
from novasystem.benchmarks.former import load_process, stop_load
from novasystem.benchmarks.importing import import_folder
from novasystem.benchmarks.local import OWNER, Local, log_folder, server_is_running
from novasystem.benchmarks.outcome import Parts, outcome
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.sample_log import read_log
from novasystem.cli.benching.opening import GOING, find, with_store
from novasystem.cli.text import printable
from novasystem.errors import ConfigurationError, InvalidRequest
from novasystem.settings import Settings

__all__ = ["archive", "cancel", "delete", "prune", "restore", "take_in"]

_PATIENCE_S = 20.0
_POLL_S = 0.1


def cancel(settings: Settings, asked: str) -> None:
    """End one that is carried out on this machine, by whichever program; what came is kept."""

    async def work(local: Local) -> None:
        benchmark = await find(local, asked)
        if benchmark.status not in GOING:
            raise InvalidRequest(
                f"'{benchmark.id}' has ended: {benchmark.status}.",
                hint=f"'nova bench show {benchmark.id}' shows it.",
            )
        log_path = local.carrier.log_path(benchmark.id)
        if await asyncio.to_thread(stop_load, log_path):
            ended = await _ended(local, benchmark)
            if ended is None and load_process(log_path) is not None:
                raise InvalidRequest(
                    f"'{benchmark.id}' has not ended within {_PATIENCE_S:g} s.",
                    hint="What had arrived is kept.",
                )
        elif benchmark.run_id and server_is_running(settings):
            raise InvalidRequest(
                f"'{benchmark.id}' waits in the server that runs.",
                hint=f"POST /api/benchmarks/{benchmark.id}/cancel ends it.",
            )
        else:
            ended = None
        if ended is None:
            # Whoever carried it out is gone.
            parts = await asyncio.to_thread(lambda: Parts.of(read_log(log_path)))
            ended = await asyncio.to_thread(outcome, benchmark, parts, status="cancelled")
            await local.store.put(ended)
            await local.store.add_samples(ended.owner_id, ended.id, parts.samples)
        sys.stdout.write(f"{ended.id} is {ended.status}.\n")

    with_store(settings, work)


async def _ended(local: Local, benchmark: Benchmark) -> Benchmark | None:
    """As it is stored once whoever carries it out has seen the end of its load; else ``None``."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        found = await local.store.get(OWNER, benchmark.id)
        if found is None or found.status not in GOING:
            return found
        await asyncio.sleep(_POLL_S)
    return None


def delete(settings: Settings, asked: Sequence[str], *, yes: bool) -> None:
    async def work(local: Local) -> None:
        found = [await find(local, one) for one in asked]
        for one in found:
            if load_process(local.carrier.log_path(one.id)) is not None:
                raise InvalidRequest(
                    f"'{one.id}' is being carried out.",
                    hint=f"'nova bench cancel {one.id}' ends it.",
                )
        if not yes:
            await asyncio.to_thread(_ask, found)
        for one in found:
            await local.carrier.delete(OWNER, one.id)
            sys.stdout.write(f"{one.id} is deleted.\n")

    with_store(settings, work)


def _ask(found: Sequence[Benchmark]) -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "To delete cannot be undone, and nobody can be asked here.",
            hint="Say --yes if that is meant.",
        )
    for one in found:
        typer.echo(f"{one.id}, {one.status}, {one.timestamp:%Y-%m-%d %H:%M}", err=True)
    typer.confirm(f"Delete {len(found)} with all samples?", abort=True, err=True)


def archive(
    settings: Settings,
    before: datetime.datetime | None,
    keep: int | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    async def work(local: Local) -> None:
        done = await retention.archive(
            local.store, owner_id=OWNER, before=before, keep=keep, dry_run=dry_run
        )
        _say_retained("archived", done, as_json=as_json)

    with_store(settings, work)


def restore(settings: Settings, asked: Sequence[str]) -> None:
    """Bring archived ones back into the list."""

    async def work(local: Local) -> None:
        for one in asked:
            found = await find(local, one)
            await retention.restore(local.store, OWNER, found.id)
            sys.stdout.write(f"{found.id} is in the list again.\n")

    with_store(settings, work)


def prune(
    settings: Settings,
    before: datetime.datetime | None,
    keep: int | None,
    *,
    archived: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    async def work(local: Local) -> None:
        def choose(*, dry: bool) -> Awaitable[retention.Retained]:
            only = True if archived else None
            return retention.prune(
                local.store,
                logs=log_folder(settings),
                owner_id=OWNER,
                before=before,
                keep=keep,
                archived=only,
                dry_run=dry,
            )

        done = await choose(dry=True)
        if done.ids and not dry_run:
            if not yes:
                await asyncio.to_thread(_ask_how_many, len(done.ids))
            done = await choose(dry=False)
        _say_retained("deleted", done, as_json=as_json)

    with_store(settings, work)


def _ask_how_many(count: int) -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "To prune cannot be undone, and nobody can be asked here.",
            hint="Look with --dry-run first, and say --yes if that is meant.",
        )
    typer.confirm(f"Delete {count} with all samples?", abort=True, err=True)


def _say_retained(what: str, done: retention.Retained, *, as_json: bool) -> None:
    if as_json:
        said = {what: done.ids, "left": done.left, "dry_run": done.dry_run}
        sys.stdout.write(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    for one in done.ids:
        sys.stdout.write(f"{one}\n")
    would = "would be " if done.dry_run else ""
    sys.stdout.flush()
    sys.stderr.write(f"{len(done.ids)} {would}{what}, {done.left} left.\n")


def take_in(settings: Settings, folder: Path, *, dry_run: bool, as_json: bool) -> int:
    """1 where a file was passed over, else 0."""

    async def work(local: Local) -> int:
        done = await import_folder(local.store, folder, owner_id=OWNER, dry_run=dry_run)
        if as_json:
            sys.stdout.write(orjson.dumps(asdict(done), option=orjson.OPT_INDENT_2).decode() + "\n")
        else:
            for one in done.added:
                sys.stdout.write(f"{one}\n")
        sys.stdout.flush()
        for skipped in done.skipped:
            sys.stderr.write(printable(f"Passed over '{skipped.file}': {skipped.why}\n"))
        would = "would be " if dry_run else ""
        sys.stderr.write(
            f"{len(done.added)} {would}taken in, {len(done.known)} were there already, "
            f"{len(done.skipped)} passed over.\n"
        )
        return 1 if done.skipped else 0

    return with_store(settings, work)
