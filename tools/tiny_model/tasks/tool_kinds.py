"""The tools that training knows: names, parameters and ways of asking for them.

Tool names and parameter names vary from sample to sample, so that the model has to read the
list of tools instead of learning it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tools.tiny_model.draw import Draw
from tools.tiny_model.words import LANGUAGES

Value = str | int
Maker = Callable[[Draw], Value]


@dataclass(frozen=True)
class Parameter:
    """One argument: the names it may have, its JSON type and where its values come from."""

    names: tuple[str, ...]
    make: Maker
    type: str = "string"


@dataclass(frozen=True)
class ToolKind:
    """`asks` refer to the parameters by position; `answer` may add the result as {r}."""

    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    asks: tuple[str, ...]
    answer: str = "The result is {r}."
    result: Maker = Draw.phrase


def _integer(low: int, high: int) -> Maker:
    return lambda draw: draw.number(low, high)


def _expression(draw: Draw) -> str:
    operator = draw.pick(("*", "-", "/", "+"))
    while True:
        first, second = draw.number(100, 9999), draw.number(2, 999)
        if operator != "+" or second >= 100:
            return (
                f"{first}{operator}{second}" if draw.chance(0.5) else f"{first} {operator} {second}"
            )


def _weather(draw: Draw) -> str:
    sky = draw.pick(("sunny", "cloudy", "rainy", "windy", "snowy"))
    return f"{draw.randint(0, 35)} degrees, {sky}"


def _done(draw: Draw) -> str:
    return draw.pick(("ok", "done", "success", "saved", "sent"))


def _language(draw: Draw) -> str:
    return draw.pick(LANGUAGES)


CITY = Parameter(("city", "location", "place", "town"), Draw.city)
PERSON = Parameter(("name", "person", "contact", "to", "recipient"), Draw.name)
TEXT = Parameter(("text", "message", "content", "body"), Draw.phrase)
QUERY = Parameter(("query", "q", "text", "search", "question"), Draw.phrase)
WHEN = Parameter(("time", "at", "start", "when"), Draw.time_of_day)
DAY = Parameter(("date", "day", "when"), Draw.date)
ITEM = Parameter(("item", "product", "thing", "article"), Draw.thing)
COUNT = Parameter(("quantity", "count", "amount", "number"), _integer(1, 999), "integer")

KINDS = (
    ToolKind(
        ("get_weather", "weather", "current_weather", "weather_lookup", "getWeather",
         "fetch_weather"),
        ("Get the weather for a city", "Current weather of a place", "Look up the weather"),
        (CITY,),
        ("What is the weather in {0}?", "What's the weather like in {0}?",
         "How is the weather in {0}?",
         "Weather in {0}?", "Tell me the weather in {0}.", "Is it raining in {0}?",
         "Is it cold in {0}?",
         "Get the weather for {0}.", "Check the weather in {0}.", "Do I need an umbrella in {0}?",
         "How warm is it in {0}?", "Please look up the weather in {0}.",
         "What is the temperature in {0}?",
         "Give me the weather report for {0}.", "I travel to {0}. What is the weather there?"),
        "The weather in {0}: {r}.", _weather,
    ),
    ToolKind(
        ("get_time", "current_time", "time_in", "world_clock", "getTime", "clock"),
        ("Get the time in a city", "Current local time of a place", "Tell the time"),
        (CITY,),
        ("What time is it in {0}?", "What's the time in {0}?", "Tell me the time in {0}.",
         "Time in {0}?", "Give me the local time in {0}.", "How late is it in {0}?",
         "What is the current time in {0}?", "Which time is it in {0}?", "Check the clock in {0}."),
        "It is {r} in {0}.", Draw.time_of_day,
    ),
    ToolKind(
        ("search", "web_search", "search_web", "find", "lookup", "searchWeb", "search_docs"),
        ("Search the web", "Search for a text", "Find pages about something",
         "Search the documents"),
        (QUERY,),
        ("Search for {0}.", "Search the web for {0}.", "Look up {0}.", "Find pages about {0}.",
         "Find information about {0}.", "Please search for {0}.", "Google {0}.", "Look for {0}.",
         "Can you search for {0}?", "What can you find about {0}?", "Do a search for {0}.",
         "I need information about {0}.", "Find out about {0}.", "Search {0}"),
        "I found this: {r}.",
    ),
    ToolKind(
        ("calculate", "calculator", "eval", "compute", "evaluate_expression", "calc"),
        ("Calculate an expression", "Evaluate an arithmetic expression", "A calculator"),
        (Parameter(("expression", "formula", "input", "expr"), _expression),),
        ("Calculate {0}.", "What is {0}?", "Compute {0}.", "Use the calculator for {0}.", "{0}",
         "Evaluate {0}.", "How much is {0}?", "Work out {0}.", "Please calculate {0}.",
         "Solve {0}"),
        "{0} = {r}.", _integer(0, 99_999),
    ),
    ToolKind(
        ("add", "sum", "add_numbers", "plus", "addition", "addNumbers"),
        ("Add two numbers", "Sum of two numbers", "Adds a and b"),
        (Parameter(("a", "x", "first", "left", "n1"), _integer(0, 9999), "number"),
         Parameter(("b", "y", "second", "right", "n2"), _integer(100, 9999), "number")),
        ("Add {0} and {1}.", "What is {0} plus {1}?", "What is {0}+{1}?", "What is {0} + {1}?",
         "Sum of {0} and {1}?", "Please add {0} and {1}.", "How much is {0} + {1}?", "{0} + {1}",
         "Compute {0} plus {1}.", "Give me the sum of {0} and {1}."),
        "{0} + {1} = {r}.", _integer(0, 99_999),
    ),
    ToolKind(
        ("multiply", "times", "product", "mul", "multiply_numbers"),
        ("Multiply two numbers", "Product of two numbers"),
        (Parameter(("a", "x", "first", "left"), _integer(2, 9999), "number"),
         Parameter(("b", "y", "second", "right"), _integer(2, 9999), "number")),
        ("Multiply {0} by {1}.", "What is {0} times {1}?", "What is {0} * {1}?", "{0} times {1}",
         "Product of {0} and {1}?", "How much is {0} times {1}?", "Compute {0} times {1}."),
        "{0} * {1} = {r}.", _integer(0, 999_999),
    ),
    ToolKind(
        ("send_message", "send_text", "message", "sendMessage", "text_person", "send_sms"),
        ("Send a message to a person", "Send a text message", "Send somebody a message"),
        (PERSON, TEXT),
        ("Send {0} the message: {1}", "Tell {0}: {1}", "Send a message to {0}: {1}",
         "Text {0}: {1}", "Write to {0}: {1}", "Send {0} a message that says {1}.",
         "Let {0} know: {1}", 'Send "{1}" to {0}.', 'Message {0} with "{1}".'),
        "I have sent the message to {0}.", _done,
    ),
    ToolKind(
        ("send_email", "email", "mail", "sendEmail", "write_email"),
        ("Send an email", "Send an email to an address"),
        (Parameter(("to", "address", "recipient", "email"), Draw.email),
         Parameter(("subject", "title", "topic"), Draw.phrase)),
        ("Send an email to {0} with the subject {1}.", "Email {0} about {1}.",
         "Write an email to {0} about {1}.",
         "Mail {0} with the subject {1}.", 'Send {0} an email with the subject "{1}".'),
        "I have sent the email to {0}.", _done,
    ),
    ToolKind(
        ("set_alarm", "alarm", "wake_me", "create_alarm", "setAlarm"),
        ("Set an alarm", "Set an alarm clock"),
        (WHEN,),
        ("Set an alarm for {0}.", "Wake me at {0}.", "Alarm at {0}.", "Please set an alarm at {0}.",
         "I want to get up at {0}.", "Ring at {0}.", "Wake me up at {0}, please."),
        "The alarm is set for {0}.", _done,
    ),
    ToolKind(
        ("add_reminder", "remind", "reminder", "create_reminder", "remind_me", "addReminder"),
        ("Create a reminder", "Remind the user of something"),
        (Parameter(("text", "task", "what", "title"), Draw.phrase), WHEN),
        ("Remind me to {0} at {1}.", "At {1} remind me to {0}.", "Set a reminder to {0} at {1}.",
         "Create a reminder for {1}: {0}", "Reminder at {1}: {0}",
         "Don't let me forget to {0} at {1}."),
        "I will remind you at {1}.", _done,
    ),
    ToolKind(
        ("create_event", "add_event", "schedule", "schedule_meeting", "calendar_add"),
        ("Add an event to the calendar", "Schedule a meeting"),
        (Parameter(("title", "name", "event", "what"), Draw.phrase), DAY),
        ("Put {0} into my calendar on {1}.", "Schedule {0} on {1}.", "Create an event {0} on {1}.",
         "Add {0} to the calendar for {1}.", "On {1} I have {0}. Put it into the calendar."),
        "The event is in the calendar for {1}.", _done,
    ),
    ToolKind(
        ("translate", "translate_text", "translation", "translator"),
        ("Translate a text", "Translate a text into a language"),
        (Parameter(("text", "content", "phrase"), Draw.phrase),
         Parameter(("language", "target", "to", "target_language"), _language)),
        ("Translate {0} into {1}.", "Translate {0} to {1}.", 'Translate "{0}" into {1}.',
         "What is {0} in {1}?", "How do you say {0} in {1}?", "Say {0} in {1}."),
        "In {1} it is: {r}.",
    ),
    ToolKind(
        ("order_item", "order", "buy", "place_order", "purchase", "orderItem"),
        ("Order a product", "Buy an item", "Place an order"),
        (ITEM, COUNT),
        ("Order {1} of {0}.", "Buy {1} {0}.", "Order {0}, {1} pieces.", "I want to buy {1} {0}.",
         "Please order {1} times {0}.", "Get me {1} {0}.", "Place an order: {1} x {0}"),
        "I have ordered {1} x {0}.", _done,
    ),
    ToolKind(
        ("add_to_list", "list_add", "shopping_list", "add_item", "addToList"),
        ("Add something to a list", "Put an item on the shopping list"),
        (ITEM,),
        ("Put {0} on the list.", "Add {0} to the list.", "Add {0} to my shopping list.",
         "We need {0}. Put it on the list.", "Write {0} on the list.",
         "Please note {0} on the list."),
        "{0} is on the list.", _done,
    ),
    ToolKind(
        ("get_price", "price", "price_of", "check_price", "getPrice"),
        ("Get the price of a product", "Look up a price"),
        (ITEM,),
        ("What does {0} cost?", "How much does {0} cost?", "Price of {0}?",
         "What is the price of {0}?",
         "How expensive is {0}?", "Check the price of {0}.", "Tell me the price of {0}."),
        "{0} costs {r}.", _integer(1, 9999),
    ),
    ToolKind(
        ("play_music", "play", "play_song", "music", "playMusic"),
        ("Play a song", "Play music"),
        (Parameter(("song", "title", "track", "name"), Draw.phrase),),
        ("Play {0}.", "Play the song {0}.", "I want to hear {0}.", "Put on {0}.", 'Play "{0}".',
         "Start the song {0}.", "Please play {0}.", "Let's hear {0}."),
        "Now playing {0}.", _done,
    ),
    ToolKind(
        ("read_file", "open_file", "load_file", "cat", "readFile"),
        ("Read a file", "Open a file and return its text"),
        (Parameter(("path", "file", "filename"),
         lambda d: f"{d.made_up(1, 3)}.{d.pick(('txt', 'md', 'py', 'csv', 'json'))}"),),
        ("Read the file {0}.", "Open {0}.", "Show me {0}.", "What is in {0}?", "Load the file {0}.",
         "Read {0}.", "Print the file {0}.", "What does the file {0} say?"),
        "The file {0} says: {r}.",
    ),
    ToolKind(
        ("book_table", "reserve_table", "reserve", "reservation", "bookTable"),
        ("Book a table in a restaurant", "Reserve a table"),
        (Parameter(("restaurant", "place", "name", "where"), lambda d: d.made_up(1,
         3).capitalize()),
         Parameter(("people", "guests", "persons", "seats"), _integer(1, 99), "integer")),
        ("Book a table for {1} at {0}.", "Reserve a table at {0} for {1} people.",
         "I need a table for {1} at {0}.", "Table for {1} at {0}, please.",
         "We are {1} people and want to eat at {0}."),
        "A table for {1} at {0} is booked.", _done,
    ),
    ToolKind(
        ("find_route", "route", "directions", "navigate", "get_directions"),
        ("Find a route between two cities", "Directions from one place to another"),
        (Parameter(("start", "from", "origin"), Draw.city), Parameter(("end", "to", "destination",
         "goal"), Draw.city)),
        ("How do I get from {0} to {1}?", "Find a route from {0} to {1}.",
         "Directions from {0} to {1}.",
         "I want to go from {0} to {1}.", "Navigate from {0} to {1}.",
         "Show me the way from {0} to {1}.",
         "Bring me to {1} from {0}.", "I am in {0} and must go to {1}."),
        "The route from {0} to {1}: {r}.",
    ),
    ToolKind(
        ("book_flight", "find_flight", "flight", "search_flights"),
        ("Book a flight", "Find flights between cities on a day"),
        (Parameter(("origin", "from", "start"), Draw.city), Parameter(("destination", "to", "end"),
         Draw.city), DAY),
        ("Book a flight from {0} to {1} on {2}.", "Find a flight from {0} to {1} on {2}.",
         "I want to fly from {0} to {1} on {2}.", "On {2} I fly from {0} to {1}.",
         "Flight {0} to {1}, {2}"),
        "The flight from {0} to {1} is booked.", _done,
    ),
    ToolKind(
        ("set_temperature", "thermostat", "heat", "set_heating"),
        ("Set the temperature of a room", "Control the heating"),
        (Parameter(("room", "place", "where"), Draw.thing), Parameter(("degrees", "temperature",
         "value"), _integer(1, 99), "integer")),
        ("Set the {0} to {1} degrees.", "Make it {1} degrees in the {0}.",
         "Heat the {0} to {1} degrees.",
         "The {0} should have {1} degrees.", "Temperature in the {0}: {1}"),
        "The {0} is set to {1} degrees.", _done,
    ),
    ToolKind(
        ("find_contact", "get_phone", "phone_book", "lookup_contact", "get_contact"),
        ("Find the phone number of a person", "Look up a contact"),
        (PERSON,),
        ("What is the phone number of {0}?", "Find the contact {0}.", "Look up {0}.",
         "Give me the number of {0}.",
         "I need the phone number of {0}.", "How can I reach {0}?", "What is {0}'s number?"),
        "The number of {0} is {r}.", _integer(1000, 999_999),
    ),
    ToolKind(
        ("call", "phone", "call_person", "make_call", "dial"),
        ("Call a person", "Make a phone call"),
        (PERSON,),
        ("Call {0}.", "Please call {0}.", "Phone {0}.", "Ring {0}.", "I want to talk to {0}.",
         "Make a call to {0}."),
        "I am calling {0}.", _done,
    ),
    ToolKind(
        ("convert_currency", "exchange", "convert", "currency"),
        ("Convert money", "Convert an amount into another currency"),
        (Parameter(("amount", "value", "sum"), _integer(1, 99_999), "number"),
         Parameter(("currency", "to", "target"), lambda d: d.pick(("EUR", "USD", "GBP", "CHF",
         "JPY", "SEK", "PLN", "INR")))),
        ("Convert {0} to {1}.", "How much is {0} in {1}?", "Exchange {0} into {1}.",
         "Change {0} into {1}."),
        "{0} is {r} in {1}.", _integer(1, 99_999),
    ),
    ToolKind(
        ("define", "dictionary", "define_word", "meaning", "get_definition"),
        ("Define a word", "Look a word up in the dictionary"),
        (Parameter(("word", "term", "text"), lambda d: d.made_up(2, 4)),),
        ("Define {0}.", "What does {0} mean?", "What is the meaning of {0}?",
         "Look up the word {0}.",
         "Explain the word {0}.", "What is a {0}?", "Give me the definition of {0}."),
        "{0} means: {r}.",
    ),
    ToolKind(
        ("save_note", "note", "add_note", "write_note", "create_note", "remember"),
        ("Save a note", "Write something down"),
        (Parameter(("text", "note", "content"), Draw.phrase),),
        ("Note: {0}", "Write down: {0}", "Save a note: {0}", "Make a note that says {0}.",
         "Remember this: {0}",
         'Save the note "{0}".', "Take a note: {0}", "Please note: {0}"),
        "I have saved the note.", _done,
    ),
    ToolKind(
        ("get_user", "find_user", "user_info", "load_user"),
        ("Get a user by id", "Load a user's data"),
        (Parameter(("id", "user_id", "user", "number"), _integer(1, 99_999), "integer"),),
        ("Show me user {0}.", "Load the user {0}.", "Who is user {0}?", "Get user {0}.",
         "Find the user with the id {0}.",
         "Give me the data of user {0}."),
        "User {0} is {r}.", Draw.name,
    ),
    ToolKind(
        ("track_order", "order_status", "get_order", "find_order"),
        ("Get the status of an order", "Track an order"),
        (Parameter(("order_id", "id", "order", "number"), _integer(100, 99_999), "integer"),),
        ("Where is my order {0}?", "Track order {0}.", "What is the status of order {0}?",
         "Status of {0}?",
         "Check order {0}.", "Has order {0} been sent?"),
        "Order {0}: {r}.", lambda d: d.pick(("sent", "on its way", "delivered", "waiting",
        "packed")),
    ),
)  # fmt: skip

ALIKE = (
    {"search", "define", "find_contact", "get_user", "track_order"},
    {"calculate", "add", "multiply", "convert_currency"},
    {"add_to_list", "save_note", "add_reminder", "create_event"},
    {"find_contact", "call"},
    {"get_price", "order_item", "define"},
    {"find_route", "book_flight"},
    {"add_reminder", "set_alarm"},
)
"""Kinds whose requests sound alike; no list of tools holds two of one set."""


def sound_alike(first: ToolKind, second: ToolKind) -> bool:
    """True for one kind under two names, too."""
    if set(first.names) & set(second.names):
        return True
    return any({first.names[0], second.names[0]} <= group for group in ALIKE)
