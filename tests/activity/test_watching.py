"""``/api/runs/{id}/events``: live, late, cut off and taken up again, on one process and on two."""

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.activity.asking import A, assistant_run, chat, settings, settled, told_door
from tests.http.doors import COMPLETIONS, Door
from tests.http.wire import Event, ask, opened
from tests.servers.nova import nova_server
from tests.servers.postgres import PostgresServer
from tests.servers.scripted import scripted_server
from tests.servers.speaker import slow_text, speaking


def events_path(run_id: str, after: int | None = None) -> str:
    return f"/api/runs/{run_id}/events" + ("" if after is None else f"?after={after}")


def watch(
    port: int, run_id: str, after: int = 0, count: int | None = None
) -> tuple[list[Event], int]:
    """``count`` events (all: ``None``) after the number ``after``, and the last ``id:`` of them."""
    headers = {**A, **({"last-event-id": str(after)} if after else {})}
    with opened(port, events_path(run_id), None, headers) as stream:
        assert stream.status == 200
        seen = list(itertools.islice(stream, count))
    ids = [event.id for event in seen if event.id is not None]
    assert ids == sorted(set(ids)), "an id never goes back"
    return seen, max([after, *ids])


class Log:
    """What a watcher has for sure, over all its visits: each event once, in order."""

    def __init__(self) -> None:
        self.seen: dict[int, Event] = {}

    def add(self, events: list[Event], known: int) -> None:
        """``known``: the last id; what was shown beyond it comes again, and is not counted."""
        for event in events:
            if event.name == "rewound":
                raise AssertionError(event)
            seq = event.json["seq"]
            if event.name != "committed" and seq <= known:
                assert seq not in self.seen, "shown twice"
                self.seen[seq] = event

    def check(self) -> str:
        """The text; and no gap."""
        assert sorted(self.seen) == list(range(1, len(self.seen) + 1))
        last = self.seen[len(self.seen)].json
        assert (last["type"], last["data"]["status"]) == ("status", "completed")
        ordered = [self.seen[seq].json for seq in sorted(self.seen)]
        return "".join(event["data"]["text"] for event in ordered if event["type"] == "text")


def test_every_event_has_its_number_type_data_and_time(door: Door) -> None:
    run_id = chat(door.port, "say Well then", A)
    settled(door.port, run_id, A)
    events, last_id = watch(door.port, run_id)
    assert [event.id for event in events] == list(range(1, last_id + 1))
    for event in events:
        assert set(event.json) == {"seq", "type", "data", "at"}
        assert event.name == event.json["type"]
        assert event.id == event.json["seq"]
        assert abs(event.json["at"] - time.time()) < 600
    assert [event.name for event in events][:3] == ["status", "status", "message_begun"]
    assert events[-1].json["data"]["status"] == "completed"


def test_a_live_watcher_sees_events_before_they_are_stored_and_is_told_when_they_are(
    door: Door,
) -> None:
    run_id = assistant_run(door.port, "slowly 12 0.03", A)
    events, _ = watch(door.port, run_id)
    texts = [event for event in events if event.name == "text"]
    assert any(event.id is None for event in texts), "sent at once, without an id"
    marks = [event for event in events if event.name == "committed"]
    assert marks
    shown = 0
    for event in events:
        if event.name == "committed":
            assert event.id == event.json["seq"] <= shown, "no id beyond what was shown"
        else:
            shown = event.json["seq"]
    assert events[-1].json["data"]["status"] == "completed"
    assert "".join(event.json["data"]["text"] for event in texts) == slow_text(12)


def test_one_that_is_cut_off_and_comes_back_sees_each_event_once(door: Door) -> None:
    run_id = assistant_run(door.port, "slowly 40 0.03", A)
    log, known, visits = Log(), 0, 0
    while True:
        events, last_id = watch(door.port, run_id, known, count=7)
        log.add(events, last_id)
        known = last_id
        visits += 1
        if events[-1].name == "status" and events[-1].json["data"]["status"] == "completed":
            break
    assert visits > 3
    assert log.check() == slow_text(40)


def test_many_watchers_join_at_any_time(door: Door) -> None:
    run_id = assistant_run(door.port, "slowly 20 0.04", A)

    def late(number: int) -> str:
        time.sleep(number * 0.15)
        log = Log()
        log.add(*watch(door.port, run_id))
        return log.check()

    with ThreadPoolExecutor(6) as watchers:
        assert set(watchers.map(late, range(6))) == {slow_text(20)}


def test_a_watcher_that_leaves_does_not_stop_the_run(door: Door) -> None:
    run_id = assistant_run(door.port, "slowly 20 0.03", A)
    watch(door.port, run_id, count=4)
    assert settled(door.port, run_id, A)["status"] == "completed"


