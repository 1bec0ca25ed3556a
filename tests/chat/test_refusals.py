"""What the chat door refuses before it starts: JSON with a status and one of its five codes."""

import time
from pathlib import Path

import pytest

from tests.http.doors import Door, open_door
from tests.http.figures import State
from tests.http.wire import JSON, ask
from tests.servers.answers import Close, json_answer, openai_stream

CHAT = "/api/v1/chat"
UUID = "6f1c1f5e-0a4b-4d0e-9d3c-6b1f0e0f5a11"


@pytest.mark.parametrize("length", [1, 9_999, 10_000])
@pytest.mark.parametrize("character", ["a", "😀"])
def test_a_message_may_have_10000_characters(door: Door, length: int, character: str) -> None:
    door.answers(openai_stream(["a"]))
    assert ask(door.port, "POST", CHAT, {"message": character * length}).status == 200


@pytest.mark.parametrize("message", ["a" * 10_001, "😀" * 10_001, " " * 10_001])
def test_a_longer_one_is_too_long(door: Door, message: str) -> None:
    answer = ask(door.port, "POST", CHAT, {"message": message})
    assert (answer.status, answer.json["code"]) == (422, "message_too_long")
    assert "10000" in answer.json["message"]
    assert set(answer.json) == {"code", "message"}


@pytest.mark.parametrize(
    "body",
    [
        {"message": ""},
        {"message": " \t\r\n\u00a0\u2028\u3000"},
        {"message": None},
        {"message": 5},
        {"message": True},
        {"message": ["a"]},
        {"message": {"text": "a"}},
        {},
        {"conversation_id": UUID},
        {"message": "Hi.", "unknown": 1},
        {"message": "Hi.", "conversation_id": ""},
        {"message": "Hi.", "conversation_id": "abc"},
        {"message": "Hi.", "conversation_id": f"{{{UUID}}}"},
        {"message": "Hi.", "conversation_id": f"{UUID}\n"},
        {"message": "Hi.", "conversation_id": UUID.replace("-", "")},
        {"message": "Hi.", "conversation_id": UUID[:-1] + "g"},
        {"message": "Hi.", "conversation_id": 5},
        {"message": "Hi.", "model": ""},
        {"message": "Hi.", "model": 5},
        [],
        "Hi.",
        5,
        None,
        b"",
        b"{",
        b'{"message": "Hi."',
        b"{'message': 'Hi.'}",
        b'{"message": "\\ud800"}',
        b'{"message": "Hi.", "model": NaN}',
        b"\xff\xfe{}",
        b'{"message": "\xc3("}',
    ],
    ids=ascii,
)
def test_a_body_that_does_not_fit_is_a_validation_error(door: Door, body: object) -> None:
    door.answers(openai_stream(["a"]))
    answer = ask(door.port, "POST", CHAT, b"null" if body is None else body)
    assert (answer.status, answer.json["code"]) == (422, "validation_error")
    assert set(answer.json) == {"code", "message"}
    assert answer.json["message"]
    assert not door.asked


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_a_validation_error(door: Door, kind: str) -> None:
    answer = ask(door.port, "POST", CHAT, {"message": "Hi."}, {"content-type": kind})
    assert (answer.status, answer.json["code"]) == (422, "validation_error")
    assert "Content-Type: application/json" in answer.json["message"]


def test_json_with_a_charset_or_of_a_named_kind_is_json(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/x+json"):
        assert (
            ask(door.port, "POST", CHAT, {"message": "Hi."}, {"content-type": kind}).status == 200
        )


def test_a_missing_body_is_a_validation_error(door: Door) -> None:
    for headers in ({}, JSON):
        answer = ask(door.port, "POST", CHAT, None, headers)
        assert (answer.status, answer.json["code"]) == (422, "validation_error")
    assert "no body" in answer.json["message"]


def test_a_refusal_names_the_field(door: Door) -> None:
    said = ask(door.port, "POST", CHAT, {"message": "a", "conversation_id": "x"}).json["message"]
    assert "'conversation_id'" in said
    said = ask(door.port, "POST", CHAT, {"message": "a", "colour": 1}).json["message"]
    assert "'colour'" in said


def test_an_unknown_model_is_a_404_that_names_those_that_are(door: Door) -> None:
    answer = ask(door.port, "POST", CHAT, {"message": "Hi.", "model": "absent"})
    assert (answer.status, answer.json["code"]) == (404, "validation_error")
    assert "absent" in answer.json["message"]
    assert "scripted" in answer.json["message"]


def test_another_method_is_a_405_in_the_door_s_own_form(door: Door) -> None:
    answer = ask(door.port, "GET", CHAT)
    assert answer.status == 405
    assert set(answer.json) == {"code", "message"}
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("status", "ours"), [(500, 502), (401, 502), (503, 429), (429, 429)], ids=str
)
def test_an_engine_that_refuses_is_a_processing_error(door: Door, status: int, ours: int) -> None:
    door.answers(json_answer(status, {"error": {"message": "out of memory"}}))
    answer = ask(door.port, "POST", CHAT, {"message": "Hi."})
    assert answer.json["code"] == "processing_error"
    assert "out of memory" in answer.json["message"]
    assert answer.status == ours
    assert ("retry-after" in answer.headers) == (ours == 429)


def test_an_engine_that_closes_without_an_answer_is_a_503(door: Door) -> None:
    door.answers([Close()])
    answer = ask(door.port, "POST", CHAT, {"message": "Hi."})
    assert (answer.status, answer.json["code"]) == (503, "processing_error")


def test_an_engine_that_is_down_is_a_503_that_says_which(tmp_path: Path) -> None:
    # Its address answers nothing: there is no such port.
    with open_door(tmp_path, {"NOVA_OPENAI_URL": "http://127.0.0.1:9/v1"}) as door:
        body = {"message": "Hi.", "model": "openai/scripted"}
        answer = ask(door.port, "POST", CHAT, body)
    assert (answer.status, answer.json["code"]) == (503, "processing_error")
    assert "127.0.0.1:9" in answer.json["message"]


def test_a_refusal_is_quick(door: Door, state: State) -> None:
    took_s = []
    for _ in range(20):
        started = time.perf_counter()
        ask(door.port, "POST", CHAT, {"message": ""})
        took_s.append(time.perf_counter() - started)
    state(f"median {sorted(took_s)[10] * 1000:.1f} ms")
    assert sorted(took_s)[10] < 0.05
