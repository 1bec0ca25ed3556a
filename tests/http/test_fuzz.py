"""Requests that hypothesis makes up, half right and half wrong: no answer is a fault of ours."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.doors import COMPLETIONS, Door
from tests.http.figures import State
from tests.http.wire import Answer, ask
from tests.servers.answers import json_answer, openai_stream
from tests.servers.nova import NovaServer

EXAMPLES = 180
_SETTINGS = settings(
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
_FEW = settings(_SETTINGS, max_examples=40)

texts = st.text(max_size=40)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 29).flatmap(lambda roll: anything if roll == 17 else right)


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={name: mostly(one) for name, one in fields.items()})


names = st.from_regex(r"\A[A-Za-z0-9_.-]{1,20}\Z")
schemas: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        st.sampled_from([{"type": kind} for kind in ("string", "integer", "boolean", "null")])
        | st.builds(
            lambda properties: {"type": "object", "properties": properties},
            st.dictionaries(names, schemas, max_size=3),
        )
        | anything
    )
)
calls = st.fixed_dictionaries(
    {
        "id": texts,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": names, "arguments": texts}),
    }
)
messages = st.lists(
    st.fixed_dictionaries(
        {
            "role": mostly(st.sampled_from(["system", "developer", "user", "assistant", "tool"])),
            "content": mostly(
                texts | st.lists(maybe(type=st.just("text"), text=texts), max_size=3)
            ),
        },
        optional={
            "name": mostly(texts),
            "tool_calls": mostly(st.lists(calls, max_size=2)),
            "tool_call_id": mostly(texts),
        },
    ),
    min_size=1,
    max_size=5,
)
tools = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("function")},
        optional={
            "function": st.fixed_dictionaries(
                {"name": names}, optional={"description": texts, "parameters": schemas}
            )
        },
    ),
    max_size=3,
)
chats = st.fixed_dictionaries(
    {"message": mostly(texts)},
    optional={
        "conversation_id": mostly(st.uuids().map(str)),
        "model": mostly(st.sampled_from(["scripted", "gpt-4", "absent"])),
    },
)
sampling: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1),
    "top_k": st.integers(0, 100),
    "min_p": st.floats(0, 1),
    "seed": st.integers(-(2**63), 2**63 - 1),
    "stop": texts | st.lists(texts, max_size=5),
    "presence_penalty": st.floats(-2, 2),
    "frequency_penalty": st.floats(-2, 2),
    "repeat_penalty": st.floats(0.1, 10),
}
completions = st.builds(
    lambda turns, more: {"messages": turns, "max_tokens": 3, **more},
    mostly(messages),
    maybe(
        **sampling,
        model=st.sampled_from(["scripted", "gpt-4", "absent"]),
        stream=st.booleans(),
        stream_options=maybe(include_usage=st.booleans()),
        tools=tools,
        tool_choice=st.sampled_from(["auto", "none", "required"]),
        parallel_tool_calls=st.booleans(),
        response_format=st.sampled_from(["text", "json_object"]).map(lambda kind: {"type": kind})
        | schemas.map(lambda s: {"type": "json_schema", "json_schema": {"name": "n", "schema": s}}),
        n=st.just(1),
        user=texts,
        metadata=st.dictionaries(texts, texts, max_size=3),
        logit_bias=st.just({}),
        think=st.booleans(),
    ),
)
embeddings = st.builds(
    lambda given_input, more: {"input": given_input, **more},
    mostly(texts | st.lists(texts, max_size=4)),
    maybe(encoding_format=st.sampled_from(["float", "base64"]), dimensions=st.integers(1, 10)),
)
ROUTES = [("/api/v1/chat", chats), (COMPLETIONS, completions), ("/v1/embeddings", embeddings)]


def well_formed(path: str, answer: Answer) -> bool:
    """A refusal has its door's form; a stream ends with a word of its own."""
    if answer.status >= 400:
        said = answer.json
        return set(said) == ({"code", "message"} if path.startswith("/api") else {"error"})
    if answer.headers["content-type"].startswith("text/event-stream"):
        last = re.sub(r"\A(: ping\n|id: \d+\n)*", "", answer.text.rstrip("\n").split("\n\n")[-1])
        return last == "data: [DONE]" or last.startswith(
            ("event: done", "event: error", 'data: {"error"')
        )
    return isinstance(answer.json, dict)


@pytest.mark.parametrize(("path", "bodies"), ROUTES, ids=[path for path, _ in ROUTES])
def test_no_request_is_a_fault_of_ours(
    door: Door, path: str, bodies: st.SearchStrategy[Any], state: State
) -> None:
    seen: dict[int, int] = {}
    door.answers(openai_stream(["a"]))
    rows = [{"index": index, "embedding": [0.5, 0.25]} for index in range(4)]
    door.upstream.on("POST", "/v1/embeddings", json_answer(200, {"data": rows}))

    @_SETTINGS
    @given(mostly(bodies))
    def fuzz(body: Any) -> None:
        answer = ask(door.port, "POST", path, b"null" if body is None else body)
        seen[answer.status] = seen.get(answer.status, 0) + 1
        # 502 is the scripted engine's, which gives four embeddings and calls no tool it must.
        assert answer.status < 500 or answer.status == 502, answer.text
        assert well_formed(path, answer)

    fuzz()
    state(f"{sum(seen.values())} requests, answered {dict(sorted(seen.items()))}")
    assert sum(seen.values()) >= EXAMPLES
    assert len(seen) > 1


@pytest.mark.parametrize(("path", "bodies"), ROUTES, ids=[path for path, _ in ROUTES])
def test_nor_with_a_real_model(
    nova: NovaServer, path: str, bodies: st.SearchStrategy[Any], state: State
) -> None:
    seen: dict[int, int] = {}

    @_FEW
    @given(bodies)
    def fuzz(body: Any) -> None:
        if isinstance(body, dict):
            body.pop("model", None)
        answer = ask(nova.port, "POST", path, b"null" if body is None else body)
        seen[answer.status] = seen.get(answer.status, 0) + 1
        assert answer.status < 500 or answer.status in {503, 504}, (body, answer.text)
        assert well_formed(path, answer)

    fuzz()
    state(f"{sum(seen.values())} requests, answered {dict(sorted(seen.items()))}")
    assert "Traceback" not in nova.log_path.read_text()
