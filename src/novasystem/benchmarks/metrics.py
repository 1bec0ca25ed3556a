"""What one request's sample says: pure functions, and the dictionary that names them.

Times in a sample are nanoseconds of one monotonic clock, so no wall clock can step into a figure.
Every function returns ``None`` where its sample does not say: the request never came to that, or
the engine did not report it. None of them looks at whether the request failed; :func:`measured`
does, and nothing else may feed a figure.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from novasystem.benchmarks.plan import Objectives
from novasystem.benchmarks.samples import Sample

__all__ = [
    "METRICS",
    "Better",
    "Metric",
    "decode_tokens_per_s",
    "e2e_s",
    "inter_chunk_latencies",
    "inter_chunk_max_s",
    "inter_chunk_s",
    "load_s",
    "measured",
    "meets",
    "output_tokens_per_s",
    "prefill_tokens_per_s",
    "residual_s",
    "schedule_delay_s",
    "time_to_first_chunk_s",
    "tpot_s",
    "ttfo_s",
    "ttft_s",
    "ttft_scheduled_s",
    "values",
]

Better = Literal["lower", "higher"]


def measured(samples: Iterable[Sample]) -> list[Sample]:
    """Those that figures are made from: counted ones that did not fail, in the order sent.

    Warm-ups are not counted; failures are counted beside the figures and never in them.
    """
    chosen = [sample for sample in samples if sample.counted and sample.failure is None]
    return sorted(chosen, key=lambda sample: (sample.sent_ns or sample.scheduled_ns, sample.number))


def time_to_first_chunk_s(sample: Sample) -> float | None:
    """First chunk of any kind - sent, in s. A chunk that only opens the answer with a role counts
    here, and only here."""
    return _between(sample.sent_ns, sample.first_chunk_ns)


def ttft_s(sample: Sample) -> float | None:
    """Time to first token: first chunk with non-empty content - sent, in s. Reasoning is content;
    the empty chunk that opens an answer is not."""
    return _between(sample.sent_ns, sample.first_token_ns)


def ttft_scheduled_s(sample: Sample) -> float | None:
    """First chunk with non-empty content - scheduled, in s: what a user would have waited, the
    time included that the request left late (coordinated omission)."""
    return _between(sample.scheduled_ns, sample.first_token_ns)


def ttfo_s(sample: Sample) -> float | None:
    """Time to first output: first non-empty content that is not reasoning - sent, in s."""
    return _between(sample.sent_ns, sample.first_answer_ns)


def e2e_s(sample: Sample) -> float | None:
    """End-to-end latency: last chunk with content - sent, in s."""
    return _between(sample.sent_ns, sample.last_token_ns)


def tpot_s(sample: Sample) -> float | None:
    """Time per output token: (E2E - TTFT) / (output tokens - 1), in s.

    The tokens are those that the engine counts, never the chunks. Undefined for one token, and for
    an answer that came in one read: nothing was seen of its pace.
    """
    first, last, tokens = ttft_s(sample), e2e_s(sample), sample.completion_tokens
    if first is None or last is None or tokens is None or tokens < 2 or last <= first:
        return None
    return (last - first) / (tokens - 1)


def output_tokens_per_s(sample: Sample) -> float | None:
    """1 / TPOT, in tokens per s."""
    each = tpot_s(sample)
    return None if each is None else 1 / each


def inter_chunk_latencies(sample: Sample) -> tuple[float, ...]:
    """The gaps between arrivals inside the request, in s. A read that delivers several chunks is
    one arrival, so that no gap of zero is made up."""
    times = (arrival.at_ns for arrival in sample.arrivals)
    return tuple((after - before) / 1e9 for before, after in pairwise(times))


def inter_chunk_s(sample: Sample) -> float | None:
    """The median of the request's inter-chunk latencies, in s."""
    return statistics.median(gaps) if (gaps := inter_chunk_latencies(sample)) else None


def inter_chunk_max_s(sample: Sample) -> float | None:
    """The longest of the request's inter-chunk latencies, in s: how long it stalled."""
    return max(gaps) if (gaps := inter_chunk_latencies(sample)) else None


def prefill_tokens_per_s(sample: Sample) -> float | None:
    """Evaluated prompt tokens / the time that took, both as the server reports them, in 1/s.

    ``None`` where it omits one of them, as Ollama omits the count of a prompt that its cache had;
    the prompt's length takes no part, as what was cached was not evaluated.
    """
    said = sample.timings
    return _rate(said.prefill_tokens, said.prefill_s) if said else None


def decode_tokens_per_s(sample: Sample) -> float | None:
    """Generated tokens / the time that took, both as the server reports them, in 1/s."""
    said = sample.timings
    return _rate(said.decode_tokens, said.decode_s) if said else None


