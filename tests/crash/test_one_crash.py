"""What a user sees: ``nova serve`` is killed in the middle of an answer, and started again."""

from collections.abc import Iterable
from pathlib import Path

from tests.http.wire import Event, ask, opened
from tests.servers.nova import nova_server
from tests.servers.scripted import ScriptedServer
from tests.servers.speaker import MODEL, slow_text, speaking

PIECES = 40


def test_a_killed_server_s_run_comes_to_its_end_and_its_stream_goes_on(
    tmp_path: Path, scripted: ScriptedServer
) -> None:
    speaking(scripted)
    settings = {"NOVA_EMBEDDED": "off", "NOVA_OPENAI_URL": f"{scripted.url}/v1"}
    with nova_server(tmp_path, settings) as server:
        assistant = ask(server.port, "POST", "/v1/assistants", {"model": MODEL}).json
        asked = {"role": "user", "content": f"slowly {PIECES} 0.05"}
        thread = ask(server.port, "POST", "/v1/threads", {"messages": [asked]}).json["id"]
        runs = f"/v1/threads/{thread}/runs"
        with opened(server.port, runs, {"assistant_id": assistant["id"], "stream": True}) as first:
            run_id = first.headers["x-run-id"]
            live = until_pieces(first, 8)
            assert "w7" in screen(live)
            # What has come is stored by now, and stands under its numbers in a stream joined late.
            with opened(server.port, f"{runs}/{run_id}?stream=true") as second:
                shown = until_pieces(second, 5)
                server.process.kill()
                server.process.wait()
    last = shown[-1].id
    assert last is not None
    with nova_server(tmp_path, settings) as server:
        path = f"{runs}/{run_id}"
        headers = {"last-event-id": str(last)}
        with opened(server.port, f"{path}?stream=true", headers=headers) as third:
            resumed = third.rest()
        assert (resumed[-1].name, resumed[-1].data) == ("done", "[DONE]")
        assert resumed[-2].name == "thread.run.completed"
        assert resumed[-2].json == ask(server.port, "GET", path).json
        assert (resumed[0].name, resumed[0].id) == ("thread.message.replaced", None)
        assert screen([*shown, resumed[0]]) == screen(shown)
        numbers = [event.id for event in (*shown, *resumed) if event.id is not None]
        assert numbers == sorted(set(numbers))
        assert screen([*shown, *resumed]) == slow_text(PIECES)
        answer, _ = ask(server.port, "GET", f"/v1/threads/{thread}/messages").json["data"]
        assert answer["content"][0]["text"]["value"] == slow_text(PIECES)
        assert server.logged("a run was interrupted")["run_id"] == run_id


def until_pieces(stream: Iterable[Event], count: int) -> list[Event]:
    """The events of a stream until it has said that many pieces of text."""
    seen: list[Event] = []
    for event in stream:
        seen.append(event)
        count -= event.name == "thread.message.delta"
        if not count:
            return seen
    msg = f"the stream ended: {seen}"
    raise AssertionError(msg)


def screen(events: Iterable[Event]) -> str:
    """The answer as it stands before whoever watches."""
    text = ""
    for event in events:
        if event.name == "thread.message.delta":
            text += event.json["delta"]["content"][0]["text"]["value"]
        elif event.name == "thread.message.replaced":
            text = "".join(part["text"]["value"] for part in event.json["content"])
    return text
