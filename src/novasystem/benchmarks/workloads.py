"""What one request of a benchmark asks, out of the plan: its workload, phase and repetition.

The words of a user are asked as they are, in every phase: whatever was put before them would be
answered too, and checks and agreement would judge something else. So that a prompt cache does not
help the ``cold`` and ``warm`` phases all the same,

* the engine is told not to use its cache, where it can be (llama.cpp: ``cache_prompt``). What it
  used nevertheless stands in each sample as ``cached_tokens``;
* prompts that are made up (synthetic, matrix, a trace of lengths) begin differently each time,
  drawn from the benchmark's id, the phase, the repetition and the request, so that a benchmark
  that is carried on, or its log read later, has the same ones.

In the ``cached`` phase a made-up prompt is the same each time, and each prompt is asked once before
it counts (``prime``). So it is with a ``depth``: what lies in the context already is asked before,
uncounted, and only what follows is measured. The turns of a conversation after the first find the
turns before them in the cache, as they do in any conversation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from novasystem.benchmarks.plan import (
    Conversation,
    Matrix,
    Parameters,
    Phase,
    Plan,
    Prompt,
    Prompts,
    Synthetic,
    Trace,
    Workload,
)
from novasystem.engines.requests import GenerateRequest, Message, Sampling, TimeLimits

__all__ = ["Ask", "Texts", "Words", "lengths", "request", "sampling", "size"]

CONNECT_S = 5.0


class Texts(Protocol):
    """Made-up prompts, of lengths that were calibrated before."""

    def prompt(self, tokens: int, seed: str) -> str:
        """A prompt of that many tokens; another seed gives another beginning."""
        ...

    def deep(self, depth: int, tokens: int, seed: str) -> tuple[str, str]:
        """What lies ``depth`` tokens deep already, and the whole, which begins with it."""
        ...


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. ``item`` is which part of the workload it is, ``turn`` which of a conversation.

    ``prime``: what is asked before, uncounted, so that it lies in the engine's cache.
    """

    item: int
    turn: int
    messages: tuple[Message, ...]
    prime: tuple[Message, ...] | None = None
    prompt_target_tokens: int | None = None
    output_target_tokens: int | None = None
    depth_tokens: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def size(workload: Workload) -> int:
    """How many requests a repetition has, where the load shape does not say."""
    match workload:
        case Prompt():
            return 1
        case Prompts(prompts=prompts):
            return len(prompts)
        case Synthetic(prompts=count):
            return count
        case Matrix(prompt_tokens=prompts, output_tokens=outputs, depths=depths):
            return len(prompts) * len(outputs) * len(depths)
        case Conversation(turns=turns):
            return len(turns)
        case Trace(requests=requests):
            return len(requests)


def lengths(workload: Workload) -> list[tuple[int, int]]:
    """The made-up prompts that it needs: each its depth and its own tokens, none twice."""
    match workload:
        case Synthetic(prompt_tokens=tokens):
            return [(0, tokens)]
        case Matrix(prompt_tokens=prompts, depths=depths):
            return [(depth, tokens) for depth in sorted(set(depths)) for tokens in set(prompts)]
        case Trace(requests=requests):
            wanted = {r.prompt_tokens for r in requests if r.prompt_tokens is not None}
            return [(0, tokens) for tokens in sorted(wanted)]
        case _:
            return []


