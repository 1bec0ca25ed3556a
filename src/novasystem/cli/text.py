"""Text and numbers made fit for a terminal."""

import os
from typing import TextIO

__all__ = ["human_count", "human_size", "printable", "styled"]

# All of C0 and C1 but tab and line feed: what a model says must not steer the terminal.
_CONTROLS = dict.fromkeys(
    code for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in {0x09, 0x0A}
)


def printable(text: str) -> str:
    """``text`` without the control characters that could move, hide or forge what is shown."""
    return text.translate(_CONTROLS)


def styled(stream: TextIO) -> bool:
    """Whether colour and the like may be shown there (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def human_size(size_bytes: int | None) -> str:
    """Bytes in decimal units, as models are sold: ``4.7 GB``; ``-`` where it is not known."""
    if size_bytes is None:
        return "-"
    size, units = float(size_bytes), ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    digits = 0 if units[0] == "B" or size >= 99.95 else 1
    return f"{size:.{digits}f} {units[0]}"


def human_count(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"
