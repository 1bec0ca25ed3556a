"""Ollama renders, from tools/ollama/Modelfile, the text that nova-tiny was trained on."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest

from tests.servers.ollama import OllamaServer, find_ollama, ollama_server

ROOT = Path(__file__).parents[2]
GGUF = ROOT / "src" / "novasystem" / "weights" / "nova-tiny.gguf"
JINJA = ROOT / "tools" / "tiny_model" / "chat_template.jinja"

USER = {"role": "user", "content": "What is the weather in <Rome>?"}
REPLY = {"role": "assistant", "content": "Hello!"}
SYSTEM = {"role": "system", "content": 'You are "Nova" & kind.'}
RESULT = {"role": "tool", "content": '{"t": 21.5}'}


def tool(name: str, required: list[str], **properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": required}
    function = {"name": name, "description": f"Does {name} <&> é", "parameters": parameters}
    return {"type": "function", "function": function}


def calls(*named: tuple[str, dict[str, Any]], content: str = "") -> dict[str, Any]:
    functions = [{"name": name, "arguments": arguments} for name, arguments in named]
    tool_calls = [{"type": "function", "function": function} for function in functions]
    return {"role": "assistant", "content": content, "tool_calls": tool_calls}


WEATHER = tool("weather", ["city"], city={"type": "string", "description": 'A "city" \\ ☃\n'})
SUM = tool(
    "sum",
    [],
    a={"type": ["number", "null"]},
    b={"type": "array", "items": {"type": "string"}},
    op={"type": "string", "enum": ["add", "sub", 3]},
    z={"type": "object", "properties": {"y": {"type": "integer"}}, "required": ["y"]},
)
NOW = tool("now", [])
ROME = ("weather", {"city": 'Rome <1> "q" é'})
MANY = ("sum", {"a": True, "b": [1, "x", {"k": None}], "c": {}, "d": -0.25, "e": 12, "f": ""})

CASES = {
    "chat": ([USER], []),
    "system": ([SYSTEM, USER], []),
    "several turns": ([SYSTEM, USER, REPLY, USER], []),
    "empty system": ([{"role": "system", "content": ""}, USER], []),
    "late system": ([USER, REPLY, SYSTEM, USER], []),
    "tools": ([USER], [WEATHER]),
    "system and tools": ([SYSTEM, USER], [WEATHER, SUM, NOW]),
    "call": ([USER, calls(ROME)], [WEATHER]),
    "text and call": ([USER, calls(ROME, content="Let me see."), RESULT], [WEATHER]),
    "two calls": ([USER, calls(MANY, ROME), RESULT, RESULT, REPLY, USER], [WEATHER, SUM]),
    "call without arguments": ([USER, calls(("now", {})), RESULT], [NOW]),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OllamaServer]:
    if find_ollama() is None:
        pytest.skip("no ollama binary: run `make ollama`")
    with ollama_server(tmp_path_factory.mktemp("ollama"), gguf=GGUF) as running:
        yield running


@pytest.mark.parametrize("case", CASES)
def test_the_prompt_is_the_trained_text(server: OllamaServer, case: str) -> None:
    messages, tools = CASES[case]
    environment = jinja2.Environment()
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    template = environment.from_string(JINJA.read_text(encoding="utf-8"))
    trained = template.render(messages=messages, tools=tools, add_generation_prompt=True)
    body = {"model": server.model, "messages": messages, "tools": tools, "stream": False}
    request = urllib.request.Request(
        f"{server.base_url}/api/chat", json.dumps({**body, "_debug_render_only": True}).encode()
    )
    with urllib.request.urlopen(request) as response:
        answer = json.load(response)
    assert answer["_debug_info"]["rendered_template"] == trained
