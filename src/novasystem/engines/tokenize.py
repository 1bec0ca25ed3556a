"""How many tokens a text has, asked of servers that tell: llama.cpp and vLLM."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from novasystem.engines.http import Transport
from novasystem.engines.requests import TimeLimits
from novasystem.errors import EngineRejected, NovaError

__all__ = ["TOKENIZERS", "TokenCounter", "Tokenizer"]

_LIMIT_S = 2.0
_LIMITS = TimeLimits(connect_s=1, first_token_s=_LIMIT_S, between_tokens_s=1, total_s=_LIMIT_S)
_PAUSE_S = 30.0
_MAX_CHARS = 1_000_000
# What a server that knows no such path answers, or none that we may use.
_NEVER = {401, 403, 404, 405, 501}


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """``ask``: the body for a model and a text; ``read``: the count out of the answer."""

    ask: Callable[[str, str], Mapping[str, Any]]
    read: Callable[[Any], int]


TOKENIZERS: dict[str, Tokenizer] = {
    "llamacpp": Tokenizer(
        lambda model, text: {"model": model, "content": text, "add_special": False},
        lambda answer: len(answer["tokens"]),
    ),
    "vllm": Tokenizer(
        lambda model, text: {"model": model, "prompt": text, "add_special_tokens": False},
        lambda answer: int(answer["count"]),
    ),
}
"""By the flavour of the server; both answer at ``/tokenize``, outside the API's prefix."""


class TokenCounter:
    """Asks one server. One that cannot is not asked again, one that fails not for a while."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._not_before = 0.0

    async def count(self, tokenizer: Tokenizer, model: str, text: str) -> int | None:
        if not text:
            return 0
        if len(text) > _MAX_CHARS or time.monotonic() < self._not_before:
            return None
        try:
            async with asyncio.timeout(_LIMIT_S):
                body = tokenizer.ask(model, text)
                answer = await self._transport.post_json("/tokenize", body, _LIMITS)
            return tokenizer.read(answer)
        except EngineRejected as error:
            never = error.status in _NEVER
            self._not_before = float("inf") if never else time.monotonic() + _PAUSE_S
        except (NovaError, TimeoutError, KeyError, TypeError, ValueError):
            self._not_before = time.monotonic() + _PAUSE_S
        return None
