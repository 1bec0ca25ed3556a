"""The official client, unmodified, and a witness that checks each answer by the client's own types.

The client itself builds its objects without a look at them, so that a field which is missing or of
a wrong type goes unseen. Here the very bytes of every answer are validated in strict mode.
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, get_args

import openai
from openai.types.beta import (
    Assistant,
    AssistantDeleted,
    AssistantStreamEvent,
    Thread,
    ThreadDeleted,
)
from openai.types.beta.threads import Message, MessageDeleted, Run
from openai.types.beta.threads.runs import RunStep

__all__ = ["Witness"]

_TYPES: dict[str, Any] = {
    "assistant": Assistant,
    "assistant.deleted": AssistantDeleted,
    "thread": Thread,
    "thread.deleted": ThreadDeleted,
    "thread.message": Message,
    "thread.message.deleted": MessageDeleted,
    "thread.run": Run,
    "thread.run.step": RunStep,
}
_LIST = {"object", "data", "first_id", "last_id", "has_more"}
_MODELS = "/v1/models"
# AssistantStreamEvent is a union of one type an event, annotated.
_EVENTS: dict[str, Any] = {
    get_args(kind.model_fields["event"].annotation)[0]: kind
    for kind in get_args(get_args(AssistantStreamEvent)[0])
}


class Witness:
    """``requests`` are the method and path of all that went over the wire, tries included;
    ``checked`` counts the objects that were validated, by their type."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._place: dict[str, Any] = {"base_url": base_url, "api_key": api_key}
        self.requests: list[str] = []
        self.checked: Counter[str] = Counter()

    def client(self, **more: Any) -> openai.OpenAI:
        hooks: Any = {"request": [self._asked], "response": [self._answered]}
        http = openai.DefaultHttpxClient(event_hooks=hooks)
        return openai.OpenAI(**self._place, http_client=http, **more)

    def async_client(self, **more: Any) -> openai.AsyncOpenAI:
        async def asked(request: Any) -> None:
            self._asked(request)

        async def answered(response: Any) -> None:
            if _is_json(response):
                await response.aread()
                self._check_answer(response)

        hooks: Any = {"request": [asked], "response": [answered]}
        http = openai.DefaultAsyncHttpxClient(event_hooks=hooks)
        return openai.AsyncOpenAI(**self._place, http_client=http, **more)

    def event(self, name: str, data: str) -> None:
        """Check an event of a stream as it went over the wire."""
        kind = _EVENTS[name]
        value = json.loads(data)
        kind.model_validate_json(json.dumps({"event": name, "data": value}), strict=True)
        self.checked[name] += 1
        if value["object"] in _TYPES:
            self._check(value)

    def parsed(self, event: Any) -> None:
        """Check an event that the client has built already: what it was given, and no defaults."""
        raw = event.model_dump_json(exclude_unset=True, warnings=False)
        type(event).model_validate_json(raw, strict=True)
        self.checked[event.event] += 1

    def _asked(self, request: Any) -> None:
        self.requests.append(f"{request.method} {request.url.path}")

    def _answered(self, response: Any) -> None:
        if _is_json(response):
            response.read()
            self._check_answer(response)

    def _check_answer(self, response: Any) -> None:
        value = json.loads(response.content)
        if response.is_error:
            error = value["error"]
            assert set(error) == {"message", "type", "param", "code"}, error
            assert isinstance(error["message"], str)
            assert error["type"]
            self.checked["error"] += 1
        elif value["object"] == "list":
            self._check_list(value)
        else:
            self._check(value)

    def _check_list(self, value: Mapping[str, Any]) -> None:
        assert set(value) == _LIST, sorted(value)
        ids = [one["id"] for one in value["data"]]
        ends = (ids[0], ids[-1]) if ids else (None, None)
        assert (value["first_id"], value["last_id"]) == ends
        assert isinstance(value["has_more"], bool)
        for one in value["data"]:
            self._check(one)
        self.checked["list"] += 1

    def _check(self, value: Mapping[str, Any]) -> None:
        kind = _TYPES[value["object"]]
        kind.model_validate_json(json.dumps(value), strict=True)
        # The types have defaults for fields that may be null; in an answer all of them stand.
        lacking = {name for name in kind.model_fields if name not in value}
        assert not lacking - _OPTIONAL.get(value["object"], set()), (value["object"], lacking)
        self.checked[value["object"]] += 1


_OPTIONAL = {
    "assistant": {"response_format", "temperature", "tool_resources", "top_p"},
    "thread.run": {"temperature", "top_p"},
}


def _is_json(response: Any) -> bool:
    return str(response.headers.get("content-type", "")).startswith("application/json")
