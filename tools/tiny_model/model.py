"""A plain Llama decoder in JAX: what llama.cpp calls architecture `llama`, and nothing more.

No QK-norm, no biases, tied embeddings: whatever is added here, the GGUF could not carry.
All layers lie stacked in one array per matrix, so that the optimizer treats them in one batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

Params = dict[str, jax.Array]
ATTENTION_BLOCK = 256


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the network; the defaults are the shipped `nova-tiny`."""

    vocab_size: int = 1280
    layers: int = 6
    width: int = 160
    heads: int = 5
    ffn_width: int = 480
    context_length: int = 1024
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def init_params(config: ModelConfig, seed: int) -> Params:
    """Random weights; the two matrices that write to the residual stream start at zero."""
    keys = jax.random.split(jax.random.PRNGKey(seed), 6)
    layers, width, ffn = config.layers, config.width, config.ffn_width

    def normal(key: jax.Array, *shape: int) -> jax.Array:
        return jax.random.normal(key, shape, jnp.float32) * shape[-2] ** -0.5

    return {
        "embed": jax.random.normal(keys[0], (config.vocab_size, width)) * 0.02,
        "norm_out": jnp.ones(width),
        "norm_attn": jnp.ones((layers, width)),
        "norm_ffn": jnp.ones((layers, width)),
        "wq": normal(keys[1], layers, width, width),
        "wk": normal(keys[2], layers, width, width),
        "wv": normal(keys[3], layers, width, width),
        "wo": jnp.zeros((layers, width, width)),
        "w_gate": normal(keys[4], layers, width, ffn),
        "w_up": normal(keys[5], layers, width, ffn),
        "w_down": jnp.zeros((layers, ffn, width)),
    }


def parameter_count(params: Params) -> int:
    return sum(int(p.size) for p in params.values())


def _rms_norm(x: jax.Array, gain: jax.Array, epsilon: float) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + epsilon) * gain


def _rope_table(config: ModelConfig, length: int) -> tuple[jax.Array, jax.Array]:
    half = config.head_width // 2
    rate = config.rope_base ** (-jnp.arange(half) / half)
    angle = jnp.arange(length)[:, None] * rate[None, :]
    return jnp.cos(angle)[:, None, :], jnp.sin(angle)[:, None, :]


def _rotate(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """Rotates the pair (i, i + half); `export.py` reorders the rows to llama.cpp's pairs."""
    low, high = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([low * cos - high * sin, low * sin + high * cos], axis=-1)


def _attend(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Causal attention over (batch, length, heads, head width).

    Queries go in blocks, each against the keys up to its end: what the mask would throw away
    above the diagonal is mostly not computed.
    """
    length, scale = q.shape[1], q.shape[-1] ** -0.5
    mixed = []
    for begin in range(0, length, ATTENTION_BLOCK):
        end = min(begin + ATTENTION_BLOCK, length)
        visible = jnp.arange(end)[None, :] <= jnp.arange(begin, end)[:, None]
        scores = jnp.einsum("bqhd,bkhd->bhqk", q[:, begin:end] * scale, k[:, :end])
        weights = jax.nn.softmax(jnp.where(visible, scores, -1e30), axis=-1)
        mixed.append(jnp.einsum("bhqk,bkhd->bqhd", weights, v[:, :end]))
    return jnp.concatenate(mixed, axis=1)


def hidden_states(params: Params, tokens: jax.Array, config: ModelConfig) -> jax.Array:
    """Maps tokens (batch, length) to the final normalised states (batch, length, width)."""
    batch, length = tokens.shape
    cos, sin = _rope_table(config, length)
    shape = (batch, length, config.heads, config.head_width)
    x = params["embed"][tokens]
    for i in range(config.layers):
        h = _rms_norm(x, params["norm_attn"][i], config.norm_epsilon)
        q = _rotate((h @ params["wq"][i]).reshape(shape), cos, sin)
        k = _rotate((h @ params["wk"][i]).reshape(shape), cos, sin)
        v = (h @ params["wv"][i]).reshape(shape)
        mixed = _attend(q, k, v).reshape(batch, length, config.width)
        x = x + mixed @ params["wo"][i]
        h = _rms_norm(x, params["norm_ffn"][i], config.norm_epsilon)
        gated = jax.nn.silu(h @ params["w_gate"][i]) * (h @ params["w_up"][i])
        x = x + gated @ params["w_down"][i]
    return _rms_norm(x, params["norm_out"], config.norm_epsilon)


def logits(params: Params, tokens: jax.Array, config: ModelConfig) -> jax.Array:
    """Next-token scores (batch, length, vocab) through the tied embedding."""
    return hidden_states(params, tokens, config) @ params["embed"].T


def summed_loss(
    params: Params, tokens: jax.Array, weights: jax.Array, config: ModelConfig
) -> jax.Array:
    """Weighted sum of cross-entropies in nats; `weights[:, i]` belongs to the token at i."""
    scores = logits(params, tokens[:, :-1], config)
    chosen = jnp.take_along_axis(scores, tokens[:, 1:, None], axis=-1)[..., 0]
    return jnp.sum((jax.nn.logsumexp(scores, axis=-1) - chosen) * weights[:, 1:])
