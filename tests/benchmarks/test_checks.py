"""Assertions on answers, each kind; and that none of them takes for ever."""

import time
from typing import Any

import pytest
from pydantic import ValidationError

from novasystem.benchmarks.checks import (
    MOST_TIMEOUTS,
    agreement,
    check_counts,
    fault,
    named,
    relevance,
    sentences,
    the_prompt,
)
from novasystem.benchmarks.patterns import first_fault, matches
from novasystem.benchmarks.plan import Check, Conversation, Plan, Prompts, Synthetic, Trace
from tests.benchmarks.answered import PLAN, answer

OBJECT = {
    "type": "object",
    "properties": {"city": {"type": "string", "pattern": "^[A-Z]"}},
    "required": ["city"],
}
ENDLESS = "a" * 4000 + "!"


@pytest.mark.parametrize(
    ("kind", "value", "good", "bad"),
    [
        ("equals", "Paris.", " Paris.\n", "It is Paris."),
        ("contains", "Paris", "It is Paris.", "It is paris."),
        ("regex", r"^\d+$", "42", "42 it is"),
        ("json_schema", OBJECT, '{"city": "Paris"}', '{"city": "paris"}'),
        ("json_schema", OBJECT, '{"city": "Paris"}', "Paris"),
        ("json_schema", OBJECT, '{"city": "Paris"}', '{"town": "Paris"}'),
        ("sentences", 2, "It is. Is it?", "It is."),
        ("min_chars", 3, "abc", "ab"),
        ("max_chars", 3, "abc", "abcd"),
        ("not_empty", None, "a", " \n"),
        ("relevant", 0.5, "France's capital is Paris.", "Bananas are yellow."),
    ],
)
def test_each_kind(kind: str, value: Any, good: str, bad: str) -> None:
    check = Check.model_validate({"kind": kind, "value": value})
    prompt = "What is the capital of France?"
    assert fault(check, good, prompt) is None
    said = fault(check, bad, prompt)
    assert said is not None
    assert repr(bad) in said


