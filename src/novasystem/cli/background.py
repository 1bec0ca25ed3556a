"""An event loop that goes on while the prompt waits."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["Background", "Stopped"]

T = TypeVar("T")


class Stopped(KeyboardInterrupt):
    """Ctrl-C ended what ran, and it has ended in order."""


class Background:
    """Runs coroutines in a thread of its own, one at a time as seen from here.

    The prompt needs the main thread, because that is where readline and Ctrl-C work; and the loop
    must not stand still meanwhile, because it looks after the engines' connections and processes.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engines", daemon=True)

    def __enter__(self) -> "Background":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.run(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns or raises.

        Ctrl-C cancels it and, once it has ended, :class:`Stopped` is raised. A second one does not
        wait for that and is a plain ``KeyboardInterrupt``.
        """
        result: Future[T] = Future()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            task = self._loop.create_task(work)
            tasks.append(task)
            task.add_done_callback(hand_over)

        def hand_over(task: asyncio.Task[T]) -> None:
            if task.cancelled():
                result.set_exception(Stopped())
            elif (error := task.exception()) is not None:
                result.set_exception(error)
            else:
                result.set_result(task.result())

        self._loop.call_soon_threadsafe(begin)
        try:
            return result.result()
        except KeyboardInterrupt:
            self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            return result.result()

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()
