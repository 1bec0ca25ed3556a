"""From OpenAI's forms to what is stored and carried out; what cannot be honoured is refused."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from novasystem.assistants.records import Assistant
from novasystem.assistants.schemas import (
    AssistantUpdate,
    MessageCreate,
    RunCreate,
    RunOptions,
    ThreadRunCreate,
    ThreadUpdate,
    ToolChoiceIn,
    ToolOutputs,
)
from novasystem.engines.requests import JsonOutput, Tool, ToolChoice
from novasystem.errors import (
    InvalidRequest,
    MalformedRequest,
    MessageTooLong,
    NotFound,
    UnsupportedParameter,
)
from novasystem.threads.records import NewItem
from novasystem.turns.fitting import estimate
from novasystem.wire.requests import to_json_output, to_text, to_tool, to_tool_choice
from novasystem.wire.schemas import NamedTool, ResponseFormat, ToolIn

__all__ = [
    "Asked",
    "assistant_values",
    "check_resources",
    "check_thread",
    "message_item",
    "message_items",
    "refuse_unknown",
    "run_request",
    "shown_id",
    "thread_hex",
    "to_asked",
    "tool_outputs",
]

_THREAD = re.compile(r"thread_([0-9a-f]{32})")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MODES = ("auto", "none", "required")
_FILES = "files are not searched and no code is run here; functions are called"


def thread_hex(name: str) -> str:
    """The stored id of the thread that OpenAI's edge calls ``name``; raises ``NotFound``."""
    found = _THREAD.fullmatch(name)
    if found is None:
        raise NotFound("thread", name, param="thread_id")
    return found[1]


def shown_id(given: str, what: str) -> str:
    """``given``, where a ``what`` can have that id; raises ``NotFound``.

    PostgreSQL takes no text with U+0000 in it, and so is never asked for one.
    """
    if _ID.fullmatch(given) is None:
        raise NotFound(what, given, param=f"{what}_id")
    return given


def refuse_unknown(body: BaseModel, where: str = "") -> None:
    """Raise for the first parameter that would otherwise be dropped; ``null`` asks for nothing."""
    for name, value in (body.model_extra or {}).items():
        if value is not None:
            raise UnsupportedParameter(f"{where}{name[:80]}", "there is no such parameter")


def check_resources(given: Mapping[str, Any] | None) -> None:
    """Nothing here reads files: only resources that name none are taken."""
    for name, value in (given or {}).items():
        lists = value.values() if isinstance(value, Mapping) else [value]
        if any(lists):
            raise UnsupportedParameter(f"tool_resources.{name[:80]}", _FILES)


def _tools(tools: list[ToolIn]) -> list[dict[str, Any]]:
    """As they are stored, which is as they came."""
    for tool in tools:
        if tool.type in {"code_interpreter", "file_search"}:
            raise UnsupportedParameter("tools", f"'{tool.type}': {_FILES}")
        to_tool(tool)
    return [tool.model_dump(exclude_unset=True, mode="json") for tool in tools]


def _format(given: ResponseFormat | str | None) -> Any:
    if given is None or isinstance(given, str):
        return given
    to_json_output(given)
    return given.model_dump(by_alias=True, exclude_unset=True, mode="json")


def assistant_values(body: AssistantUpdate) -> dict[str, Any]:
    """The columns that ``body`` gives, checked."""
    refuse_unknown(body)
    check_resources(body.tool_resources)
    values = {name: getattr(body, name) for name in body.model_fields_set & _COLUMNS}
    if "tools" in values:
        values["tools"] = _tools(body.tools or [])
    if "metadata" in values:
        values["metadata"] = body.metadata or {}
    if "response_format" in values:
        values["response_format"] = _format(body.response_format)
    return values


_COLUMNS = set(AssistantUpdate.model_fields)


def message_item(body: MessageCreate, max_chars: int, where: str = "message") -> NewItem:
    """The message as an item. Its tokens are estimated: no model is asked yet."""
    refuse_unknown(body, f"{where}.")
    if body.attachments:
        raise UnsupportedParameter(f"{where}.attachments", _FILES)
    text = body.content if isinstance(body.content, str) else to_text(where, body.content)
    if not text:
        raise MalformedRequest(f"'{where}.content' has no text.", param=f"{where}.content")
    _check_length(text, max_chars, f"{where}.content")
    return NewItem(
        "message", text, role=body.role, token_count=estimate(text), metadata=body.metadata
    )


