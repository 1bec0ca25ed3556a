"""Function calling by the model that lies in the package, through assistants and their runs."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import OpenAI

from tests.http.figures import State
from tests.servers.nova import NovaServer
from tools.tiny_model.evaluation.cases import Case
from tools.tiny_model.evaluation.client import Reply
from tools.tiny_model.evaluation.tool_suites import tool_calls

CASES = 200
# What the model reaches is in its card: 184. Sums differ a little from one processor to another.
LEAST_RIGHT = 180
_AT_ONCE = 4


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_held_out_calls_have_the_right_name_and_arguments(nova: NovaServer, state: State) -> None:
    """No value of these was in what the model learnt from, and a fifth of the tools are made up."""
    cases = tool_calls(CASES)
    with (
        OpenAI(base_url=f"{nova.url}/v1", api_key="none") as client,
        ThreadPoolExecutor(_AT_ONCE) as threads,
    ):
        replies = list(threads.map(lambda case: ask(client, case), cases))
    right = sum(case.check(reply) for case, reply in zip(cases, replies, strict=True))
    named = sum(
        bool(reply.calls) and f"'{reply.calls[0][0]}'" in case.expected
        for case, reply in zip(cases, replies, strict=True)
    )
    state(f"right name and arguments: {right}/{CASES}; right name: {named}/{CASES}")
    assert right >= LEAST_RIGHT


def ask(client: OpenAI, case: Case) -> Reply:
    """What a run that may call the case's tools asks for; all that it left is deleted."""
    tools: Any = case.tools
    system = [turn["content"] for turn in case.messages if turn["role"] == "system"]
    said: Any = [turn for turn in case.messages if turn["role"] != "system"]
    assistant = client.beta.assistants.create(
        model="nova-tiny", instructions="\n".join(system) or None, tools=tools
    )
    run = client.beta.threads.create_and_run(
        assistant_id=assistant.id,
        thread={"messages": said},
        temperature=0,
        max_completion_tokens=300,
        extra_headers={"Prefer": "wait=60"},
    )
    calls: list[tuple[str, Any]] = []
    if run.required_action is not None:
        asked = run.required_action.submit_tool_outputs.tool_calls
        calls = [(call.function.name, arguments(call.function.arguments)) for call in asked]
    text = ""
    for message in client.beta.threads.messages.list(run.thread_id, run_id=run.id):
        text += "".join(part.text.value for part in message.content if part.type == "text")
    client.beta.threads.delete(run.thread_id)
    client.beta.assistants.delete(assistant.id)
    return Reply(text, calls, run.status)


def arguments(text: str) -> Any:
    """Text that is no JSON stays text, and so is wrong."""
    try:
        return json.loads(text)
    except ValueError:
        return text
