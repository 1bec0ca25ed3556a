"""What watchers see in one process: in order, without a gap, and taken back where it is void."""

import asyncio

from novasystem.errors import StorageUnavailable
from novasystem.runs.feed import _MAX_QUEUED, Feed, Watcher
from novasystem.runs.records import Committed, Event, Rewound


def event(seq: int, *, committed: bool = False) -> Event:
    return Event(seq, "text", {"text": str(seq)}, 0, committed)


def watching(feed: Feed) -> Watcher:
    watcher = feed.watch()
    watcher.restart()
    return watcher


async def test_events_come_at_once_and_their_commit_after_them() -> None:
    feed = Feed()
    watcher = watching(feed)
    feed.show(event(1))
    feed.show(event(2))
    feed.commit(1)
    assert await watcher.next() == [event(1), event(2), Committed(1)]
    assert feed.tail == [event(2)]
    feed.commit(1)
    feed.commit(2)
    assert await watcher.next() == [Committed(2)]
    assert feed.tail == []


async def test_whoever_comes_late_gets_what_the_log_does_not_hold_yet() -> None:
    feed = Feed()
    feed.show(event(1))
    feed.commit(1)
    feed.show(event(2))
    watcher = feed.watch()
    assert watcher.behind
    assert watcher.restart() == []
    assert await watcher.next() == [event(2)]


async def test_a_watcher_that_waits_is_woken() -> None:
    feed = Feed()
    watcher = watching(feed)
    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0)
    feed.show(event(1))
    assert await waiting == [event(1)]
    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0)
    feed.close(StorageUnavailable("gone"))
    assert await waiting == []
    assert isinstance(feed.error, StorageUnavailable)


async def test_one_that_falls_far_behind_reads_the_log_and_misses_nothing() -> None:
    feed = Feed()
    watcher = watching(feed)
    for seq in range(1, _MAX_QUEUED + 10):
        feed.show(event(seq))
    assert watcher.behind
    # Not one that comes after the gap.
    assert await watcher.next() == []
    feed.commit(_MAX_QUEUED)
    assert watcher.restart() == []
    assert [seen.seq for seen in await watcher.next()] == list(
        range(_MAX_QUEUED + 1, _MAX_QUEUED + 10)
    )


async def test_what_was_shown_and_will_never_be_stored_is_taken_back() -> None:
    feed = Feed()
    watcher = watching(feed)
    feed.show(event(1))
    feed.commit(1)
    feed.show(event(2))
    feed.rewind()
    feed.rewind()
    assert await watcher.next() == [event(1), Committed(1), event(2), Rewound(1)]
    assert feed.tail == []


async def test_one_that_reads_the_log_still_takes_back_what_is_void() -> None:
    feed = Feed()
    watcher = watching(feed)
    feed.show(event(1))
    await watcher.next()
    feed.rewind()
    feed.lag()
    assert await watcher.next() == []
    assert watcher.restart() == [Rewound(0)]


async def test_what_others_stored_is_read_from_the_log() -> None:
    feed = Feed()
    watcher = watching(feed)
    feed.skip(0)
    assert not watcher.behind
    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0)
    feed.skip(4)
    assert watcher.behind
    assert await waiting == []
    assert feed.committed == 4


async def test_stored_events_are_shown_once() -> None:
    feed = Feed()
    watcher = watching(feed)
    stored = [event(seq, committed=True) for seq in (1, 2, 3)]
    feed.show_stored(stored[:2])
    feed.show_stored(stored)
    assert await watcher.next() == stored
