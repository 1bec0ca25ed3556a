"""A small look at held-out cases while training goes on.

Greedy decoding gives the expected answer exactly when every token of it is the most likely one
after the right beginning; so one forward pass tells what the finished model would say.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer

from tools.tiny_model.batches import Batch, pack
from tools.tiny_model.chat import Sample
from tools.tiny_model.draw import Draw
from tools.tiny_model.model import ModelConfig, Params, logits
from tools.tiny_model.tasks import agents, memory, sums, tool_calls
from tools.tiny_model.tokenizer import encode

CASES = 64


@functools.partial(jax.jit, static_argnames="config")
def _right_rows(
    params: Params, tokens: jax.Array, weights: jax.Array, config: ModelConfig
) -> jax.Array:
    best = jnp.argmax(logits(params, tokens[:, :-1], config), axis=-1)
    return jnp.all((best == tokens[:, 1:]) | (weights[:, 1:] < 1.0), axis=-1)


class Probe:
    """Fixed held-out samples of four tasks, ready as batches."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        draw = Draw("probe", held_out=True)
        makers = {
            "sums": (96, lambda: Sample(memory.say(sums.addition(draw)))),
            "plans": (128, lambda: Sample(agents.planner(draw))),
            "tools": (384, lambda: tool_calls.conversation(draw)),
        }
        self._batches: dict[str, Batch] = {}
        for name, (length, make) in makers.items():
            rows = []
            while len(rows) < CASES:
                row = encode(tokenizer, make(), 0.0)
                if len(row[0]) <= length:
                    rows.append(row)
            self._batches[name] = pack(rows, length)

    def measure(self, params: Params, config: ModelConfig) -> dict[str, float]:
        """The share of samples of which every assistant token is right."""
        return {
            name: float(np.mean(_right_rows(params, batch.tokens, batch.weights, config)))
            for name, batch in self._batches.items()
        }
