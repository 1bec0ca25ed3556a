"""Gradients from several processes of one thread each, over shared memory.

One process with a thread for each core waits for the slower core at every matrix product. Here
the cores meet once a step, and whoever is faster takes more batches: about twice the tokens per
second on two cores that other programs use as well.
"""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tools.tiny_model.batches import Batch, batches
from tools.tiny_model.chat import Sample
from tools.tiny_model.draw import Draw
from tools.tiny_model.model import ModelConfig
from tools.tiny_model.tasks import draw_sample
from tools.tiny_model.tokenizer import load_tokenizer

Flat = NDArray[np.float32]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Job:
    """What a worker has to know; sent once, at its start."""

    config: ModelConfig
    shapes: Shapes
    tokenizer_path: Path
    compiled_path: Path
    seed: str
    batch_tokens: int
    quiet_weight: float


@dataclass(frozen=True)
class StepTotals:
    """Sums over one step: nats, loss weights, and tokens that are no padding."""

    nats: float
    weight: float
    tokens: int


def samples(seed: str, *, second_stage: bool = True) -> Iterator[Sample]:
    draw = Draw(seed)
    while True:
        yield draw_sample(draw, second_stage=second_stage)


def view(block: SharedMemory, shapes: Shapes) -> dict[str, Flat]:
    """The block's memory as one array for each name."""
    arrays: dict[str, Flat] = {}
    at = 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        arrays[name] = np.ndarray(shape, np.float32, block.buf, offset=4 * at)
        at += size
    return arrays


def _work(
    job: Job, params_name: str, grads_name: str, taken: Synchronized[int], pipe: Connection
) -> None:
    """Until told None: takes batches while the step's count lasts, then reports the sums."""
    import jax

    from tools.tiny_model.model import summed_loss

    logging.getLogger("jax").setLevel(logging.ERROR)
    jax.config.update("jax_compilation_cache_dir", str(job.compiled_path))
    params_block, grads_block = SharedMemory(params_name), SharedMemory(grads_name)
    params, grads = view(params_block, job.shapes), view(grads_block, job.shapes)
    gradient = jax.jit(jax.value_and_grad(summed_loss), static_argnames="config")
    tokenizer = load_tokenizer(job.tokenizer_path)
    streams = {
        stage: batches(
            samples(f"{job.seed} {stage}", second_stage=stage),
            tokenizer,
            job.batch_tokens,
            job.quiet_weight,
        )
        for stage in (False, True)
    }
    while order := pipe.recv():
        wanted, second_stage = order
        here = {name: jax.numpy.array(value) for name, value in params.items()}
        for value in grads.values():
            value[...] = 0.0
        nats, weight, tokens = 0.0, 0.0, 0
        while _take(taken, wanted):
            batch: Batch = next(streams[second_stage])
            value, new = gradient(here, batch.tokens, batch.weights, config=job.config)
            for name, part in new.items():
                grads[name] += np.asarray(part)
            nats += float(value)
            weight += float(np.sum(batch.weights[:, 1:]))
            tokens += int(np.count_nonzero(batch.tokens))
        pipe.send(StepTotals(nats, weight, tokens))


def _take(taken: Synchronized[int], wanted: int) -> bool:
    with taken.get_lock():
        taken.value += 1
        return taken.value <= wanted


class GradientWorkers:
    """Starts the processes; `step` gives the summed gradient of some batches."""

    def __init__(self, job: Job, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        size = 4 * sum(int(np.prod(shape)) for shape in job.shapes.values())
        self._blocks = [SharedMemory(create=True, size=size) for _ in range(count + 1)]
        self._params = view(self._blocks[0], job.shapes)
        self._grads = [view(block, job.shapes) for block in self._blocks[1:]]
        self._taken: Synchronized[int] = context.Value("i", 0)
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        threads = os.environ.get("NPROC")
        os.environ["NPROC"] = "1"
        for rank in range(count):
            ours, theirs = context.Pipe()
            mine = Job(**{**vars(job), "seed": f"{job.seed} {rank}"})
            names = (self._blocks[0].name, self._blocks[1 + rank].name)
            process = context.Process(
                target=_work, args=(mine, *names, self._taken, theirs), daemon=True
            )
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)
        os.environ.pop("NPROC")
        if threads is not None:
            os.environ["NPROC"] = threads

    def step(
        self, params: dict[str, Any], count: int, second_stage: bool
    ) -> tuple[dict[str, Flat], StepTotals]:
        for name, value in params.items():
            self._params[name][...] = np.asarray(value)
        self._taken.value = 0
        for pipe in self._pipes:
            pipe.send((count, second_stage))
        parts: list[StepTotals] = [pipe.recv() for pipe in self._pipes]
        summed = {n: np.sum([g[n] for g in self._grads], axis=0) for n in self._params}
        return summed, StepTotals(
            sum(p.nats for p in parts), sum(p.weight for p in parts), sum(p.tokens for p in parts)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.send(None)
            process.join()
        del self._params, self._grads
        for block in self._blocks:
            block.close()
            block.unlink()


def first_samples(seed: str, count: int) -> list[Sample]:
    return list(itertools.islice(samples(seed), count))
