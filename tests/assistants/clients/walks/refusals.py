"""What is refused, with which error of the client's, and after how many tries."""

import functools
from typing import Any

import openai

from tests.assistants.clients.walks.objects import TOOL
from tests.assistants.clients.walks.people import MODEL, asked, refused
from tests.assistants.clients.walks.witness import Witness

__all__ = [
    "a_busy_thread_is_not_tried_twice",
    "headers_are_there",
    "nothing_is_found_under_a_wrong_name",
    "what_cannot_be_done_is_refused",
    "what_does_not_fit_is_unprocessable",
]

NONE = "0" * 32


def nothing_is_found_under_a_wrong_name(witness: Witness) -> Any:
    with witness.client() as client:
        beta, runs = client.beta, client.beta.threads.runs
        assistant_id, thread_id = asked(client, "say Hi.")
        asks = [
            lambda: beta.assistants.retrieve(f"asst_{NONE}"),
            lambda: beta.assistants.update(f"asst_{NONE}", name="x"),
            lambda: beta.threads.retrieve(f"thread_{NONE}"),
            lambda: beta.threads.update(f"thread_{NONE}", metadata={}),
            lambda: beta.threads.delete("thread_nonsense"),
            lambda: beta.threads.messages.retrieve(f"msg_{NONE}", thread_id=thread_id),
            lambda: beta.threads.messages.delete(f"msg_{NONE}", thread_id=thread_id),
            lambda: beta.threads.messages.list(f"thread_{NONE}"),
            lambda: runs.retrieve(f"run_{NONE}", thread_id=thread_id),
            lambda: runs.cancel(f"run_{NONE}", thread_id=thread_id),
            lambda: runs.steps.list(f"run_{NONE}", thread_id=thread_id),
            lambda: runs.create(f"thread_{NONE}", assistant_id=assistant_id),
            lambda: runs.create(thread_id, assistant_id=f"asst_{NONE}"),
        ]
        errors = [refused(openai.NotFoundError, ask) for ask in asks]
        assert all(error.code for error in errors)
        assert f"thread_{NONE}" in str(errors[2])
        # Another thread's message and run are not to be had through this one.
        other = beta.threads.create(messages=[{"role": "user", "content": "say Other."}])
        (message,) = beta.threads.messages.list(other.id).data
        refused(
            openai.NotFoundError,
            lambda: beta.threads.messages.retrieve(message.id, thread_id=thread_id),
        )
        run = runs.create_and_poll(
            thread_id=other.id, assistant_id=assistant_id, poll_interval_ms=20
        )
        refused(openai.NotFoundError, lambda: runs.retrieve(run.id, thread_id=thread_id))
        return len(errors)


def a_busy_thread_is_not_tried_twice(witness: Witness) -> Any:
    with witness.client(max_retries=2) as client:
        assistant_id, thread_id = asked(client, "stall")
        runs = client.beta.threads.runs
        run = runs.create(thread_id, assistant_id=assistant_id)
        before = len(witness.requests)
        error = refused(
            openai.BadRequestError, lambda: runs.create(thread_id, assistant_id=assistant_id)
        )
        assert len(witness.requests) == before + 1
        assert error.type == "invalid_request_error"
        assert run.id in error.message
        assert thread_id in error.message
        runs.cancel(run.id, thread_id=thread_id)
        assert runs.poll(run.id, thread_id=thread_id, poll_interval_ms=20).status == "cancelled"
        return error.message


def what_does_not_fit_is_unprocessable(witness: Witness) -> Any:
    with witness.client() as client:
        assistants, threads = client.beta.assistants, client.beta.threads
        assistant_id, thread_id = asked(client, "say Hi.")
        wrong: Any = 7
        asks = [
            lambda: assistants.create(model=wrong),
            lambda: assistants.create(model=MODEL, temperature=9),
            lambda: assistants.create(model=MODEL, name="n" * 257),
            lambda: assistants.create(model=MODEL, description="d" * 513),
            lambda: assistants.create(model=MODEL, instructions="i" * 256_001),
            lambda: assistants.create(model=MODEL, tools=[TOOL] * 129),
            lambda: assistants.create(model=MODEL, metadata={f"k{n}": "v" for n in range(17)}),
            lambda: assistants.create(model=MODEL, metadata={"k" * 65: "v"}),
            lambda: assistants.create(model=MODEL, metadata={"k": "v" * 513}),
            lambda: threads.messages.create(thread_id, role=wrong, content="x"),
            lambda: threads.messages.create(thread_id, role="user", content=wrong),
            lambda: threads.runs.create(thread_id, assistant_id=wrong),
            lambda: threads.runs.create(
                thread_id, assistant_id=assistant_id, max_completion_tokens=-1
            ),
        ]
        errors = [refused(openai.UnprocessableEntityError, ask) for ask in asks]
        assert errors[1].param == "temperature"
        return len(errors)


def what_cannot_be_done_is_refused(witness: Witness) -> Any:
    with witness.client() as client:
        said: list[str] = []
        tools: Any
        for tools in ([{"type": "file_search"}], [{"type": "code_interpreter"}]):
            error = refused(
                openai.BadRequestError,
                functools.partial(client.beta.assistants.create, model=MODEL, tools=tools),
            )
            assert tools[0]["type"] in error.message
            said.append(error.message)
        return said


def headers_are_there(witness: Witness) -> Any:
    with witness.client() as client:
        raw = client.beta.assistants.with_raw_response.create(model=MODEL)
        assert raw.http_response.status_code == 201
        assert raw.headers["x-request-id"]
        made = raw.parse()
        again = client.beta.assistants.with_raw_response.retrieve(made.id)
        assert again.http_response.status_code == 200
        assert again.parse() == made
        assert again.headers["x-request-id"] != raw.headers["x-request-id"]
        assistant_id, thread_id = asked(client, "say Hi.")
        run = client.beta.threads.runs.with_raw_response.create(
            thread_id, assistant_id=assistant_id
        )
        assert run.http_response.status_code == 201
        error = refused(
            openai.NotFoundError, lambda: client.beta.assistants.retrieve(f"asst_{NONE}")
        )
        assert error.request_id
        return {"openai-poll-after-ms": run.headers.get("openai-poll-after-ms")}
