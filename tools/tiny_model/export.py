"""Writes the averaged weights as a GGUF that llama.cpp and Ollama load as `llama`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from tools.tiny_model import checkpoint as checkpoints
from tools.tiny_model.chat import MARKERS, SPECIAL_TOKENS, TEMPLATE_PATH
from tools.tiny_model.model import ModelConfig
from tools.tiny_model.train import DEFAULT_FOLDER

DEFAULT_TARGET = Path(__file__).parents[2] / "src" / "novasystem" / "weights" / "nova-tiny.gguf"
DESCRIPTION = (
    "A very small chat model inside NovaSystem, trained from scratch on text made by a script: "
    "additions, capitals, counting, tiny stories, names, JSON, tool calls, plans and verdicts."
)
LAYER_NAMES = {
    "norm_attn": "attn_norm",
    "norm_ffn": "ffn_norm",
    "wq": "attn_q",
    "wk": "attn_k",
    "wv": "attn_v",
    "wo": "attn_output",
    "w_gate": "ffn_gate",
    "w_up": "ffn_up",
    "w_down": "ffn_down",
}
QUANTS = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
Array = NDArray[np.float32]


def pair_neighbours(matrix: Array, heads: int) -> Array:
    """Reorders the rows of a (out, in) projection from halves (i, i + half) to neighbours.

    llama.cpp rotates (0, 1), (2, 3) … for this architecture.
    """
    out, width = matrix.shape
    halves = matrix.reshape(heads, 2, out // heads // 2, width)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(out, width))


def add_metadata(writer: gguf.GGUFWriter, config: ModelConfig, quant: str) -> None:
    writer.add_name("nova-tiny")
    writer.add_author("NovaSystem")
    writer.add_organization("NovaSystem")
    writer.add_license("Apache-2.0")
    writer.add_description(DESCRIPTION)
    writer.add_languages(["en"])
    writer.add_file_type(QUANTS[quant][1])
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.ffn_width)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.heads)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)


def add_tokenizer(writer: gguf.GGUFWriter, path: Path) -> None:
    """Byte-level BPE; the turn markers are control tokens, the tool markers plain text."""
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    types = [gguf.TokenType.NORMAL] * len(tokens)
    for name in SPECIAL_TOKENS:
        types[model["vocab"][name]] = gguf.TokenType.CONTROL
    for name in MARKERS:
        types[model["vocab"][name]] = gguf.TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    end_of_text, _, end_of_turn = (model["vocab"][name] for name in SPECIAL_TOKENS)
    writer.add_bos_token_id(end_of_text)
    writer.add_eos_token_id(end_of_turn)
    writer.add_eot_token_id(end_of_turn)
    writer.add_pad_token_id(end_of_text)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE_PATH.read_text(encoding="utf-8"))


def add_matrix(writer: gguf.GGUFWriter, name: str, matrix: Array, quant: str) -> None:
    kind = QUANTS[quant][0]
    writer.add_tensor(name, gguf.quants.quantize(matrix, kind), raw_dtype=kind)


def export(folder: Path, target: Path, quant: str) -> None:
    """Writes `target` in one rename, so that a server never maps half a file."""
    config = ModelConfig(**json.loads((folder / "config.json").read_text()))
    weights = {
        name: np.asarray(value, np.float32)
        for name, value in checkpoints.load(folder / "checkpoint.npz").average.items()
    }
    partial = target.with_suffix(".partial")
    writer = gguf.GGUFWriter(str(partial), "llama")
    add_metadata(writer, config, quant)
    add_tokenizer(writer, folder / "tokenizer.json")
    add_matrix(writer, "token_embd.weight", weights["embed"], quant)
    writer.add_tensor("output_norm.weight", weights["norm_out"])
    for layer in range(config.layers):
        for ours, theirs in LAYER_NAMES.items():
            name, value = f"blk.{layer}.{theirs}.weight", weights[ours][layer]
            if value.ndim == 1:
                writer.add_tensor(name, np.ascontiguousarray(value))
                continue
            matrix = np.ascontiguousarray(value.T)
            if ours in {"wq", "wk"}:
                matrix = pair_neighbours(matrix, config.heads)
            add_matrix(writer, name, matrix, quant)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(partial, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--target", type=Path, default=DEFAULT_TARGET)
    parser.add_argument("--quant", choices=sorted(QUANTS), default="f16")
    options = parser.parse_args()
    options.target.parent.mkdir(parents=True, exist_ok=True)
    export(options.folder, options.target, options.quant)


if __name__ == "__main__":
    main()
