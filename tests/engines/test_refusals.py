"""What an engine says when it refuses, or is not there: told in its words, and what it means."""

import json
import time
from typing import Any

import pytest

from novasystem.engines.requests import JsonOutput, Sampling
from novasystem.errors import (
    ContextLengthExceeded,
    EngineError,
    EngineProtocolError,
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
    NovaError,
    Overloaded,
)
from tests.engines.asking import OLLAMA, Wire, asked, failure
from tests.servers.answers import (
    Send,
    Step,
    chunked,
    head,
    json_answer,
)
from tests.servers.scripted import ScriptedServer

SHAPES: list[tuple[object, str]] = [
    ({"error": {"message": "boom", "type": "x"}}, "boom"),
    ({"error": "boom"}, "boom"),
    ({"message": "boom"}, "boom"),
    ({"detail": "boom"}, "boom"),
    ({"detail": [{"loc": ["body"], "msg": "boom"}]}, "boom"),
    ({"object": "error", "message": "boom", "code": 500}, "boom"),
    ({"error": {"code": 500}}, "500"),
    (["boom"], "boom"),
    ("boom", "boom"),
    (None, "null"),
    (b"boom", "boom"),
    (b"\xff\xfeboom", "boom"),
    (b"<html><body>boom</body></html>", "boom"),
    (b"", "Internal Server Error"),
    (b'{"error":' + b"[" * 300 + b"]" * 300 + b"}", "nested"),
]


@pytest.mark.parametrize(("body", "words"), SHAPES, ids=lambda value: str(value)[:24])
async def test_an_error_is_told_in_the_engines_words(
    wire: Wire, scripted: ScriptedServer, body: object, words: str
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = Send(head(500, length=len(data)).data + data)
    async with wire.playing(scripted, [answer]) as engine:
        events, error = await failure(engine)
    assert isinstance(error, EngineRejected)
    assert error.status == 500
    assert words in error.message
    assert "'far'" in error.message
    # What is refused is refused before the first event.
    assert events == []


async def test_a_huge_error_is_cut(wire: Wire, scripted: ScriptedServer) -> None:
    endless: list[Step] = [head(500), *[chunked(b"x" * 60_000)] * 5000]
    async with wire.playing(scripted, endless, json_answer(400, {"error": "y" * 5000})) as engine:
        started = time.monotonic()
        for _ in range(2):
            _, error = await failure(engine)
            assert isinstance(error, NovaError)
            assert len(error.message) < 1000
        # By its size, long before the second that reading it may take.
        assert time.monotonic() - started < 0.8


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, "bad", InvalidRequest),
        (422, "bad", InvalidRequest),
        (400, "the request exceeds the available context size", ContextLengthExceeded),
        (500, "input length exceeds the context length", ContextLengthExceeded),
        (404, "model 'm' not found", ModelNotFound),
        (404, "page not found", EngineRejected),
        (401, "no key", EngineRejected),
        (429, "slow down", Overloaded),
        (503, "loading", Overloaded),
        (500, "bug", EngineRejected),
        (502, "gateway", EngineRejected),
    ],
)
async def test_a_refusal_becomes_what_it_means_for_the_caller(
    wire: Wire, scripted: ScriptedServer, status: int, body: str, expected: type[NovaError]
) -> None:
    async with wire.playing(scripted, json_answer(status, {"error": {"message": body}})) as engine:
        _, error = await failure(engine)
    assert type(error) is expected
    assert body in str(error)
    assert len(wire.requests(scripted)) == 1


async def test_an_engine_that_does_not_run_is_unavailable_and_was_not_reached(wire: Wire) -> None:
    for url in ("http://127.0.0.1:1", "http://nova-no-such-host.invalid:80"):
        engine = wire.make(url)
        try:
            events, error = await failure(engine, asked())
        finally:
            await engine.aclose()
        assert isinstance(error, EngineUnavailable)
        assert not error.reached
        assert url in error.message
        assert "None" not in error.message
        assert "nova doctor" in error.hint
        assert events == []


async def test_health_says_what_is_wrong_instead_of_raising(
    wire: Wire, scripted: ScriptedServer
) -> None:
    for url in ("http://127.0.0.1:1", scripted.url):
        engine = wire.make(url)
        try:
            health = await engine.health()
        finally:
            await engine.aclose()
        assert not health.ok
        assert url in health.detail or "404" in health.detail


@pytest.mark.parametrize("body", [[], {}, 1, None, "x", {"data": None}, {"data": [1]},
    {"data": [{}]}, {"data": [{"id": "m", "created": "x"}]}, {"models": 3}, {"models": [{}]},
    {"data": [{"id": "m", "meta": {"n_params": "x"}}]},
    {"models": [{"name": "m", "modified_at": "x"}]}], ids=str)  # fmt: skip
async def test_a_list_of_models_that_is_none_is_a_protocol_error(
    wire: Wire, scripted: ScriptedServer, body: Any
) -> None:
    for path in ("/v1/models", "/api/tags", "/api/ps"):
        scripted.on("GET", path, json_answer(200, body))
    async with wire.playing(scripted) as engine:
        try:
            models = await engine.models()
        except EngineError as error:
            assert isinstance(error, EngineProtocolError)  # noqa: PT017
        else:
            # Ollama names an empty list "null"; what is not its own key is not looked at.
            assert wire is OLLAMA
            assert models == []


@pytest.mark.parametrize("odd", ["a number beyond 64 bits", "nested too deeply"])
async def test_what_cannot_be_sent_is_the_callers_fault(
    wire: Wire, scripted: ScriptedServer, odd: str
) -> None:
    schema: dict[str, Any] = {}
    for _ in range(300):
        schema = {"items": schema}
    more = (
        {"sampling": Sampling(seed=2**70)}
        if odd == "a number beyond 64 bits"
        else {"json_output": JsonOutput(schema)}
    )
    async with wire.playing(scripted) as engine:
        _, error = await failure(engine, asked(**more))
    assert isinstance(error, InvalidRequest)
    assert wire.requests(scripted) == []