class Words:
    """The requests of one model in one benchmark.

    ``options``: those that its engine knows. ``texts``: where the workload needs made-up prompts.
    """

    def __init__(
        self, plan: Plan, benchmark_id: str, options: frozenset[str], texts: Texts | None = None
    ) -> None:
        self._plan = plan
        self._id = benchmark_id
        self._options = options
        self._texts = texts
        self._size = size(plan.workload)

    def ask(self, phase: Phase, block: int, number: int, said: Sequence[str] = ()) -> Ask:
        """Request ``number`` of a repetition, from 0; past the workload's end it begins again.

        ``said``: the model's answers to the turns before, in a conversation.
        """
        item = number % self._size
        seed = self._seed(phase, block, number, item)
        match self._plan.workload:
            case Prompt(prompt=prompt, system=system):
                return self._users(phase, item, _messages(system, prompt))
            case Prompts(prompts=prompts, system=system):
                return self._users(phase, item, _messages(system, prompts[item]))
            case Synthetic(prompt_tokens=tokens, output_tokens=output):
                return self._made(phase, item, 0, tokens, output, seed)
            case Matrix(prompt_tokens=prompts, output_tokens=outputs, depths=depths):
                rest, depth = divmod(item, len(depths))
                prompt_at, output_at = divmod(rest, len(outputs))
                return self._made(
                    phase, item, depths[depth], prompts[prompt_at], outputs[output_at], seed
                )
            case Conversation(turns=turns, system=system):
                messages = _messages(system, turns[0])
                for answer, turn in zip(said, turns[1:], strict=False):
                    messages += (Message("assistant", answer), Message("user", turn))
                return self._users(phase, 0, messages, turn=item)
            case Trace(requests=requests):
                one = requests[item]
                if one.prompt_tokens is not None:
                    return self._made(phase, item, 0, one.prompt_tokens, one.output_tokens, seed)
                assert one.prompt is not None
                return self._users(
                    phase, item, _messages(None, one.prompt), output=one.output_tokens
                )

    def _seed(self, phase: Phase, block: int, number: int, item: int) -> str:
        if phase == "cached":
            return f"{self._id}/{item}"
        return f"{self._id}/{phase}/{block}/{number}"

    def _users(
        self,
        phase: Phase,
        item: int,
        messages: tuple[Message, ...],
        *,
        turn: int = 0,
        output: int | None = None,
    ) -> Ask:
        """The user's own words, as they are."""
        return Ask(
            item=item,
            turn=turn,
            messages=messages,
            prime=messages if phase == "cached" and turn == 0 else None,
            output_target_tokens=output,
            options=self._with(uncached=phase != "cached" and turn == 0, exact=output is not None),
        )

    def _made(
        self, phase: Phase, item: int, depth: int, tokens: int, output: int | None, seed: str
    ) -> Ask:
        assert self._texts is not None
        if depth:
            before, text = self._texts.deep(depth, tokens, seed)
        else:
            before, text = "", self._texts.prompt(tokens, seed)
        messages = _messages(None, text)
        prime = None
        if phase == "cached":
            prime = messages
        elif depth:
            prime = _messages(None, before)
        return Ask(
            item=item,
            turn=0,
            messages=messages,
            prime=prime,
            prompt_target_tokens=depth + tokens,
            output_target_tokens=output,
            depth_tokens=depth,
            options=self._with(uncached=prime is None, exact=output is not None),
        )

    def _with(self, *, uncached: bool, exact: bool) -> dict[str, Any]:
        """The plan's options, and those of ours that the engine knows and the plan leaves open."""
        options: dict[str, Any] = {}
        if uncached and "cache_prompt" in self._options:
            options["cache_prompt"] = False
        if exact and "ignore_eos" in self._options:
            # A length was asked for: a model that would end before goes on.
            options["ignore_eos"] = True
        return {**options, **self._plan.parameters.options}


def sampling(parameters: Parameters, max_tokens: int | None = None) -> Sampling:
    """``max_tokens``: in place of the plan's own."""
    return Sampling(
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        top_k=parameters.top_k,
        min_p=parameters.min_p,
        seed=parameters.seed,
        max_tokens=parameters.max_tokens if max_tokens is None else max_tokens,
        stop=parameters.stop,
        presence_penalty=parameters.presence_penalty,
        frequency_penalty=parameters.frequency_penalty,
        repeat_penalty=parameters.repeat_penalty,
    )


def request(plan: Plan, model: str, ask: Ask, *, prime: bool = False) -> GenerateRequest:
    """The request as an engine takes it; ``prime``: of what is asked before, for one token."""
    parameters, limits = plan.parameters, plan.limits
    output = 1 if prime else ask.output_target_tokens
    options = {name: value for name, value in ask.options.items() if name != "cache_prompt"}
    return GenerateRequest(
        model=model,
        messages=ask.prime if prime and ask.prime is not None else ask.messages,
        sampling=sampling(parameters, output),
        think=parameters.think,
        options=options if prime else ask.options,
        limits=TimeLimits(
            connect_s=CONNECT_S,
            first_token_s=limits.first_token_s,
            between_tokens_s=limits.between_tokens_s,
            total_s=limits.request_s,
        ),
    )


def _messages(system: str | None, prompt: str) -> tuple[Message, ...]:
    asked = Message("user", prompt)
    return (asked,) if system is None else (Message("system", system), asked)
