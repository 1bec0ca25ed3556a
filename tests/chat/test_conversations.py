"""A turn's options, a turn instead of an earlier one, and conversations as they are looked at."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chat.asking import CHAT, new_conversation, run_of, say
from tests.http.doors import Door, open_door
from tests.http.wire import Answer, ask, eventually, opened
from tests.servers.answers import Stall, openai_chunk, openai_stream, sse
from tests.servers.nova import NovaServer

LIST = "/api/conversations"
ASYNC = {"prefer": "respond-async"}


def turn(door: Door, conversation: str, message: str, **more: object) -> Answer:
    body = {"message": message, "conversation_id": conversation, **more}
    return ask(door.port, "POST", CHAT, body)


def read(door: Door, conversation: str, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = ask(door.port, "GET", f"{LIST}/{conversation}{query}").json
    return found


def said(door: Door, conversation: str) -> list[str]:
    return [message["content"] for message in read(door, conversation)["messages"]]


def shown(door: Door) -> list[str]:
    return [message["content"] for message in door.asked[-1].json["messages"]]


def titles(door: Door, query: str = "", headers: dict[str, str] | None = None) -> list[str]:
    found = ask(door.port, "GET", f"{LIST}{query}", headers=headers).json
    return [row["title"] for row in found["data"]]


def three_turns(door: Door) -> str:
    conversation = new_conversation()
    door.answers(openai_stream(["one"]), openai_stream(["two"]), openai_stream(["three"]))
    for message in ("A", "B", "C"):
        say(door.port, conversation, message)
    return conversation


def test_what_a_turn_asks_for_reaches_the_engine_and_holds_for_it_alone(door: Door) -> None:
    door.answers(openai_stream(["one"]), openai_stream(["two"]))
    conversation = new_conversation()
    asked = {"temperature": 0.25, "top_p": 0.5, "seed": 7, "max_tokens": 9}
    assert turn(door, conversation, "A", system="Be brief.", **asked).status == 200
    first = door.asked[0].json
    assert {name: first[name] for name in asked} == asked
    assert first["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A"},
    ]
    turn(door, conversation, "B")
    assert not set(asked) & set(door.asked[1].json)
    assert shown(door) == ["A", "one", "B"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 3},
        {"temperature": "hot"},
        {"top_p": -1},
        {"max_tokens": 0},
        {"seed": 1.5},
        {"system": 5},
        {"system": "x" * 32_001},
        {"instead_of": ""},
        {"instead_of": "msg_\0"},
    ],
    ids=lambda wrong: ascii(wrong)[:40],
)
def test_options_that_do_not_fit_are_refused_by_name(door: Door, wrong: dict[str, Any]) -> None:
    answer = turn(door, new_conversation(), "A", **wrong)
    assert (answer.status, answer.json["code"]) == (422, "validation_error")
    assert next(iter(wrong)) in answer.json["message"]


def test_a_turn_may_stand_instead_of_an_earlier_message_and_what_came_after(door: Door) -> None:
    conversation = three_turns(door)
    second = read(door, conversation)["messages"][2]
    assert (second["role"], second["content"]) == ("user", "B")
    door.answers(openai_stream(["other"]))
    assert turn(door, conversation, "B2", instead_of=second["id"]).status == 200
    assert shown(door) == ["A", "one", "B2"]
    assert said(door, conversation) == ["A", "one", "B2", "other"]
    turn(door, conversation, "C2")
    assert shown(door) == ["A", "one", "B2", "other", "C2"]


def test_only_a_message_of_the_users_own_can_be_replaced(door: Door) -> None:
    conversation, other = three_turns(door), three_turns(door)
    answer_id = read(door, conversation)["messages"][1]["id"]
    foreign = read(door, other)["messages"][0]["id"]
    for item_id in (answer_id, foreign, "msg_none"):
        answer = turn(door, conversation, "X", instead_of=item_id)
        assert (answer.status, answer.json["code"]) == (404, "validation_error")
    assert said(door, conversation) == said(door, other) == ["A", "one", "B", "two", "C", "three"]


def test_it_waits_for_the_answer_that_is_being_given(door: Door) -> None:
    conversation = new_conversation()
    door.answers([*openai_stream(["slow"])[:2], Stall()], openai_stream(["new"]))
    begun = ask(door.port, "POST", CHAT, {"message": "A", "conversation_id": conversation}, ASYNC)
    assert begun.status == 202
    first = read(door, conversation)["messages"][0]["id"]
    answers: list[Answer] = []
    again = threading.Thread(
        target=lambda: answers.append(turn(door, conversation, "A2", instead_of=first))
    )
    again.start()
    run_id = begun.json["run_id"]
    eventually(lambda: run_of(door.port, run_id)["status"] == "in_progress")
    assert said(door, conversation)[0] == "A"
    assert ask(door.port, "POST", f"/api/runs/{run_id}/cancel").status == 200
    again.join(20)
    assert answers[0].status == 200
    assert said(door, conversation) == ["A2", "new"]


def test_a_turn_goes_on_by_itself_where_that_is_preferred(door: Door) -> None:
    conversation = new_conversation()
    door.answers(openai_stream(["a", "b"]))
    begun = ask(door.port, "POST", CHAT, {"message": "A", "conversation_id": conversation}, ASYNC)
    assert begun.status == 202
    assert begun.headers["preference-applied"] == "respond-async"
    assert begun.json["conversation_id"] == conversation
    assert begun.headers["location"] == f"/api/runs/{begun.json['run_id']}"
    with opened(door.port, f"{begun.headers['location']}/events") as stream:
        events = stream.rest()
    assert "".join(e.json["data"]["text"] for e in events if e.name == "text") == "ab"
    assert events[-1].json["data"]["status"] == "completed"
    assert said(door, conversation) == ["A", "ab"]


def test_what_is_refused_is_refused_there_too(door: Door) -> None:
    body = {"message": "A", "model": "nobody"}
    answer = ask(door.port, "POST", CHAT, body, ASYNC)
    assert (answer.status, answer.json["code"]) == (404, "validation_error")


def test_an_answer_is_listed_with_its_figures(nova: NovaServer) -> None:
    conversation = new_conversation()
    say(nova.port, conversation, "What is 2+3?")
    found = ask(nova.port, "GET", f"{LIST}/{conversation}").json
    question, answer = found["messages"]
    assert (question["role"], question["ttft_s"], question["tokens_per_s"]) == ("user", None, None)
    assert (answer["role"], answer["model"]) == ("assistant", "nova-tiny")
    assert answer["tokens"] > 0
    assert 0 <= answer["ttft_s"] <= answer["seconds"]


def test_conversations_are_listed_by_their_newest_turn_and_paged(own: Door) -> None:
    own.answers(openai_stream(["one"]))
    ids = [new_conversation() for _ in range(5)]
    for number, conversation in enumerate(ids):
        turn(own, conversation, f"Conversation {number}")
    turn(own, ids[1], "More")
    expected = [f"Conversation {number}" for number in (1, 4, 3, 2, 0)]
    assert titles(own) == expected
    seen, after = list[str](), ""
    while True:
        page = ask(own.port, "GET", f"{LIST}?limit=2{after}").json
        seen += [row["title"] for row in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert seen == expected
    # A thread that no chat has held is no conversation.
    ask(own.port, "POST", "/v1/threads", {"messages": [{"role": "user", "content": "No."}]})
    assert titles(own) == expected


def test_a_long_conversation_is_read_from_its_end(own: Door) -> None:
    conversation = three_turns(own)
    newest = read(own, conversation, "?limit=2")
    assert [m["content"] for m in newest["messages"]] == ["C", "three"]
    assert newest["has_more"]
    first = newest["messages"][0]["id"]
    before = read(own, conversation, f"?limit=4&before={first}")
    assert [m["content"] for m in before["messages"]] == ["A", "one", "B", "two"]
    assert not before["has_more"]


def test_a_conversation_is_named_and_loses_its_name(own: Door) -> None:
    own.answers(openai_stream(["one"]))
    conversation = new_conversation()
    turn(own, conversation, "What  is\n" + "x" * 200)
    assert titles(own)[0] == "What is " + "x" * 71 + "…"
    named = ask(own.port, "PATCH", f"{LIST}/{conversation}", {"title": "  My   sums "})
    assert (named.status, named.json["title"]) == (200, "My sums")
    assert titles(own)[0] == "My sums"
    ask(own.port, "PATCH", f"{LIST}/{conversation}", {"title": None})
    assert titles(own)[0].startswith("What is x")
    for wrong in ({}, {"title": "x" * 121}, {"title": 5}, {"name": "x"}):
        assert ask(own.port, "PATCH", f"{LIST}/{conversation}", wrong).status == 422


def test_a_deleted_conversation_is_gone_and_its_answer_stops(own: Door) -> None:
    conversation = new_conversation()
    own.answers([*openai_stream(["slow"])[:2], Stall()])
    body = {"message": "A", "conversation_id": conversation}
    assert ask(own.port, "POST", CHAT, body, ASYNC).status == 202
    eventually(lambda: own.asked)
    assert ask(own.port, "DELETE", f"{LIST}/{conversation}").status == 204
    eventually(lambda: own.asked[0].client_left_at_ns)
    assert ask(own.port, "GET", f"{LIST}/{conversation}").status == 404
    assert ask(own.port, "DELETE", f"{LIST}/{conversation}").status == 404
    assert titles(own) == [] or "A" not in titles(own)


def test_the_list_is_there_while_an_answer_is_being_written(own: Door) -> None:
    conversation = new_conversation()
    own.answers([*sse(openai_chunk({"content": "begun"}), done=False)[:-1], Stall()])
    body = {"message": "A", "conversation_id": conversation}
    assert ask(own.port, "POST", CHAT, body, ASYNC).status == 202
    eventually(lambda: len(said(own, conversation)) == 2)
    page = ask(own.port, "GET", f"/chat/list?here={conversation}")
    assert page.status == 200
    assert conversation.encode() in page.body
    assert ask(own.port, "DELETE", f"{LIST}/{conversation}").status == 204


def test_another_owners_conversations_are_not_there(own: Door) -> None:
    theirs, ours = ({"authorization": f"Bearer {key}"} for key in ("key-one", "key-two"))
    conversation = new_conversation()
    with open_door(own.server.log_path.parent / "two", {"NOVA_API_KEYS": "key-one,key-two"}) as two:
        two.answers(openai_stream(["one"]))
        say(two.port, conversation, "Secret.", theirs)
        at = f"{LIST}/{conversation}"
        assert titles(two, headers=theirs) == ["Secret."]
        assert titles(two, headers=ours) == []
        assert ask(two.port, "GET", at, headers=ours).status == 404
        assert ask(two.port, "PATCH", at, {"title": "Mine"}, ours).status == 404
        assert ask(two.port, "DELETE", at, headers=ours).status == 404
        assert ask(two.port, "GET", f"{LIST}?after={conversation}", headers=ours).status == 404
        assert titles(two, headers=theirs) == ["Secret."]


@pytest.mark.parametrize("wrong", ["nothing", "f" * 32, "%00"])
def test_what_is_no_uuid_is_told_apart_from_what_is_not_there(own: Door, wrong: str) -> None:
    answer = ask(own.port, "GET", f"{LIST}/{wrong}")
    assert (answer.status, answer.json["code"]) == (422, "validation_error")
    assert ask(own.port, "GET", f"{LIST}?after={wrong}").status == 422
    assert ask(own.port, "GET", f"{LIST}/{new_conversation()}?before=%00").status == 422


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server without any conversation yet."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "two").mkdir()
    with open_door(folder) as opened_door:
        yield opened_door
