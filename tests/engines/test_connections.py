"""Connections: kept where that works, never a request sent twice that may have been heard."""

import asyncio
import time
from contextlib import aclosing

import pytest

from novasystem.engines.events import Sent
from novasystem.engines.http import Transport
from novasystem.engines.openai_http import OpenAIEngine
from novasystem.errors import EngineError, EngineProtocolError, EngineUnavailable, NovaError
from tests.engines.asking import LIMITS, OPENAI, Wire, asked, collect, failure, text
from tests.servers.answers import Close, Reset, Sleep, Stall, Step, cut, head, json_answer
from tests.servers.scripted import ScriptedServer


async def test_one_connection_serves_one_answer_after_another(
    wire: Wire, scripted: ScriptedServer
) -> None:
    """Trap 9: a new connection for every request."""
    async with wire.playing(scripted, wire.answer(["x"])) as engine:
        events = [await collect(engine) for _ in range(4)]
    assert len({seen.connection for seen in wire.requests(scripted)}) == 1
    sents = [answer[0] for answer in events]
    assert [sent.reused for sent in sents if isinstance(sent, Sent)] == [False, True, True, True]


async def test_answers_at_the_same_time_have_connections_of_their_own(
    wire: Wire, scripted: ScriptedServer
) -> None:
    async with wire.playing(scripted, wire.answer(["x"], pause_s=0.2)) as engine:
        await collect(engine)
        await asyncio.gather(*(collect(engine) for _ in range(5)))
    assert len({seen.connection for seen in wire.requests(scripted)}) == 5


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["FIN", "RST"])
async def test_a_kept_connection_that_was_closed_meanwhile_costs_one_more_try(
    wire: Wire, scripted: ScriptedServer, end: Step
) -> None:
    """The server announces keep-alive and goes when it is asked again."""
    good = wire.answer(["x"])
    async with wire.playing(scripted, good, [end], good) as engine:
        await collect(engine)
        assert text(await collect(engine)) == "x"
    connections = [seen.connection for seen in wire.requests(scripted)]
    assert len(connections) == 3
    assert connections[0] == connections[1] != connections[2]


async def test_the_second_try_is_on_a_connection_that_was_never_used(
    wire: Wire, scripted: ScriptedServer
) -> None:
    """Where one kept connection was closed, the others were too."""
    slow, good = wire.answer(["x"], pause_s=0.2), wire.answer(["x"])
    async with wire.playing(scripted, slow) as engine:
        await collect(engine)
        await asyncio.gather(collect(engine), collect(engine))
        scripted.on("POST", wire.path, [Close()], good)
        assert text(await collect(engine)) == "x"
    *before, last = [seen.connection for seen in wire.requests(scripted)]
    assert last not in before


async def test_the_second_try_is_the_last_one(wire: Wire, scripted: ScriptedServer) -> None:
    async with wire.playing(scripted, wire.answer(["x"]), [Close()]) as engine:
        await collect(engine)
        _, error = await failure(engine)
    assert isinstance(error, EngineUnavailable)
    assert len(wire.requests(scripted)) == 3


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["FIN", "RST"])
async def test_a_fresh_connection_that_breaks_is_never_tried_again(
    wire: Wire, scripted: ScriptedServer, end: Step
) -> None:
    async with wire.playing(scripted, [end]) as engine:
        _, error = await failure(engine)
    assert isinstance(error, EngineUnavailable)
    # It may have been heard: somebody else must not be asked the same.
    assert error.reached
    assert len(wire.requests(scripted)) == 1


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["FIN", "RST"])
async def test_nothing_is_tried_again_once_the_answer_has_begun(
    wire: Wire, scripted: ScriptedServer, end: Step
) -> None:
    good = wire.answer(["x"])
    begun = cut(good, len(head().data) + 60, Sleep(0.05))
    async with wire.playing(scripted, good, [*begun, end], good) as engine:
        await collect(engine)
        events, error = await failure(engine)
    assert isinstance(events[0], Sent)
    assert events[0].reused
    assert isinstance(error, (EngineProtocolError, EngineUnavailable))
    assert len(wire.requests(scripted)) == 2


async def test_no_refusal_is_tried_again(wire: Wire, scripted: ScriptedServer) -> None:
    refusals = [json_answer(status, {"error": "no"}) for status in (400, 429, 500, 503)]
    async with wire.playing(scripted, wire.answer(["x"]), *refusals) as engine:
        await collect(engine)
        for _ in refusals:
            _, error = await failure(engine)
            assert isinstance(error, NovaError)
    assert len(wire.requests(scripted)) == 5


async def test_where_connections_are_not_kept_each_request_has_its_own(
    scripted: ScriptedServer,
) -> None:
    scripted.on("POST", OPENAI.path, [*OPENAI.answer(["x"]), Close()])
    engine = OpenAIEngine("far", scripted.url, flavour="openai", reuse_connections=False)
    try:
        for _ in range(20):
            assert text(await collect(engine)) == "x"
    finally:
        await engine.aclose()
    assert [seen.connection for seen in scripted.seen] == list(range(20))


async def test_an_answer_left_in_the_middle_does_not_spoil_the_next_one(
    wire: Wire, scripted: ScriptedServer
) -> None:
    endless = [*wire.sent(*[wire.token("old")] * 5)[:-1], Stall()]
    async with wire.playing(scripted, endless, wire.answer(["new"])) as engine:
        async with aclosing(engine.generate(asked())) as events:
            async for _ in events:
                break
        assert text(await collect(engine)) == "new"
    first, second = wire.requests(scripted)
    assert first.connection != second.connection


async def test_the_key_is_sent_and_never_shown(scripted: ScriptedServer) -> None:
    scripted.on("POST", OPENAI.path, json_answer(401, {"error": "no"}))
    engine = OpenAIEngine("far", scripted.url, api_key="sk-canary", flavour="openai")
    try:
        _, error = await failure(engine)
    finally:
        await engine.aclose()
    assert scripted.seen[0].headers["authorization"] == "Bearer sk-canary"
    assert "sk-canary" not in f"{error} {error!r} {engine!r}"


async def test_no_proxy_of_the_environment_is_used(
    wire: Wire, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a model is told goes to the address in the settings and nowhere else."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with wire.playing(scripted, wire.answer(["x"])) as engine:
        assert text(await collect(engine)) == "x"


async def test_no_redirect_is_followed(wire: Wire, scripted: ScriptedServer) -> None:
    """Hosts come from the settings alone, and the key would go along."""
    elsewhere = [head(307, length=0, extra={"location": f"{scripted.url}/other"})]
    async with wire.playing(scripted, elsewhere) as engine:
        _, error = await failure(engine)
    assert isinstance(error, EngineError)
    assert "/other" not in [seen.path for seen in scripted.seen]


async def test_an_answer_of_json_has_the_same_limits(scripted: ScriptedServer) -> None:
    scripted.on("GET", "/x", [head(), Stall()], json_answer(200, [1]))
    transport = Transport("far", scripted.url)
    started = time.monotonic()
    try:
        with pytest.raises(EngineError, match="first token"):
            await transport.get_json("/x", type(LIMITS)(first_token_s=0.3))
        assert time.monotonic() - started < 2
        assert await transport.get_json("/x", LIMITS) == [1]
    finally:
        await transport.aclose()
