"""Assertions on answers, counted per model, and the agreement of answers that should be equal."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from novasystem.benchmarks.patterns import first_fault, matches
from novasystem.benchmarks.plan import Check, Plan
from novasystem.benchmarks.records import CheckCount
from novasystem.benchmarks.samples import Sample

__all__ = [
    "Agreement",
    "Similarity",
    "agreement",
    "check_counts",
    "content_words",
    "fault",
    "named",
    "relevance",
    "sentences",
    "the_prompt",
]

MOST_FAILURES = 5
"""That are kept of each check, each with the request's number and what was seen."""
MOST_TIMEOUTS = 3
"""After so many the answers that are left fail unread: a check may not take for ever in sum."""
SEEN_CHARS = 120

Similarity = Callable[[str, str], float]
"""How alike two texts are in meaning, 0 to 1: where an engine has embeddings."""

_SENTENCE_END = re.compile(
    r"(?<![.!?\u2026])[.!?\u2026]+[\"'\u201d\u2019)\]]*(?=\s|$)|[\u3002\uff01\uff1f]+"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|mrs?|ms|dr|prof|st|no|approx)$", re.I
)
_WORD = re.compile(r"\w+")
_COMMONEST = """
a about after all also am an and any are as at be because been before but by can could did do does
done for from give had has have he her him his how i if in into is it its just kindly let like
make may me might more most must my no not now of on one only or other our out please shall she
should show so some such tell than that the their them then there these they this those to too up
us use very was we were what when where which who whom whose why will with would write you your
"""
_STOP_WORDS = frozenset(_COMMONEST.split())


def named(check: Check) -> str:
    """How a check is called in results: ``contains '4'``, ``sentences 2``, ``not_empty``."""
    value = check.value
    if isinstance(value, dict):
        return f"{check.kind} {orjson.dumps(value).decode()[:80]}"
    shown = "" if value is None else f" {value!r}" if isinstance(value, str) else f" {value:g}"
    return f"{check.kind}{shown[:83]}" + (" (ignoring case)" if check.ignore_case else "")


def check_counts(
    plan: Plan, samples: Sequence[Sample], *, similarity: Similarity | None = None
) -> tuple[CheckCount, ...]:
    """The plan's checks over one model's answers (those of failed requests are none); and whether
    answers have the length that was asked for, where the workload asks for one.

    Blocks for up to a few seconds where a pattern runs into its time limit: call it in a thread.
    ``similarity`` replaces shared words in ``relevant``.
    """
    counts = [
        _same(check, samples) if check.kind == "same" else _count(check, plan, samples, similarity)
        for check in plan.checks
    ]
    if any(sample.output_target_tokens is not None for sample in samples):
        counts.append(_lengths(samples))
    return tuple(counts)


def fault(
    check: Check, text: str, prompt: str | None = None, similarity: Similarity | None = None
) -> str | None:
    """What is wrong with an answer; ``None`` where the check holds. ``TimeoutError`` where a
    pattern or a schema took too long. ``same`` is about several answers and always holds here."""
    value: Any = check.value
    fold = str.casefold if check.ignore_case else str
    if check.kind == "equals":
        return _unless(fold(text.strip()) == fold(value.strip()), text)
    if check.kind == "contains":
        return _unless(fold(value) in fold(text), text)
    if check.kind == "regex":
        return _unless(matches(value, text, ignore_case=check.ignore_case), text)
    if check.kind == "json_schema":
        return _json_fault(value, text)
    if check.kind == "sentences":
        return _unless((count := sentences(text)) == value, text, f"{count} sentences: ")
    if check.kind == "min_chars":
        return _unless(len(text) >= value, text, f"{len(text)} characters: ")
    if check.kind == "max_chars":
        return _unless(len(text) <= value, text, f"{len(text)} characters: ")
    if check.kind == "not_empty":
        return _unless(bool(text.strip()), text)
    if check.kind == "relevant":
        if prompt is None:
            return "the prompt is not known"
        share = similarity(prompt, text) if similarity else relevance(prompt, text)
        return _unless(share >= value, text, f"{share:.2f}: ")
    return None


def sentences(text: str) -> int:
    """How many sentences: ends by ``.``, ``!``, ``?``, an ellipsis or their East Asian forms, and
    what is left after the last of them. ``3.14`` and ``e.g.`` end none. Its time is linear."""
    count = begin = 0
    for end in _SENTENCE_END.finditer(text):
        if end[0] == "." and _ABBREVIATION.search(text[max(begin, end.start() - 10) : end.start()]):
            continue
        count += _WORD.search(text, begin, end.start()) is not None
        begin = end.end()
    return count + bool(_WORD.search(text, begin))


