"""A million hostile inputs: the parsers raise what they document, or nothing, and never hang.

An input is one stream (valid, with one part replaced by another JSON type, mutated as text, or
noise; some 10 to 3,000 bytes), cut at random places, fed read by read through a splitter, and
every frame that comes out through the decoder behind it, up to the end of the stream. The seed is
fixed: a failure can be repeated, and its message shows the input.
"""

import json
import random
import time
from collections.abc import Callable, Iterator

import pytest

from novasystem.engines.events import Arrival, Event, Finished
from novasystem.engines.ollama_wire import LineDecoder
from novasystem.engines.openai_wire import ChunkDecoder
from novasystem.engines.sse import FrameTooLarge, NdjsonSplitter, SseSplitter
from novasystem.engines.stream import Decoder, Splitter, StreamFault
from tests.servers.answers import Send, ollama_stream, openai_chunk, openai_stream, sse

Parser = Callable[[], tuple[Splitter, Decoder]]

INPUTS = 1_000_000
SLOWEST_S = 2.0
"""Of one input: far above what any takes, far below a hang."""

ARRIVAL = Arrival(0, 0, 0)
MAX_FRAME = 2048
"""Small, so that the limit is met as often as everything else."""

CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}

WORDS = [
    b"\n", b"\r", b"\n\n", b"\r\n\r\n", b"data:", b"data: ", b": ping\n\n", b"event: error\n",
    b"error: ", b"[DONE]", b"null", b"[]", b"{}", b"0", b"-1", b"1e999", b"NaN", b"true",
    b'"', b'""', b"\\", b"\\ud800", b"\\u2028", b"\xe2\x80\xa8", b"\xff\xfe", b"\xc3", b"\x00",
    b":", b"{", b"}", b"[", b"]", b"[" * 300, b"]" * 300, b'{"a":' * 300, b"9" * 400, b"x" * 3000,
    b'{"error":', b'{"choices":[', b'"delta":null', b'"content":1', b'"tool_calls":[{}]',
    b'"index":1e300', b'"index":null', b'"usage":{"prompt_tokens_details":3}', b'"timings":[1]',
    b'"finish_reason":"stop"', b'"done":true', b'"message":[]', b'"thinking":{}',
]  # fmt: skip


def wire(steps: object) -> bytes:
    """The payload of a scripted answer, without HTTP."""
    assert isinstance(steps, list)
    sends = [step.data for step in steps if isinstance(step, Send)][1:-1]
    return b"".join(data.partition(b"\r\n")[2][:-2] for data in sends)


SSE_SEEDS = [
    wire(openai_stream(["Hi", " \u2028é"], usage=USAGE, timings={"prompt_n": 3, "prompt_ms": 1.5})),
    wire(openai_stream(["x"], reasoning=["hm"], reasoning_key="reasoning")).replace(b"\n", b"\r\n"),
    wire(sse(openai_chunk({"tool_calls": [CALL]}), openai_chunk({}, finish="tool_calls"))),
    wire(sse(b": ping\n\n", {"error": {"message": "boom", "code": 500}}, b"error: {}\n\n")),
]
TOOLS = [{"function": {"name": "f", "arguments": {"a": [1, {"b": None}]}}}]
LINE = {"message": {"role": "assistant", "content": "", "tool_calls": TOOLS}, "done": False}
NDJSON_SEEDS = [
    wire(ollama_stream(["Hi", " \u2028é"], thinking=["hm"])),
    json.dumps(LINE).encode() + b"\n" + wire(ollama_stream([], durations={"eval_count": 1})),
    b'{"error":"boom"}\r\n\r\n{"error":{"a":1}}\n',
]


ODD: list[object] = [None, True, 0, -1, 1.5, "", "x", "error", [], [None], [[]], {}, {"a": 1}]


def misshapen(value: object) -> Iterator[object]:
    """The value with one part of it, at every depth, replaced by each odd value or left out."""
    yield from ODD
    if isinstance(value, dict):
        for key, part in value.items():
            yield {k: v for k, v in value.items() if k != key}
            yield from (value | {key: odd} for odd in misshapen(part))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from ([*value[:place], odd, *value[place + 1 :]] for odd in misshapen(part))


