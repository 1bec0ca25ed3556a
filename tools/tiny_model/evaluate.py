"""Measures nova-tiny: `python -m tools.tiny_model.evaluate --help`.

Starts llama.cpp's server on the shipped weights unless `--base-url` names another server. Exits
with 1 when a suite misses its bar.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import math
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tools.tiny_model.evaluation.cases import Case
from tools.tiny_model.evaluation.client import ChatClient
from tools.tiny_model.evaluation.server import serve
from tools.tiny_model.evaluation.suites import SUITES, Suite
from tools.tiny_model.export import DEFAULT_TARGET

SLOTS = 4
QUICK_SHARE = 0.1
FAILURES_KEPT = 12
log = logging.getLogger("tiny_model")


def wilson(right: int, total: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson, 1927)."""
    z, p = 1.96, right / total
    centre = p + z * z / (2 * total)
    spread = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return (centre - spread) / scale, (centre + spread) / scale


def run_case(client: ChatClient, case: Case) -> tuple[bool, str]:
    """Whether the reply is right, and the reply as text; a refused request is wrong."""
    try:
        reply = client.ask(case.messages, case.tools, **case.options)
    except httpx.HTTPStatusError as error:
        return False, f"HTTP {error.response.status_code}: {error.response.text[:200]}"
    return case.check(reply), f"{reply.text} {reply.calls or ''}".strip()


def run_suite(client: ChatClient, suite: Suite, quick: bool) -> dict[str, Any]:
    size = max(10, round(suite.size * QUICK_SHARE)) if quick else suite.size
    cases = suite.make(size)
    began = time.perf_counter()
    with ThreadPoolExecutor(SLOTS) as pool:
        outcomes = list(pool.map(lambda case: run_case(client, case), cases))
    right = sum(ok for ok, _ in outcomes)
    low, high = wilson(right, len(cases))
    failures = [
        {"prompt": case.messages[-1]["content"], "expected": case.expected, "reply": reply}
        for case, (ok, reply) in zip(cases, outcomes, strict=True)
        if not ok
    ]
    result = {
        "name": suite.name,
        "title": suite.title,
        "right": right,
        "cases": len(cases),
        "share": right / len(cases),
        "interval_95": [low, high],
        "bar": suite.bar,
        "passed": suite.bar is None or right / len(cases) >= suite.bar,
        "duration_s": time.perf_counter() - began,
        "failures": failures[:FAILURES_KEPT],
    }
    log.info("%-28s %4d of %4d = %5.1f %%", suite.name, right, len(cases), 100 * result["share"])
    return result


@contextlib.contextmanager
def target(options: argparse.Namespace) -> Iterator[str]:
    if options.base_url:
        yield options.base_url
    else:
        with serve(options.weights, SLOTS) as base_url:
            yield base_url


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=DEFAULT_TARGET, help="the GGUF to serve")
    parser.add_argument("--base-url", help="an OpenAI-compatible server instead, with its /v1")
    parser.add_argument("--model", default="nova-tiny", help="the model's name on that server")
    parser.add_argument("--quick", action="store_true", help="a tenth of the cases")
    parser.add_argument("--only", nargs="*", help="names of the suites to run")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    return parser.parse_args()


def main() -> int:
    options = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with target(options) as base_url:
        client = ChatClient(base_url, options.model)
        chosen = [suite for suite in SUITES if not options.only or suite.name in options.only]
        results = [run_suite(client, suite, options.quick) for suite in chosen]
        client.close()
    if options.json:
        weights = None if options.base_url else options.weights
        report = {
            "quick": options.quick,
            "weights_bytes": weights.stat().st_size if weights else None,
            "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest() if weights else None,
            "suites": results,
        }
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    missed = [result["name"] for result in results if not result["passed"]]
    if missed:
        log.error("below the bar: %s", ", ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
