"""Looks for held-out names, towns and sums in the training text: there must be none."""

from __future__ import annotations

import argparse
import logging
import re
import sys

from tools.tiny_model import words
from tools.tiny_model.chat import render
from tools.tiny_model.holdout import is_held_out, is_pair_held_out
from tools.tiny_model.workers import first_samples

SUM = re.compile(r"\b(\d{1,2}) ?(?:\+|plus) ?(\d{1,2})\b(?! ?[+\d])")
CALENDAR = frozenset(words.DAYS + words.MONTHS)
log = logging.getLogger("tiny_model")


def findings(text: str) -> list[str]:
    """The held-out values in one sample."""
    known = (set(words.FIRST_NAMES) | set(words.TOWNS)) - CALENDAR
    found = [word for word in re.findall(r"\w+", text) if word in known and is_held_out(word)]
    sums = [(int(a), int(b)) for a, b in SUM.findall(text)]
    return found + [f"{a} + {b}" for a, b in sums if is_pair_held_out(a, b)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--seed", default="audit")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    seen: list[str] = []
    for sample in first_samples(options.seed, options.samples):
        text = "".join(piece for piece, _ in render(sample))
        for value in findings(text):
            log.error("held out, but in training: %s in %r", value, text[-300:])
            seen.append(value)
    log.info("%d samples, %d held-out values", options.samples, len(seen))
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