def test_case() -> None:
    for kind, value in (("equals", "PARIS"), ("contains", "pAR"), ("regex", "^PARIS$")):
        check = Check.model_validate({"kind": kind, "value": value, "ignore_case": True})
        assert fault(check, "Paris") is None
        assert fault(check.model_copy(update={"ignore_case": False}), "Paris") is not None


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("regex", "(a", "compiles: missing )"),
        ("regex", "a" * 3000, "at most"),
        ("regex", None, "a text"),
        ("contains", "", "a text"),
        ("equals", 4, "a text"),
        ("json_schema", "{}", "a JSON schema"),
        ("json_schema", {"type": "strin"}, "'strin' is not valid"),
        ("json_schema", {"$ref": "http://127.0.0.1:9/x"}, "nothing is fetched"),
        ("json_schema", {"items": {"pattern": "(("}}, "'((' is not a 'regex'"),
        ("json_schema", {"patternProperties": {"a" * 3000: {}}}, "at most"),
        ("sentences", 1.5, "a count"),
        ("sentences", "2", "a number"),
        ("min_chars", -1, "a count"),
        ("max_chars", None, "a number"),
        ("relevant", 2, "between 0 and 1"),
        ("not_empty", "x", "no value"),
        ("same", 1, "no value"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_the_plan(
    kind: str, value: Any, said: str
) -> None:
    with pytest.raises(ValidationError) as error:
        Check.model_validate({"kind": kind, "value": value})
    assert f"'{kind}'" in str(error.value)
    assert said in str(error.value)


def test_a_pattern_that_never_ends_is_ended() -> None:
    with pytest.raises(TimeoutError):
        matches("(a+)+$", ENDLESS, limit_s=0.1)
    with pytest.raises(TimeoutError):
        first_fault({"pattern": "(a+)+$"}, ENDLESS)


def test_a_schema_that_multiplies_is_ended() -> None:
    below: dict[str, Any] = {
        f"d{step}": {"allOf": [{"$ref": f"#/$defs/d{step + 1}"}] * 2} for step in range(30)
    }
    schema = {"$defs": {**below, "d30": {"type": "integer"}}, "$ref": "#/$defs/d0"}
    with pytest.raises(TimeoutError):
        first_fault(schema, 3, limit_s=0.1)


@pytest.mark.parametrize(
    ("schema", "said"), [({"$ref": "#"}, "circle"), ({"$ref": "#/nowhere"}, "leads nowhere")]
)
def test_a_schema_that_cannot_be_followed(schema: dict[str, Any], said: str) -> None:
    found = fault(Check(kind="json_schema", value=schema), "3")
    assert found is not None
    assert said in found


def test_a_check_that_takes_too_long_does_so_only_a_few_times() -> None:
    plan = PLAN.model_copy(update={"checks": (Check(kind="regex", value="(a+)+$"),)})
    began = time.process_time()
    (count,) = check_counts(plan, [answer(number, text=ENDLESS) for number in range(500)])
    assert time.process_time() - began < 3 * MOST_TIMEOUTS  # seconds; 0.3 each
    assert (count.passed, count.failed) == (0, 500)
    assert "took too long" in count.failures[0]
    assert "not looked at" in count.failures[MOST_TIMEOUTS]
    assert len(count.failures) == 5


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("...", 0),
        ("No end", 1),
        ("It is 3.14, e.g. pi! Right?", 2),
        ('He said "Yes." Then he left\u2026', 2),
        ("Dr. No was here. Bye.", 2),
        ("\u4f60\u597d\u3002\u4e16\u754c\uff01", 2),
        ("Wait... what?! Yes", 3),
        ("One.\nTwo.\n", 2),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert sentences(text) == count


@pytest.mark.parametrize("piece", ["!", " . ", "etc. ", '."', "a"])
def test_sentences_of_any_text_are_counted_in_linear_time(piece: str) -> None:
    began = time.process_time()
    sentences(piece * 100_000 + "x")
    assert time.process_time() - began < 5


def test_relevance() -> None:
    assert relevance("Name the planets of the sun", "The sun has eight planets.") == 2 / 3
    assert relevance("What is it?", "Anything") == 1
    assert relevance("capital of France", "") == 0


def test_relevance_by_meaning() -> None:
    check = Check(kind="relevant", value=0.8)
    assert fault(check, "Lutetia", "Paris", lambda one, other: 0.9) is None
    assert fault(check, "Lutetia", "Paris", lambda one, other: 0.7) == "0.70: 'Lutetia'"
    assert fault(check, "Lutetia") == "the prompt is not known"


def test_the_prompt_of_a_sample() -> None:
    def planned(workload: Any) -> Plan:
        return Plan(workload=workload)

    assert the_prompt(PLAN, answer()) == "What is the capital of France?"
    assert the_prompt(planned(Prompts(prompts=("a", "b"))), answer(item=1)) == "b"
    assert the_prompt(planned(Conversation(turns=("a", "b"))), answer(turn=1)) == "b"
    trace = Trace.model_validate({"requests": [{"at_s": 0, "prompt": "a"}]})
    assert the_prompt(planned(trace), answer()) == "a"
    assert the_prompt(planned(Synthetic(prompt_tokens=4, output_tokens=4)), answer()) is None


def test_answers_that_should_be_the_same() -> None:
    plan = PLAN.model_copy(update={"checks": (Check(kind="same"),)})
    samples = [
        answer(0, text="Paris."),
        answer(1, text="Paris."),
        answer(2, text="Lyon."),
        answer(3, text="Rome.", item=1),
        answer(4, text="Nice.", phase="cold"),
    ]
    (count,) = check_counts(plan, samples)
    assert (count.check, count.passed, count.failed) == ("same", 4, 1)
    assert count.failures == ("request 2: 'Lyon.', but request 0: 'Paris.'",)


def test_lengths_other_than_asked_for() -> None:
    samples = [
        answer(0, output_target_tokens=5),
        answer(1, output_target_tokens=64),
        answer(2, output_target_tokens=5, completion_tokens=None),
    ]
    (count,) = check_counts(PLAN, samples)
    assert (count.passed, count.failed) == (1, 2)
    assert count.failures[0] == "request 1: 5 instead of 64 tokens"
    assert check_counts(PLAN, [answer()]) == ()


def test_agreement_with_an_older_benchmark() -> None:
    older = [answer(0, text="a"), answer(1, item=1, text="b")]
    newer = [answer(0, text="a"), answer(1, item=1, text="c"), answer(2, item=2, text="d")]
    found = agreement(older, newer)
    assert (found.same, found.different, found.share) == (1, 1, 0.5)
    assert found.examples == (((1, 0), "b", "c"),)
    assert agreement([], newer).share is None


@pytest.mark.parametrize(
    ("check", "name"),
    [
        (Check(kind="contains", value="4"), "contains '4'"),
        (Check(kind="sentences", value=2), "sentences 2"),
        (Check(kind="not_empty"), "not_empty"),
        (Check(kind="regex", value="a", ignore_case=True), "regex 'a' (ignoring case)"),
        (Check(kind="json_schema", value={"type": "null"}), 'json_schema {"type":"null"}'),
    ],
)
def test_names(check: Check, name: str) -> None:
    assert named(check) == name
