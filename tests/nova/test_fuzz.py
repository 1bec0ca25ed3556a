"""Asks that hypothesis makes up, half right and half wrong: no answer is a fault of ours."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.doors import Door
from tests.http.test_fuzz import anything, maybe, mostly, texts
from tests.http.wire import ask
from tests.nova.acting import Company
from tests.nova.asking import ASK

_SETTINGS = settings(
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

asks = st.builds(
    lambda prompt, more: {"prompt": prompt, **more},
    mostly(st.text(min_size=1, max_size=40).map(lambda text: f"{text}.")),
    maybe(
        session_id=st.uuids().map(str) | texts,
        model=st.sampled_from(["scripted", "gpt-4", "absent"]),
        mode=st.sampled_from(["team", "single", "auto"]),
        include_chain=st.booleans(),
        stream=st.booleans(),
        parameters=maybe(
            temperature=st.floats(0, 2),
            seed=st.integers(0, 2**31 - 1),
            max_tokens=st.integers(1, 100),
            max_rounds=st.integers(0, 9),
            max_steps=st.integers(0, 9),
            max_total_tokens=st.integers(1, 1000),
            timeout_s=st.floats(0.01, 10),
        ),
    ),
)


def test_no_ask_is_a_fault_of_ours(door: Door, company: Company) -> None:
    seen: dict[int, int] = {}

    @_SETTINGS
    @given(mostly(asks) | anything)
    def fuzz(body: Any) -> None:
        answer = ask(door.port, "POST", ASK, b"null" if body is None else body)
        seen[answer.status] = seen.get(answer.status, 0) + 1
        assert answer.status < 500, answer.text
        if answer.status >= 400:
            assert set(answer.json) == {"detail", "code", "hint"}
        elif answer.headers["content-type"].startswith("text/event-stream"):
            last = answer.text.rstrip("\n").split("\n\n")[-1]
            assert "event: done" in last or "event: error" in last
        else:
            assert answer.json["status"] in {"completed", "incomplete"}

    fuzz()
    assert len(seen) > 1
    assert seen[200] > 10
