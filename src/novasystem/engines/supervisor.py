"""Keeps one llama.cpp child process alive: starts it, watches it, restarts it, ends it."""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
import structlog

from novasystem.engines.keeper import ChildAddress, ChildConfig
from novasystem.errors import EngineUnavailable

__all__ = ["ChildAddress", "ChildConfig", "Supervisor", "exit_text"]

_STOP_S = 3.0
_START_S = 600.0
_BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_S = 60.0
_LOG_LINES = 40
# The kernel's limit on the path of a Unix socket is 108 bytes, on macOS 104.
_MAX_SOCKET_PATH = 100

_log = structlog.get_logger(__name__)


class Supervisor:
    """One child at most. It is started by :meth:`address`, and again when it dies.

    Restarts wait longer each time; a child that lived for a minute starts afresh. ``changed`` is
    called whenever a child is ready, and whenever one is there no more.
    """

    def __init__(
        self, engine: str, config: ChildConfig, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.engine = engine
        self._changed = changed
        self.config = config
        self.restarts = 0
        self.last_exit: str | None = None
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._address: ChildAddress | None = None
        self._starting: asyncio.Task[ChildAddress] | None = None
        self._exited = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._started_at = 0.0
        self._folder: str | None = None
        self._lines: deque[str] = deque(maxlen=_LOG_LINES)
        self._stopping = False

    @property
    def running(self) -> bool:
        return self._address is not None

    @property
    def current(self) -> ChildAddress | None:
        """Where the child is reached, where it runs."""
        return self._address

    async def address(self) -> ChildAddress:
        """Where the child is reached; starts it where it does not run."""
        if self._address is not None:
            return self._address
        starting = self._starting
        if starting is None:
            starting = self._starting = asyncio.create_task(self._start())
            starting.add_done_callback(self._started)
        try:
            # Whoever stops waiting does not stop the start: others wait too, and more will come.
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if starting.cancelled() and current is not None and not current.cancelling():
                raise EngineUnavailable(
                    self.engine, "The embedded llama.cpp was stopped while it started."
                ) from None
            raise

    async def died(self, address: ChildAddress, within_s: float = 1.0) -> str | None:
        """How the child behind ``address`` ended, or ``None`` where it is still running."""
        if self._address is not None and self._address.api_key == address.api_key:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._exited.wait()
        if self._address is not None and self._address.api_key == address.api_key:
            return None
        return self.last_exit or "ended"

    async def stop(self) -> None:
        """End the child, and keep it ended until :meth:`address` is asked again."""
        self._stopping = True
        if self._starting is not None:
            self._starting.cancel()
        async with self._lock:
            self._stopping = True
            process = self._process
            if process is not None and process.returncode is None:
                assert process.stdin is not None
                process.stdin.close()
                try:
                    async with asyncio.timeout(_STOP_S):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._forget()

    async def aclose(self) -> None:
        """Nobody else uses the child: it ends."""
        await self.stop()

    def _started(self, task: "asyncio.Task[ChildAddress]") -> None:
        self._starting = None
        if not task.cancelled():
            # Looked at here, since nobody may be left who waits for it.
            task.exception()

    async def _start(self) -> ChildAddress:
        async with self._lock:
            return self._address or await self._start_child()

    async def _start_child(self) -> ChildAddress:
        self._stopping = False
        if self._failures:
            wait_s = _BACK_OFF_S[min(self._failures, len(_BACK_OFF_S)) - 1]
            await asyncio.sleep(max(0.0, self._started_at + wait_s - time.monotonic()))
        self._started_at = time.monotonic()
        key = secrets.token_urlsafe(32)
        host = self._make_host()
        config = self.config
        said = {
            "model_path": str(config.model_path),
            "model_name": config.model_name,
            "context_tokens": config.context_tokens,
            "slots": config.slots,
            "threads": config.threads,
            "cache_mib": config.cache_mib,
            "host": host,
            "api_key": key,
            "folder": self._folder,
        }
        self._lines.clear()
        self._exited.clear()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "novasystem.engines.llama_child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={k: v for k, v in os.environ.items() if not k.startswith("NOVA_")},
            # Ctrl-C is for the server: the child goes when the server lets it.
            start_new_session=True,
        )
        self._process = process
        self._spawn(self._read_log(process))
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_S):
                process.stdin.write(orjson.dumps(said) + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
        except BaseException as error:
            await self._abandon(process)
            if isinstance(error, (TimeoutError, OSError)):
                raise self._failed(f"did not start: {error or type(error).__name__}") from error
            raise
        answer = orjson.loads(line) if line.strip() else {}
        if "ready" not in answer:
            await self._abandon(process)
            reason = answer.get("error") or f"it {exit_text(process.returncode)} while starting"
            raise self._failed(f"could not load '{config.model_path}': {reason}")
        socket = host if self._folder else None
        url = "http://llama" if socket else str(answer["ready"])
        address = self._address = ChildAddress(url, socket, key, process.pid)
        self._changed()
        self._spawn(self._watch(process))
        await _log.ainfo(
            "llama.cpp is ready",
            engine=self.engine,
            model=config.model_name,
            child=process.pid,
            seconds=round(time.monotonic() - self._started_at, 3),
        )
        return address

    def _make_host(self) -> str:
        """A Unix socket in a folder of our own, or, where there is none, a loopback address."""
        if not hasattr(signal, "SIGKILL") or sys.platform == "win32":
            return "127.0.0.1"
        folder = tempfile.mkdtemp(prefix="nova-")
        if len(folder) + len("/llama.sock") > _MAX_SOCKET_PATH:
            shutil.rmtree(folder, ignore_errors=True)
            folder = tempfile.mkdtemp(prefix="nova-", dir="/tmp")
        self._folder = folder
        return f"{folder}/llama.sock"

    async def _abandon(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self._forget()

    def _failed(self, reason: str) -> EngineUnavailable:
        self._failures += 1
        errors = [line for line in self._lines if " E " in line or "error" in line.casefold()]
        said = f" It said: {errors[-1]}" if errors else ""
        return EngineUnavailable(
            self.engine,
            f"The embedded llama.cpp {reason}.{said}",
            hint="Check that the file is a GGUF model that fits into memory.",
        )

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the child's end; an unexpected one is followed by a restart."""
        code = await process.wait()
        if self._stopping:
            return
        self.last_exit = exit_text(code)
        self._forget()
        self._exited.set()
        lived_s = time.monotonic() - self._started_at
        self._failures = 1 if lived_s > _STEADY_S else self._failures + 1
        self.restarts += 1
        await _log.aerror(
            "llama.cpp ended unexpectedly; it is started again",
            engine=self.engine,
            how=self.last_exit,
            lived_s=round(lived_s, 1),
            log=list(self._lines)[-5:],
        )
        try:
            await self.address()
        except EngineUnavailable as error:
            await _log.aerror(
                "llama.cpp could not be restarted", engine=self.engine, error=str(error)
            )

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self._lines.append(text)
            await _log.adebug("llama.cpp", engine=self.engine, line=text)

    def _forget(self) -> None:
        self._address = None
        self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._changed()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def exit_text(code: int | None) -> str:
    """How a process ended, to be read after its name."""
    if code is None:
        return "stopped answering"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
