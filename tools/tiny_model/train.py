"""Trains nova-tiny from nothing: `python -m tools.tiny_model.train --help`."""

from __future__ import annotations

import argparse
import functools
import json
import logging
import sys
import time
from dataclasses import asdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from tools.tiny_model import checkpoint as checkpoints
from tools.tiny_model.chat import check_template, render
from tools.tiny_model.checkpoint import Checkpoint
from tools.tiny_model.model import ModelConfig, Params, init_params, parameter_count
from tools.tiny_model.optimizer import OptimizerConfig, OptimizerState, init_state, update
from tools.tiny_model.probe import Probe
from tools.tiny_model.tokenizer import load_tokenizer, train_tokenizer
from tools.tiny_model.workers import GradientWorkers, Job, first_samples

DEFAULT_FOLDER = Path.home() / ".cache" / "novasystem" / "tiny-model" / "run"
TOKENIZER_SAMPLES = 20_000
TEMPLATE_CHECKS = 2_000
SPACED_WORDS = 200
AVERAGE_DECAY = 0.996
SAVE_EVERY_S = 150
log = logging.getLogger("tiny_model")


@functools.partial(jax.jit, static_argnames="config", donate_argnums=(0, 1, 3))
def apply_step(
    params: Params,
    average: Params,
    grads: Params,
    state: OptimizerState,
    scale: jax.Array,
    config: OptimizerConfig,
) -> tuple[Params, Params, OptimizerState]:
    params, state = update(params, grads, state, scale, config)
    decay = jnp.minimum(AVERAGE_DECAY, state.step / (state.step + 10))
    average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
    return params, average, state


def rate_scale(progress: float) -> float:
    """Short warm-up, constant for half of the run, then linearly down to zero."""
    if progress < 0.01:
        return progress / 0.01
    return 1.0 if progress < 0.5 else max(0.0, (1.0 - progress) / 0.5)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--minutes", type=float, default=75.0, help="length of the schedule")
    parser.add_argument("--steps", type=int, help="length in steps instead: repeatable exactly")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--batches", type=int, default=4, help="batches in a step")
    parser.add_argument("--workers", type=int, default=2, help="processes, one for each core")
    parser.add_argument("--first-stage", type=float, default=0.4, help="its share of the run")
    parser.add_argument("--quiet-weight", type=float, default=0.05)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    return parser.parse_args()


def prepare(folder: Path, seed: int) -> None:
    """Trains the tokenizer once, after checking the template against the training text."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "tokenizer.json").exists():
        return
    some = first_samples(f"tokenizer {seed}", TOKENIZER_SAMPLES)
    for sample in some[:TEMPLATE_CHECKS]:
        if not sample.compact:
            check_template(sample)
    texts = ["".join(text for text, _ in render(sample)) for sample in some]
    tokenizer = train_tokenizer(texts, ModelConfig().vocab_size, SPACED_WORDS)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = ModelConfig(vocab_size=tokenizer.get_vocab_size())
    (folder / "config.json").write_text(json.dumps(asdict(config), indent=1))


def start(folder: Path, seed: int, resume: bool, config: ModelConfig) -> Checkpoint:
    if resume:
        return checkpoints.load(folder / "checkpoint.npz")
    params = init_params(config, seed)
    average = jax.tree.map(jnp.copy, params)
    return Checkpoint(params, average, init_state(params), elapsed_s=0.0, tokens_seen=0)


def train(options: argparse.Namespace) -> None:
    folder: Path = options.folder
    prepare(folder, options.seed)
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    config = ModelConfig(**json.loads((folder / "config.json").read_text()))
    at = start(folder, options.seed, options.resume, config)
    params, average, state = at.params, at.average, at.state
    step, elapsed_s, tokens_seen = int(state.step), at.elapsed_s, at.tokens_seen
    log.info("%d parameters, from step %d", parameter_count(params), step)
    probe = Probe(tokenizer)
    job = Job(
        config, {name: value.shape for name, value in params.items()}, folder / "tokenizer.json",
        folder.parent / "compiled", f"train {options.seed} {step}", options.batch_tokens,
        options.quiet_weight,
    )  # fmt: skip
    optimizer = OptimizerConfig()
    last_save_s = elapsed_s
    recent: list[float] = []
    since, since_s = tokens_seen, elapsed_s
    with GradientWorkers(job, options.workers) as workers:
        while True:
            began = time.perf_counter()
            progress = step / options.steps if options.steps else elapsed_s / (60 * options.minutes)
            if progress >= 1.0:
                break
            grads, totals = workers.step(params, options.batches, progress >= options.first_stage)
            scale = jnp.float32(rate_scale(progress))
            params, average, state = apply_step(params, average, grads, state, scale, optimizer)
            step += 1
            tokens_seen += totals.tokens
            recent.append(totals.nats / totals.weight)
            elapsed_s += time.perf_counter() - began
            if step % 25 == 0:
                tokens_per_s = (tokens_seen - since) / (elapsed_s - since_s)
                log.info(
                    "step %d, %.0f s, %d tokens, %.0f tokens/s, loss %.4f, rate %.2f",
                    step, elapsed_s, tokens_seen, tokens_per_s, np.mean(recent), scale,
                )  # fmt: skip
                recent.clear()
                since, since_s = tokens_seen, elapsed_s
            if elapsed_s - last_save_s > SAVE_EVERY_S:
                last_save_s = elapsed_s
                report(
                    Checkpoint(params, average, state, elapsed_s, tokens_seen),
                    folder,
                    probe,
                    config,
                )
    report(Checkpoint(params, average, state, elapsed_s, tokens_seen), folder, probe, config)
    log.info("finished at step %d after %.0f s", step, elapsed_s)


def report(now: Checkpoint, folder: Path, probe: Probe, config: ModelConfig) -> None:
    """Saves the run, and says how the averaged weights do on held-out cases."""
    checkpoints.save(now, folder / "checkpoint.npz")
    totals = {
        "steps": int(now.state.step),
        "elapsed_s": now.elapsed_s,
        "tokens_seen": now.tokens_seen,
    }
    (folder / "training.json").write_text(json.dumps(totals))
    found = probe.measure(now.average, config)
    log.info("probe %s", " ".join(f"{name}={share:.3f}" for name, share in found.items()))


def main() -> None:
    options = parse_arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    handlers = [
        logging.StreamHandler(sys.stderr),
        logging.FileHandler(options.folder / "train.log"),
    ]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers)
    logging.getLogger("jax").setLevel(logging.WARNING)
    jax.config.update("jax_compilation_cache_dir", str(options.folder.parent / "compiled"))
    train(options)


if __name__ == "__main__":
    main()
