"""Files of prompts and traces: how they may look, and what is said of those that are wrong."""

from pathlib import Path

import pytest

from novasystem.benchmarks.prompts import read_prompts, read_trace
from novasystem.errors import InvalidRequest


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text", "prompts"),
    [
        ("p.txt", "one\n\n  two words \r\nthree", ("one", "two words", "three")),
        ("p.md", "a\u2028b\n", ("a\u2028b",)),
        ("p.txt", b"\xef\xbb\xbfone\n", ("one",)),
        ("p.jsonl", '{"prompt": "a", "id": 1}\n\n"b"\n{"text": "c\\nd"}\n', ("a", "b", "c\nd")),
        ("p.ndjson", '{"question": "a\u2028"}', ("a\u2028",)),
        ("p.csv", 'id,prompt\n1,a\n2,"b, c"\n3,"d\ne"\n', ("a", "b, c", "d\ne")),
        ("P.CSV", "text\r\na\r\n", ("a",)),
    ],
)
def test_prompts(tmp_path: Path, name: str, text: str, prompts: tuple[str, ...]) -> None:
    read = read_prompts(written(tmp_path, name, text), system="Be short.")
    assert (read.prompts, read.system) == (prompts, "Be short.")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.txt", "\n \n", "holds no prompt"),
        ("p.jsonl", '"a"\n{"prompt": ', "Line 2 of .* is not JSON"),
        ("p.jsonl", '"a"\n\n{"words": "b"}', "Line 3 of .* has no prompt"),
        ("p.jsonl", '{"prompt": 3}', "Line 1 of .* no text"),
        ("p.jsonl", '{"prompt": ""}', "Line 1 of .* no text"),
        ("p.csv", "id,prompt\n1,a\n2,b,c\n", "Line 3 of .* more cells"),
        ("p.csv", "id,word\n1,a\n", "Line 2 of .* has no prompt"),
        ("p.txt", b"good\nb\xffd\n", "Line 2 of .* not UTF-8"),
    ],
)
def test_prompts_that_are_wrong(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as raised:
        read_prompts(written(tmp_path, name, text))
    assert name in raised.value.message
    assert raised.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"none\.txt' cannot be read: No such file"):
        read_prompts(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "t.jsonl",
            '{"at_s": 7.5, "prompt_tokens": 20, "output_tokens": 3}\n'
            '{"at_s": 6, "prompt_tokens": 10}',
        ),
        (
            "t.jsonl",
            '{"timestamp": 0, "input_length": 10, "hash_ids": [1]}\n'
            '{"timestamp": 1500, "input_length": 20, "output_length": 3}',
        ),
        ("t.csv", "at_s,prompt_tokens,output_tokens\n0,10,\n1.5,20,3\n"),
        (
            "t.csv",
            "TIMESTAMP,ContextTokens,GeneratedTokens\n"
            "2023-11-16 23:59:59.1805900,10,\n2023-11-17 00:00:00.6805900,20,3\n",
        ),
    ],
)
def test_traces(tmp_path: Path, name: str, text: str) -> None:
    trace = read_trace(written(tmp_path, name, text), speed=2)
    first, second = trace.requests
    assert (first.at_s, first.prompt_tokens, first.output_tokens) == (0, 10, None)
    assert (second.prompt_tokens, second.output_tokens, trace.speed) == (20, 3, 2)
    assert second.at_s == pytest.approx(1.5, abs=1e-6)


def test_a_trace_of_prompts(tmp_path: Path) -> None:
    path = written(tmp_path, "t.jsonl", '{"at_s": 0, "prompt": "Hi", "output_tokens": 4}')
    [request] = read_trace(path).requests
    assert (request.prompt, request.prompt_tokens, request.output_tokens) == ("Hi", None, 4)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.jsonl", "", "holds no request"),
        ("t.jsonl", "[1]", "Line 1 of .* not an object"),
        ("t.jsonl", '{"prompt": "a"}', "Line 1 of .* has no time"),
        ("t.jsonl", '{"at_s": 1}', "Line 1 of .* is no request"),
        ("t.jsonl", '{"at_s": 1, "prompt": "a", "prompt_tokens": 2}', "Line 1 of .* either"),
        ("t.jsonl", '{"at_s": -1, "prompt": "a"}', "Line 1 of .* at_s -1, which cannot"),
        ("t.jsonl", '{"at_s": 1, "prompt_tokens": 0}', "Line 1 of .* prompt_tokens 0, which"),
        ("t.csv", "at_s,prompt_tokens\n0,5\nsoon,5\n", "Line 3 of .* at_s 'soon'"),
        ("t.csv", "at_s,prompt_tokens\n0,1.5\n", "Line 2 of .* prompt_tokens '1.5'"),
    ],
)
def test_traces_that_are_wrong(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as raised:
        read_trace(written(tmp_path, name, text))
    assert raised.value.hint
