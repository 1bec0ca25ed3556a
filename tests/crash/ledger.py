"""What the server has acknowledged, as its users wrote it down at that moment."""

from collections import defaultdict
from dataclasses import dataclass, field

__all__ = ["Frame", "Ledger", "Watch"]


@dataclass(frozen=True)
class Frame:
    """One server-sent event; ``number``: its id, where it has one."""

    number: int | None
    name: str
    data: str


@dataclass
class Watch:
    """What one watcher of a run saw, over all its connections, in order.

    ``text`` is the answer as it would stand on a screen, with all that was taken back; ``calls``
    are those that the run waits for. ``resumed`` counts broken connections, ``torn`` those of them
    that broke in the middle of an answer.
    """

    thread_id: str
    run_id: str
    frames: list[Frame] = field(default_factory=list)
    text: str = ""
    calls: list[str] = field(default_factory=list)
    resumed: int = 0
    torn: int = 0

    def break_off(self) -> None:
        self.resumed += 1
        self.torn += bool(self.text) and self.frames[-1].name.endswith((".delta", "chunk"))

    @property
    def last_number(self) -> int:
        return max((f.number for f in self.frames if f.number is not None), default=0)


@dataclass
class Ledger:
    """``messages``: id and text of each message by its thread, in the order of their answers.
    ``runs``: every run that is known of, and its thread. ``cancelled``: runs whose cancellation
    was accepted. ``said``: answers that were handed over whole, by their run. ``executed``: the
    calls that the tool carried out, by their run; ``wanted``: how many a completed run asks for.
    """

    messages: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    runs: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    said: dict[str, str] = field(default_factory=dict)
    executed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    outputs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    watches: list[Watch] = field(default_factory=list)
    chat_watches: list[Watch] = field(default_factory=list)
    chats: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    """What each run's answer is, where it was not cut short."""

    @property
    def shown(self) -> int:
        """Events that watchers have seen, with a number or without."""
        return sum(len(watch.frames) for watch in (*self.watches, *self.chat_watches))

    @property
    def acknowledged(self) -> int:
        """Items, events and outcomes that must not be lost."""
        messages = sum(map(len, self.messages.values()))
        watches = [*self.watches, *self.chat_watches]
        events = sum(f.number is not None for watch in watches for f in watch.frames)
        outputs = sum(map(len, self.outputs.values()))
        others = len(self.runs) + len(self.cancelled) + len(self.said) + len(self.chats)
        return messages + events + outputs + others
