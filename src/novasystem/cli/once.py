"""One question, one answer, on standard output."""

import json
import sys
from dataclasses import asdict

from novasystem.cli.answer import Answer, Asker
from novasystem.cli.screen import Screen
from novasystem.cli.session import run
from novasystem.engines.registry import Registry
from novasystem.engines.requests import Message
from novasystem.settings import Settings

__all__ = ["ask_once"]


def ask_once(settings: Settings, asker: Asker, text: str, *, as_json: bool) -> None:
    async def work(registry: Registry) -> None:
        answer = Answer()
        await asker.ask(registry, [Message("user", text)], answer, Screen(show_text=not as_json))
        if as_json:
            model = (await registry.resolve(asker.model)).model
            sys.stdout.write(json.dumps(_as_json(model, answer), ensure_ascii=False) + "\n")

    run(settings, work)


def _as_json(model: str, answer: Answer) -> dict[str, object]:
    usage = answer.usage
    return {
        "model": model,
        "text": answer.text,
        "reasoning": answer.reasoning,
        "usage": {
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": usage.completion_tokens if usage else None,
            "cached_tokens": usage.cached_tokens if usage else None,
            "reasoning_tokens": usage.reasoning_tokens if usage else None,
        },
        "timings": {
            "ttft_s": answer.ttft_s,
            "total_s": answer.total_s,
            "server": asdict(usage.timings) if usage and usage.timings else None,
        },
        "finish_reason": answer.finish_reason,
    }
