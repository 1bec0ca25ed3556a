"""Starts a run from the weights of another run that had another tokenizer or fewer layers.

Each new token takes the embedding of the same text in the old vocabulary, with or without a
space, or the mean of its old pieces. A layer put in between writes zeros to the residual stream,
so that the deeper model says at first what the old one said. All else is taken over as it is.
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
from tools.tiny_model.model import ModelConfig, Params, init_params
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


def deepen(params: Params, config: ModelConfig, seed: int) -> Params:
    """Spreads the layers of `params` over those of `config`; the places between start neutral."""
    fresh = init_params(config, seed)
    count = params["wq"].shape[0]
    places = [(2 * at + 1) * config.layers // (2 * count) for at in range(count)]
    grown = {}
    for name, value in params.items():
        stacked = fresh[name].shape[:1] == (config.layers,) and value.shape[0] == count
        grown[name] = fresh[name].at[jnp.asarray(places)].set(value) if stacked else value
    return grown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder of the earlier run")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-tokenizer", action="store_true", help="the source's, unchanged")
    parser.add_argument("--layers", type=int, default=ModelConfig().layers)
    options = parser.parse_args()
    if options.keep_tokenizer:
        options.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(options.source / "tokenizer.json", options.folder / "tokenizer.json")
    prepare(options.folder, options.seed)
    old = load_tokenizer(options.source / "tokenizer.json")
    new = load_tokenizer(options.folder / "tokenizer.json")
    params = dict(checkpoints.load(options.source / "checkpoint.npz").average)
    rows = np.asarray(params["embed"])
    ordered = sorted(new.get_vocab(), key=new.get_vocab().__getitem__)
    params["embed"] = jnp.asarray(
        np.stack([rows[old_ids(token, new, old)].mean(axis=0) for token in ordered])
    )
    config = ModelConfig(vocab_size=len(ordered), layers=options.layers)
    params = deepen(params, config, options.seed)
    (options.folder / "config.json").write_text(json.dumps(asdict(config), indent=1))
    average = jax.tree.map(jnp.copy, params)
    begun = Checkpoint(params, average, init_state(params), elapsed_s=0.0, tokens_seen=0)
    checkpoints.save(begun, options.folder / "checkpoint.npz")
    files = [options.source / name for name in ("training.json", "earlier.json")]
    counts = [json.loads(file.read_text()) for file in files if file.exists()]
    total = {name: sum(count[name] for count in counts) for name in counts[0]}
    (options.folder / "earlier.json").write_text(json.dumps(total))


if __name__ == "__main__":
    main()
