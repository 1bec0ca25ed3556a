"""Samples of similar length share a batch, one sample a row.

Short rows are what most of the text is made of; padding them to one window would waste most of
the time, packing them into one would pay for attention between strangers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tools.tiny_model.chat import Sample
from tools.tiny_model.tokenizer import encode

BUCKETS = (32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)


@dataclass(frozen=True)
class Batch:
    """Tokens and loss weights, both (rows, length + 1); padding has weight 0."""

    tokens: NDArray[np.int32]
    weights: NDArray[np.float32]


Row = tuple[list[int], list[float]]


def pack(rows: list[Row], length: int) -> Batch:
    tokens = np.zeros((len(rows), length + 1), np.int32)
    weights = np.zeros((len(rows), length + 1), np.float32)
    for at, (ids, row_weights) in enumerate(rows):
        tokens[at, : len(ids)] = ids
        weights[at, : len(ids)] = row_weights
    return Batch(tokens, weights)


def bucket_for(size: int) -> int | None:
    """The shortest bucket that holds `size` tokens; None for a sample beyond the window."""
    return next((length for length in BUCKETS if size <= length + 1), None)


def batches(
    samples: Iterable[Sample], tokenizer: Tokenizer, batch_tokens: int, quiet_weight: float
) -> Iterator[Batch]:
    """Yields a batch of about `batch_tokens` whenever a bucket is full."""
    waiting: dict[int, list[Row]] = {length: [] for length in BUCKETS}
    for sample in samples:
        row = encode(tokenizer, sample, quiet_weight)
        length = bucket_for(len(row[0]))
        if length is None:
            continue
        waiting[length].append(row)
        if len(waiting[length]) == max(1, batch_tokens // length):
            yield pack(waiting[length], length)
            waiting[length] = []
