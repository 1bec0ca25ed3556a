"""Byte-level BPE whose digits stand alone (pre-tokenizer `qwen2`), learnt from our own text.

A word is cut the same way wherever it stands: after a space, after a quote, at the start of an
answer. Copying a name into a tool call is then a matter of repeating tokens. Only words that are
never copied ("the", "capital") get a token of their own that includes the space before them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tools.tiny_model import words
from tools.tiny_model.chat import MARKERS, SPECIAL_TOKENS, Sample, render

_REST = r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2_PATTERN = rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{_REST}"
APART_PATTERN = rf"\p{{L}}+|{_REST}"
SPACE = "Ġ"
"""How byte-level BPE writes a space."""


def _copied_words() -> set[str]:
    """Every word that may be a value, and so may have to be copied."""
    lists = (
        words.NOUNS, words.ADJECTIVES, words.VERBS, words.FIRST_NAMES, words.TOWNS,
        list(words.CAPITALS), list(words.CAPITALS.values()),
    )  # fmt: skip
    return {word for entries in lists for entry in entries for word in entry.split()}


def _byte_level(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def train_tokenizer(texts: list[str], vocab_size: int, spaced_words: int) -> Tokenizer:
    """Learns words without their space, then adds the `spaced_words` commonest with it.

    Special tokens get the first ids: <|endoftext|> 0, <|im_start|> 1, <|im_end|> 2.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _byte_level(APART_PATTERN)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - spaced_words,
        special_tokens=[*SPECIAL_TOKENS, *MARKERS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocab: dict[str, int] = model["vocab"]
    merges = [tuple(merge) for merge in model["merges"]]
    for word in _common_words(texts, vocab)[:spaced_words]:
        vocab[SPACE + word] = len(vocab)
        merges.append((SPACE, word))
    spaced = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    spaced.add_special_tokens([*SPECIAL_TOKENS, *MARKERS])
    spaced.pre_tokenizer = _byte_level(QWEN2_PATTERN)
    spaced.decoder = decoders.ByteLevel()
    return spaced


def _common_words(texts: Iterable[str], vocab: dict[str, int]) -> list[str]:
    """Words that are one token and never a value, the commonest first."""
    counts = Counter(word for text in texts for word in text.split(" ")[1:])
    taboo = _copied_words()
    return [
        word
        for word, _ in counts.most_common()
        if word.isalpha() and word in vocab and word not in taboo and not _may_begin_a_word(word)
    ]


def _may_begin_a_word(piece: str) -> bool:
    """Short pieces begin made-up words, too: with a space of its own, "to" would cut "tomato"."""
    return len(piece) < 4 and piece not in {"the", "of", "and", "you", "The", "How"}


def load_tokenizer(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))


def encode(
    tokenizer: Tokenizer, sample: Sample, quiet_weight: float
) -> tuple[list[int], list[float]]:
    """Token ids and loss weights: 1 for the assistant's words, `quiet_weight` for the others."""
    ids: list[int] = []
    weights: list[float] = []
    for text, spoken in render(sample):
        piece = tokenizer.encode(text).ids
        ids += piece
        weights += [1.0 if spoken else quiet_weight] * len(piece)
    return ids, weights
