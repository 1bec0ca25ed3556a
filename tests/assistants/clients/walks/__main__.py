"""Takes every walk: ``python -m tests.assistants.clients.walks BASE_URL API_KEY``.

Prints one line of JSON for each: its name, what it saw, and the trace of what was not as it should
be. A last line says what was checked in all.
"""

import json
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import openai

from tests.assistants.clients.walks import asynchronous, objects, refusals, running, tools
from tests.assistants.clients.walks.witness import Witness


def walks() -> dict[str, Callable[[Witness], Any]]:
    """By name, as the files list them."""
    modules: list[Any] = [objects, running, tools, refusals, asynchronous]
    return {name: getattr(module, name) for module in modules for name in module.__all__
            if name[0].islower()}  # fmt: skip


def main(base_url: str, api_key: str) -> None:
    checked: Counter[str] = Counter()
    for name, walk in walks().items():
        witness = Witness(base_url, api_key)
        line: dict[str, Any] = {"walk": name, "failed": None}
        try:
            line["seen"] = walk(witness)
        except Exception:
            line["failed"] = traceback.format_exc()
        checked += witness.checked
        say(line)
    say({"walk": "", "version": openai.__version__, "checked": dict(checked)})


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
