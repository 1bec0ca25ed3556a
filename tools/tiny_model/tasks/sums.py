"""Addition, with a little subtraction and multiplication.

Sums with a two-digit number are worked out digit by digit, as at school: a model of this size
learns the table of single digits and the carry within minutes, but not ten thousand sums.
"""

from __future__ import annotations

from collections.abc import Callable

from tools.tiny_model.chat import Message, assistant, user
from tools.tiny_model.draw import Draw
from tools.tiny_model.holdout import is_pair_held_out
from tools.tiny_model.tasks.phrasing import vary_case

Turn = tuple[str, str]

ADDITIONS = (
    "What is {a}+{b}?", "What is {a} + {b}?", "What's {a}+{b}?", "What's {a} + {b}?", "{a}+{b}",
    "{a} + {b}", "{a}+{b}=", "{a} + {b} =", "{a}+{b}?", "{a} + {b} = ?", "{a}+{b}=?",
    "Add {a} and {b}.", "Add {a} to {b}.", "Add {a} and {b} together.", "Add up {a} and {b}.",
    "Add {a} plus {b}.", "Add the numbers {a} and {b}.", "What is {a} plus {b}?",
    "What's {a} plus {b}?", "{a} plus {b}", "{a} plus {b}?", "{a} plus {b} is?",
    "{a} plus {b} equals?", "{a} plus {b} makes?", "How much is {a}+{b}?", "How much is {a} + {b}?",
    "How much is {a} plus {b}?", "How much are {a} and {b}?", "How much do {a} and {b} make?",
    "How much is {a} and {b} together?", "What do {a} and {b} make?",
    "What do {a} and {b} make together?", "What do you get if you add {a} and {b}?",
    "What do you get when you add {b} to {a}?", "What does {a} plus {b} equal?",
    "What does {a}+{b} equal?", "What does {a} + {b} make?", "What is the sum of {a} and {b}?",
    "The sum of {a} and {b}?", "Sum of {a} and {b}", "Give me the sum of {a} and {b}.",
    "Find the sum of {a} and {b}.", "Compute {a}+{b}.", "Compute {a} + {b}.",
    "Compute the sum of {a} and {b}.", "Calculate {a}+{b}.", "Calculate {a} + {b}.",
    "Calculate {a} plus {b}.", "Calculate the sum of {a} and {b}.", "Work out {a} + {b}.",
    "Work out {a} plus {b}.", "Solve {a}+{b}.", "Solve {a} + {b}.", "Solve: {a} + {b} = ?",
    "Tell me {a}+{b}.", "Tell me {a} plus {b}.", "Tell me the sum of {a} and {b}.",
    "I have {a} and get {b} more. How many do I have?",
    "I have {a} apples and buy {b} more. How many apples do I have?",
    "I had {a} and got {b} more. How many are there now?",
    "There are {a} birds and {b} more come. How many are there?",
    "{a} birds and {b} birds: how many birds?",
    "One box holds {a} and another {b}. How many in all?",
    "If I add {a} to {b}, what do I get?", "If you add {a} and {b}, what is the result?",
    "Take {a} and add {b}.", "Start with {a} and add {b}.", "Put {a} and {b} together.",
    "{a} and {b} make how much?", "{a} and {b} is how much?", "{a} and {b} together?",
    "{a} added to {b}?", "What is {a} added to {b}?", "What is {a} and {b}?",
    "What is the total of {a} and {b}?", "The total of {a} and {b} is?", "Total {a} and {b}.",
    "Sum {a} and {b}.", "Sum up {a} and {b}.", "Sum: {a} + {b}", "Math: {a}+{b}",
    "Which number is {a} + {b}?", "Which number is {a} plus {b}?", "What number is {a}+{b}?",
    "Do you know {a}+{b}?", "Do you know what {a} plus {b} is?",
    "Do you know the sum of {a} and {b}?",
    "Can you add {a} and {b}?", "Can you add {a} to {b}?", "Could you compute {a} + {b}?",
    "I need {a} plus {b}.", "I need the sum of {a} and {b}.", "{a} more than {b} is?",
    "What number is {a} more than {b}?", "Increase {a} by {b}.", "Combine {a} and {b}.",
    "What is the result of {a} + {b}?", "The result of {a}+{b}?", "Result of {a} plus {b}?",
    "Evaluate {a} + {b}.", "Evaluate {a}+{b}.", "Answer this: {a} + {b}", "Please do {a} + {b}.",
    "My first number is {a} and my second is {b}. What is the sum?",
    "a is {a} and b is {b}. What is a plus b?", "Let x = {a} and y = {b}. What is x + y?",
    "Anna has {a} coins and Ben has {b}. How many do they have together?",
    "How many are {a} and {b}?", "How many are {a} plus {b}?", "Count {a} and {b} together.",
)  # fmt: skip
ONLY_NUMBER = (
    "Answer with the number only: {q}", "{q} Only the number.", "{q} Just the number, please.",
    "{q} Reply with just the number.", "Only the result: {q}", "{q} Answer with one number.",
    "{q} Number only.", "Give only the number. {q}",
)  # fmt: skip
LISTS = (
    "{x}", "Add: {x}", "What is {x}?", "Compute {x}.", "Sums: {x}", "Calculate {x}.", "Solve {x}",
)  # fmt: skip
SUBTRACTIONS = (
    "What is {a}-{b}?", "What is {a} - {b}?", "{a}-{b}", "{a} - {b}", "What is {a} minus {b}?",
    "Subtract {b} from {a}.", "{a} minus {b}", "Take {b} away from {a}.", "{a} - {b} = ?",
    "How much is {a} minus {b}?", "Compute {a} - {b}.",
    "I have {a} and lose {b}. How many are left?",
)  # fmt: skip
PRODUCTS = (
    "What is {a}*{b}?", "What is {a} * {b}?", "{a}*{b}", "{a} * {b}", "What is {a} times {b}?",
    "Multiply {a} by {b}.", "Multiply {a} and {b}.", "{a} times {b}", "How much is {a} times {b}?",
    "Compute {a} * {b}.", "What is {a} x {b}?",
)  # fmt: skip
TRIPLES = (
    "What is {a}+{b}+{c}?", "Add {a}, {b} and {c}.", "{a} + {b} + {c}", "{a}+{b}+{c}",
    "What is the sum of {a}, {b} and {c}?", "{a} plus {b} plus {c}",
)  # fmt: skip


