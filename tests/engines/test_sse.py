"""Trap 6 of measuring.md: what a stream means never depends on how its bytes were cut."""

import itertools
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novasystem.engines.sse import Frame, FrameTooLarge, NdjsonSplitter, SseSplitter

Splitter = SseSplitter | NdjsonSplitter

SSE_TABLE: list[tuple[str, bytes, list[tuple[bytes, bytes]]]] = [
    ("LF", b"data: a\n\ndata: b\n\n", [(b"a", b""), (b"b", b"")]),
    ("CRLF", b"data: a\r\n\r\ndata: b\r\n\r\n", [(b"a", b""), (b"b", b"")]),
    ("CR alone", b"data: a\r\rdata: b\r\r", [(b"a", b""), (b"b", b"")]),
    ("line ends mixed", b"data: a\n\r\ndata: b\r\n\n", [(b"a", b""), (b"b", b"")]),
    ("LF, and later CRLF", b"data: a\n\ndata: b\r\n\r\n", [(b"a", b""), (b"b", b"")]),
    ("comment", b": ping\n\ndata: a\n\n: ping\r\n\r\n", [(b"a", b"")]),
    ("comment inside an event", b": ping\ndata: a\n: ping\n\n", [(b"a", b"")]),
    ("no space after the colon", b"data:a\n\n", [(b"a", b"")]),
    ("only one space is taken off", b"data:  a\n\n", [(b" a", b"")]),
    ("several data lines", b"data: a\ndata:b\ndata: \n\n", [(b"a\nb\n", b"")]),
    ("event type", b"event: error\ndata: a\n\ndata: b\n\n", [(b"a", b"error"), (b"b", b"")]),
    ("type behind the data", b"data: a\nevent: x\n\n", [(b"a", b"x")]),
    ("type without data", b"event: x\n\ndata: a\n\n", [(b"a", b"")]),
    ("id and retry", b"id: 7\nretry: 10\ndata: a\n\n", [(b"a", b"")]),
    ("unknown field", b"foo: 1\ndata: a\n\n", [(b"a", b"")]),
    ("field without colon", b"data\ndata: a\n\n", [(b"\na", b"")]),
    ("empty data", b"data:\n\n", [(b"", b"")]),
    ("error field of llama.cpp", b"error: {}\n\n", [(b"{}", b"error")]),
    ("U+2028, U+2029, U+0085, FF inside", "data: a\u2028b\u2029c\u0085d\fe\n\n".encode(),
     [("a\u2028b\u2029c\u0085d\fe".encode(), b"")]),
    ("U+2028 among several lines", "data: a\u2028b\ndata: c\u2028\n\n".encode(),
     [("a\u2028b\nc\u2028".encode(), b"")]),
    ("U+2028 between CRLF", "data: a\u2028b\r\n\r\n".encode(), [("a\u2028b".encode(), b"")]),
    ("U+2028 in the last event", "data: a\u2028b".encode(), [("a\u2028b".encode(), b"")]),
    ("byte order mark", b"\xef\xbb\xbfdata: a\n\n", [(b"a", b"")]),
    ("byte order mark later on is text", b"data: \xef\xbb\xbf\n\n", [(b"\xef\xbb\xbf", b"")]),
    ("blank lines between", b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [(b"a", b""), (b"b", b"")]),
    ("no blank line at the end", b"data: a\n\ndata: b\n", [(b"a", b""), (b"b", b"")]),
    ("no line end at the end", b"data: a\r\n\r\ndata: b", [(b"a", b""), (b"b", b"")]),
    ("nothing", b"", []),
    ("not SSE at all", b"<html>\n<body>\n\n</body>", []),
]  # fmt: skip

NDJSON_TABLE: list[tuple[str, bytes, list[tuple[bytes, bytes]]]] = [
    ("LF", b"{}\n[]\n", [(b"{}", b""), (b"[]", b"")]),
    ("CRLF", b"{}\r\n[]\r\n", [(b"{}", b""), (b"[]", b"")]),
    ("blank lines", b"\n\r\n{}\n\n", [(b"{}", b"")]),
    ("no line end at the end", b"{}\n[]", [(b"{}", b""), (b"[]", b"")]),
    ("U+2028 inside", '{"a":"\u2028"}\n'.encode(), [('{"a":"\u2028"}'.encode(), b"")]),
]


def parse(splitter: Splitter, pieces: Sequence[bytes]) -> list[Frame]:
    frames = [frame for piece in pieces for frame in splitter.feed(piece)]
    return frames + splitter.end()


def meaning(frames: Sequence[Frame]) -> list[tuple[bytes, bytes]]:
    return [(frame.data, frame.event) for frame in frames]


