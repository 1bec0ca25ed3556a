"""aiperf and guidellm, which measure models too, beside the benchmarker's client.

Each is installed into an environment of its own, pinned (1 and 6 GB), and asks the same upstream
for the same answers, one at a time. Both want a tokenizer, which they would fetch from a hub: they
are given a made-up one on this machine, as lengths are none of this figure's business. CPU is of
all of a program's processes, its start included: that is what goes on beside the model.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from novasystem.benchmarks.plan import Concurrent
from tools.perf.bench_client import FIRST_MS, MODEL, measured
from tools.perf.contestants import Stage
from tools.perf.peers import peers_folder
from tools.perf.processes import LoadFailed
from tools.perf.report import Figure, Row

__all__ = ["client_peers"]

_PINS = Path(__file__).parent / "pins"
_TOKENIZER = """
import string, sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
known = {letter: number for number, letter in enumerate(["?", *string.printable])}
made = Tokenizer(models.WordLevel(known, unk_token="?"))
made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
names = dict.fromkeys(("unk_token", "eos_token", "bos_token", "pad_token"), "?")
PreTrainedTokenizerFast(tokenizer_object=made, **names).save_pretrained(sys.argv[1])
"""
_WITHIN_S = 600


def client_peers(stage: Stage, *, quick: bool) -> Figure:
    """One request after the other; the figures are those that each program itself reports."""
    requests = 4 if quick else 20
    ours = measured(stage, Concurrent(concurrency=1, requests=requests))
    table = [
        _beyond("nova", sum(ours.ttft_ms) / len(ours.ttft_ms)),
        Row("nova: CPU, s", [ours.end.cpu_s]),
    ]
    for name, run in (("aiperf-0.13.0", _aiperf), ("guidellm-0.8.1", _guidellm)):
        with tempfile.TemporaryDirectory(prefix="nova-perf-") as folder:
            commands = _installed(name)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            ttft_ms = run(commands, Path(folder), stage.upstream.url, requests)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        table += [_beyond(name, ttft_ms), Row(f"{name}: CPU, s", [spent])]
    title = f"Clients that measure, one request at a time ({requests} requests)"
    return Figure("client_peers", title, "ms, s", table, [])


def _beyond(name: str, ttft_ms: float) -> Row:
    return Row(f"{name}: first token beyond the truth, ms", [ttft_ms - FIRST_MS])


def _installed(name: str) -> Path:
    """The folder of a program's commands, with a tokenizer beside it."""
    folder = peers_folder() / name
    done = folder / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        python = str(folder / "bin" / "python")
        pins = str(_PINS / f"{name}.txt")
        pip = [python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", pins]
        subprocess.run(pip, check=True)
        tokenizer = folder / "tokenizer"
        subprocess.run([python, "-c", _TOKENIZER, str(tokenizer)], check=True)
        (tokenizer / "config.json").write_text('{"model_type": "gpt2"}')
        done.touch()
    return folder / "bin"


def _aiperf(commands: Path, folder: Path, upstream: str, requests: int) -> float:
    prompts = _prompts(folder, requests)
    _carry_out(
        folder,
        [str(commands / "aiperf"), "profile", "-m", MODEL, "-u", upstream,
         "--endpoint-type", "chat", "--streaming", "--concurrency", "1",
         "--request-count", str(requests), "--tokenizer", str(commands.parent / "tokenizer"),
         "--use-server-token-count", "--input-file", str(prompts),
         "--custom-dataset-type", "single_turn", "--artifact-dir", str(folder / "found"),
         "--ui", "none"],
    )  # fmt: skip
    found = json.loads((folder / "found" / "profile_export_aiperf.json").read_text())
    _check("aiperf", found["request_count"]["avg"], requests)
    return float(found["time_to_first_token"]["avg"])


def _guidellm(commands: Path, folder: Path, upstream: str, requests: int) -> float:
    prompts = _prompts(folder, requests)
    backend = f"kind=openai_http,target={upstream},model={MODEL},validate_backend=false"
    _carry_out(
        folder,
        [str(commands / "guidellm"), "run", "--backend", backend,
         "--profile", "kind=synchronous",
         "--constraint", f"kind=max_requests,count={requests}",
         "--tokenizer", f"kind=hf_auto,model={commands.parent / 'tokenizer'}",
         "--data", f"kind=json_file,path={prompts}",
         "--output", f"kind=json,path={folder / 'found.json'}", "--disable-progress"],
    )  # fmt: skip
    (made,) = json.loads((folder / "found.json").read_text())["benchmarks"]
    found = made["metrics"]["time_to_first_token_ms"]["successful"]
    _check("guidellm", found["count"], requests)
    return float(found["mean"])


def _prompts(folder: Path, requests: int) -> Path:
    file = folder / "prompts.jsonl"
    file.write_text("".join(f'{{"text": "Hi {number}."}}\n' for number in range(requests)))
    return file


def _carry_out(folder: Path, command: list[str]) -> None:
    said = folder / "said"
    environment = {**os.environ, "HOME": str(folder), "HF_HUB_DISABLE_TELEMETRY": "1"}
    with said.open("w") as out:
        ended = subprocess.run(
            command, cwd=folder, env=environment, stdout=out, stderr=out, timeout=_WITHIN_S,
            check=False,
        )  # fmt: skip
    if ended.returncode:
        raise LoadFailed(f"{command[0]} ended with {ended.returncode}: {said.read_text()[-2000:]}")


def _check(name: str, made: float, asked: int) -> None:
    if int(made) != asked:
        raise LoadFailed(f"{name} made {made:g} requests instead of {asked}.")
