"""One chat request, and the reply reduced to what the checks need."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

from tools.tiny_model.chat import Message, Tool

REQUEST_LIMIT_S = 120.0
ANSWER_TOKENS = 300


@dataclass(frozen=True)
class Reply:
    """`calls` are (name, arguments); `finish` is the server's finish_reason."""

    text: str
    calls: list[tuple[str, Any]]
    finish: str


class ChatClient:
    """Speaks to any OpenAI-compatible server."""

    def __init__(self, base_url: str, model: str) -> None:
        self._model = model
        self._http = httpx.Client(base_url=base_url, timeout=REQUEST_LIMIT_S)

    def ask(self, messages: list[Message], tools: list[Tool], **options: Any) -> Reply:
        """Greedy decoding; raises `httpx.HTTPStatusError` where the server refuses."""
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": ANSWER_TOKENS,
            **options,
        }
        if tools:
            body["tools"] = tools
        response = self._http.post("chat/completions", json=body)
        response.raise_for_status()
        choice = response.json()["choices"][0]
        message = choice["message"]
        calls = [
            (call["function"]["name"], _arguments(call["function"]["arguments"]))
            for call in message.get("tool_calls") or []
        ]
        return Reply(message.get("content") or "", calls, choice["finish_reason"])

    def close(self) -> None:
        self._http.close()


def _arguments(text: str) -> Any:
    """The parsed arguments; text that is no JSON stays text and so counts as wrong."""
    try:
        return json.loads(text)
    except ValueError:
        return text
