"""Starts a run from the weights of another run that had another tokenizer.

Each new token takes the embedding of the same text in the old vocabulary, with or without a
space, or the mean of its old pieces; everything else is taken over as it is.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer

from tools.tiny_model import checkpoint as checkpoints
from tools.tiny_model.checkpoint import Checkpoint
from tools.tiny_model.model import ModelConfig
from tools.tiny_model.optimizer import init_state
from tools.tiny_model.tokenizer import SPACE, load_tokenizer
from tools.tiny_model.train import DEFAULT_FOLDER, prepare


def old_ids(token: str, new: Tokenizer, old: Tokenizer) -> list[int]:
    """The old tokens that stand for `token`."""
    vocab = old.get_vocab()
    for candidate in (token, SPACE + token):
        if candidate in vocab:
            return [vocab[candidate]]
    pieces: list[int] = old.encode(new.decode([new.get_vocab()[token]])).ids
    return pieces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder of the earlier run")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    prepare(options.folder, options.seed)
    old = load_tokenizer(options.source / "tokenizer.json")
    new = load_tokenizer(options.folder / "tokenizer.json")
    params = dict(checkpoints.load(options.source / "checkpoint.npz").average)
    rows = np.asarray(params["embed"])
    ordered = sorted(new.get_vocab(), key=new.get_vocab().__getitem__)
    params["embed"] = jnp.asarray(
        np.stack([rows[old_ids(token, new, old)].mean(axis=0) for token in ordered])
    )
    config = ModelConfig(vocab_size=len(ordered))
    (options.folder / "config.json").write_text(json.dumps(asdict(config), indent=1))
    average = jax.tree.map(jnp.copy, params)
    begun = Checkpoint(params, average, init_state(params), elapsed_s=0.0, tokens_seen=0)
    checkpoints.save(begun, options.folder / "checkpoint.npz")
    shutil.copy(options.source / "training.json", options.folder / "earlier.json")


if __name__ == "__main__":
    main()
