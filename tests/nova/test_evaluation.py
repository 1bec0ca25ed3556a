"""Questions are checked as they should be, and shares are as sure as they are said to be."""

from pathlib import Path

import pytest

from novasystem.errors import InvalidRequest
from novasystem.nova.evaluation.outcome import Answered, figures
from novasystem.nova.evaluation.questions import Question, built_in, from_file
from novasystem.nova.evaluation.shares import paired, wilson


def expects(*expected: str) -> Question:
    return Question("q", "k", (("?",),), tuple((one,) for one in expected))


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        ("7", "3 + 4 = 7.", True), ("7", "It is 27.", False), ("7", "7.5", False),
        ("7", "-7", False), ("7", "x=7", True), ("7", "**7**", True), ("7", "17", False),
        ("1024", "1,024.", True), ("1024", "10,240", False), ("11:30", "At 11:30.", True),
        ("Tokyo", "It is TOKYO!", True), ("Rome", "Romeo", False), ("5", "3.5", False),
        ("7", "", False), ("New York", "new\nyork", True), ("7", "sum.7", True),
    ],
)  # fmt: skip
def test_an_answer_is_right_where_it_holds_the_whole_word(
    expected: str, answer: str, right: bool
) -> None:
    assert expects(expected).is_right(answer) is right


def test_all_that_is_expected_must_be_there_and_any_alternative_does() -> None:
    assert expects("7", "Tokyo").is_right("7, Tokyo")
    assert not expects("7", "Tokyo").is_right("Tokyo")
    either = Question("q", "k", (("?",),), (("seven", "7"),))
    assert either.is_right("seven")
    assert either.is_right("7")


def test_no_question_of_the_package_holds_its_own_answer() -> None:
    questions = built_in()
    assert len(questions) >= 50
    assert len({one.kind for one in questions}) >= 6
    assert [one.id for one in questions if one.is_right(one.sessions[-1][-1])] == []
    assert any(len(one.sessions) > 1 for one in questions)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "Line 2"),
        ('{"id": "a", "prompt": "?"}', "expect"),
        ('{"id": "a", "expect": ["x"]}', "either a prompt or sessions"),
        ('{"id": "a", "prompt": "?", "expect": []}', "expect"),
        ('{"id": "first", "prompt": "?", "expect": ["x"]}', "there is another 'first'"),
        ('{"id": "a", "prompt": "?", "expect": ["x"], "mroe": 1}', "mroe"),
    ],
)
def test_a_file_that_is_wrong_is_told_by_its_line(tmp_path: Path, line: str, why: str) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(f'{{"id": "first", "prompt": "?", "expect": ["x"]}}\n{line}\n')
    with pytest.raises(InvalidRequest) as caught:
        from_file(file)
    assert why in str(caught.value)
    assert "Line 2" in str(caught.value)


def test_a_file_that_is_not_there_or_empty_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        from_file(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InvalidRequest, match="There are 0 questions"):
        from_file(tmp_path / "empty.jsonl")


def test_the_interval_of_a_share_is_wilsons() -> None:
    # Agresti and Coull (1998) and Newcombe (1998) print these.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)
    assert wilson(29, 29) == pytest.approx((0.8830, 1), abs=1e-4)
    assert wilson(0, 0) == (0, 1)


def test_the_difference_is_taken_question_by_question() -> None:
    before = [True] * 30 + [False] * 30
    # The same shares, but never the same questions.
    found = paired(before, before[::-1])
    assert (found.gained, found.lost, found.difference, found.p) == (30, 30, 0, 1)
    assert found.low == -found.high
    better = paired([False] * 10 + [True] * 50, [True] * 60)
    assert (better.gained, better.lost) == (10, 0)
    assert better.difference == pytest.approx(10 / 60)
    # 2 * 0.5 ** 10.
    assert better.p == pytest.approx(0.001953, abs=1e-6)
    assert 0 < better.low < better.difference < better.high


def test_the_interval_of_the_difference_holds_the_truth_as_often_as_it_says() -> None:
    import random

    draw = random.Random(4)
    held = 0
    for _ in range(600):
        cells = draw.choices("bcs", weights=(20, 8, 72), k=60)
        found = paired([c == "c" for c in cells], [c == "b" for c in cells])
        held += found.low <= 0.12 <= found.high
    assert 0.92 <= held / 600 <= 0.99


def test_the_verdict_is_plain() -> None:
    def outcome(single: str, team: str) -> str:
        answers = [
            Answered(str(n), "k", mode, c == "1", "", "completed", 100 if mode == "single" else 400,
                     0.5 if mode == "single" else 2.0)
            for mode, row in (("single", single), ("team", team))
            for n, c in enumerate(row)
        ]  # fmt: skip
        said: str = figures(answers, lambda parts: None)["verdict"]
        return said

    cost = "at 4.0 times the tokens and 4.0 times the seconds."
    won = outcome("0" * 20 + "1" * 10, "1" * 30)
    assert won.startswith("The team paid: it was right more often (+67 points")
    assert won.endswith(cost)
    lost = outcome("1" * 30, "0" * 20 + "1" * 10)
    assert lost.startswith("The team did not pay: it was right less often (-67 points")
    same = outcome("10" * 15, "1" * 16 + "0" * 14)
    assert same.startswith("The team did not pay: with 30 questions no difference can be told")
    assert same.endswith(cost)
    assert "nothing can be said" in outcome("", "")


def test_only_questions_that_both_answered_are_compared() -> None:
    def answered(question: str, mode: str, right: bool, error: str | None = None) -> Answered:
        return Answered(question, "k", mode, right, "", "completed", None, 1.0, error)

    found = figures(
        [
            answered("a", "single", True),
            answered("a", "team", False, "The engine failed."),
            answered("b", "single", True),
        ],
        lambda parts: None,
    )
    assert found["questions"] == 1
    assert found["team"]["failed"] == 1
    assert found["single"]["tokens"] is None
    assert found["kinds"] == {"k": {"questions": 1, "single": 1, "team": 0}}
