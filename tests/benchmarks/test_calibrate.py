"""Made-up prompts of a wanted length, with tokenizers of all kinds."""

from collections.abc import Callable

import pytest

from novasystem.benchmarks.calibrate import PROBES, MadeTexts, calibrate, counter, made_texts
from novasystem.benchmarks.workloads import Ask, request
from novasystem.engines.openai_http import OpenAIEngine
from novasystem.errors import EngineProtocolError, InvalidRequest
from tests.benchmarks.loads import asked, plan, playing
from tests.servers.answers import json_answer, openai_stream
from tests.servers.scripted import ScriptedServer, Seen

TOKENIZERS: dict[str, Callable[[str], int]] = {
    "a word": lambda word: 1,
    "a character": len,
    "pieces": lambda word: 1 + len(word) // 3,
    "short words cost more": lambda word: 1 if len(word) > 1 else 2,
}


class Counted:
    """A prompt's length, ``added`` by a template included; and how often it was asked for."""

    def __init__(self, tokens: Callable[[str], int], added: int) -> None:
        self.asked: list[str] = []
        self._tokens = tokens
        self._added = added

    async def __call__(self, text: str) -> int:
        self.asked.append(text)
        return self._added + sum(map(self._tokens, text.split(" ")))


@pytest.fixture(params=TOKENIZERS)
def counted(request: pytest.FixtureRequest) -> Counted:
    return Counted(TOKENIZERS[request.param], 23)


@pytest.mark.parametrize("tokens", [40, 64, 100, 511, 512, 4096, 20_000])
async def test_within_a_token_or_a_hundredth(counted: Counted, tokens: int) -> None:
    length = await calibrate(counted, tokens)
    assert len(counted.asked) <= PROBES
    # As another seed has it, too.
    assert abs(await counted(length.text("another")) - tokens) <= max(1, tokens // 100)


async def test_texts_of_one_length_begin_differently(counted: Counted) -> None:
    length = await calibrate(counted, 200)
    texts = {length.text(str(seed)) for seed in range(500)}
    assert len(texts) == 500
    assert len({text.partition(" ")[0] for text in texts}) > 15
    assert length.text("7") == length.text("7")


async def test_no_probe_has_the_beginning_of_another(counted: Counted) -> None:
    """Or a server with a cache would count what is left."""
    await calibrate(counted, 4096)
    beginnings = [text[:60] for text in counted.asked if len(text) > 60]
    assert len(set(beginnings)) == len(beginnings)


async def test_a_depth_lies_before(counted: Counted) -> None:
    texts = await made_texts(counted, [(0, 100), (300, 100), (300, 50)])
    before, whole = texts.deep(300, 100, "s")
    assert whole.startswith(before + " ")
    assert abs(await counted(before) - 300) <= 3
    assert abs(await counted(whole) - 400) <= 4
    assert texts.deep(300, 50, "s")[0] == before
    assert abs(await counted(texts.prompt(100, "s")) - 100) <= 1


async def test_what_is_shorter_than_the_template_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="nearest has 24") as raised:
        await calibrate(Counted(lambda word: 1, 23), 10)
    assert "at least 24" in raised.value.hint


def usage_of(seen: Seen) -> dict[str, int]:
    words = sum(len(message["content"].split(" ")) for message in seen.json["messages"])
    return {"prompt_tokens": 7 + words, "completion_tokens": 1, "total_tokens": 8 + words}


async def made(server: ScriptedServer, flavour: str, tokens: int) -> MadeTexts:
    engine = OpenAIEngine("far", server.url, flavour=flavour)
    ask = request(plan(), "m", Ask(0, 0, ()))
    try:
        return await made_texts(counter(engine, ask), [(0, tokens)])
    finally:
        await engine.aclose()


async def test_counted_by_what_the_engine_reports(scripted: ScriptedServer) -> None:
    scripted.asks(
        "POST", "/v1/chat/completions", lambda seen: openai_stream(["x"], usage=usage_of(seen))
    )
    texts = await made(scripted, "openai", 90)
    assert len(texts.prompt(90, "s").split(" ")) == 83
    probes = asked(scripted)
    assert 1 < len(probes) <= PROBES
    assert all(seen.json["max_tokens"] == 1 for seen in probes)


async def test_one_request_where_the_engine_counts_texts(scripted: ScriptedServer) -> None:
    scripted.asks(
        "POST", "/v1/chat/completions", lambda seen: openai_stream(["x"], usage=usage_of(seen))
    )
    scripted.asks(
        "POST",
        "/tokenize",
        lambda seen: json_answer(200, {"count": len(seen.json["prompt"].split(" "))}),
    )
    texts = await made(scripted, "vllm", 90)
    assert len(texts.prompt(90, "s").split(" ")) == 83
    assert len(asked(scripted)) == 1


async def test_an_engine_that_does_not_count(scripted: ScriptedServer) -> None:
    playing(scripted, openai_stream(["x"]))
    with pytest.raises(EngineProtocolError, match="how many tokens"):
        await made(scripted, "openai", 90)
