"""A model behind a scripted server that does what the last message of the user tells it to.

``say TEXT``             these words, one a piece
``slowly N PAUSE_S``     ``w0 w1 …``, N pieces with that pause before each
``long TEXT``            these words, and an end for want of tokens
``call NAME JSON``       a call of that tool; told its result, it says it
``call2 NAME JSON JSON`` two calls of it at once
``again N NAME JSON``    a call, and after its result another, N in all
``echo``                 every message it was sent, as JSON
``fail``                 an error instead of an answer
``stall``                one word, and then nothing

Each call has an id that no other has, and all text is a function of what was asked, so that an
answer that is asked for again is the same.
"""

import itertools
import json
import threading
from collections.abc import Sequence
from typing import Any

from tests.servers.answers import (
    Stall,
    Step,
    json_answer,
    openai_chunk,
    openai_stream,
    sse,
)
from tests.servers.scripted import ScriptedServer, Seen

__all__ = ["MODEL", "Speaker", "slow_text", "speaking"]

MODEL = "speaker"
_COMPLETIONS = "/v1/chat/completions"


def slow_text(pieces: int) -> str:
    """What ``slowly`` says."""
    return "".join(f"w{number} " for number in range(pieces))


class Speaker:
    """``calls`` holds the id of each call that was asked for, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def __call__(self, seen: Seen) -> Sequence[Step]:
        messages: list[dict[str, Any]] = seen.json["messages"]
        since = max(i for i, message in enumerate(messages) if message["role"] == "user")
        results = [text_of(m) for m in messages[since:] if m["role"] == "tool"]
        command, _, rest = text_of(messages[since]).partition(" ")
        match command:
            case "slowly":
                pieces, pause_s = rest.split()[:2]
                said = [f"w{number} " for number in range(int(pieces))]
                return self._say(said, seen, pause_s=float(pause_s))
            case "long":
                return self._say(_words(rest), seen, finish="length")
            case "call" | "call2" | "again":
                return self._call(command, rest, results, seen)
            case "echo":
                return self._say([json.dumps(messages)], seen)
            case "fail":
                return json_answer(500, {"error": {"message": "The speaker is told to fail."}})
            case "stall":
                return [*self._say(["Well"], seen)[:3], Stall()]
            case _:
                return self._say(_words(rest or command), seen)

    def _say(
        self, texts: Sequence[str], seen: Seen, *, finish: str = "stop", pause_s: float = 0.0
    ) -> list[Step]:
        prompt = len(seen.json["messages"])
        usage = {"prompt_tokens": prompt, "completion_tokens": len(texts)}
        usage["total_tokens"] = prompt + len(texts)
        return openai_stream(texts, model=MODEL, finish=finish, usage=usage, pause_s=pause_s)

    def _call(self, command: str, rest: str, results: Sequence[str], seen: Seen) -> Sequence[Step]:
        wanted = 1
        if command == "again":
            count, _, rest = rest.partition(" ")
            wanted = int(count)
        if len(results) >= wanted:
            return self._say(_words("Told: " + ", ".join(results)), seen)
        name, _, rest = rest.partition(" ")
        decoder = json.JSONDecoder()
        arguments: list[str] = []
        while rest.strip():
            value, end = decoder.raw_decode(rest.strip())
            arguments.append(json.dumps(value))
            rest = rest.strip()[end:]
        if command == "again":
            arguments = arguments[:1]
        deltas: list[dict[str, Any]] = []
        for index, text in enumerate(arguments):
            with self._lock:
                call_id = f"call_{next(self._numbers)}"
                self.calls.append(call_id)
            opening = {"index": index, "id": call_id, "type": "function"}
            deltas.append({**opening, "function": {"name": name, "arguments": ""}})
            half = len(text) // 2
            deltas += [
                {"index": index, "function": {"arguments": part}}
                for part in (text[:half], text[half:])
            ]
        events = [openai_chunk({"role": "assistant", "content": None}, model=MODEL)]
        events += [openai_chunk({"tool_calls": [delta]}, model=MODEL) for delta in deltas]
        events.append(openai_chunk({}, model=MODEL, finish="tool_calls"))
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        events.append(openai_chunk({}, model=MODEL) | {"choices": [], "usage": usage})
        return sse(*events)


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content)


def _words(text: str) -> list[str]:
    return [word + " " for word in text.split(" ")[:-1]] + text.split(" ")[-1:]


def speaking(server: ScriptedServer) -> Speaker:
    """Make ``server`` an engine with this one model."""
    models = [{"id": MODEL, "object": "model", "created": 7, "owned_by": "vllm"}]
    server.on("GET", "/v1/models", json_answer(200, {"object": "list", "data": models}))
    speaker = Speaker()
    server.asks("POST", _COMPLETIONS, speaker)
    return speaker
