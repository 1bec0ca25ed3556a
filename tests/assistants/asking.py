"""Short forms for what the tests of this folder ask again and again."""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.http.doors import Door
from tests.http.wire import JSON, Answer, ask, eventually
from tests.servers.answers import Step, openai_chunk, sse

__all__ = [
    "CALLED",
    "LIVE_TEXT",
    "TOOL",
    "TWO_CALLS",
    "USAGE",
    "Asker",
    "Shown",
    "calls_stream",
    "names",
    "shown",
]

USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
CALLED: list[dict[str, Any]] = [
    {"index": 0, "id": "call_1", "type": "function"}
    | {"function": {"name": "get_weather", "arguments": ""}},
    {"index": 0, "function": {"arguments": '{"city": '}},
    {"index": 0, "function": {"arguments": '"Oslo"}'}},
]
TWO_CALLS: list[dict[str, Any]] = [
    *CALLED,
    {"index": 1, "id": "call_2", "type": "function"}
    | {"function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}},
]
LIVE_TEXT = [
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
]


def calls_stream(
    calls: Sequence[Mapping[str, Any]] = CALLED,
    *,
    text: Sequence[str] = (),
    finish: str = "tool_calls",
    usage: Mapping[str, Any] | None = USAGE,
) -> list[Step]:
    """What an engine streams that would have functions called."""
    events = [openai_chunk({"role": "assistant", "content": ""})]
    events += [openai_chunk({"content": piece}) for piece in text]
    events += [openai_chunk({"tool_calls": [call]}) for call in calls]
    events.append(openai_chunk({}, finish=finish))
    if usage is not None:
        events.append(openai_chunk({}) | {"choices": [], "usage": dict(usage)})
    return sse(*events)


@dataclass(frozen=True)
class Shown:
    """One event of a stream; ``id``: the number in front of it."""

    id: int | None
    name: str
    data: str

    @property
    def json(self) -> Any:
        return json.loads(self.data)


def shown(text: str) -> list[Shown]:
    """The events of a whole stream, each of them well-formed."""
    assert text.endswith("\n\n")
    found = []
    for block in text[:-2].split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if not line.startswith(":")]
        fields = {name: value for name, _, value in lines}
        assert list(fields) in (["id", "event", "data"], ["event", "data"]), block
        number = int(fields["id"]) if "id" in fields else None
        found.append(Shown(number, fields["event"], fields["data"]))
    return found


def names(events: Sequence[Shown]) -> list[str]:
    return [event.name for event in events]


class Asker:
    """Asks one server over raw HTTP; ``headers`` go with every request."""

    def __init__(self, door: Door, headers: Mapping[str, str] | None = None) -> None:
        self.door = door
        self.headers = dict(headers or {})

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        given = {**self.headers, **(headers or {})}
        return ask(self.door.port, method, f"/v1{path}", body, given, timeout_s=60)

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.text
        return answer.json

    def post(self, path: str, body: object, status: int = 200) -> Any:
        answer = self.ask("POST", path, body)
        assert answer.status == status, answer.text
        return answer.json

    def refused(self, method: str, path: str, body: object = None, status: int = 400) -> Any:
        """The error of a request that is refused, in OpenAI's envelope."""
        answer = self.ask(method, path, body)
        assert answer.status == status, answer.text
        assert set(answer.json) == {"error"}
        error = answer.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
        return error

    def assistant(self, **fields: Any) -> str:
        made = self.post("/assistants", {"model": "scripted", **fields}, 201)
        return str(made["id"])

    def thread(self, *messages: str, **fields: Any) -> str:
        said = [{"role": "user", "content": text} for text in messages]
        return str(self.post("/threads", {"messages": said, **fields}, 201)["id"])

    def start(self, thread_id: str, assistant_id: str, **fields: Any) -> Any:
        body = {"assistant_id": assistant_id, **fields}
        return self.post(f"/threads/{thread_id}/runs", body, 201)

    def run(self, thread_id: str, assistant_id: str, **fields: Any) -> Any:
        """A run once it has ended or waits."""
        body = {"assistant_id": assistant_id, **fields}
        path = f"/threads/{thread_id}/runs"
        answer = self.ask("POST", path, body, {"prefer": "wait=60"})
        assert answer.status == 201, answer.text
        return answer.json

    def submit(self, run: Mapping[str, Any], outputs: Mapping[str, str]) -> Any:
        path = f"{self.path(run)}/submit_tool_outputs"
        body = {"tool_outputs": [{"tool_call_id": k, "output": v} for k, v in outputs.items()]}
        answer = self.ask("POST", path, body, {"prefer": "wait=60"})
        assert answer.status == 200, answer.text
        return answer.json

    def path(self, run: Mapping[str, Any]) -> str:
        return f"/threads/{run['thread_id']}/runs/{run['id']}"

    def until(self, run: Mapping[str, Any], *statuses: str, within_s: float = 30.0) -> Any:
        """The run once its status is one of these."""

        def look() -> Any:
            now = self.get(self.path(run))
            return now if now["status"] in statuses else None

        return eventually(look, within_s)

    def texts(self, thread_id: str) -> list[tuple[str, str]]:
        """Role and text of each message, in the order of the conversation."""
        listed = self.get(f"/threads/{thread_id}/messages?order=asc&limit=100")
        return [
            (message["role"], "".join(part["text"]["value"] for part in message["content"]))
            for message in listed["data"]
        ]

    def stream(self, path: str, body: object) -> list[Shown]:
        """The events of a stream that is read to its end."""
        answer = self.ask("POST", path, body)
        assert answer.status == 200, answer.text
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        return shown(answer.text)

    def run_stream(self, thread_id: str, assistant_id: str, **fields: Any) -> list[Shown]:
        body = {"assistant_id": assistant_id, "stream": True, **fields}
        return self.stream(f"/threads/{thread_id}/runs", body)

    def again(self, run: Mapping[str, Any], after: int | None = None) -> list[Shown]:
        """The run's stream from its log, behind the event ``after``."""
        headers = {} if after is None else {"last-event-id": str(after)}
        answer = self.ask("GET", f"{self.path(run)}?stream=true", headers=headers)
        assert answer.status == 200, answer.text
        return shown(answer.text)

    @contextmanager
    def watching(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Iterator[Shown]]:
        """The events of a stream as they come; it is left at the end of the context."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.door.port, timeout=60)) as one:
            data = None if body is None else json.dumps(body)
            given = {**self.headers, **(headers or {}), **(JSON if body is not None else {})}
            one.request(method, f"/v1{path}", data, given)
            response = one.getresponse()
            assert response.status == 200, response.read()
            yield _events(response)


def _events(response: http.client.HTTPResponse) -> Iterator[Shown]:
    block = ""
    while line := response.readline().decode():
        if line.startswith(":"):
            continue
        block += line
        if line == "\n":
            if block.strip():
                yield shown(block)[0]
            block = ""