def content_words(text: str) -> frozenset[str]:
    """Words that carry meaning: lower case, without the commonest English ones, and without the
    ending of a plural."""
    words = (word for word in _WORD.findall(text.casefold()) if word not in _STOP_WORDS)
    return frozenset(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words)


def relevance(prompt: str, answer: str) -> float:
    """The share of the prompt's content words that the answer takes up, 0 to 1; 1 where the prompt
    has none."""
    asked = content_words(prompt)
    return len(asked & content_words(answer)) / len(asked) if asked else 1.0


def the_prompt(plan: Plan, sample: Sample) -> str | None:
    """What was asked, where the plan itself holds it; ``None`` for prompts that were made up."""
    workload = plan.workload
    if workload.kind == "prompt":
        return workload.prompt
    if workload.kind == "prompts":
        return workload.prompts[sample.item % len(workload.prompts)]
    if workload.kind == "conversation":
        return workload.turns[sample.turn % len(workload.turns)]
    if workload.kind == "trace":
        return workload.requests[sample.item % len(workload.requests)].prompt
    return None


class Agreement(NamedTuple):
    """``examples``: the first few pairs of texts that differ, with their question's key."""

    same: int
    different: int
    examples: tuple[tuple[tuple[int, int], str, str], ...] = ()

    @property
    def share(self) -> float | None:
        whole = self.same + self.different
        return self.same / whole if whole else None


def agreement(older: Iterable[Sample], newer: Iterable[Sample]) -> Agreement:
    """How many of a model's answers equal what an older benchmark had to the same question: item
    and turn of the same plan. Where the older one itself had several, any of them is equal enough.

    Whether both asked the same, with the same seed, is the caller's to see (``compare`` does).
    """
    before: dict[tuple[int, int], list[str]] = {}
    for sample in older:
        before.setdefault((sample.item, sample.turn), []).append(sample.text)
    same = 0
    examples = []
    for sample in newer:
        known = before.get((sample.item, sample.turn))
        if known is None:
            continue
        if sample.text in known:
            same += 1
        else:
            examples.append(((sample.item, sample.turn), known[0], sample.text))
    return Agreement(same, len(examples), tuple(examples[:MOST_FAILURES]))


def _count(
    check: Check, plan: Plan, samples: Sequence[Sample], similarity: Similarity | None
) -> CheckCount:
    faults: list[str] = []
    timeouts = 0
    for sample in samples:
        found: str | None
        if timeouts >= MOST_TIMEOUTS:
            found = "not looked at, as the check took too long before"
        else:
            try:
                found = fault(check, sample.text, the_prompt(plan, sample), similarity)
            except TimeoutError:
                timeouts += 1
                found = f"took too long to search {_seen(sample.text)}"
        if found is not None:
            faults.append(f"request {sample.number}: {found}")
    return _counted(named(check), len(samples), faults)


def _same(check: Check, samples: Sequence[Sample]) -> CheckCount:
    """Each answer against the first one to the same question in the same phase."""
    first: dict[tuple[str, int, int], Sample] = {}
    faults = []
    for sample in samples:
        other = first.setdefault((sample.phase, sample.item, sample.turn), sample)
        mine, its = sample.text, other.text
        if check.ignore_case:
            mine, its = mine.casefold(), its.casefold()
        if mine != its:
            faults.append(
                f"request {sample.number}: {_seen(sample.text)}, "
                f"but request {other.number}: {_seen(other.text)}"
            )
    return _counted(named(check), len(samples), faults)


def _lengths(samples: Sequence[Sample]) -> CheckCount:
    """``completion_tokens`` against ``output_target_tokens``; an engine that does not count fails,
    as nothing then says that the lengths are those asked for."""
    asked = [sample for sample in samples if sample.output_target_tokens is not None]
    faults = [
        f"request {sample.number}: {sample.completion_tokens} instead of "
        f"{sample.output_target_tokens} tokens"
        for sample in asked
        if sample.completion_tokens != sample.output_target_tokens
    ]
    return _counted("output_tokens as asked", len(asked), faults)


def _counted(name: str, whole: int, faults: Sequence[str]) -> CheckCount:
    return CheckCount(
        check=name,
        passed=whole - len(faults),
        failed=len(faults),
        failures=tuple(faults[:MOST_FAILURES]),
    )


def _json_fault(schema: dict[str, Any], text: str) -> str | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return f"no JSON ({error.msg}): {_seen(text)}"
    try:
        found = first_fault(schema, value)
    except ValueError as error:
        return str(error)
    return None if found is None else f"{found[:200]}: {_seen(text)}"


def _unless(holds: bool, text: str, note: str = "") -> str | None:
    return None if holds else f"{note}{_seen(text)}"


def _seen(text: str) -> str:
    return repr(text if len(text) <= SEEN_CHARS else f"{text[:SEEN_CHARS]}\u2026")
