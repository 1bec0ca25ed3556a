"""The chat door's answer: its events, their order and form, its headers, its conversation_id."""

import re
from collections.abc import Iterator
from uuid import UUID

import pytest

from tests.http.doors import COMPLETIONS, Door, open_door
from tests.http.wire import ask, opened
from tests.servers.answers import Send, Stall, Step, head, openai_stream, sse

CHAT = "/api/v1/chat"
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def test_chunks_then_done_in_exactly_the_promised_bytes(door: Door) -> None:
    door.answers(openai_stream(["Hel", "lo"], usage=USAGE, pause_s=0.3))
    given = "6f1c1f5e-0a4b-1d0e-9d3c-6b1f0e0f5a11"  # version 1: any UUID is accepted
    answer = ask(door.port, "POST", CHAT, {"message": "Hi.", "conversation_id": given})
    assert answer.status == 200
    # Pieces that were stored before they could be shown have an id too.
    assert re.sub(r"id: [45]\n|: ping\n", "", answer.text) == (
        'event: chunk\ndata: {"content":"Hel"}\n\n'
        'event: chunk\ndata: {"content":"lo"}\n\n'
        f'id: 7\nevent: done\ndata: {{"conversation_id":"{given}","usage":{{"tokens":3}}}}\n\n'
    )
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert door.asked[0].json["messages"] == [{"role": "user", "content": "Hi."}]


def test_what_came_together_is_one_chunk(door: Door) -> None:
    pieces = [f"{number} " for number in range(40)]
    [opening, *steps] = openai_stream(pieces, role_chunk=False)
    together = b"".join(step.data for step in steps if isinstance(step, Send))
    door.answers([opening, Send(together)])
    with opened(door.port, CHAT, {"message": "Count."}) as stream:
        *chunks, done = stream.rest()
    assert "".join(chunk.json["content"] for chunk in chunks) == "".join(pieces)
    # A read may be torn in two anywhere; what it brings is told at once.
    assert len(chunks) < 5
    assert done.name == "done"


def test_without_a_conversation_id_a_new_one_is_made(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    made = set()
    for body in ({"message": "Hi."}, {"message": "Hi.", "conversation_id": None}):
        with opened(door.port, CHAT, body) as stream:
            made.add(stream.rest()[-1].json["conversation_id"])
    assert len(made) == 2
    assert all(UUID(one).version == 4 and str(UUID(one)) == one for one in made)


def test_tokens_are_null_where_the_engine_does_not_say(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    with opened(door.port, CHAT, {"message": "Hi."}) as stream:
        assert stream.rest()[-1].json["usage"] == {"tokens": None}


def test_an_empty_answer_is_done_alone(door: Door) -> None:
    door.answers(openai_stream([], usage=USAGE | {"completion_tokens": 0}))
    with opened(door.port, CHAT, {"message": "Hi."}) as stream:
        (only,) = stream.rest()
    assert (only.name, only.json["usage"]) == ("done", {"tokens": 0})


def test_reasoning_is_not_part_of_the_answer(door: Door) -> None:
    door.answers(openai_stream(["answer"], reasoning=["hidden"]))
    with opened(door.port, CHAT, {"message": "Hi."}) as stream:
        assert [e.json["content"] for e in stream.rest() if e.name == "chunk"] == ["answer"]


@pytest.mark.parametrize(
    "text",
    ["😀", "a\u2028b\u2029c", "\r\n\n\r", "\x00\x1f", '"\\', "data: x\n\nevent: done", "\ufeff"],
    ids=ascii,
)
def test_any_text_goes_in_and_comes_out_unharmed(door: Door, text: str) -> None:
    door.answers(openai_stream([text]))
    with opened(door.port, CHAT, {"message": f"x{text}"}) as stream:
        chunk, done = stream.rest()
    assert chunk.json == {"content": text}
    assert done.name == "done"
    assert door.asked[0].json["messages"][0]["content"] == f"x{text}"


def test_each_piece_is_sent_when_it_comes(door: Door) -> None:
    whole = openai_stream(["first"], finish=None, done=False)
    door.answers([*whole[:-1], Stall()])
    with opened(door.port, CHAT, {"message": "Hi."}) as stream:
        assert stream.next().json == {"content": "first"}


def test_a_failure_after_the_start_is_an_error_event_and_the_last(door: Door) -> None:
    door.answers(sse({"choices": [{"index": 0, "delta": {"content": "a"}}]}, b"data: {\n\n"))
    with opened(door.port, CHAT, {"message": "Hi."}) as stream:
        assert stream.status == 200
        chunk, error = stream.rest()
    assert chunk.name == "chunk"
    assert error.name == "error"
    assert set(error.json) == {"code", "message"}
    assert error.json["code"] == "stream_error"
    assert "openai" in error.json["message"]


def test_an_engine_that_falls_silent_in_mid_stream_is_an_error_event(door: Door) -> None:
    begun = openai_stream(["a"], finish=None, done=False)
    door.answers([*begun[:-1], Stall()])
    with opened(door.port, CHAT, {"message": "Hi."}) as stream:
        chunk, error = stream.rest()
    assert (chunk.name, error.name, error.json["code"]) == ("chunk", "error", "stream_error")
    assert "between_tokens_timeout_s" in error.json["message"]
    assert stream.pings >= 3, "a silent stream has heartbeats"


def test_a_heartbeat_is_a_comment_and_comes_in_time(door: Door) -> None:
    begun = openai_stream(["a"], finish=None, done=False)
    door.answers([*begun[:-1], Stall()])
    with opened(door.port, CHAT, {"message": "Hi."}) as stream:
        body = stream.body()
    ends = rb"event: chunk\n.*?\n\n(: ping\n){3,12}id: 6\nevent: error\n.*\n\n"
    assert re.fullmatch(rb"(: ping\n)*(id: 4\n)?" + ends, body)


def test_a_long_wait_for_the_first_token_has_heartbeats_too(door: Door) -> None:
    """A proxy gives up on a silent server; then a failure can only be an event."""
    door.answers([head(content_type="text/event-stream"), Stall()])
    with opened(door.port, CHAT, {"message": "Hi."}) as stream:
        assert stream.status == 200
        (error,) = stream.rest()
    assert (error.name, error.json["code"]) == ("error", "stream_error")
    assert "first_token_timeout_s" in error.json["message"]
    assert stream.pings >= 3


@pytest.mark.parametrize("answer", [[Stall()], [head(content_type="text/event-stream"), Stall()]])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"message": "Hi."}),
        (COMPLETIONS, {"messages": [{"role": "user", "content": "Hi."}], "stream": False}),
    ],
)
def test_an_engine_that_says_nothing_is_a_504(
    patient: Door, path: str, body: dict[str, object], answer: list[Step]
) -> None:
    patient.answers(answer)
    said = ask(patient.port, "POST", path, body)
    assert said.status == 504
    assert "first_token_timeout_s" in said.text
    if path == CHAT:
        assert said.json["code"] == "processing_error"
    patient.upstream.wait_for(lambda upstream: patient.asked[0].client_left_at_ns)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Its heartbeat is slower than its limits, so that nothing is sent before a failure."""
    limits = {"NOVA_HEARTBEAT_S": "15", "NOVA_FIRST_TOKEN_TIMEOUT_S": "0.7"}
    with open_door(tmp_path_factory.mktemp("patient"), limits) as opened_door:
        yield opened_door
