"""How late the client's loop was, and what of a model is shown while it speaks."""

import asyncio
import time

from novasystem.benchmarks.lag import LagMeter
from novasystem.benchmarks.live import EVERY_NS, LiveTexts
from novasystem.benchmarks.sample_log import Live


async def test_the_most_since_a_moment() -> None:
    with LagMeter() as meter:
        now_ns = time.perf_counter_ns()
        for ago_s, lag_ns in ((5, 900), (4, 100), (3, 300), (2, 50)):
            meter.note(now_ns - ago_s * 10**9, lag_ns)
        found = [meter.since(now_ns - int(ago_s * 1e9)) for ago_s in (9, 4.5, 3.5, 2.5, 1)]
        assert (meter.most_ns, meter.take(), meter.take()) == (900, 900, 0)
    # What the machine itself was late meanwhile may be more.
    assert all(was >= noted for was, noted in zip(found, (900, 300, 300, 50, 0), strict=True))
    assert found == sorted(found, reverse=True)


async def test_what_holds_the_loop_up_now_counts_at_once() -> None:
    """The timer has not rung yet when the answer that was held up is looked at."""
    with LagMeter() as meter:
        began_ns = time.perf_counter_ns()
        time.sleep(0.3)  # noqa: ASYNC251
        assert meter.since(began_ns) > 200_000_000
        await asyncio.sleep(0.1)
        assert meter.most_ns > 200_000_000


def test_one_request_of_a_model_is_followed_at_a_time() -> None:
    written: list[Live] = []
    live = LiveTexts(written.append)
    follow = live.begin("m", 1, 0)
    assert follow is not None
    assert live.begin("m", 2, 0) is None
    assert live.begin("other", 3, 0) is not None
    follow(1, "a", False)
    follow(2, "b", False)
    assert [one.text for one in written] == ["", ""]
    follow(EVERY_NS + 2, "c", False)
    follow(EVERY_NS + 3, "hm", True)
    live.tick(EVERY_NS + 4)
    live.tick(3 * EVERY_NS)
    live.end("m", 2, 3 * EVERY_NS)
    assert live.begin("m", 4, 3 * EVERY_NS) is None
    follow(3 * EVERY_NS, "d", False)
    live.end("m", 1, 4 * EVERY_NS)
    said = [(one.text, one.reasoning) for one in written if one.model == "m"]
    assert said == [("", False), ("abc", False), ("hm", True), ("d", False)]
    assert live.begin("m", 5, 4 * EVERY_NS) is not None