def message_items(
    bodies: Sequence[MessageCreate] | None, max_chars: int, where: str
) -> list[NewItem]:
    return [
        message_item(body, max_chars, f"{where}[{index}]")
        for index, body in enumerate(bodies or ())
    ]


def _check_length(text: str, max_chars: int, where: str) -> None:
    if len(text) > max_chars:
        msg = f"'{where}' is longer than {max_chars:,} characters."
        raise MessageTooLong(msg, hint="Shorten it, or raise NOVA_MAX_PROMPT_CHARS.", param=where)


def run_request(body: RunOptions, assistant: Assistant) -> dict[str, Any]:
    """What is in force in the run, for good: the request's own values over the assistant's."""
    refuse_unknown(body)
    if isinstance(body, ThreadRunCreate):
        check_resources(body.tool_resources)
        if body.thread is not None:
            check_thread(body.thread, "thread.")
    instructions = assistant.instructions if body.instructions is None else body.instructions
    if isinstance(body, RunCreate) and body.additional_instructions:
        both = (instructions, body.additional_instructions)
        instructions = "\n".join(text for text in both if text)
    strategy = body.truncation_strategy
    if strategy is not None and strategy.type == "last_messages" and not strategy.last_messages:
        raise InvalidRequest(
            "'truncation_strategy' of type 'last_messages' says how many.",
            hint="Give 'last_messages' a number.",
            param="truncation_strategy.last_messages",
        )
    if strategy is not None and strategy.type == "auto" and strategy.last_messages:
        raise UnsupportedParameter(
            "truncation_strategy.last_messages", "it belongs to the type 'last_messages'"
        )
    choice = body.tool_choice
    own_format = body.response_format is not None
    request = {
        "model": body.model or assistant.model,
        "instructions": instructions or "",
        "tools": list(assistant.tools) if body.tools is None else _tools(body.tools),
        "temperature": _first(body.temperature, assistant.temperature),
        "top_p": _first(body.top_p, assistant.top_p),
        "max_prompt_tokens": body.max_prompt_tokens,
        "max_completion_tokens": body.max_completion_tokens,
        "last_messages": None if strategy is None else strategy.last_messages,
        "tool_choice": choice.model_dump(exclude_unset=True)
        if isinstance(choice, ToolChoiceIn)
        else choice,
        "parallel_tool_calls": body.parallel_tool_calls,
        "response_format": _format(body.response_format)
        if own_format
        else assistant.response_format,
    }
    to_asked(request)
    return request


def _first(given: float | None, otherwise: float | None) -> float | None:
    return otherwise if given is None else given


def check_thread(body: ThreadUpdate, where: str = "") -> None:
    refuse_unknown(body, where)
    check_resources(body.tool_resources)


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a run's request engines are asked."""

    tools: tuple[Tool, ...]
    tool_choice: ToolChoice
    json_output: JsonOutput | None


def to_asked(request: Mapping[str, Any]) -> Asked:
    """Raises ``InvalidRequest`` for a choice or a format that cannot be honoured."""
    tools = tuple(to_tool(ToolIn.model_validate(tool)) for tool in request["tools"])
    choice, wanted = request["tool_choice"], request["response_format"]
    if choice is not None and choice not in _MODES:
        if choice["type"] != "function" or not choice.get("function"):
            raise UnsupportedParameter("tool_choice", "a function can be chosen, and nothing else")
        choice = NamedTool.model_validate(choice)
    format_ = ResponseFormat.model_validate(wanted) if isinstance(wanted, Mapping) else None
    return Asked(tools, to_tool_choice(choice, tools), to_json_output(format_))


def tool_outputs(body: ToolOutputs, max_chars: int) -> dict[str, str]:
    """Each call's output by its id; raises ``InvalidRequest`` where one has two."""
    refuse_unknown(body)
    outputs: dict[str, str] = {}
    for index, one in enumerate(body.tool_outputs):
        where = f"tool_outputs[{index}]"
        refuse_unknown(one, f"{where}.")
        _check_length(one.output, max_chars, f"{where}.output")
        if one.tool_call_id in outputs:
            raise InvalidRequest(
                f"Call '{one.tool_call_id[:80]}' has two outputs.",
                param=f"{where}.tool_call_id",
            )
        outputs[one.tool_call_id] = one.output
    return outputs
