"""Numbers and texts as people read them; what a model has said steers no reader's program."""

from datetime import datetime

__all__ = ["count", "gib", "gone", "line", "plain", "rate", "seconds", "share", "when"]

# Each is a range of code points, the last one not included.
_DROPPED = (
    (0x00, 0x09),  # controls of terminals: C0 but tab and line feed, DEL, C1
    (0x0B, 0x20),
    (0x7F, 0xA0),
    (0x061C, 0x061D),  # marks by which a text is shown in another order than it has
    (0x200B, 0x200C),  # nothing to be seen; the joiners after it hold emoji and scripts together
    (0x200E, 0x2010),
    (0x202A, 0x202F),
    (0x2060, 0x2070),
    (0xFEFF, 0xFF00),
    (0xE0000, 0xE0080),
)
_TABLE: dict[int, int | None] = {
    **dict.fromkeys(code for first, end in _DROPPED for code in range(first, end)),
    # Half of a pair, which no encoding can write.
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
    # Lines that end by other means.
    0x2028: 0x0A,
    0x2029: 0x0A,
}

gone = "-"
"""What stands for a value that is absent; the reason is told below."""


def plain(text: str) -> str:
    """``text`` without what could move, hide, reorder or forge what is shown beside it."""
    return text.replace("\r\n", "\n").translate(_TABLE)


def line(text: str, most: int = 0) -> str:
    """The same in one line, cut after ``most`` characters where that is given."""
    joined = " ".join(plain(text).split())
    return joined if not most or len(joined) <= most else f"{joined[: most - 1]}…"


def seconds(value: float | None) -> str:
    """``1.23 s``, ``50.3 ms``, ``120 µs``: three digits at least, of the unit that fits."""
    if value is None:
        return gone
    size = abs(value)
    for unit, factor, most in (("µs", 1e6, 0.9995e-3), ("ms", 1e3, 0.9995)):
        if 0 < size < most:
            return f"{_three(value * factor)} {unit}"
    if size >= 600:
        return f"{value / 60:,.1f} min"
    return f"{_three(value)} s"


def rate(value: float | None, unit: str = "") -> str:
    return gone if value is None else f"{_three(value)}{unit}"


def count(value: int | None) -> str:
    return gone if value is None else f"{value:,}"


def gib(value: float | None) -> str:
    """GiB, or MiB below one; with its sign where that is negative."""
    if value is None:
        return gone
    return f"{_three(value * 1024)} MiB" if abs(value) < 1 else f"{_three(value)} GiB"


def share(value: float | None) -> str:
    """Of one, in percent."""
    return gone if value is None else f"{100 * value:.1f} %"


def when(moment: datetime | None) -> str:
    return gone if moment is None else moment.isoformat(sep=" ", timespec="seconds")


def _three(value: float) -> str:
    size = abs(value)
    digits = 0 if size >= 99.95 or value == 0 else 1 if size >= 9.995 else 2 if size >= 0.1 else 4
    return f"{value:,.{digits}f}"
