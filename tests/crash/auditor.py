"""Compares what was acknowledged with what the server says afterwards."""

from contextlib import aclosing
from typing import Any

from tests.crash.api import Api
from tests.crash.ledger import Ledger, Watch

__all__ = ["audit"]


async def audit(api: Api, ledger: Ledger) -> None:
    """Raises ``AssertionError`` for whatever was lost, done twice or left half done."""
    for thread_id, told in ledger.messages.items():
        await _check_thread(api, thread_id, told)
    for run_id, thread_id in ledger.runs.items():
        await _check_run(api, ledger, run_id, thread_id)
    for watch in ledger.watches:
        await _check_watch(api, watch)
    for watch in ledger.chat_watches:
        await _check_chat_watch(api, watch)
    for conversation, text in ledger.chats.items():
        await _check_chat(api, conversation, text)


async def _messages(api: Api, thread_id: str, more: str = "") -> list[dict[str, Any]]:
    path = f"/v1/threads/{thread_id}/messages?order=asc&limit=100{more}"
    found: list[dict[str, Any]] = (await api.ask("GET", path))["data"]
    return found


async def _check_thread(api: Api, thread_id: str, told: list[tuple[str, str]]) -> None:
    """Each acknowledged message is there, once and in order; those that were not, at most once."""
    found = [(m["id"], text_of(m)) for m in await _messages(api, thread_id) if not m["run_id"]]
    known = set(told)
    assert [one for one in found if one in known] == told, ("lost", thread_id, told, found)
    texts = [text for _, text in found if text.startswith("m ")]
    assert len(texts) == len(set(texts)), ("twice", thread_id, texts)


def text_of(message: dict[str, Any]) -> str:
    return "".join(part["text"]["value"] for part in message["content"])


async def _check_run(api: Api, ledger: Ledger, run_id: str, thread_id: str) -> None:
    run = await api.ask("GET", f"/v1/threads/{thread_id}/runs/{run_id}")
    status = run["status"]
    if run_id in ledger.cancelled:
        assert status == "cancelled", ("a cancellation was lost", run)
    answers = await _messages(api, thread_id, f"&run_id={run_id}")
    assert len(answers) <= 1, ("answered twice", answers)
    executed = ledger.executed[run_id]
    assert len(executed) == len(set(executed)) <= 2, ("a call ran twice", run_id, executed)
    if status == "completed" and run_id in ledger.texts:
        assert [text_of(a) for a in answers] == [ledger.texts[run_id]], (run, answers)
        assert answers[0]["status"] == "completed"
    elif status == "failed":
        assert run["last_error"]["message"], run
    if run_id in ledger.said:
        assert [text_of(answer) for answer in answers] == [ledger.said[run_id]]
    path = f"/v1/threads/{thread_id}/runs/{run_id}/steps?order=asc"
    steps = (await api.ask("GET", path))["data"]
    kept = {
        call["id"]
        for step in steps
        if step["type"] == "tool_calls" and step["status"] == "completed"
        for call in step["step_details"]["tool_calls"]
    }
    assert ledger.outputs[run_id] <= kept, ("outputs were lost", run_id)


async def _check_watch(api: Api, watch: Watch) -> None:
    """What the watcher saw under a number is what stands there now, and nothing was left out."""
    path = f"/v1/threads/{watch.thread_id}/runs/{watch.run_id}?stream=true"
    async with aclosing(api.events("GET", path)) as events:
        replayed = [frame async for frame in events]
    assert replayed[-1].name == "done"
    numbers = [frame.number for frame in replayed if frame.number is not None]
    assert numbers == sorted(set(numbers)), numbers
    stored = {frame.number: frame for frame in replayed}
    seen = [frame for frame in watch.frames if frame.number is not None]
    shown = [frame.number for frame in seen if not frame.name.endswith((".replaced", ".deleted"))]
    assert shown == sorted(set(shown), key=lambda number: number or 0), ("twice", shown)
    for frame in seen:
        if not frame.name.endswith((".replaced", ".deleted")):
            there = stored.get(frame.number)
            assert there == frame, ("an event was lost or changed", frame, there)
    assert numbers[-1] == watch.last_number, ("the end was not seen", watch)


async def _check_chat_watch(api: Api, watch: Watch) -> None:
    """As for a run; a chat's stream has nothing but pieces, and an end."""
    async with aclosing(api.events("GET", f"/api/v1/chat/{watch.thread_id}/events")) as events:
        stored = {frame.number: frame async for frame in events}
    for frame in watch.frames:
        if frame.number is not None and frame.name != "replace":
            there = stored.get(frame.number)
            assert there == frame, ("an event was lost or changed", frame, there)


async def _check_chat(api: Api, conversation: str, text: str) -> None:
    """An answer that was seen to its end is there, whole."""
    if not text:
        return
    thread_id = f"thread_{conversation.replace('-', '')}"
    answers = [m for m in await _messages(api, thread_id) if m["role"] == "assistant"]
    assert [text_of(answer) for answer in answers] == [text], ("lost", conversation)
