"""Saves and loads everything a training run needs to go on, in one .npz file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from tools.tiny_model.model import Params
from tools.tiny_model.optimizer import OptimizerState


@dataclass(frozen=True)
class Checkpoint:
    """`average` is the moving average of the weights: what is exported."""

    params: Params
    average: Params
    state: OptimizerState
    elapsed_s: float
    tokens_seen: int


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Writes beside the target and renames, so that a reader never sees half a file."""
    groups = {
        "params": checkpoint.params,
        "average": checkpoint.average,
        "momentum": checkpoint.state.momentum,
        "variance": checkpoint.state.variance,
    }
    arrays = {f"{g}/{n}": np.asarray(v) for g, values in groups.items() for n, v in values.items()}
    arrays["step"] = np.asarray(checkpoint.state.step)
    arrays["elapsed_s"] = np.asarray(checkpoint.elapsed_s)
    arrays["tokens_seen"] = np.asarray(checkpoint.tokens_seen)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)  # type: ignore[arg-type]
    os.replace(partial, path)


def load(path: Path) -> Checkpoint:
    with np.load(path) as file:
        groups: dict[str, dict[str, jax.Array]] = {}
        for key in file.files:
            if "/" in key:
                group, name = key.split("/")
                groups.setdefault(group, {})[name] = jnp.asarray(file[key])
        state = OptimizerState(jnp.asarray(file["step"]), groups["momentum"], groups["variance"])
        return Checkpoint(
            groups["params"],
            groups["average"],
            state,
            float(file["elapsed_s"]),
            int(file["tokens_seen"]),
        )
