"""Sessions: what a later ask knows, who waits, what lists show, and what is deleted."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.http.doors import Door, open_door
from tests.http.wire import Answer, ask, eventually, opened
from tests.nova.acting import Company, Says, Stalls, engine
from tests.nova.asking import ASK, asked, chain, ended, entry, read, until
from tests.servers.nova import nova_server
from tests.servers.scripted import ScriptedServer

SESSIONS = "/api/nova/sessions"


def told(company: Company, agent: str) -> list[str]:
    """What that agent was shown when it was last asked, less its instructions."""
    return [m["content"] for m in company.asked(agent)[-1].messages[1:]]


def test_a_second_ask_knows_the_first(door: Door, company: Company) -> None:
    company.plays(single="Nice to meet you, Ada!")
    first = asked(door.port, "My name is Ada.", mode="single")
    session = first["session_id"]
    company.plays()
    asked(door.port, "What is my name?", mode="single", session_id=session)
    turns = ["My name is Ada.", "Nice to meet you, Ada!"]
    assert told(company, "single") == [*turns, "What is my name?"]
    asked(door.port, "What is my name and what is A?", mode="team", session_id=session)
    assert told(company, "planner")[:2] == turns
    assert told(company, "planner")[-1] == "What is my name and what is A?"
    assert told(company, "executor")[:2] == turns
    # Those who only see the results are told nothing else.
    assert len(told(company, "closer")) == 1


def test_chat_and_nova_share_a_conversation(door: Door, company: Company) -> None:
    company.plays()
    session = asked(door.port, "My name is Ada.", mode="single")["session_id"]
    thread = f"/v1/threads/thread_{session.replace('-', '')}/messages"
    listed = ask(door.port, "GET", f"{thread}?order=asc").json["data"]
    assert [one["content"][0]["text"]["value"] for one in listed] == [
        "My name is Ada.",
        "Alone: My name is Ada.",
    ]


def test_a_new_session_may_have_a_name(door: Door, company: Company) -> None:
    name = str(uuid.uuid4())
    assert asked(door.port, "Hi.", mode="single", session_id=name)["session_id"] == name
    assert ask(door.port, "GET", f"{SESSIONS}/{name}").json["title"] == "Hi."


def test_two_asks_on_one_session_wait_for_each_other(door: Door, company: Company) -> None:
    company.plays(single=Says("one two three", pause_s=0.1))
    session = str(uuid.uuid4())
    with ThreadPoolExecutor(3) as clients:
        asks = []
        for number in range(3):
            asks.append(
                clients.submit(asked, door.port, f"Q{number}", mode="single", session_id=session)
            )
            time.sleep(0.1)
        answers = [one.result(60) for one in asks]
    assert [answer["status"] for answer in answers] == ["completed"] * 3
    items = ask(door.port, "GET", f"{SESSIONS}/{session}").json["items"]
    assert [one["text"] for one in items[::2]] == ["Q0", "Q1", "Q2"]
    assert [one["role"] for one in items] == ["user", "assistant"] * 3
    # The last one was shown both before it.
    assert len(told(company, "single")) == 5


def test_too_many_asks_on_one_session_are_refused(tmp_path: Path) -> None:
    with open_door(tmp_path, {"NOVA_MAX_WAITING_TURNS": "1"}) as door:
        company = Company(door.upstream)
        company.plays(single=Stalls())
        session = str(uuid.uuid4())
        body = {"prompt": "Hi.", "mode": "single", "session_id": session, "stream": True}
        with opened(door.port, ASK, body) as first, ThreadPoolExecutor(1) as clients:
            until(first, "token")
            plain = {**body, "stream": False}
            waiting = clients.submit(ask, door.port, "POST", ASK, plain)
            refused = eventually(lambda: refusal(door, plain))
            assert refused.json["code"] == "overloaded"
            assert int(refused.headers["retry-after"]) > 0
            company.plays()
            run_id = first.headers["x-run-id"]
            assert ask(door.port, "POST", f"/api/nova/asks/{run_id}/cancel").status == 200
            assert waiting.result(60).json["status"] == "completed"


def refusal(door: Door, body: object) -> Answer | None:
    try:
        answer = ask(door.port, "POST", ASK, body, timeout_s=0.5)
    except TimeoutError:
        # It waits in line, which leaving takes back.
        return None
    return answer if answer.status == 429 else None


def test_lists_are_paged(tmp_path: Path) -> None:
    with open_door(tmp_path) as door:
        company = Company(door.upstream)
        company.plays()
        made = [asked(door.port, f"Q{n}", mode="single")["session_id"] for n in range(5)]
        ask(door.port, "POST", "/v1/threads", {})
        pages = []
        after = ""
        while True:
            page = ask(door.port, "GET", f"{SESSIONS}?limit=2{after}").json
            pages.append([one["session_id"] for one in page["data"]])
            assert page["last_id"] == pages[-1][-1]
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
        # A thread on which nothing was asked is none.
        assert pages == [made[4:2:-1], made[2:0:-1], made[:1]]
        assert ask(door.port, "GET", f"{SESSIONS}?after={uuid.uuid4()}").status == 400
        assert ask(door.port, "GET", f"{SESSIONS}?after=7").status == 422
        assert ask(door.port, "GET", f"{SESSIONS}?limit=0").status == 422


def test_a_session_shows_what_was_said_and_its_asks(door: Door, company: Company) -> None:
    first = asked(door.port, "Q1", mode="single")
    session = first["session_id"]
    second = asked(door.port, "Q2", mode="team", session_id=session)
    shown = ask(door.port, "GET", f"{SESSIONS}/{session}").json
    assert (shown["title"], shown["messages"], shown["active_run"]) == ("Q1", 4, None)
    assert [one["run_id"] for one in shown["asks"]] == [first["run_id"], second["run_id"]]
    assert [one["mode"] for one in shown["asks"]] == ["single", "team"]
    assert shown["asks"][0]["usage"]["total_tokens"] > 0


def test_a_session_is_deleted_with_all_that_was_said(door: Door, company: Company) -> None:
    company.plays(single=["First.", Stalls()])
    session = asked(door.port, "Q1", mode="single")["session_id"]
    body = {"prompt": "Q2", "mode": "single", "session_id": session, "stream": True}
    with opened(door.port, ASK, body) as stream:
        until(stream, "token")
        run_id = stream.headers["x-run-id"]
        gone = ask(door.port, "DELETE", f"{SESSIONS}/{session}")
        assert gone.json == {"session_id": session, "deleted": True}
    door.upstream.wait_for(lambda _: company.asked("single")[-1].seen.client_left_at_ns)
    assert ask(door.port, "GET", f"{SESSIONS}/{session}").status == 404
    assert ask(door.port, "DELETE", f"{SESSIONS}/{session}").status == 404
    assert ask(door.port, "GET", f"/api/nova/asks/{run_id}").status == 404


def test_another_owner_s_session_is_not_there(tmp_path: Path) -> None:
    keys = ("a" * 20, "b" * 20)
    mine, yours = ({"authorization": f"Bearer {key}"} for key in keys)
    with open_door(tmp_path, {"NOVA_API_KEYS": ",".join(keys)}) as door:
        company = Company(door.upstream)
        company.plays()
        answer = asked(door.port, "My name is Ada.", mine, mode="single")
        session, run_id = answer["session_id"], answer["run_id"]
        for path in (
            f"{SESSIONS}/{session}",
            f"/api/nova/asks/{run_id}",
            f"/api/nova/asks/{run_id}/events",
        ):
            assert ask(door.port, "GET", path, headers=yours).status == 404
        assert ask(door.port, "DELETE", f"{SESSIONS}/{session}", headers=yours).status == 404
        cancelled = ask(door.port, "POST", f"/api/nova/asks/{run_id}/cancel", headers=yours)
        assert cancelled.status == 404
        assert ask(door.port, "GET", SESSIONS, headers=yours).json["data"] == []
        # The same id is another session of theirs.
        asked(door.port, "Who am I?", yours, mode="single", session_id=session)
        assert told(company, "single") == ["Who am I?"]
        assert len(ask(door.port, "GET", f"{SESSIONS}/{session}", headers=mine).json["items"]) == 2


def test_what_another_session_said_is_recalled_and_shown(tmp_path: Path) -> None:
    with open_door(tmp_path) as door:
        company = Company(door.upstream)
        company.plays(single="Noted.")
        before = asked(door.port, "My favourite colour is turquoise.", mode="single")
        # A question tells nothing.
        asked(door.port, "What is my favourite colour called in French?", mode="single")
        company.plays()
        answer = asked(door.port, "Which colour is my favourite?", mode="single")
        assert answer["session_id"] != before["session_id"]
        assert chain(answer) == ["memory", "single"]
        (found,) = entry(answer, "memory")["recalled"]
        assert found["text"] == "My favourite colour is turquoise."
        assert found["session_id"] == before["session_id"]
        assert any("turquoise" in text for text in told(company, "single")[:-1])
        # What is erased is not recalled.
        assert ask(door.port, "DELETE", "/api/nova/memory").json["erased"] > 0
        again = asked(door.port, "Which colour is my favourite?", mode="single")
        assert all("turquoise" not in text for text in told(company, "single"))
        assert read(door.port, again["run_id"])["status"] == "completed"
        assert ended(door.port, answer["run_id"]) == answer


def test_a_long_session_is_fitted_into_the_window(tmp_path: Path, scripted: ScriptedServer) -> None:
    with nova_server(tmp_path, engine(scripted, max_model_len=2048)) as server:
        company = Company(scripted)
        company.plays(single="word " * 300)
        session = str(uuid.uuid4())
        for number in range(6):
            asked(server.port, f"Q{number} " + "long " * 60, mode="single", session_id=session)
        shown = told(company, "single")
        assert 1 < len(shown) < 11
        assert shown[-1].startswith("Q5")
        assert shown[-3].startswith("Q4")