def cut_at(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@pytest.mark.parametrize(
    ("make", "data", "expected"),
    [
        *(pytest.param(SseSplitter, *row[1:], id=f"sse {row[0]}") for row in SSE_TABLE),
        *(pytest.param(NdjsonSplitter, *row[1:], id=f"ndjson {row[0]}") for row in NDJSON_TABLE),
    ],
)
def test_a_stream_is_read_as_the_standard_says_wherever_it_is_cut(
    make: Callable[[], Splitter], data: bytes, expected: list[tuple[bytes, bytes]]
) -> None:
    assert meaning(parse(make(), [data])) == expected
    for at in range(len(data) + 1):
        assert meaning(parse(make(), [data[:at], data[at:]])) == expected
    assert meaning(parse(make(), [data[i : i + 1] for i in range(len(data))])) == expected


LINES = st.sampled_from(
    [b"data: a", b"data:b", b"data", b": ping", b"event: error", b"error: x", b"", b"", b"id: 1"]
) | st.binary(max_size=6)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
STREAMS = st.lists(st.tuples(LINES, ENDS)).map(
    lambda lines: b"".join(line + end for line, end in lines)
)
CUTS = st.lists(st.integers(min_value=0, max_value=400), max_size=12)


@settings(max_examples=400, deadline=None)
@given(STREAMS, CUTS)
def test_the_meaning_does_not_depend_on_the_cuts(data: bytes, cuts: list[int]) -> None:
    for make in (SseSplitter, NdjsonSplitter):
        whole = meaning(parse(make(), [data]))
        assert meaning(parse(make(), cut_at(data, cuts))) == whole
        assert meaning(parse(make(), [data[i : i + 1] for i in range(len(data))])) == whole


@settings(max_examples=400, deadline=None)
@given(STREAMS, CUTS)
def test_the_fast_path_reads_as_the_line_path_does(data: bytes, cuts: list[int]) -> None:
    lf_only = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    fast = parse(SseSplitter(), cut_at(lf_only, cuts))
    # A CR in a comment in front switches to lines, and means nothing itself.
    by_line = parse(SseSplitter(), [b":\r", *cut_at(lf_only, cuts)])
    assert meaning(fast) == meaning(by_line)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=20).map(lambda b: b.translate(None, b"\r\n"))), CUTS)
def test_the_sizes_of_the_frames_add_up_to_the_bytes_on_the_wire(
    payloads: list[bytes], cuts: list[int]
) -> None:
    for end in (b"\n", b"\r\n"):
        data = b"".join(b"data: " + payload + end + end for payload in payloads)
        # An LF behind the last CR may come after the frame was given out.
        frames = parse(SseSplitter(), cut_at(data, cuts if end == b"\n" else []))
        assert sum(frame.size for frame in frames) == len(data)
    lines = b"".join(b"x" + payload + b"\n" for payload in payloads)
    frames = parse(NdjsonSplitter(), cut_at(lines, cuts))
    assert sum(frame.size for frame in frames) == len(lines)


@pytest.mark.parametrize(
    ("make", "small", "large"),
    [
        (SseSplitter, b"data: %s\n\n" % (b"x" * 92), b"data: %s\n\n" % (b"x" * 93)),
        (SseSplitter, b"data: %s\r\n\r\n" % (b"x" * 90), b"data: %s\r\n\r\n" % (b"x" * 91)),
        (NdjsonSplitter, b"x" * 99 + b"\n", b"x" * 100 + b"\n"),
    ],
    ids=["LF", "CRLF", "NDJSON"],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_frame_over_the_limit_is_refused_however_it_comes(
    make: Callable[[int], Splitter], small: bytes, large: bytes, step: int
) -> None:
    def pieces(data: bytes) -> list[bytes]:
        return [data[i : i + step] for i in range(0, len(data), step)]

    assert len(small) == 100
    assert len(parse(make(100), pieces(small * 3))) == 3
    with pytest.raises(FrameTooLarge, match="100 bytes"):
        parse(make(100), pieces(small + large))


@pytest.mark.parametrize("make", [SseSplitter, NdjsonSplitter])
def test_bytes_without_any_end_do_not_fill_the_memory(make: Callable[[int], Splitter]) -> None:
    splitter = make(1000)
    with pytest.raises(FrameTooLarge):
        parse(splitter, [b"x"] * 1002)


def test_many_lines_without_a_blank_one_do_not_fill_the_memory() -> None:
    for line in (b"data: x\n", b"data: x\r\n"):
        with pytest.raises(FrameTooLarge):
            parse(SseSplitter(1000), [line] * 200)


@pytest.mark.parametrize(
    ("make", "opening"),
    [(SseSplitter, b"data: "), (SseSplitter, b":\r\ndata: "), (NdjsonSplitter, b"")],
    ids=["SSE by block", "SSE by line", "NDJSON"],
)
def test_one_huge_frame_in_small_reads_costs_linear_time(
    make: Callable[[], Splitter], opening: bytes
) -> None:
    """Four times the bytes may cost about four times as long; searching anew costs sixteen."""

    def seconds(size: int) -> float:
        splitter = make()
        splitter.feed(opening)
        started = time.process_time()
        for _ in range(size // 16):
            splitter.feed(b"xxxxxxxxxxxxxxxx")
        return time.process_time() - started

    seconds(100_000)
    small = min(seconds(250_000) for _ in range(3))
    large = min(seconds(1_000_000) for _ in range(3))
    assert large < 8 * small