def test_what_is_known_already_is_not_sent_again(door: Door) -> None:
    run_id = chat(door.port, "say One two three", A)
    settled(door.port, run_id, A)
    whole, last_id = watch(door.port, run_id)
    for after in (1, 3, last_id - 1):
        rest, _ = watch(door.port, run_id, after)
        assert [event.id for event in rest] == [event.id for event in whole][after:]
        with opened(door.port, events_path(run_id, after), None, A) as stream:
            assert [event.id for event in stream.rest()] == [event.id for event in rest]
    both = {**A, "last-event-id": "4"}
    with opened(door.port, events_path(run_id, 1), None, both) as stream:
        assert stream.next().id == 5, "what a browser sends when it comes back counts"


@pytest.mark.parametrize("beyond", [0, 1, 1000])
def test_nothing_comes_after_the_end(door: Door, beyond: int) -> None:
    """204 tells a browser's EventSource not to come back."""
    run_id = chat(door.port, "say Well", A)
    last = settled(door.port, run_id, A)["last_event"]
    answer = ask(door.port, "GET", events_path(run_id, last + beyond), headers=A)
    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize("after", ["x", "-1", "1e3", "9" * 30])
def test_a_number_that_is_none_is_a_422(door: Door, after: str) -> None:
    run_id = chat(door.port, "say Well", A)
    assert ask(door.port, "GET", events_path(run_id) + f"?after={after}", headers=A).status == 422
    headers = {**A, "last-event-id": after}
    assert ask(door.port, "GET", events_path(run_id), headers=headers).status == 422


def test_a_run_that_is_deleted_ends_its_stream_with_a_word(door: Door) -> None:
    run_id = assistant_run(door.port, "stall", A)
    thread = ask(door.port, "GET", f"/api/runs/{run_id}", headers=A).json["thread_id"]
    with opened(door.port, events_path(run_id), None, A) as stream:
        stream.next()
        path = f"/v1/threads/thread_{thread.replace('-', '')}"
        assert ask(door.port, "DELETE", path, headers=A).status == 200
        last = stream.rest()[-1]
    # Which of the two comes first is chance: it is cancelled, or nothing is left of it.
    if last.name == "status":
        assert last.json["data"]["status"] == "cancelled"
    else:
        assert (last.name, last.json["code"]) == ("error", "run_gone")


@pytest.fixture(scope="module")
def two(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Door, Door]]:
    """Two servers on one database, before one engine."""
    url = postgres.new_database("activity")
    with ExitStack() as stack:
        more = {"NOVA_DATABASE_URL": url}
        one = stack.enter_context(told_door(tmp_path_factory.mktemp("one"), more))
        other = tmp_path_factory.mktemp("other")
        more |= settings(one.upstream.url)
        yield one, Door(stack.enter_context(nova_server(other, more)), one.upstream)


def test_a_watcher_on_another_process_sees_each_event_once(two: tuple[Door, Door]) -> None:
    one, another = two
    run_id = assistant_run(one.port, "slowly 40 0.03", A)
    log, known = Log(), 0
    for door in itertools.cycle([another, one, another]):
        events, last_id = watch(door.port, run_id, known, count=7)
        log.add(events, last_id)
        known = last_id
        if events[-1].name == "status" and events[-1].json["data"]["status"] == "completed":
            break
    assert log.check() == slow_text(40)
    assert sum(seen.path == COMPLETIONS for seen in one.upstream.seen) == 1


def test_a_run_is_cancelled_through_another_process(two: tuple[Door, Door]) -> None:
    one, another = two
    run_id = assistant_run(one.port, "stall", A)
    with opened(another.port, events_path(run_id), None, A) as stream:
        for event in stream:
            if event.name == "text":
                break
        ask(another.port, "POST", f"/api/runs/{run_id}/cancel", headers=A)
        last = stream.rest()[-1]
    assert last.json["data"]["status"] == "cancelled"
    assert settled(one.port, run_id, A)["status"] == "cancelled"


def test_a_server_killed_in_mid_answer_is_resumed_from_the_last_id(tmp_path: Path) -> None:
    """A background run goes on after the start; what was not stored comes again, under its id."""
    with scripted_server() as upstream:
        speaking(upstream)
        log = Log()
        with nova_server(tmp_path, settings(upstream.url)) as server:
            run_id = assistant_run(server.port, "slowly 40 0.05", A)
            events, known = watch(server.port, run_id, count=15)
            log.add(events, known)
            server.process.kill()
            server.process.wait(20)
        assert known > 0
        with nova_server(tmp_path, settings(upstream.url)) as server:
            run = settled(server.port, run_id, A)
            events, last_id = watch(server.port, run_id, known)
            log.add(events, last_id)
        assert run["status"] == "completed"
        assert run["interruptions"] == 1
        assert "restarted" in {event.name for event in events}
        assert log.check().endswith(slow_text(40))
