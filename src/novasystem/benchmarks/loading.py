"""The parent's side of the load process: starts it, hears what it asks, and tails its log."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from novasystem.benchmarks.collect import failure_of
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.resuming import LOAD_FAILED
from novasystem.benchmarks.sample_log import End, Header, Record, size_of, tail_log
from novasystem.benchmarks.samples import Failure, Sample
from novasystem.benchmarks.targets import Pinned, Target, target_of
from novasystem.engines.embedded import EmbeddedEngine
from novasystem.errors import NovaError

__all__ = ["Loading", "loading"]

_STOP_S = 10.0
_LOG_BYTES = 4000


class Loading:
    """A load process that runs. ``pid``: its own, so that what it costs can be looked at."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        log_path: Path,
        skip: int,
        models: Sequence[Pinned],
    ) -> None:
        self.pid = process.pid
        self._process = process
        self._log_path = log_path
        self._skip = skip
        self._models = {model.model: model for model in models}
        self._failed: Failure | None = None
        self._said = b""
        self._last_ns = 0

    def stop(self) -> None:
        """Cancel: it gives up its requests at their engines, writes down what it had, and ends."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    async def records(self) -> AsyncGenerator[Record, None]:
        """What is appended to the log from now on, to its :class:`End`.

        Where the process ended without one, however that came, an ``End`` that says so is made.
        """
        exited = asyncio.ensure_future(self._process.wait())
        try:
            async for record in tail_log(self._log_path, exited.done, skip=self._skip):
                if isinstance(record, Sample):
                    self._last_ns = max(self._last_ns, record.ended_ns)
                elif not isinstance(record, Header):
                    self._last_ns = max(self._last_ns, record.at_ns)
                yield record
                if isinstance(record, End):
                    return
            await exited
            yield End("failed", self._last_ns, failure=self._failed or self._how())
        finally:
            exited.cancel()

    def _how(self) -> Failure:
        code = self._process.returncode
        said = self._said.decode(errors="replace").strip().rpartition("\n")[2]
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended ({code})"
        return Failure(
            LOAD_FAILED,
            f"The process that makes the load {how}. {said}".strip(),
            "What had arrived is kept: resume the benchmark.",
        )

    async def hear(self) -> None:
        """Do what the process asks, one thing after the other."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            word = orjson.loads(line)
            if "failed" in word:
                self._failed = Failure(**word["failed"])
            elif "ask" in word:
                former = Target.of(word["target"]) if "target" in word else None
                answer = await self._do(word["do"], self._models[word["model"]], former)
                await self._tell({"answer": word["ask"], **answer})

    async def hear_errors(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(65536):
            self._said = (self._said + data)[-_LOG_BYTES:]

    async def _do(self, what: str, pinned: Pinned, former: Target | None) -> dict[str, Any]:
        """``former``: where the model failed; whoever asks later than others is not told later."""
        try:
            load_ns = await pinned.make_cold() if what == "cold" else None
            target = await target_of(pinned)
            if target == former:
                target = await _after_a_death(pinned, target)
            return {"target": target.plain(), "load_ns": load_ns}
        except Exception as error:
            # Whatever it was: the load must not wait for an answer that never comes.
            failure = failure_of(error)
            return {"error": {"message": failure.message, "hint": failure.hint}}

    async def _tell(self, word: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(orjson.dumps(word) + b"\n")
            await self._process.stdin.drain()


@asynccontextmanager
async def loading(
    plan: Plan,
    benchmark_id: str,
    models: Sequence[Pinned],
    log_path: Path,
    *,
    failed: Mapping[str, Failure] | None = None,
) -> AsyncIterator[Loading]:
    """Start the load; leaving the context ends it, and waits until it has.

    Where ``log_path`` holds something already, what it says is done is not done again. ``failed``:
    models of the plan that cannot be asked, and why; so it stands in the log.
    """
    problems = dict(failed or {})
    targets: dict[str, Target] = {}
    for pinned in models:
        try:
            targets[pinned.model] = await target_of(pinned)
        except NovaError as error:
            problems[pinned.model] = failure_of(error)
    skip = size_of(log_path)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "novasystem.benchmarks.load_process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(targets.values()),
        # Ctrl-C is for us: the load goes when we let it.
        start_new_session=True,
    )
    load = Loading(process, log_path, skip, models)
    hearing = [asyncio.create_task(load.hear()), asyncio.create_task(load.hear_errors())]
    try:
        await load._tell(
            {
                "plan": plan.model_dump(mode="json"),
                "benchmark_id": benchmark_id,
                "log": str(log_path),
                "targets": [target.plain() for target in targets.values()],
                "failed": {model: asdict(failure) for model, failure in problems.items()},
            }
        )
        yield load
    finally:
        await _end(process)
        for task in hearing:
            task.cancel()
        await asyncio.gather(*hearing, return_exceptions=True)


def _environment(targets: Iterable[Target]) -> dict[str, str]:
    """What it inherits: not our settings, and nothing to load at its start that it does not need,
    which together is a quarter of what a start costs."""
    found = {k: v for k, v in os.environ.items() if not k.startswith("NOVA_")}
    # They are looked for in the metadata of every package that is installed.
    found["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    if not any(target.address.url.casefold().startswith("https:") for target in targets):
        # The certificates of the world's authorities, which aiohttp reads when it is imported.
        found["SSL_CERT_FILE"] = found["SSL_CERT_DIR"] = os.devnull
    return found


async def _after_a_death(pinned: Pinned, target: Target) -> Target:
    """A broken connection tells of a child's death before the child's end does: wait for that."""
    engine = pinned.engine
    if isinstance(engine, EmbeddedEngine):
        await engine.keeper.died(await engine.keeper.address())
        return await target_of(pinned)
    return target


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    # Its end is an order to stop too, and the only one where there are no signals.
    process.stdin.close()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