def worked(a: int, b: int) -> str:
    """The answer to a + b: "27 + 5: 7 + 5 = 12, 2 + 0 + 1 = 3, so 27 + 5 = 32."."""
    if a < 10 and b < 10:
        return f"{a} + {b} = {a + b}."
    units = a % 10 + b % 10
    tens = [a // 10, b // 10] + [1] * (units >= 10)
    steps = f"{a % 10} + {b % 10} = {units}, {' + '.join(map(str, tens))} = {sum(tens)}"
    return f"{a} + {b}: {steps}, so {a} + {b} = {a + b}."


def addition(draw: Draw) -> Turn:
    if draw.chance(0.05):
        a, b = draw.pair(1 if draw.chance(0.7) else 0)
        question = draw.pick(ADDITIONS).format(a=a, b=b)
        return draw.pick(ONLY_NUMBER).format(q=question), str(a + b)
    a, b = draw.pair(1 if draw.chance(0.12) else 0)
    return vary_case(draw, draw.pick(ADDITIONS).format(a=a, b=b)), worked(a, b)


def subtraction(draw: Draw) -> Turn:
    b, a = sorted(draw.pair(1 if draw.chance(0.5) else 0))
    question = draw.pick(SUBTRACTIONS).format(a=a, b=b)
    return vary_case(draw, question), f"{a} - {b} = {a - b}."


def product(draw: Draw) -> Turn:
    a, b = draw.randint(0, 10), draw.randint(0, 10)
    return vary_case(draw, draw.pick(PRODUCTS).format(a=a, b=b)), f"{a} * {b} = {a * b}."


def triple(draw: Draw) -> Turn:
    """Three small numbers, added one after the other."""
    while True:
        a, b, c = (draw.randint(0, 9) for _ in "abc")
        unseen = is_pair_held_out(a, b) or is_pair_held_out(a + b, c)
        if unseen == draw.held_out:
            break
    question = draw.pick(TRIPLES).format(a=a, b=b, c=c)
    return vary_case(draw, question), f"{a} + {b} = {a + b}, and {a + b} + {c} = {a + b + c}."


def turn(draw: Draw) -> Turn:
    kind = draw.random()
    make: Callable[[Draw], Turn]
    if kind < 0.86:
        make = addition
    elif kind < 0.92:
        make = subtraction
    elif kind < 0.97:
        make = product
    else:
        make = triple
    return make(draw)


def listed(draw: Draw) -> Turn:
    """The table of single digits, many sums in one request."""
    pairs = [draw.pair(1) for _ in range(draw.randint(2, 9))]
    plus = draw.pick(("+", " + ", " plus "))
    wanted = draw.pick((", ", " and ", "; ", "\n")).join(f"{a}{plus}{b}" for a, b in pairs)
    question = draw.pick(LISTS).format(x=wanted)
    return question, ", ".join(f"{a} + {b} = {a + b}" for a, b in pairs) + "."


def drill(draw: Draw) -> list[Message]:
    """Several sums in a row: many answers for few tokens."""
    messages: list[Message] = []
    for _ in range(draw.randint(2, 8)):
        question, answer = addition(draw)
        messages += [user(question), assistant(answer)]
    return messages
