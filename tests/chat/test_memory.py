"""A conversation is remembered: by its id, for its owner alone, as far as the window reaches."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid1, uuid4

import pytest

from tests.chat.asking import CHAT, content, events_path, new_conversation, run_of, say
from tests.http.doors import Door, open_door
from tests.http.figures import State
from tests.http.wire import ask, eventually, opened
from tests.servers.answers import json_answer, openai_stream
from tests.servers.nova import NovaServer


def messages(door: Door, number: int = -1) -> list[str]:
    """What the engine was shown at that turn."""
    return [message["content"] for message in door.asked[number].json["messages"]]


def test_a_name_told_three_turns_before_is_known(nova: NovaServer) -> None:
    conversation = new_conversation()
    for message in ("My name is Ada.", "What is 2+3?", "What is 4+4?"):
        assert say(nova.port, conversation, message)[-1].name == "done"
    answer = content(say(nova.port, conversation, "What is my name?"))
    assert "Ada" in answer


def test_each_turn_shows_the_engine_all_that_was_said(door: Door) -> None:
    conversation = new_conversation()
    door.answers(openai_stream(["one"]), openai_stream(["two"]), openai_stream(["three"]))
    for message in ("A", "B", "C"):
        say(door.port, conversation, message)
    assert [messages(door, number) for number in range(3)] == [
        ["A"],
        ["A", "one", "B"],
        ["A", "one", "B", "two", "C"],
    ]
    roles = [message["role"] for message in door.asked[2].json["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"]


@pytest.mark.parametrize(
    "named", [str(uuid4()), str(uuid1()), "00000000-0000-0000-0000-000000000000", "f" * 36]
)
def test_any_uuid_names_a_conversation_and_its_case_does_not_matter(door: Door, named: str) -> None:
    if named == "f" * 36:
        named = "ffffffff-ffff-ffff-ffff-ffffffffffff"
    door.answers(openai_stream(["one"]))
    for number, given in enumerate((named, named.upper(), named.title())):
        done = say(door.port, given, f"M{number}")[-1]
        assert done.json["conversation_id"] == given
    assert messages(door) == ["M0", "one", "M1", "one", "M2"]


def test_conversations_know_nothing_of_each_other(door: Door) -> None:
    door.answers(openai_stream(["one"]))
    say(door.port, new_conversation(), "A")
    say(door.port, new_conversation(), "B")
    assert messages(door) == ["B"]


def test_a_turn_can_be_read_again_once_it_is_over(door: Door) -> None:
    conversation = new_conversation()
    door.answers(openai_stream(["Hel", "lo"]))
    first = say(door.port, conversation, "Hi.")
    for after in ("", "0", str(first[-1].id)):
        headers = {"last-event-id": after} if after else {}
        with opened(door.port, events_path(conversation.upper()), None, headers) as stream:
            again = stream.rest()
        assert again[0].name == "replace"
        assert content(again) == "Hello"
        assert again[-1].name == "done"
        assert again[-1].json["conversation_id"] == conversation.upper()


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 12, "\u0661"])
def test_an_id_that_is_no_event_s_is_refused(door: Door, given: str) -> None:
    conversation = new_conversation()
    door.answers(openai_stream(["a"]))
    say(door.port, conversation, "Hi.")
    headers = {"last-event-id": given.encode().decode("latin-1")}
    answer = ask(door.port, "GET", events_path(conversation), headers=headers)
    assert (answer.status, answer.json["code"]) == (422, "validation_error")
    assert "Last-Event-ID" in answer.json["message"]


@pytest.mark.parametrize("named", [str(uuid4()), "nonsense", "6f1c1f5e0a4b4d0e9d3c6b1f0e0f5a11"])
def test_a_conversation_that_is_not_there_has_no_events(door: Door, named: str) -> None:
    answer = ask(door.port, "GET", events_path(named))
    assert answer.status == (404 if "-" in named else 422)
    assert answer.json["code"] == "validation_error"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("shared"), {"NOVA_API_KEYS": "key-a,key-b"}) as door:
        yield door


A, B = {"authorization": "Bearer key-a"}, {"authorization": "Bearer key-b"}


def test_the_same_id_under_another_key_is_another_conversation(shared: Door) -> None:
    conversation = new_conversation()
    shared.answers(openai_stream(["one"]))
    say(shared.port, conversation, "A secret.", A)
    with opened(shared.port, CHAT, {"message": "Hi.", "conversation_id": conversation}, B) as other:
        run_id = other.headers["x-run-id"]
        assert other.rest()[-1].json["conversation_id"] == conversation
    assert messages(shared) == ["Hi."]
    say(shared.port, conversation, "More.", A)
    assert messages(shared) == ["A secret.", "one", "More."]
    assert ask(shared.port, "GET", f"/api/runs/{run_id}", headers=A).status == 404
    assert run_of(shared.port, run_id, B)["thread_id"] == str(UUID(conversation))


def test_another_key_s_conversation_reveals_nothing(shared: Door) -> None:
    conversation = new_conversation()
    shared.answers(openai_stream(["one"]))
    say(shared.port, conversation, "A secret.", A)
    theirs = ask(shared.port, "GET", events_path(conversation), headers=B)
    nobodys = ask(shared.port, "GET", events_path(absent := new_conversation()), headers=B)
    assert theirs.status == nobodys.status == 404
    assert theirs.text == nobodys.text.replace(absent, conversation)


@pytest.mark.timeout(480)
def test_a_conversation_of_200_turns_goes_on_in_a_window_of_1024_tokens(
    nova: NovaServer, state: State
) -> None:
    """160 of them are written down through OpenAI's door, where nobody has counted the tokens."""
    conversation = new_conversation()
    say(nova.port, conversation, "What is 1 plus 1?")
    thread = f"/v1/threads/thread_{UUID(conversation).hex}/messages"
    for number in range(160):
        for role, text in (("user", f"What is {number} plus 1?"), ("assistant", f"{number + 1}.")):
            assert ask(nova.port, "POST", thread, {"role": role, "content": text}).status == 201
    ends: dict[str, int] = {}
    used: list[int] = []
    for number in range(39):
        body = {"message": f"What is {number} plus {number}?", "conversation_id": conversation}
        with opened(nova.port, CHAT, body) as stream:
            events = stream.rest()
            run_id = stream.headers["x-run-id"]
        ends[events[-1].name] = ends.get(events[-1].name, 0) + 1
        run = eventually(lambda run_id=run_id: ended(nova.port, run_id))  # type: ignore[misc]
        used.append(run["usage"]["prompt_tokens"])
    left_out = run["details"]["left_out_items"]
    state(f"{ends}; prompts of {min(used)} to {max(used)} tokens; at last {left_out} left out")
    assert ends == {"done": 39}
    assert 250 < left_out < 398
    # As much is shown as fits: the window less a quarter for the answer, and what is put around
    # each message is rather thought too much than too little.
    assert min(used) > 550
    assert max(used) <= 768


