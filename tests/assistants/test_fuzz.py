"""Requests that hypothesis makes up, half right and half wrong: no answer is a fault of ours."""

from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.assistants.asking import TOOL, Asker
from tests.http.figures import State
from tests.http.test_fuzz import anything, maybe, mostly, names, schemas, texts
from tests.servers.answers import openai_stream

_SETTINGS = settings(
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

metadata = st.dictionaries(texts, texts, max_size=3)
parts = st.lists(maybe(type=st.just("text"), text=texts), max_size=3)
message = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]), "content": mostly(texts | parts)},
    optional={"metadata": mostly(metadata), "attachments": mostly(st.just([]))},
)
messages = mostly(st.lists(message, max_size=3))
functions = st.fixed_dictionaries(
    {"name": names}, optional={"description": texts, "parameters": mostly(schemas)}
)
tools = st.lists(
    st.fixed_dictionaries({"type": st.just("function"), "function": functions}) | st.just(TOOL),
    max_size=3,
)
forms = st.sampled_from(["auto", {"type": "text"}, {"type": "json_object"}]) | schemas.map(
    lambda one: {"type": "json_schema", "json_schema": {"name": "n", "schema": one}}
)
resources = mostly(st.sampled_from([None, {}, {"file_search": {}}]))
own = {
    "instructions": texts,
    "tools": tools,
    "metadata": metadata,
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1),
    "response_format": forms,
}
assistants = st.builds(
    lambda model, more: {"model": model, **more},
    mostly(st.sampled_from(["scripted", "gpt-4", "absent"])),
    maybe(**own, name=texts, description=texts, tool_resources=resources),
)
threads = maybe(messages=messages, metadata=metadata, tool_resources=resources)
choices = st.sampled_from(["auto", "none", "required"]) | names.map(
    lambda name: {"type": "function", "function": {"name": name}}
)
strategies = st.sampled_from([{"type": "auto"}, {"type": "last_messages", "last_messages": 2}])
options = maybe(
    **own,
    model=st.sampled_from(["scripted", "gpt-4", "absent"]),
    additional_instructions=texts,
    additional_messages=messages,
    thread=threads,
    max_prompt_tokens=st.integers(1, 10**9),
    max_completion_tokens=st.integers(1, 10**9),
    truncation_strategy=strategies,
    tool_choice=choices,
    parallel_tool_calls=st.booleans(),
    stream=st.booleans(),
)
ids = mostly(st.sampled_from(["asst_0", "a\x00b", "x" * 300])) | texts


def well_formed(asker: Asker, method: str, path: str, body: object = None) -> int:
    sent = b"null" if body is None and method == "POST" else body
    answer = asker.ask(method, path, sent, {"prefer": "wait=20"})
    # 502 is the scripted engine's, which calls no tool that it must.
    assert answer.status < 500, (method, path, body, answer.text)
    if answer.headers["content-type"].startswith("text/event-stream"):
        assert answer.text.endswith("event: done\ndata: [DONE]\n\n")
    else:
        assert isinstance(answer.json, dict)
        assert ("error" in answer.json) == (answer.status >= 400)
    return answer.status


def test_no_request_is_a_fault_of_ours(asker: Asker, state: State) -> None:
    asker.door.answers(openai_stream(["a"]))
    assistant_id = asker.assistant()
    seen: dict[int, int] = {}

    @_SETTINGS
    @given(mostly(assistants), mostly(threads), mostly(message), mostly(options))
    def fuzz(assistant: Any, thread: Any, said: Any, run: Any) -> None:
        thread_id = asker.thread("Hi.")
        if isinstance(run, dict):
            run.setdefault("assistant_id", assistant_id)
        there = "thread" in run if isinstance(run, dict) else False
        for path, body in (
            ("/assistants", assistant),
            (f"/assistants/{asker.assistant()}", assistant),
            ("/threads", thread),
            (f"/threads/{thread_id}", thread),
            (f"/threads/{thread_id}/messages", said),
            ("/threads/runs" if there else f"/threads/{thread_id}/runs", run),
        ):
            status = well_formed(asker, "POST", path, body)
            seen[status] = seen.get(status, 0) + 1

    fuzz()
    state(f"{sum(seen.values())} requests, answered {dict(sorted(seen.items()))}")
    assert {201, 400, 422} <= set(seen)


def test_no_address_is_a_fault_of_ours(asker: Asker) -> None:
    asker.door.answers(openai_stream(["a"]))
    thread_id, assistant_id = asker.thread("Hi."), asker.assistant()
    run = asker.run(thread_id, assistant_id)

    @_SETTINGS
    @given(ids.filter(bool), anything)
    def fuzz(shown: object, more: object) -> None:
        one = quote(str(shown), safe="")
        query = quote(str(more), safe="")
        for path in (
            f"/assistants/{one}",
            f"/threads/{one}",
            f"/threads/{thread_id}/messages/{one}",
            f"/threads/{thread_id}/runs/{one}",
            f"{asker.path(run)}/steps/{one}",
            f"/assistants?after={one}",
            f"/threads/{thread_id}/messages?before={one}&run_id={query}",
            f"/threads/{thread_id}/runs?limit={query}",
        ):
            well_formed(asker, "GET", path)

    fuzz()
