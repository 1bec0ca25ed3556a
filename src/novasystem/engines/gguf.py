"""How the numbers of a GGUF file are stored, as it says itself.

The layout of the header is that of ``docs/gguf.md`` in ggml's repository: magic, version, counts,
then keys with typed values; ``general.file_type`` is llama.cpp's ``llama_ftype``.
"""

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["quantization"]

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY, _UINT32 = 8, 9, 4
_MAX_KEYS, _MAX_KEY_BYTES, _MAX_TEXTS = 10_000, 65_535, 1000

_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
}


def quantization(path: Path) -> str | None:
    """Such as ``Q4_K_M``; ``None`` where the file does not say, or is no GGUF file."""
    try:
        with path.open("rb") as file:
            found = _file_type(file)
    except (OSError, EOFError, OverflowError, ValueError, struct.error):
        return None
    return None if found is None else _FILE_TYPES.get(found, f"type {found}")


def _file_type(file: BinaryIO) -> int | None:
    if _take(file, 4) != b"GGUF":
        return None
    _version, _tensors, keys = struct.unpack("<IQQ", _take(file, 20))
    for _ in range(min(keys, _MAX_KEYS)):
        (length,) = struct.unpack("<Q", _take(file, 8))
        if length > _MAX_KEY_BYTES:
            return None
        key = _take(file, length)
        (kind,) = struct.unpack("<I", _take(file, 4))
        if key == b"general.file_type" and kind == _UINT32:
            return int.from_bytes(_take(file, 4), "little")
        if not _skip(file, kind):
            return None
    return None


def _skip(file: BinaryIO, kind: int) -> bool:
    """Past one value; false for a list that only a tokenizer has: what is asked for stands
    before those."""
    count = 1
    if kind == _ARRAY:
        kind, count = struct.unpack("<IQ", _take(file, 12))
    if kind in _SIZES:
        file.seek(_SIZES[kind] * count, 1)
        return True
    if kind != _STRING or count > _MAX_TEXTS:
        return False
    for _ in range(count):
        (length,) = struct.unpack("<Q", _take(file, 8))
        file.seek(length, 1)
    return True


def _take(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        msg = "the file ends within its header"
        raise EOFError(msg)
    return data