def ended(port: int, run_id: str) -> dict[str, Any] | None:
    run = run_of(port, run_id)
    return run if run["ended_at"] else None


def test_what_an_engine_finds_too_long_is_shortened_until_it_takes_it(door: Door) -> None:
    conversation = new_conversation()
    door.answers(openai_stream(["one"]))
    for number in range(6):
        say(door.port, conversation, f"M{number}")
    too_long = json_answer(400, {"error": {"message": "the prompt exceeds the context length"}})
    door.answers(too_long, too_long, openai_stream(["short"]))
    with opened(door.port, CHAT, {"message": "Last.", "conversation_id": conversation}) as stream:
        run_id = stream.headers["x-run-id"]
        assert content(stream.rest()) == "short"
    shown = [len(messages(door, number)) for number in range(len(door.asked))]
    assert shown[0] == 13
    assert shown == sorted(shown, reverse=True)
    assert shown[-1] < 13
    run = run_of(door.port, run_id)
    assert run["details"]["left_out_items"] == 13 - shown[-1]
    told = ask(door.port, "GET", f"/api/runs/{run_id}/events").text
    assert "event: fitted" in told


def test_a_message_that_alone_is_too_long_is_refused_as_such(door: Door) -> None:
    too_long = json_answer(400, {"error": {"message": "the prompt exceeds the context length"}})
    door.answers(too_long)
    answer = ask(door.port, "POST", CHAT, {"message": "Much."})
    assert (answer.status, answer.json["code"]) == (400, "validation_error")
    assert "context" in answer.json["message"]
