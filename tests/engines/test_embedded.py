"""The embedded engine on a real child: it starts by itself, and says what happened when it dies."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from novasystem.engines.embedded import EmbeddedEngine, nova_tiny_path
from novasystem.engines.events import Event, Finished, Sent, TextDelta
from novasystem.engines.keeper import ChildConfig
from novasystem.engines.requests import (
    EmbedRequest,
    GenerateRequest,
    JsonOutput,
    Message,
    Sampling,
    TimeLimits,
)
from novasystem.errors import (
    ConfigurationError,
    EngineTimeout,
    EngineUnavailable,
    ModelNotFound,
)
from tests.engines.children import eventually, refuses

LIMITS = TimeLimits(connect_s=5, first_token_s=60, between_tokens_s=30, total_s=120)
ENDLESS = JsonOutput({"type": "array", "minItems": 400, "items": {"type": "boolean"}})


@pytest.fixture
def config(weights: Path) -> ChildConfig:
    return ChildConfig(weights, "tiny", context_tokens=1024, slots=2, threads=1)


@pytest.fixture
async def engine(config: ChildConfig) -> AsyncIterator[EmbeddedEngine]:
    engine = EmbeddedEngine("embedded", config)
    yield engine
    await engine.aclose()


def asked(said: str = "Hi.", tokens: int = 8) -> GenerateRequest:
    sampling = Sampling(temperature=0.0, max_tokens=tokens)
    return GenerateRequest("tiny", (Message("user", said),), sampling=sampling, limits=LIMITS)


def endless(said: str = "Hi.", tokens: int = 900) -> GenerateRequest:
    return replace(asked(said, tokens), json_output=ENDLESS)


async def answer(engine: EmbeddedEngine, request: GenerateRequest | None = None) -> list[Event]:
    async with aclosing(engine.generate(request or asked())) as events:
        return [event async for event in events]


async def pid_of(engine: EmbeddedEngine) -> int:
    return (await engine.keeper.address()).pid


def test_the_package_has_weights() -> None:
    assert nova_tiny_path().read_bytes()[:4] == b"GGUF"
    assert nova_tiny_path().stat().st_size < 10 * 1024 * 1024


async def test_it_is_known_before_it_runs_and_starts_on_first_use(engine: EmbeddedEngine) -> None:
    [model] = await engine.models()
    assert (model.name, model.engine, model.loaded) == ("tiny", "embedded", False)
    assert (await engine.health()).detail == "starts on first use"
    with pytest.raises(ModelNotFound):
        await answer(engine, replace(asked(), model="other"))
    assert not engine.keeper.running
    events = await answer(engine)
    assert isinstance(events[-1], Finished)
    [model] = await engine.models()
    assert model.loaded
    assert (await engine.health()).ok


async def test_killed_in_mid_answer_it_says_so_and_answers_the_next_request(
    engine: EmbeddedEngine,
) -> None:
    pid = await pid_of(engine)
    got: list[Event] = []

    async def until_it_dies() -> None:
        async with aclosing(engine.generate(endless())) as events:
            async for event in events:
                got.append(event)
                if isinstance(event, TextDelta) and len(got) < 10:
                    os.kill(pid, signal.SIGKILL)

    with pytest.raises(EngineUnavailable, match="SIGKILL in the middle of the answer") as error:
        await until_it_dies()
    assert "started again" in error.value.hint
    assert any(isinstance(event, TextDelta) for event in got)
    assert isinstance((await answer(engine))[-1], Finished)
    assert "restarted 1 times" in (await engine.health()).detail
    assert await pid_of(engine) != pid


async def test_a_request_that_meets_a_dead_child_is_asked_of_its_successor(
    engine: EmbeddedEngine,
) -> None:
    """Nothing was sent yet, so nobody needs to know."""
    for embed in (False, True):
        address = await engine.keeper.address()
        os.kill(address.pid, signal.SIGKILL)
        # The loop stands still meanwhile: nobody here has noticed.
        assert eventually(partial(refuses, address.unix_socket or ""))
        if embed:
            found = await engine.embed(EmbedRequest("tiny", ("x",), limits=LIMITS))
            assert len(found.vectors) == 1
        else:
            assert isinstance((await answer(engine))[-1], Finished)
        assert await pid_of(engine) != address.pid


async def test_killed_while_it_embeds_it_says_so_too(engine: EmbeddedEngine) -> None:
    pid = await pid_of(engine)
    texts = tuple(f"{number} " * 200 for number in range(200))
    embedding = asyncio.create_task(engine.embed(EmbedRequest("tiny", texts, limits=LIMITS)))
    await asyncio.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineUnavailable, match="SIGKILL"):
        await embedding


async def test_all_who_are_answered_are_told_when_it_dies(engine: EmbeddedEngine) -> None:
    pid = await pid_of(engine)
    running = [asyncio.create_task(answer(engine, endless(f"{n}"))) for n in range(4)]
    await asyncio.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    ended = await asyncio.gather(*running, return_exceptions=True)
    assert all(isinstance(one, EngineUnavailable) for one in ended)
    assert isinstance((await answer(engine))[-1], Finished)


async def test_unloading_in_mid_answer_ends_it_with_a_typed_error(engine: EmbeddedEngine) -> None:
    running = asyncio.create_task(answer(engine, endless()))
    await pid_of(engine)
    await asyncio.sleep(0.3)
    await engine.unload("tiny")
    with pytest.raises(EngineUnavailable):
        await running
    assert not engine.keeper.running


async def test_its_slots_work_at_the_same_time_and_more_wait(engine: EmbeddedEngine) -> None:
    await answer(engine)

    async def span(number: int) -> tuple[int, int]:
        events = await answer(engine, endless(f"{number}", 200))
        arrived = [event.arrival.at_ns for event in events if not isinstance(event, Sent)]
        return arrived[0], arrived[-1]

    first, second, *_ = sorted(await asyncio.gather(*(span(number) for number in range(4))))
    assert second[0] < first[1]


async def test_a_start_that_takes_too_long_meets_the_limit_and_goes_on(
    engine: EmbeddedEngine,
) -> None:
    hasty = replace(asked(), limits=replace(LIMITS, first_token_s=0.02))
    started = time.monotonic()
    with pytest.raises(EngineTimeout) as error:
        await answer(engine, hasty)
    assert error.value.limit == "first_token"
    assert time.monotonic() - started < 2
    assert not engine.keeper.running
    assert isinstance((await answer(engine))[-1], Finished)
    assert engine.keeper.restarts == 0


def test_a_file_that_is_no_model_is_refused_before_anything_starts(tmp_path: Path) -> None:
    page = tmp_path / "page.gguf"
    page.write_text("<html>")
    empty = tmp_path / "empty.gguf"
    empty.touch()
    for path, words in [
        (page, "not a GGUF file"),
        (empty, "not a GGUF file"),
        (tmp_path / "gone.gguf", "No such file"),
        (tmp_path, "Is a directory"),
    ]:
        with pytest.raises(ConfigurationError, match=words) as error:
            EmbeddedEngine("gguf", ChildConfig(path, "m"))
        assert str(path) in error.value.message
        assert error.value.hint


@pytest.fixture(params=["cut", "garbage"])
def broken(tmp_path: Path, weights: Path, request: pytest.FixtureRequest) -> Path:
    whole = weights.read_bytes()
    path = tmp_path / "broken.gguf"
    cut = request.param == "cut"
    path.write_bytes(whole[: len(whole) // 2] if cut else b"GGUF" + b"\xff" * 1000)
    return path


async def test_a_damaged_model_is_told_each_time_and_leaves_nothing(broken: Path) -> None:
    engine = EmbeddedEngine("gguf", ChildConfig(broken, "tiny"))
    try:
        for _ in range(2):
            with pytest.raises(EngineUnavailable, match="could not load") as error:
                await answer(engine)
            assert str(broken) in error.value.message
            assert "GGUF" in error.value.hint
            assert not engine.keeper.running
    finally:
        await engine.aclose()


async def test_a_model_that_vanished_is_told(broken: Path) -> None:
    engine = EmbeddedEngine("gguf", ChildConfig(broken, "tiny"))
    os.unlink(broken)
    try:
        with pytest.raises(EngineUnavailable, match="could not load"):
            await answer(engine)
    finally:
        await engine.aclose()
