"""Wordings that stand nowhere in the training text: how far does the model get on other words?"""

from __future__ import annotations

from tools.tiny_model.tasks.tool_kinds import (
    CITY,
    COUNT,
    ITEM,
    PERSON,
    QUERY,
    TEXT,
    WHEN,
    ToolKind,
)

ADDITIONS = (
    "Hey nova, what would {a} plus {b} be?",
    "Tell me, please: {a} + {b}, what is that?",
    "Could you find out how much {a} and {b} are together?",
    "I wonder what {a}+{b} is.",
    "If I have {a} pears and somebody gives me {b} pears, how many pears do I have?",
    "What would I get by adding {a} and {b}?",
    "Help me with my homework: {a}+{b}",
    "Please sum the numbers {a} and {b} for me.",
    "What's the answer to {a} + {b}?",
    "My sister says {a} + {b}. What is the answer?",
    "Say, how much would {a} plus {b} be?",
    "Give me the answer: {a}+{b}=?",
)

CAPITALS = (
    "Hey nova, which city is the capital in {c}?",
    "Could you tell me what the capital of {c} is called?",
    "I forgot the capital of {c}. What is it?",
    "My teacher asks for the capital of {c}.",
    "{c} has which capital?",
    "Please help: the capital of {c} is which city?",
)

TELL_NAME = (
    "By the way, my name is {v}.",
    "Good evening, my name is {v} and I am new here.",
    "Let me introduce myself: I am {v}.",
    "Just so you know, I'm {v}.",
    "My friends call me {v}.",
)
ASK_NAME = (
    "Now, can you say what my name is?",
    "Earlier I told you my name. What is it?",
    "Quick test: what is my name?",
    "Do you happen to remember my name?",
    "What did I tell you my name is?",
)

ONE_SENTENCE = (
    "Please limit your answer to one sentence: {q}",
    "I want exactly one sentence as the answer: {q}",
    "{q} Only one sentence as an answer, please.",
    "Use no more than one sentence. {q}",
    "Explain in one sentence: {q}",
)
ONE_SENTENCE_ABOUT = (
    "Please compose one sentence about {x}.",
    "Can you think of one sentence about {x}?",
    "I need one sentence about {x}, please.",
    "Invent one sentence about {x}.",
)

TOOLS = (
    ToolKind(
        ("get_weather", "weather", "current_weather"),
        ("Get the weather for a city",),
        (CITY,),
        ("I am going to {0} tomorrow, how is the weather there?",
         "Please find out what the weather in {0} is.", "Does the sun shine in {0}?",
         "Can you check the weather in {0} for me?"),
    ),
    ToolKind(
        ("search", "web_search", "search_web"),
        ("Search the web",),
        (QUERY,),
        ("I would like you to search for {0}.", "Can you look on the web for {0}?",
         "Run a web search for {0}."),
    ),
    ToolKind(
        ("send_message", "send_text", "message"),
        ("Send a message to a person",),
        (PERSON, TEXT),
        ("Please send a message to {0} with the text: {1}", "I want to tell {0} this: {1}",
         "Drop {0} a message: {1}"),
    ),
    ToolKind(
        ("set_alarm", "alarm", "create_alarm"),
        ("Set an alarm",),
        (WHEN,),
        ("I have to get up at {0}, set an alarm.", "Can you set my alarm to {0}?",
         "Make sure I am awake at {0}."),
    ),
    ToolKind(
        ("order_item", "order", "place_order"),
        ("Order a product",),
        (ITEM, COUNT),
        ("We need {1} {0}, please order them.", "Could you order {1} pieces of {0}?",
         "Go and buy {1} {0}."),
    ),
    ToolKind(
        ("get_price", "check_price", "price_of"),
        ("Get the price of a product",),
        (ITEM,),
        ("I want to buy {0}. How much is it?", "Find out the price of {0}.",
         "What would I pay for {0}?"),
    ),
    ToolKind(
        ("call", "phone", "make_call"),
        ("Call a person",),
        (PERSON,),
        ("Can you call {0} for me?", "Get {0} on the phone.", "Start a call with {0}."),
    ),
)  # fmt: skip
"""The same tools as in training, asked for in other words."""