def load_s(sample: Sample) -> float | None:
    """What it took to bring the model into memory, in s: as the server reports it, or as it was
    measured before the request where the engine loads in a call of its own."""
    if sample.load_ns is not None:
        return sample.load_ns / 1e9
    return sample.timings.load_s if sample.timings else None


def residual_s(sample: Sample) -> float | None:
    """TTFT - (load + prompt evaluation) as the server reports them, in s: queue, network, client.

    ``None`` where the server does not say how long it evaluated the prompt. A server that says
    nothing of loading did not load within the request. It may be slightly negative, as two clocks
    take part.
    """
    first, said = ttft_s(sample), sample.timings
    if first is None or said is None or said.prefill_s is None:
        return None
    return first - ((said.load_s or 0.0) + said.prefill_s)


def schedule_delay_s(sample: Sample) -> float | None:
    """Sent - scheduled, in s: how late the request left."""
    return _between(sample.scheduled_ns, sample.sent_ns)


def meets(sample: Sample, objectives: Objectives) -> bool | None:
    """Whether a request meets all the objectives that are given; ``None`` where one of them cannot
    be judged, as the engine counts no tokens. A failed request meets none; an answer of one token
    has no pace that could be too slow."""
    if sample.failure is not None:
        return False
    known = True
    for limit, value in (
        (objectives.ttft_s, ttft_s(sample)),
        (objectives.e2e_s, e2e_s(sample)),
    ):
        if limit is not None and (value is None or value > limit):
            return False
    if objectives.tpot_s is not None:
        each = tpot_s(sample)
        known = sample.completion_tokens is not None
        if each is not None and each > objectives.tpot_s:
            return False
    return True if known else None


def _between(begin_ns: int | None, end_ns: int | None) -> float | None:
    return None if begin_ns is None or end_ns is None else (end_ns - begin_ns) / 1e9


def _rate(count: int | None, seconds: float | None) -> float | None:
    return count / seconds if count and seconds and seconds > 0 else None


def _completion_tokens(sample: Sample) -> float | None:
    return sample.completion_tokens


class Metric(NamedTuple):
    """``better``: which direction is the better one, ``None`` where neither is.

    ``resolution``: what two equal runs may differ by in the metric's own unit whatever its size.
    ``why_untested``: why no comparison may draw a conclusion from it.
    """

    function: Callable[[Sample], float | None]
    unit: str
    better: Better | None
    title: str
    resolution: float = 0.0
    why_untested: str = ""


_CLIENTS = "tells of the client, not of the model"
_REST = "a small difference of large times, whose run-to-run shifts are theirs"
_MS = 0.001

METRICS: dict[str, Metric] = {
    "ttft_s": Metric(ttft_s, "s", "lower", "Time to first token", _MS),
    "ttft_scheduled_s": Metric(
        ttft_scheduled_s, "s", "lower", "Time to first token, from its schedule", _MS
    ),
    "ttfo_s": Metric(ttfo_s, "s", "lower", "Time to first token that is not reasoning", _MS),
    "time_to_first_chunk_s": Metric(
        time_to_first_chunk_s, "s", "lower", "Time to first chunk", _MS
    ),
    "e2e_s": Metric(e2e_s, "s", "lower", "End-to-end latency", _MS),
    "tpot_s": Metric(tpot_s, "s", "lower", "Time per output token"),
    "output_tokens_per_s": Metric(
        output_tokens_per_s, "1/s", "higher", "Output tokens per second of a request"
    ),
    "inter_chunk_s": Metric(inter_chunk_s, "s", "lower", "Inter-chunk latency, median"),
    "inter_chunk_max_s": Metric(
        inter_chunk_max_s, "s", "lower", "Inter-chunk latency, longest", 5 * _MS
    ),
    "prefill_tokens_per_s": Metric(
        prefill_tokens_per_s, "1/s", "higher", "Prompt tokens per second, as the server says"
    ),
    "decode_tokens_per_s": Metric(
        decode_tokens_per_s, "1/s", "higher", "Output tokens per second, as the server says"
    ),
    "load_s": Metric(load_s, "s", "lower", "Time to load the model", 5 * _MS),
    "residual_s": Metric(
        residual_s, "s", "lower", "Time to first token beyond the server's own", 0.0, _REST
    ),
    "schedule_delay_s": Metric(
        schedule_delay_s, "s", "lower", "Delay behind the schedule", 0.0, _CLIENTS
    ),
    "completion_tokens": Metric(_completion_tokens, "", None, "Output tokens of a request"),
}
"""Every per-request metric by its name."""


def values(samples: Sequence[Sample], name: str) -> list[float]:
    """The metric of each measured sample that has it, in the samples' order."""
    function = METRICS[name].function
    return [
        value
        for sample in samples
        if sample.counted and sample.failure is None and (value := function(sample)) is not None
    ]
