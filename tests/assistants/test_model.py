"""The official client against the embedded model: the whole walk, as its users write it."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import APIError, AssistantEventHandler, BadRequestError, NotFoundError, OpenAI
from openai.types.beta.threads import Text, TextDelta

from tests.assistants.asking import TOOL, Asker
from tests.servers.answers import sse
from tests.servers.nova import NovaServer

# The client says so of its own methods; this server means to keep them.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


@pytest.fixture
def client(nova: NovaServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{nova.url}/v1", api_key="none", max_retries=0) as one:
        yield one


def texts(client: OpenAI, thread_id: str) -> list[str]:
    return [
        part.text.value
        for message in client.beta.threads.messages.list(thread_id, order="asc", limit=2)
        for part in message.content
        if part.type == "text"
    ]


def test_a_name_told_three_turns_before_is_known(client: OpenAI) -> None:
    assistant = client.beta.assistants.create(model="nova-tiny", temperature=0)
    thread = client.beta.threads.create()
    runs = client.beta.threads.runs
    for said in ("My name is Anna.", "What is 2+3?", "Hello.", "What is my name?"):
        client.beta.threads.messages.create(thread.id, role="user", content=said)
        run = runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        assert run.status == "completed"
        assert run.usage is not None
        assert run.usage.total_tokens > run.usage.completion_tokens > 0
    read = texts(client, thread.id)
    assert len(read) == 8
    assert "5" in read[3]
    assert "Anna" in read[-1]


def test_messages_get_the_engine_s_own_token_counts(client: OpenAI) -> None:
    assistant = client.beta.assistants.create(model="nova-tiny", temperature=0)
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "What is 2+3?"}])
    client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    user, answer = client.beta.threads.messages.list(thread.id, order="asc").data
    counted: list[Any] = [message.to_dict() for message in (user, answer)]
    assert all(message["token_count"] > 0 for message in counted)
    assert counted[1]["token_count_exact"] is True


class _Teller(AssistantEventHandler):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.done: list[str] = []

    def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        self.text += delta.value or ""
        assert snapshot.value == self.text

    def on_text_done(self, text: Text) -> None:
        self.done.append(text.value)


def test_a_stream_with_an_event_handler(client: OpenAI) -> None:
    assistant = client.beta.assistants.create(model="nova-tiny")
    thread = client.beta.threads.create(
        messages=[{"role": "user", "content": "Tell me a short story."}]
    )
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant.id, event_handler=_Teller()
    ) as stream:
        stream.until_done()
    assert stream.done == [stream.text]
    assert texts(client, thread.id)[-1] == stream.text
    assert len(stream.text) > 20


def test_a_function_is_called_and_its_output_is_used(client: OpenAI) -> None:
    assistant = client.beta.assistants.create(
        model="nova-tiny", tools=[TOOL], temperature=0  # type: ignore[list-item]
    )  # fmt: skip
    for streamed in (False, True):
        thread = client.beta.threads.create(
            messages=[{"role": "user", "content": "What is the weather in Paris?"}]
        )
        runs = client.beta.threads.runs
        run = runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        assert run.status == "requires_action"
        assert run.required_action is not None
        (call,) = run.required_action.submit_tool_outputs.tool_calls
        assert (call.function.name, call.function.arguments) == (
            "get_weather",
            '{"city": "Paris"}',
        )
        outputs: Any = [{"tool_call_id": call.id, "output": "18 degrees"}]
        if streamed:
            with runs.submit_tool_outputs_stream(
                run_id=run.id, thread_id=thread.id, tool_outputs=outputs
            ) as stream:
                done = stream.get_final_run()
        else:
            done = runs.submit_tool_outputs_and_poll(
                run_id=run.id, thread_id=thread.id, tool_outputs=outputs
            )
        assert done.status == "completed"
        assert "18" in texts(client, thread.id)[-1]


def test_an_answer_fits_its_schema(client: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["Anna", "Ben"]}},
        "required": ["name"],
        "additionalProperties": False,
    }
    assistant = client.beta.assistants.create(
        model="nova-tiny",
        response_format={"type": "json_schema", "json_schema": {"name": "who", "schema": schema}},
    )
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Who is it?"}])
    client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert texts(client, thread.id)[-1].replace(" ", "") in {
        '{"name":"Anna"}',
        '{"name":"Ben"}',
    }


def test_the_client_s_own_errors(client: OpenAI) -> None:
    thread = client.beta.threads.create()
    with pytest.raises(NotFoundError, match="asst_0"):
        client.beta.threads.runs.create(thread.id, assistant_id="asst_0")
    with pytest.raises(BadRequestError, match="file_search"):
        client.beta.assistants.create(model="nova-tiny", tools=[{"type": "file_search"}])


def test_a_failed_run_raises_in_a_stream_and_not_in_a_poll(asker: Asker) -> None:
    asker.door.answers(sse(b"data: {\n\n"))
    thread_id, assistant_id = asker.thread("Hi."), asker.assistant()
    with OpenAI(base_url=f"{asker.door.server.url}/v1", api_key="none", max_retries=0) as client:
        runs = client.beta.threads.runs
        with (
            runs.stream(thread_id=thread_id, assistant_id=assistant_id) as stream,
            pytest.raises(APIError),
        ):
            stream.until_done()
        assert stream.current_run is not None
        assert stream.current_run.status == "failed"
        polled = runs.create_and_poll(thread_id=thread_id, assistant_id=assistant_id)
        assert polled.status == "failed"
