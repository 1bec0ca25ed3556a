"""One answer on the command line: shown while it comes, and folded into a whole."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from novasystem.cli.screen import Screen
from novasystem.engines.events import (
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Sent,
    TextDelta,
    Usage,
)
from novasystem.engines.registry import Registry
from novasystem.engines.requests import GenerateRequest, Message, Sampling, TimeLimits

__all__ = ["Answer", "Asker"]


@dataclass(slots=True)
class Answer:
    """The fold over an answer's events. After a failure it holds what had come until then."""

    text: str = ""
    reasoning: str = ""
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    _sent_at_ns: int = 0
    _token_at_ns: list[int] = field(default_factory=list)
    _ended_at_ns: int = 0

    def add(self, event: Event) -> None:
        match event:
            case Sent(at_ns):
                self._sent_at_ns = at_ns
            case TextDelta(text, arrival):
                self.text += text
                self._token_at_ns.append(arrival.at_ns)
            case ReasoningDelta(text, arrival):
                self.reasoning += text
                self._token_at_ns.append(arrival.at_ns)
            case Usage():
                self.usage = event
            case Finished(reason, arrival):
                self.finish_reason = reason
                self._ended_at_ns = arrival.at_ns

    @property
    def ttft_s(self) -> float | None:
        """From the request's last byte to the first token."""
        return (self._token_at_ns[0] - self._sent_at_ns) / 1e9 if self._token_at_ns else None

    @property
    def total_s(self) -> float | None:
        """From the request's last byte to the end of the answer."""
        return (self._ended_at_ns - self._sent_at_ns) / 1e9 if self._ended_at_ns else None

    @property
    def tokens_per_s(self) -> float | None:
        """The engine's own figure where it has one, else (n - 1) tokens over the time between the
        first and the last: the first one is what prefill takes."""
        timings = self.usage.timings if self.usage else None
        if timings and timings.decode_tokens and timings.decode_s:
            return timings.decode_tokens / timings.decode_s
        tokens = self.usage.completion_tokens if self.usage else None
        if not tokens or tokens < 2 or len(self._token_at_ns) < 2:
            return None
        between_s = (self._token_at_ns[-1] - self._token_at_ns[0]) / 1e9
        return (tokens - 1) / between_s if between_s > 0 else None

    def stats(self) -> str:
        """One line for people."""
        parts: list[str] = []
        if self.usage and self.usage.prompt_tokens is not None:
            parts.append(f"{self.usage.prompt_tokens} tokens in")
        if self.usage and self.usage.completion_tokens is not None:
            parts.append(f"{self.usage.completion_tokens} tokens out")
        if self.ttft_s is not None:
            parts.append(f"first after {self.ttft_s:.3f} s")
        if self.total_s is not None:
            parts.append(f"all after {self.total_s:.3f} s")
        if self.tokens_per_s is not None:
            parts.append(f"{self.tokens_per_s:.1f} tokens/s")
        return " · ".join(parts)


@dataclass(slots=True)
class Asker:
    """What stays the same from one question to the next."""

    model: str
    system: str | None
    sampling: Sampling
    limits: TimeLimits
    show_stats: bool = False

    def request(self, messages: Sequence[Message]) -> GenerateRequest:
        instructions = (Message("system", self.system),) if self.system else ()
        return GenerateRequest(
            model=self.model,
            messages=(*instructions, *messages),
            sampling=self.sampling,
            limits=self.limits,
        )

    async def ask(
        self, registry: Registry, messages: Sequence[Message], answer: Answer, screen: Screen
    ) -> None:
        """Fold what comes into ``answer`` and show it. Cancelling this stops the engine."""
        loop = asyncio.get_running_loop()
        screen.waiting(loop, self.model)
        try:
            async with aclosing(registry.generate(self.request(messages))) as events:
                async for event in events:
                    answer.add(event)
                    match event:
                        case TextDelta(text):
                            screen.text(text)
                        case ReasoningDelta(text):
                            screen.reasoning(text)
        finally:
            screen.done()
        if answer.finish_reason == "length" and self.sampling.max_tokens is None:
            sys.stderr.write("The answer was cut off at the model's limit.\n")
        if self.show_stats:
            sys.stderr.write(f"{answer.stats()}\n")
