"""Benchmarks as programs ask for them, beside the browser."""

import json
import time
import urllib.request
from typing import Any

__all__ = ["ask_json", "begin", "ended", "measured"]


def ask_json(method: str, url: str, body: object = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    sent = {"content-type": "application/json", **headers}
    request = urllib.request.Request(url, data, sent, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def measured(url: str, **given: Any) -> str:
    """The id of a benchmark that has ended."""
    plan = {"prompt": "What is 2+3?", "models": ["nova-tiny"], "warm_up": 0, **given}
    return str(ask_json("POST", f"{url}/api/benchmarks/run", plan)["id"])


def begin(url: str, **given: Any) -> str:
    """The id of one that goes on by itself."""
    plan = {"prompt": "Tell me a short story.", "models": ["nova-tiny"], **given}
    begun = ask_json("POST", f"{url}/api/benchmarks/run", plan, prefer="respond-async")
    return str(begun["id"])


def ended(url: str, benchmark_id: str, within_s: float = 60.0) -> dict[str, Any]:
    until = time.monotonic() + within_s
    while True:
        found: dict[str, Any] = ask_json("GET", f"{url}/api/benchmarks/history/{benchmark_id}")
        if found["status"] not in {"queued", "running"}:
            return found
        assert time.monotonic() < until, found["status"]
        time.sleep(0.1)
