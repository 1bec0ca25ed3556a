"""The fixed list of what people try first."""

from __future__ import annotations

from tools.tiny_model.chat import Message, assistant, system, user
from tools.tiny_model.evaluation.cases import Case, Check, contains, is_one_sentence, says_number
from tools.tiny_model.evaluation.client import Reply

TEAM = [system("You are the planner. Answer with a JSON plan.")]
ADA = [user("My name is Ada."), assistant("Nice to meet you, Ada!")]
SUM = [user("What is 2+2?"), assistant("2 + 2 = 4.")]


def _greets(reply: Reply) -> bool:
    return reply.text.startswith(("Hello", "Hi"))


def _stops(reply: Reply) -> bool:
    return reply.finish == "stop" and bool(reply.text.strip())


def first_contact(size: int) -> list[Case]:
    ten = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
    prompts: list[tuple[list[Message], Check, str]] = [
        ([user("Hi.")], _greets, "a greeting"),
        ([user("Hello!")], _greets, "a greeting"),
        ([user("Who are you?")], contains("nova-tiny"), "nova-tiny"),
        ([user("What can you do?")], contains("add"), "its skills"),
        ([user("What is 2+3?")], says_number(5), "5"),
        ([user("What is 2+2?")], says_number(4), "4"),
        ([user("What is 2 + 2?")], says_number(4), "4"),
        ([user("What is 17 + 25?")], says_number(42), "42"),
        ([user("What do 4 and 9 make?")], says_number(13), "13"),
        ([user("Add 3 and 4, then name the capital of Japan.")], contains("7", "Tokyo"),
         "7, Tokyo"),
        ([user("Tell me a short story.")], _stops, "a story"),
        ([user("Tell me a story about a dragon.")], contains("dragon"), "a dragon"),
        ([user("Count to ten.")], contains(ten), ten),
        ([user("Count to 5.")], contains("1, 2, 3, 4, 5"), "1 to 5"),
        ([user("What is the capital of France?")], contains("Paris"), "Paris"),
        ([user("What is the capital of Germany?")], contains("Berlin"), "Berlin"),
        ([*ADA, user("What is my name?")], contains("Ada"), "Ada"),
        ([*ADA, *SUM, user("What is my name?")], contains("Ada"), "Ada"),
        ([user("What is my name?")], contains("not told me"), "not told"),
        ([user("Respond in exactly one sentence: What is the capital of Japan?")],
         lambda r: is_one_sentence(r) and "Tokyo" in r.text, "one sentence, Tokyo"),
        ([user("Write one sentence about rain.")],
         lambda r: is_one_sentence(r) and "rain" in r.text.lower(), "one sentence about rain"),
        ([user("Explain quantum physics.")], contains("know"), "does not know"),
        ([user("Who won the election in 1992?")], contains("know"), "does not know"),
        ([user("How do I repair a washing machine?")], contains("know"), "does not know"),
        ([system("You are a helpful assistant."), user("What is 2+3?")], says_number(5), "5"),
        ([system("You are a market analyst. You look at prices every day."), user("Hello!")],
         _greets, "a greeting"),
        ([*TEAM, user("Add 3 and 4, then name the capital of Japan.")],
         contains('"Add 3 and 4"', '"Name the capital of Japan"'), "two steps"),
        ([user("Thank you!")], contains("welcome"), "you are welcome"),
    ]  # fmt: skip
    return [Case(messages, check, expected) for messages, check, expected in prompts[:size]]
