"""The engine dies at every place of its answer: each time the client gets a typed error."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.http.doors import COMPLETIONS, Door
from tests.http.figures import State
from tests.http.wire import ask, opened
from tests.servers.answers import Close, Reset, Send, Step, cut, openai_stream

USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
ANSWER = openai_stream(["one", "two 😀", "three"], usage=USAGE)
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi."}]}


def sizes() -> list[int]:
    """How many bytes have left after each step."""
    return [
        sum(len(step.data) for step in ANSWER[:count] if isinstance(step, Send))
        for count in range(len(ANSWER) + 1)
    ]


def last_needed() -> int:
    """The size from which on the answer is whole: ``[DONE]`` is in it."""
    return sizes()[-2] - len(b"\r\n")


def streamed(client: OpenAI) -> str:
    stream = client.chat.completions.create(model="scripted", stream=True, **ASKED)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def whole(client: OpenAI) -> str:
    said = client.chat.completions.create(model="scripted", **ASKED)
    return said.choices[0].message.content or ""


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["closed", "reset"])
@pytest.mark.parametrize("answer_of", [streamed, whole])
def test_the_official_client_raises_at_every_chunk_boundary(
    door: Door, answer_of: Callable[[OpenAI], str], end: Step, state: State
) -> None:
    cuts = [count for count in range(len(ANSWER) - 1) if sizes()[count] < last_needed()]
    with OpenAI(base_url=f"{door.server.url}/v1", api_key="none", max_retries=0) as client:
        for count in cuts:
            door.answers([*ANSWER[:count], end])
            with pytest.raises(openai.APIError) as failed:
                answer_of(client)
            assert failed.value.code in {"engine_unavailable", "engine_protocol_error"}
        door.answers(ANSWER)
        assert answer_of(client) == "onetwo 😀three"
    state(f"{len(cuts)} chunk boundaries: {len(cuts)} typed errors")


def test_every_byte_is_a_cut_that_all_doors_survive(door: Door, state: State) -> None:
    """Each cut is asked for through one door in turn; a stall anywhere would show as a timeout."""

    def chat() -> str:
        with opened(door.port, "/api/v1/chat", {"message": "Hi."}) as stream:
            if stream.status != 200:
                return str(stream.status)
            return str(stream.rest()[-1].json.get("code", "done"))

    def stream() -> str:
        with opened(door.port, COMPLETIONS, {**ASKED, "stream": True}) as stream:
            if stream.status != 200:
                return str(stream.status)
            last = stream.rest()[-1]
            return "done" if last.data == "[DONE]" else str(last.json["error"]["code"])

    def completion() -> str:
        return str(ask(door.port, "POST", COMPLETIONS, ASKED).status)

    doors = [chat, stream, completion]
    ends: list[dict[str, int]] = [{}, {}, {}]
    points = range(0, last_needed())
    for number, size in enumerate(points):
        door.answers(cut(ANSWER, size))
        outcome = doors[number % 3]()
        ends[number % 3][outcome] = ends[number % 3].get(outcome, 0) + 1
    state(f"{len(points)} cut points; outcomes {ends}")
    assert set(ends[0]) <= {"502", "503", "stream_error"}
    assert set(ends[1]) <= {"502", "503", "engine_protocol_error", "engine_unavailable"}
    assert set(ends[2]) <= {"502", "503"}


def test_many_cut_streams_at_once_all_end_typed(door: Door) -> None:
    door.answers([*ANSWER[:4], Reset()])

    def ending(_: int) -> str:
        with opened(door.port, "/api/v1/chat", {"message": "Hi."}) as stream:
            return stream.rest()[-1].name if stream.status == 200 else str(stream.status)

    with ThreadPoolExecutor(20) as clients:
        assert set(clients.map(ending, range(100))) <= {"error", "502", "503"}
