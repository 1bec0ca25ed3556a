"""What the watchers of one run see in this process: as it happens, and when it is committed."""

import asyncio
from collections.abc import Iterable

from novasystem.errors import NovaError
from novasystem.runs.records import Committed, Event, Rewound, Seen

__all__ = ["Feed", "Watcher"]

_MAX_QUEUED = 20_000


class Watcher:
    """One watcher's queue. One that falls far behind loses it, and reads the log instead."""

    __slots__ = ("_feed", "_queue", "_waiter", "behind")

    def __init__(self, feed: "Feed") -> None:
        self._feed = feed
        self._queue: list[Seen] = []
        self._waiter: asyncio.Future[None] | None = None
        self.behind = True
        """Whether the log has to be read first."""

    def restart(self) -> list[Rewound]:
        """Before the log is read: from here on nothing that is not yet in it is missed.

        Returns what it has to take back first.
        """
        rewound = [seen for seen in self._queue if isinstance(seen, Rewound)]
        self._queue = list(self._feed.tail)
        self.behind = False
        return rewound

    def put(self, seen: Seen) -> None:
        if len(self._queue) >= _MAX_QUEUED:
            self.fall_behind()
        if not self.behind or isinstance(seen, Rewound):
            self._queue.append(seen)
        # Here again what wake() does: this is done for each token.
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def fall_behind(self) -> None:
        """Let it read the log; what it has to take back is in no log, and stays."""
        self.behind = True
        self._queue = [seen for seen in self._queue if isinstance(seen, Rewound)]
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> list[Seen]:
        """All that came since the last call; waits where that is nothing.

        Empty: it is over, unless it is ``behind`` now.
        """
        while not self._queue and not self.behind and not self._feed.closed:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self.behind:
            return []
        queue, self._queue = self._queue, []
        return queue


class Feed:
    """``tail``: events that were shown and are not stored yet, all after ``committed``."""

    __slots__ = ("closed", "committed", "error", "tail", "watchers")

    def __init__(self, committed: int = 0) -> None:
        self.committed = committed
        self.tail: list[Event] = []
        self.watchers: set[Watcher] = set()
        self.closed = False
        self.error: NovaError | None = None

    def watch(self) -> Watcher:
        watcher = Watcher(self)
        self.watchers.add(watcher)
        return watcher

    def show(self, event: Event) -> None:
        """An event as it happens."""
        self.tail.append(event)
        for watcher in self.watchers:
            watcher.put(event)

    def commit(self, seq: int) -> None:
        """Everything up to ``seq`` is stored."""
        if seq <= self.committed:
            return
        self.committed = seq
        self.tail = [event for event in self.tail if event.seq > seq]
        for watcher in self.watchers:
            watcher.put(Committed(seq))

    def show_stored(self, events: Iterable[Event]) -> None:
        """Events that are stored before anybody sees them."""
        for event in events:
            if event.seq > self.committed:
                self.committed = event.seq
                for watcher in self.watchers:
                    watcher.put(event)

    def skip(self, seq: int) -> None:
        """Everything up to ``seq`` is stored, by somebody else: watchers find it in the log."""
        if seq <= self.committed:
            return
        self.committed = seq
        self.tail = [event for event in self.tail if event.seq > seq]
        self.lag()

    def lag(self) -> None:
        """The log may hold what nobody was shown: every watcher looks."""
        for watcher in self.watchers:
            watcher.fall_behind()

    def rewind(self) -> None:
        """What was shown and not stored will never be."""
        if self.tail:
            self.tail.clear()
            for watcher in self.watchers:
                watcher.put(Rewound(self.committed))

    def close(self, error: NovaError | None = None) -> None:
        """Nothing more comes here: the run is gone, or the server ends, or ``error`` says why."""
        self.closed = True
        self.error = error
        for watcher in self.watchers:
            watcher.wake()