def frames_of(seeds: list[bytes], prefix: bytes, end: bytes) -> list[bytes]:
    """Every frame of the seeds, misshapen in every way."""
    lines = {line.strip() for seed in seeds for line in seed.split(b"\n")}
    texts = [line.removeprefix(prefix) for line in lines if line.startswith(prefix + b"{")]
    odd = {json.dumps(bent).encode() for text in texts for bent in misshapen(json.loads(text))}
    return [prefix + bent + end for bent in sorted(odd)]


def mutated(seeds: list[bytes], bent: list[bytes], rng: random.Random) -> bytes:
    data = rng.choice(seeds)
    kind = rng.random()
    if kind < 0.03:
        return data
    if kind < 0.35:
        return rng.choice(bent) + (data if rng.random() < 0.3 else b"")
    if kind < 0.40:
        return b"".join(rng.choices(WORDS, k=rng.randrange(1, 12)))
    if kind < 0.43:
        return rng.randbytes(rng.randrange(200))
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randrange(20, 400)] if kind < 0.9 else data
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(piece) + 1)
        until = at + (rng.randrange(12) if rng.random() < 0.5 else 0)
        word = rng.choice(WORDS) if rng.random() < 0.8 else rng.randbytes(2)
        piece = piece[:at] + word + piece[until:]
    return piece


def fed(data: bytes, splitter: Splitter, decoder: Decoder, rng: random.Random) -> list[Event]:
    """Read by read, as ``stream`` does it."""
    events: list[Event] = []
    reads = rng.randrange(1, 6)
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(reads - 1))
    at = 0
    for cut in [*cuts, len(data), None]:
        frames = splitter.end() if cut is None else splitter.feed(data[at:cut])
        at = cut or 0
        for frame in frames:
            if decoder.done:
                return events + decoder.end()
            events += decoder.decode(frame, ARRIVAL)
    return events + decoder.end()


def checked(events: list[Event]) -> None:
    """An answer that was taken for whole has one end, at its end."""
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(event, Finished) for event in events) == 1


@pytest.mark.timeout(600)
def test_a_million_hostile_inputs_raise_what_is_documented_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    started = time.monotonic()
    bent_sse = frames_of(SSE_SEEDS, b"data: ", b"\n\n")
    bent_ndjson = frames_of(NDJSON_SEEDS, b"", b"\n")
    kinds: list[tuple[list[bytes], list[bytes], Parser]] = [
        (SSE_SEEDS, bent_sse, lambda: (SseSplitter(MAX_FRAME), ChunkDecoder())),
        (NDJSON_SEEDS, bent_ndjson, lambda: (NdjsonSplitter(MAX_FRAME), LineDecoder())),
    ]
    whole = faults = too_large = 0
    slowest_s = 0.0
    rng = random.Random(20261121)
    for number in range(INPUTS):
        seeds, bent, make = kinds[number % 2]
        data = mutated(seeds, bent, rng)
        before = time.monotonic()
        try:
            events = fed(data, *make(), rng)
        except StreamFault:
            faults += 1
        except FrameTooLarge:
            too_large += 1
        except Exception as error:
            raise AssertionError(f"input {number}: {data!r}") from error
        else:
            checked(events)
            whole += 1
        slowest_s = max(slowest_s, time.monotonic() - before)
    assert slowest_s < SLOWEST_S
    # That each way out was taken often shows that the inputs are neither all noise nor all tame.
    assert min(whole, faults, too_large) > INPUTS // 200
    with capsys.disabled():
        print(  # noqa: T201
            f"\nfuzz: {INPUTS:,} inputs, {whole:,} answers, {faults:,} faults, "
            f"{too_large:,} too large, 0 crashes, 0 hangs, slowest {slowest_s * 1000:.1f} ms, "
            f"{time.monotonic() - started:.0f} s"
        )
