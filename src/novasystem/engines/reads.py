"""An answer on its way, read by read, under the time limits.

Every token passes here, so reading is as cheap as it can be: raw reads without a task of their
own, and one timer a request that looks at a deadline instead of being set anew for each read.
"""

import asyncio
import contextlib
import time
from collections import deque

import aiohttp

from novasystem.engines.arriving import Marks, marks_of
from novasystem.engines.requests import TimeLimits
from novasystem.errors import (
    EngineError,
    EngineProtocolError,
    EngineTimeout,
    EngineUnavailable,
    TimeLimit,
)

__all__ = ["DRAIN_S", "Reads", "broken"]

DRAIN_S = 1.0


class Reads:
    """An answer on its way: its bytes, read by read, under the time limits.

    ``with`` it: what was not read to its end by then is given up, and the engine stops.

    ``sent_at_ns``: when the request had left. ``at_ns`` and ``index`` belong to the last read.
    Time that the consumer takes between reads counts against ``total`` alone.
    """

    def __init__(
        self,
        engine: str,
        where: str,
        response: aiohttp.ClientResponse,
        limits: TimeLimits,
        *,
        started_at: float,
        sent_at_ns: int,
        reused: bool,
    ) -> None:
        self.sent_at_ns = sent_at_ns
        self.reused = reused
        self.at_ns = 0
        self.index = -1
        self._engine = engine
        self._where = where
        self._response = response
        self._content = response.content
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._first_token_at = started_at + limits.first_token_s
        self._total_at = started_at + limits.total_s
        self._seen_token = False
        self._waiting_since: float | None = None
        self._waiting = False
        self._marks = marks_of(response)
        self._came = 0
        self._held: deque[tuple[bytes, int]] = deque()
        self._timer = self._loop.call_at(self._deadline()[0], self._look)

    def token(self) -> None:
        """A token has come: from here on the limit between tokens counts, anew."""
        self._waiting_since = None
        if not self._seen_token:
            self._seen_token = True
            # That limit is mostly the shorter one: the timer must not sleep until the first's.
            self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline()[0], self._look)

    async def read(self) -> bytes:
        """Whatever has arrived, at least one byte; ``b""`` at the end of the answer.

        Where arrivals are noted at the socket, what came with one of its reads.
        """
        if self._held:
            data, self.at_ns = self._held.popleft()
            self.index += 1
            return data
        if self._waiting_since is None:
            self._waiting_since = self._loop.time()
        self._waiting = True
        try:
            data = await self._content.readany()
        except EngineTimeout:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise broken(self._engine, self._where, error) from error
        finally:
            self._waiting = False
        self.index += 1
        if self._marks and data:
            return self._first_of(data, self._marks)
        self.at_ns = time.perf_counter_ns()
        self._came += len(data)
        return data

    def _first_of(self, data: bytes, marks: Marks) -> bytes:
        """What came with the first of the reads that brought ``data``; the others are held."""
        begin = self._came
        self._came = end = begin + len(data)
        to, self.at_ns = marks.popleft()
        if to >= end:
            if to > end:
                marks.appendleft((to, self.at_ns))
            return data
        first = data[: to - begin]
        while to < end:
            since = to
            to, at_ns = marks.popleft() if marks else (end, time.perf_counter_ns())
            self._held.append((data[since - begin : min(to, end) - begin], at_ns))
        if to > end:
            marks.appendleft((to, at_ns))
        return first

    async def drain(self) -> None:
        """Read what follows the last frame, so that the connection can be used again."""
        self._held.clear()
        if self._content.at_eof():
            return
        with contextlib.suppress(EngineError, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while not self._content.at_eof() and await self.read():
                    pass

    def __enter__(self) -> "Reads":
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._content.at_eof():
            self._response.release()
        else:
            # Closing the connection is what stops the engine.
            self._response.close()

    def _deadline(self) -> tuple[float, TimeLimit, float]:
        limits = self._limits
        if not self._seen_token:
            at, name, limit_s = self._first_token_at, "first_token", limits.first_token_s
        else:
            since = self._loop.time() if self._waiting_since is None else self._waiting_since
            at = since + limits.between_tokens_s
            name, limit_s = "between_tokens", limits.between_tokens_s
        if self._total_at < at:
            return self._total_at, "total", limits.total_s
        return at, name, limit_s  # type: ignore[return-value]  # a literal, seen as str

    def _look(self) -> None:
        """Break off the read that waits if its deadline has passed, else look again then."""
        at, limit, limit_s = self._deadline()
        now = self._loop.time()
        if now < at:
            self._timer = self._loop.call_at(at, self._look)
        elif self._waiting or limit == "total":
            self._content.set_exception(
                EngineTimeout(self._engine, limit, limit_s, where=self._where)
            )
        else:
            # The consumer is busy: the next read is given a moment to find what has arrived.
            self._timer = self._loop.call_at(now + 0.05, self._look)


def broken(engine: str, where: str, error: Exception) -> EngineError:
    """The typed error for an answer that broke off."""
    if isinstance(error, aiohttp.ClientPayloadError):
        return EngineProtocolError(
            engine,
            f"Engine '{engine}' at {where} broke off in the middle of its answer.",
            hint="See its log; it may have run out of memory, or been stopped.",
        )
    return EngineUnavailable(
        engine,
        f"The connection to engine '{engine}' at {where} was lost: "
        f"{error or type(error).__name__}.",
        hint="See its log; it may have died or been restarted.",
    )
