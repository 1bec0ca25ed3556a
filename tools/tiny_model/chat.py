"""Turns a conversation into text with a loss weight for each piece.

`render` writes in Python what `chat_template.jinja` writes in the server; `check_template`
compares the two, so that the model is trained on exactly what it will be served with.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

TEMPLATE_PATH = Path(__file__).with_name("chat_template.jinja")
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKERS = ("<tool_call>", "</tool_call>")

Message = dict[str, Any]
Tool = dict[str, Any]
Piece = tuple[str, bool]


@dataclass(frozen=True)
class Sample:
    """One conversation in OpenAI's message format, and the tools it may call."""

    messages: list[Message]
    tools: list[Tool] = field(default_factory=list)
    compact: bool = False
    """Tools as JSON without spaces, which is how servers in Go write them."""


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def tool_result(text: str) -> Message:
    return {"role": "tool", "content": text}


def calls(*named: tuple[str, dict[str, Any]]) -> Message:
    """An assistant's message that calls one or more tools."""
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"type": "function", "function": {"name": name, "arguments": arguments}}
            for name, arguments in named
        ],
    }


def render(sample: Sample) -> list[Piece]:
    """Pieces of text; the flag marks what the assistant says (its end token included)."""
    pieces: list[Piece] = []
    messages = sample.messages
    preamble = ""
    if messages[0]["role"] == "system":
        preamble, messages = messages[0]["content"], messages[1:]
    if sample.tools:
        separators = (",", ":") if sample.compact else (", ", ": ")
        lines = [
            json.dumps(tool["function"], ensure_ascii=False, separators=separators)
            for tool in sample.tools
        ]
        preamble += ("\n\n" if preamble else "") + "\n".join(["Tools:", *lines])
    if preamble:
        pieces.append((f"<|im_start|>system\n{preamble}<|im_end|>\n", False))
    for message in messages:
        spoken = message["role"] == "assistant"
        pieces.append((f"<|im_start|>{message['role']}\n", False))
        parts = [message["content"]] if message["content"] else []
        parts += [_call_text(call["function"]) for call in message.get("tool_calls", [])]
        pieces.append(("\n".join(parts) + "<|im_end|>", spoken))
        pieces.append(("\n", False))
    return pieces


def _call_text(function: dict[str, Any]) -> str:
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return f'<tool_call>\n{{"name": "{function["name"]}", "arguments": {arguments}}}\n</tool_call>'


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment()
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(TEMPLATE_PATH.read_text(encoding="utf-8"))


def check_template(sample: Sample) -> None:
    """Raises `ValueError` where the template and `render` disagree (compact tools aside)."""
    served = _template().render(messages=sample.messages, tools=sample.tools)
    trained = "".join(text for text, _ in render(sample))
    if served != trained:
        raise ValueError(f"template and training text differ:\n{served}\n---\n{trained}")
