"""Rows as OpenAI's objects. Every field of the contract is there; ``null``: not known."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from novasystem.assistants.records import Assistant
from novasystem.runs.records import Run, Step
from novasystem.runs.state import ENDED
from novasystem.threads.records import Item, Thread
from novasystem.turns.fitting import estimate

__all__ = [
    "assistant_object",
    "deleted_object",
    "failure",
    "list_object",
    "message_object",
    "run_object",
    "step_object",
    "thread_name",
    "thread_object",
]

_PROMPT_ERRORS = {
    "context_length_exceeded",
    "invalid_request",
    "message_too_long",
    "unsupported_parameter",
    "validation_error",
}


def thread_name(thread_id: str) -> str:
    """How OpenAI's edge writes the stored id of a thread."""
    return f"thread_{thread_id}"


def _seconds(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000


def assistant_object(assistant: Assistant) -> dict[str, Any]:
    return {
        "id": assistant.id,
        "object": "assistant",
        "created_at": _seconds(assistant.created_at),
        "name": assistant.name,
        "description": assistant.description,
        "model": assistant.model,
        "instructions": assistant.instructions,
        "tools": assistant.tools,
        "tool_resources": assistant.tool_resources,
        "metadata": assistant.metadata,
        "temperature": assistant.temperature,
        "top_p": assistant.top_p,
        "response_format": "auto"
        if assistant.response_format is None
        else assistant.response_format,
    }


def thread_object(thread: Thread) -> dict[str, Any]:
    return {
        "id": thread_name(thread.id),
        "object": "thread",
        "created_at": _seconds(thread.created_at),
        "tool_resources": thread.tool_resources,
        "metadata": thread.metadata,
    }


def text_content(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": {"value": text, "annotations": []}}]


def message_object(item: Item, thread_id: str) -> dict[str, Any]:
    """``thread_id`` as it is stored. A message that is being written has no content yet."""
    why = item.incomplete_reason
    known = item.token_count is not None
    empty = item.status == "in_progress" and not item.content
    return {
        "id": item.id,
        "object": "thread.message",
        "created_at": _seconds(item.created_at),
        "thread_id": thread_name(thread_id),
        "status": item.status,
        "incomplete_details": None if why is None else {"reason": why},
        "completed_at": _seconds(item.completed_at),
        "incomplete_at": _seconds(item.incomplete_at),
        "role": item.role,
        "content": [] if empty else text_content(item.content),
        "assistant_id": item.assistant_id,
        # A turn of the chat door has a run too, which is none of an assistant's.
        "run_id": item.run_id if item.assistant_id else None,
        "attachments": item.attachments or [],
        "metadata": item.metadata,
        "token_count": item.token_count if known or empty else estimate(item.content),
        "token_count_exact": item.token_count_exact,
    }


def failure(error: Mapping[str, str]) -> dict[str, str]:
    """A stored error with one of the three codes that OpenAI's runs have."""
    code = "server_error"
    if error["code"] in _PROMPT_ERRORS:
        code = "invalid_prompt"
    elif error["code"] == "overloaded":
        code = "rate_limit_exceeded"
    return {"code": code, "message": error["message"]}


def run_object(run: Run) -> dict[str, Any]:
    request, details = run.request, run.details or {}
    ended = run.status in ENDED

    def at(status: str) -> int | None:
        return _seconds(run.ended_at) if run.status == status else None

    calls = details.get("tool_calls") if run.status == "requires_action" else None
    strategy = "auto" if request["last_messages"] is None else "last_messages"
    left_out = details.get("left_out_items")
    choice, parallel = request["tool_choice"], request["parallel_tool_calls"]
    why = details.get("reason") if run.status == "incomplete" else None
    return {
        "id": run.id,
        "object": "thread.run",
        "created_at": _seconds(run.created_at),
        "thread_id": thread_name(run.thread_id or ""),
        "assistant_id": run.assistant_id,
        "status": run.status,
        "required_action": None if calls is None else _required(calls),
        "last_error": failure(run.error) if run.error and run.status == "failed" else None,
        "expires_at": None if ended else _seconds(run.expires_at),
        "started_at": _seconds(run.started_at),
        "cancelled_at": at("cancelled"),
        "failed_at": at("failed"),
        "completed_at": at("completed"),
        "incomplete_details": None if why is None else {"reason": why},
        "model": request["model"],
        "instructions": request["instructions"],
        "tools": request["tools"],
        "metadata": run.metadata,
        "usage": run.usage if ended else None,
        "temperature": request["temperature"],
        "top_p": request["top_p"],
        "max_prompt_tokens": request["max_prompt_tokens"],
        "max_completion_tokens": request["max_completion_tokens"],
        "truncation_strategy": {"type": strategy, "last_messages": request["last_messages"]},
        "truncation": None if left_out is None else {"left_out_items": left_out},
        "tool_choice": "auto" if choice is None else choice,
        "parallel_tool_calls": True if parallel is None else parallel,
        "response_format": "auto"
        if request["response_format"] is None
        else request["response_format"],
    }


def _required(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shown = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]},
        }
        for call in calls
    ]
    return {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": shown}}


def step_object(step: Step, run: Run) -> dict[str, Any]:
    def at(status: str) -> int | None:
        return _seconds(step.ended_at) if step.status == status else None

    error = None
    if step.status == "failed":
        error = failure(step.error or run.error or {"code": "", "message": "The run failed."})
        # A step knows two codes of the three.
        error["code"] = error["code"].replace("invalid_prompt", "server_error")
    return {
        "id": step.id,
        "object": "thread.run.step",
        "created_at": _seconds(step.created_at),
        "assistant_id": run.assistant_id,
        "thread_id": thread_name(run.thread_id or ""),
        "run_id": run.id,
        "type": step.type,
        "status": step.status,
        "step_details": _step_details(step),
        "last_error": error,
        "expired_at": at("expired"),
        "cancelled_at": at("cancelled"),
        "failed_at": at("failed"),
        "completed_at": at("completed"),
        "metadata": {},
        "usage": step.usage,
    }


def _step_details(step: Step) -> dict[str, Any]:
    if step.type == "message_creation":
        message = {"message_id": step.details["message_id"]}
        return {"type": "message_creation", "message_creation": message}
    calls = [
        {
            "id": call["id"],
            "type": "function",
            "function": {name: call[name] for name in ("name", "arguments", "output")},
        }
        for call in step.details["tool_calls"]
    ]
    return {"type": "tool_calls", "tool_calls": calls}


def list_object(rows: Iterable[Mapping[str, Any]], has_more: bool) -> dict[str, Any]:
    data = list(rows)
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def deleted_object(shown_id: str, kind: str) -> dict[str, Any]:
    return {"id": shown_id, "object": f"{kind}.deleted", "deleted": True}
