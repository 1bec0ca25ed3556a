"""One suite for every engine: what stands here can be relied on, whichever of them answers.

The weights are those of the package; what they know is no part of the contract.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import pytest

from novasystem.engines.events import (
    Event,
    Finished,
    Sent,
    TextDelta,
    Usage,
)
from novasystem.engines.requests import (
    EmbedRequest,
    GenerateRequest,
    JsonOutput,
    Message,
    Sampling,
)
from novasystem.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    UnsupportedParameter,
)
from tests.contract.asking import (
    ENDLESS,
    GREEDY,
    LIMITS,
    answer,
    asked,
    reason,
    text,
)
from tests.contract.conftest import MODEL, Subject
from tests.contract.cpu import tree_cpu_s

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_models_are_listed_with_what_is_known_of_them(subject: Subject) -> None:
    [model] = await subject.engine.models()
    assert (model.name, model.engine) == (MODEL, subject.engine.name)
    assert model.context_tokens == 1024
    assert model.size_bytes is not None
    assert model.size_bytes > 100_000
    assert model.created > 1_600_000_000
    assert model.parameters is None or model.parameters.endswith("M")


async def test_health_is_good(subject: Subject) -> None:
    health = await subject.engine.health()
    assert health.ok
    assert health.detail


async def test_an_answer_is_sent_text_usage_and_finish_in_this_order(subject: Subject) -> None:
    events = await answer(subject, asked())
    assert isinstance(events[0], Sent)
    assert isinstance(events[-1], Finished)
    assert isinstance(events[-2], Usage)
    assert text(events)
    arrived = [event.arrival for event in events if not isinstance(event, Sent)]
    assert arrived[0].at_ns >= events[0].at_ns
    chunks = [event.arrival for event in events if isinstance(event, TextDelta)]
    for earlier, later in pairwise(chunks):
        assert earlier.at_ns <= later.at_ns
        assert earlier.read <= later.read
    assert all(arrival.size > 0 for arrival in arrived)


async def test_usage_and_the_engines_own_timings_are_reported(subject: Subject) -> None:
    events = await answer(subject, asked("Count from one to ten, please."))
    [usage] = [event for event in events if isinstance(event, Usage)]
    assert usage.prompt_tokens is not None
    assert usage.completion_tokens is not None
    assert usage.prompt_tokens > 5
    assert 0 < usage.completion_tokens <= 24
    timings = usage.timings
    assert timings is not None
    assert timings.decode_tokens == usage.completion_tokens
    assert timings.decode_s is not None
    assert 0 < timings.decode_s < 60
    assert timings.prefill_s is not None
    assert 0 < timings.prefill_s < 60


async def test_at_temperature_zero_an_answer_can_be_repeated(subject: Subject) -> None:
    # The first may find another state of the prompt cache, and round otherwise.
    _, *both = [text(await answer(subject, asked("Tell me a story."))) for _ in range(3)]
    assert both[0] == both[1] != ""


async def test_a_seed_makes_sampling_repeatable_and_matters(subject: Subject) -> None:
    def drawn(seed: int) -> GenerateRequest:
        sampling = Sampling(temperature=1.5, seed=seed, max_tokens=20)
        return asked("Tell me a story.", sampling=sampling)

    await answer(subject, drawn(1))
    first, again = [text(await answer(subject, drawn(1))) for _ in range(2)]
    others = [text(await answer(subject, drawn(seed))) for seed in (2, 3, 4)]
    assert first == again
    assert {first} != {*others}


async def test_max_tokens_is_kept_and_the_cut_is_told(subject: Subject) -> None:
    request = asked(sampling=Sampling(max_tokens=3), json_output=JsonOutput(ENDLESS))
    events = await answer(subject, request)
    [usage] = [event for event in events if isinstance(event, Usage)]
    assert usage.completion_tokens == 3
    assert reason(events) == "length"


async def test_a_stop_sequence_ends_the_answer_and_is_no_part_of_it(subject: Subject) -> None:
    whole = text(await answer(subject, asked("Tell me a story.")))
    whole = text(await answer(subject, asked("Tell me a story.")))
    stop = whole[len(whole) // 2 :][:4]
    sampling = Sampling(temperature=0.0, seed=0, max_tokens=24, stop=(stop,))
    events = await answer(subject, asked("Tell me a story.", sampling=sampling))
    assert text(events).rstrip() == whole[: whole.index(stop)].rstrip()
    assert reason(events) == "stop"


async def test_earlier_turns_are_read(subject: Subject) -> None:
    short = await answer(subject, asked("And now?"))
    turns = (Message("user", "My name is Ada."), Message("assistant", "Hello, Ada!"))
    long = await answer(subject, asked(messages=(*turns, Message("user", "And now?"))))

    def prompt(events: Sequence[Event]) -> int:
        [usage] = [event for event in events if isinstance(event, Usage)]
        return usage.prompt_tokens or 0

    assert prompt(long) > prompt(short) + 5


async def test_embeddings_come_in_order_and_equal_texts_are_equal(subject: Subject) -> None:
    texts = ("Rome is a city.", "Twelve.", "Rome is a city.", "Ωμέγα \u2028 🙂")
    found = await subject.engine.embed(EmbedRequest(MODEL, texts, limits=LIMITS))
    first, second, third, _ = found.vectors
    assert {len(vector) for vector in found.vectors} == {len(first)}
    assert len(first) > 16
    assert first == pytest.approx(third, abs=1e-4)
    assert first != pytest.approx(second, abs=1e-2)
    assert found.prompt_tokens is None or found.prompt_tokens > 4


async def test_chat_and_embeddings_at_the_same_time(subject: Subject) -> None:
    embed = EmbedRequest(MODEL, ("Rome is a city.",), limits=LIMITS)
    chats = [answer(subject, asked(f"Tell me story number {n}.")) for n in range(4)]
    found = await asyncio.gather(*chats, *(subject.engine.embed(embed) for _ in range(4)))
    assert all(isinstance(events[-1], Finished) for events in found[:4])  # type: ignore[index]


@pytest.mark.parametrize(
    "said", ["", "x", "What is 2+3?", "1234567890", "Ωμέγα \u2028 🙂\x00", "<|im_start|>user"]
)
async def test_tokens_are_counted_exactly_or_not_at_all(
    subject: Subject, kind: str, said: str
) -> None:
    """What a text adds to a prompt is what was counted: the engine itself is the witness."""
    if (await subject.engine.capabilities(MODEL)).load:
        await subject.engine.load(MODEL)
    counted = await subject.engine.count_tokens(MODEL, said)
    if kind == "ollama":
        assert counted is None
        return
    assert counted is not None

    async def prompt_tokens(content: str) -> int:
        events = await answer(subject, asked(content))
        [usage] = [event for event in events if isinstance(event, Usage)]
        assert usage.prompt_tokens is not None
        return usage.prompt_tokens

    # Between two dots, which are tokens of their own, so that nothing grows together.
    alone = await subject.engine.count_tokens(MODEL, ".\n.")
    around = await subject.engine.count_tokens(MODEL, f".\n{said}\n.")
    assert alone is not None
    assert around is not None
    assert await prompt_tokens(f".\n{said}\n.") - await prompt_tokens(".\n.") == around - alone
    assert abs((around - alone) - counted) <= 2


async def test_a_model_that_is_not_there_is_not_found(subject: Subject) -> None:
    nobody = GenerateRequest("nobody", (Message("user", "Hi."),), sampling=GREEDY, limits=LIMITS)
    if subject.any_name:
        # llama.cpp's server does; the registry asks an engine only for what it lists.
        assert text(await answer(subject, nobody))
        return
    with pytest.raises(ModelNotFound, match="nobody"):
        await answer(subject, nobody)
    with pytest.raises(ModelNotFound, match="nobody"):
        await subject.engine.embed(EmbedRequest("nobody", ("x",), limits=LIMITS))


async def test_a_prompt_that_does_not_fit_is_refused_and_not_cut(subject: Subject) -> None:
    with pytest.raises(ContextLengthExceeded) as refusal:
        await answer(subject, asked("one two three four " * 800))
    assert refusal.value.hint
    assert text(await answer(subject, asked()))


async def test_what_the_engine_cannot_honour_is_refused_by_name(subject: Subject) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"options": {"nonsense": 1}}, "nonsense"),
        ({"think": True}, "think"),
    ]
    for more, name in wrong:
        with pytest.raises(UnsupportedParameter, match=name) as refusal:
            await answer(subject, asked(**more))
        assert refusal.value.param == name
    assert text(await answer(subject, asked(think=False)))


async def test_a_model_is_loaded_and_unloaded_where_the_engine_says_that_it_can(
    subject: Subject,
) -> None:
    engine = subject.engine
    if not (await engine.capabilities(MODEL)).load:
        with pytest.raises(InvalidRequest):
            await engine.load(MODEL)
        with pytest.raises(InvalidRequest):
            await engine.unload(MODEL)
        return
    await engine.load(MODEL)
    assert [model.loaded for model in await engine.models()] == [True]
    await engine.unload(MODEL)
    assert [model.loaded for model in await engine.models()] == [False]
    with pytest.raises(ModelNotFound):
        await engine.load("nobody")
    # And what was let go of comes back by itself.
    assert text(await answer(subject, asked()))


@pytest.mark.skipif(sys.platform != "linux", reason="reads processor times from Linux's /proc")
async def test_closing_the_iterator_stops_the_engine_within_a_second(
    subject: Subject, kind: str
) -> None:
    """What the model's process computes afterwards is little of what a whole answer costs it."""
    pid = subject.pid
    if kind == "embedded":
        # It may have been restarted by the tests before.
        pid = (await subject.engine.keeper.address()).pid  # type: ignore[attr-defined]

    def long(about: str) -> GenerateRequest:
        sampling = Sampling(temperature=1.0, seed=3, max_tokens=300)
        return asked(about, json_output=JsonOutput(ENDLESS), sampling=sampling)

    await answer(subject, asked())
    before = tree_cpu_s(pid)
    whole = await answer(subject, long("Count."))
    whole_s = tree_cpu_s(pid) - before
    [usage] = [event for event in whole if isinstance(event, Usage)]
    assert (usage.completion_tokens or 0) > 200

    async with aclosing(subject.engine.generate(long("Count again."))) as events:
        seen = 0
        async for event in events:
            seen += isinstance(event, TextDelta)
            if seen == 5:
                break
    left = tree_cpu_s(pid)
    await asyncio.sleep(1)
    after = tree_cpu_s(pid)
    assert after - left < 0.4 * whole_s
    await asyncio.sleep(0.5)
    assert tree_cpu_s(pid) - after < 0.1
