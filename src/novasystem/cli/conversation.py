"""``nova chat`` without a message: a conversation, kept in the memory of this process alone."""

import io
import sys

from novasystem.cli.answer import Answer, Asker
from novasystem.cli.background import Background, Stopped
from novasystem.cli.failures import report, traced
from novasystem.cli.screen import Screen
from novasystem.cli.session import registry_of
from novasystem.cli.text import printable
from novasystem.engines.registry import Registry
from novasystem.engines.requests import Message
from novasystem.errors import ContextLengthExceeded, NovaError
from novasystem.settings import Settings

__all__ = ["converse"]

try:
    # Importing it gives the prompt its editing and its history.
    import readline
except ImportError:  # Windows has none.
    readline = None  # type: ignore[assignment]

_HELP = """\
  /model NAME    go on with another model; alone: which one it is
  /system TEXT   instructions for the model; alone: what they are; off: none
  /clear         forget the conversation
  /exit          leave, as Ctrl-D does
Ctrl-C stops an answer, takes back what was typed, and leaves an empty prompt.
A message may begin with a slash where a blank stands before it.
"""


class Conversation:
    """What was said, and the commands that change it."""

    def __init__(self, background: Background, registry: Registry, asker: Asker) -> None:
        self._background = background
        self._registry = registry
        self._asker = asker
        self._messages: list[Message] = []

    def say(self, text: str) -> None:
        """Ask the model. What failed is not kept; what was stopped is, as far as it came."""
        answer = Answer()
        messages = [*self._messages, Message("user", text)]
        try:
            self._background.run(self._asker.ask(self._registry, messages, answer, Screen()))
        except Stopped:
            _note("Stopped.")
            if not answer.text:
                return
        except ContextLengthExceeded as error:
            report(error)
            _note("'/clear' begins anew.")
            return
        except NovaError as error:
            report(error)
            return
        self._messages = [*messages, Message("assistant", answer.text)]

    def command(self, line: str) -> bool:
        """Carry out a line that begins with a slash; false ends the conversation."""
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        match name:
            case "/exit" | "/quit" | "/bye":
                return False
            case "/help" | "/?":
                sys.stderr.write(_HELP)
            case "/clear":
                self._messages = []
                _note("The conversation is forgotten.")
            case "/model":
                self._change_model(rest)
            case "/system":
                if rest:
                    self._asker.system = None if rest == "off" else rest
                said = self._asker.system
                _note(f"Instructions: {said}" if said else "No instructions.")
            case _:
                _note(f"There is no command {name}; /help shows those that there are.")
        return True

    def _change_model(self, name: str) -> None:
        if name:
            try:
                self._background.run(self._registry.resolve(name))
            except NovaError as error:
                report(error)
                return
            self._asker.model = name
        _note(f"Model: {self._asker.model}")


def converse(settings: Settings, asker: Asker) -> None:
    """Prompt, answer, and so on until the end of input, /exit or Ctrl-C at the prompt."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    with traced(settings.log_level), Background() as background:
        registry = registry_of(settings)
        try:
            background.run(registry.resolve(asker.model))
            _note(f"{asker.model} · /help shows the commands, Ctrl-D leaves.")
            _talk(Conversation(background, registry, asker))
        finally:
            background.run(registry.aclose())


def _talk(conversation: Conversation) -> None:
    while True:
        try:
            line = _prompt()
        except EOFError:
            sys.stderr.write("\n")
            return
        except KeyboardInterrupt:
            sys.stderr.write("\n")
            if readline is None or not readline.get_line_buffer():
                raise
            # As in a shell: it takes back what was typed, and leaves an empty prompt.
            continue
        if line.startswith("/"):
            if not conversation.command(line):
                return
        elif line.strip():
            conversation.say(line.strip())


def _prompt() -> str:
    if sys.stdout.isatty():
        return input("> ")
    # Answers go into a file: the prompt must not.
    sys.stderr.write("> ")
    sys.stderr.flush()
    return input()


def _note(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()
