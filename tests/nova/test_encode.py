"""What a watcher is sent, event by event: without a server."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import orjson
import pytest

from novasystem.nova.encode import encode
from novasystem.nova.entries import Entry
from novasystem.runs.records import Committed, Event, Rewound, Run, Seen

BEGUN = {"session_id": "s", "run_id": "run_1", "mode": "team", "model": "m"}


def run(status: Any = "in_progress") -> Run:
    return Run(
        key=1, id="run_1", owner_id="local", thread_key=1, thread_id="0" * 32, kind="nova",
        lane="", status=status, request={"model": "m", "mode": "team"}, assistant_id=None,
        metadata={}, created_at=0, started_at=0, ended_at=None, expires_at=None, executor=None,
        fence=1, interruptions=0, last_seq=0, error=None, details=None, usage=None,
    )  # fmt: skip


def event(seq: int, type_: str, **data: Any) -> Event:
    return Event(seq, type_, data, 1000 + seq, False)


def stored(seq: int, type_: str, **data: Any) -> Event:
    return event(seq, type_, **data)._replace(committed=True)


def begins(seq: int, step_id: str) -> Event:
    told = {"agent": "executor", "purpose": "", "model": "m", "round": 1, "title": None}
    return event(seq, "step_begun", step_id=step_id, **told)


def done(seq: int, step_id: str, text: str) -> Event:
    entry = Entry(step_id, "executor", "", text, "m")
    return event(seq, "step_done", entry=entry.shown())


async def sent(
    seen: Sequence[Seen], known: Sequence[Event] | None = None, *, include_chain: bool = True
) -> list[tuple[int | None, str, dict[str, Any]]]:
    """Each frame as id, name and data."""

    async def source() -> AsyncGenerator[Seen, None]:
        for one in seen:
            yield one

    async def ended() -> Run:
        return run("completed")

    frames = []
    async for frame in encode(run(), source(), ended, known=known, include_chain=include_chain):
        lines = dict(line.split(b": ", 1) for line in frame.strip().split(b"\n"))
        number = int(lines[b"id"]) if b"id" in lines else None
        frames.append((number, lines[b"event"].decode(), orjson.loads(lines[b"data"])))
    return frames


END = stored(99, "status", status="completed")


async def test_what_must_be_stored_waits_and_holds_up_what_follows() -> None:
    frames = await sent(
        [
            event(2, "begun", **BEGUN),
            begins(3, "a"),
            event(4, "token", step_id="a", text="x"),
            Committed(2),
            event(5, "token", step_id="a", text="y"),
            done(6, "a", "xy"),
            begins(7, "b"),
            Committed(5),
            event(8, "token", step_id="b", text="z"),
            Committed(6),
            END,
        ]
    )
    assert [(number, name) for number, name, _ in frames] == [
        (2, "begun"),
        (None, "step_begun"),
        (None, "token"),
        (None, "token"),
        (6, "step_done"),
        (None, "step_begun"),
        (None, "token"),
        (99, "done"),
    ]


async def test_what_was_never_stored_is_taken_back() -> None:
    frames = await sent(
        [
            stored(2, "begun", **BEGUN),
            begins(3, "a"),
            event(4, "token", step_id="a", text="kept "),
            Committed(4),
            event(5, "token", step_id="a", text="lost"),
            done(6, "a", "kept lost"),
            Rewound(4),
            stored(5, "restarted"),
            begins(6, "a"),
            event(7, "token", step_id="a", text="anew"),
            END,
        ]
    )
    names = [name for _, name, _ in frames]
    assert names[3:] == ["token", "replace", "replace", "step_begun", "token", "done"]
    number, _, taken = frames[4]
    assert number == 4
    assert taken["entries"] == []
    assert [(one["step_id"], one["text"]) for one in taken["open"]] == [("a", "kept ")]
    # Another execution begins the step anew.
    number, _, again = frames[5]
    assert number == 5
    assert [one["text"] for one in again["open"]] == [""]


async def test_who_comes_back_is_first_shown_all_that_was_shown() -> None:
    known = [
        stored(2, "begun", **BEGUN),
        begins(3, "a"),
        done(4, "a", "A"),
        begins(5, "b"),
        event(6, "token", step_id="b", text="half"),
    ]
    frames = await sent([event(7, "token", step_id="b", text=" done"), END], known)
    _, name, shown = frames[0]
    assert name == "replace"
    assert shown["run_id"] == "run_1"
    assert [one["text"] for one in shown["entries"]] == ["A"]
    assert [(one["step_id"], one["text"]) for one in shown["open"]] == [("b", "half")]
    assert [name for _, name, _ in frames[1:]] == ["token", "done"]


@pytest.mark.parametrize(
    ("step_id", "include_chain", "shown"),
    [
        ("a", True, ["token", "replace", "tool", "token"]),
        ("a", False, []),
        ("single", True, ["token", "replace", "tool", "token"]),
        ("single", False, ["token", "replace", "token"]),
    ],
)
async def test_words_before_a_call_are_taken_back(
    step_id: str, include_chain: bool, shown: list[str]
) -> None:
    call = {"step_id": step_id, "call": "0.0", "name": "clock", "arguments": {}, "output": "noon"}
    frames = await sent(
        [
            stored(2, "begun", **BEGUN),
            begins(3, step_id),
            event(4, "token", step_id=step_id, text="Let me see."),
            event(5, "calls", step_id=step_id, turn=0, text="Let me see.", calls=[]),
            event(6, "tool", **call),
            # Nothing was said before this one, so that there is nothing to take back.
            event(7, "calls", step_id=step_id, turn=1, text="", calls=[]),
            event(8, "token", step_id=step_id, text="Noon."),
            END,
        ],
        include_chain=include_chain,
    )
    told = [(name, data) for _, name, data in frames]
    assert [name for name, _ in told if name not in {"begun", "step_begun", "done"}] == shown
    for name, data in told:
        if name == "replace":
            assert [one["text"] for one in data["open"]] == [""]
