"""Muon for the matrices inside the layers, Adam for the embedding and the norms.

Muon (Jordan et al., 2024) replaces the momentum of a matrix by the nearest orthogonal one,
found with five Newton-Schulz steps; on models of this size it needs about half the tokens
that AdamW needs for the same loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tools.tiny_model.model import Params

MATRICES = frozenset({"wq", "wk", "wv", "wo", "w_gate", "w_up", "w_down"})
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


@dataclass(frozen=True)
class OptimizerConfig:
    """Peak learning rates; a schedule between 0 and 1 scales both."""

    matrix_rate: float = 0.02
    vector_rate: float = 0.004
    momentum: float = 0.95
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.01


class OptimizerState(NamedTuple):
    step: jax.Array
    momentum: Params
    variance: Params


def init_state(params: Params) -> OptimizerState:
    momentum = {name: jnp.zeros_like(value) for name, value in params.items()}
    variance = {n: jnp.zeros_like(value) for n, value in params.items() if n not in MATRICES}
    return OptimizerState(jnp.zeros((), jnp.int32), momentum, variance)


def _orthogonalise(matrix: jax.Array) -> jax.Array:
    """Approximates U·Vᵀ of each matrix in a stack (layers, rows, columns)."""
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = jnp.swapaxes(matrix, -1, -2) if tall else matrix
    x = x / (jnp.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-7)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(5):
        gram = x @ jnp.swapaxes(x, -1, -2)
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return jnp.swapaxes(x, -1, -2) if tall else x


def update(
    params: Params, grads: Params, state: OptimizerState, scale: jax.Array, config: OptimizerConfig
) -> tuple[Params, OptimizerState]:
    """One step; `scale` is the schedule's factor. The size of the gradient does not matter."""
    step = state.step + 1
    momentum, variance, updated = {}, {}, {}
    for name, value in params.items():
        grad = grads[name]
        if name in MATRICES:
            mean = config.momentum * state.momentum[name] + grad
            direction = _orthogonalise(grad + config.momentum * mean)
            rows, columns = value.shape[-2:]
            rate = scale * config.matrix_rate * max(1.0, columns / rows) ** 0.5
            decay = config.weight_decay
        else:
            mean = config.beta1 * state.momentum[name] + (1 - config.beta1) * grad
            square = config.beta2 * state.variance[name] + (1 - config.beta2) * grad * grad
            variance[name] = square
            unbiased = mean / (1 - config.beta1**step)
            direction = unbiased / (jnp.sqrt(square / (1 - config.beta2**step)) + 1e-8)
            rate, decay = scale * config.vector_rate, 0.0
        momentum[name] = mean
        updated[name] = value * (1 - scale * config.matrix_rate * decay) - rate * direction
    return updated, OptimizerState(step, momentum, variance)
