"""What a terminal is shown."""

import pytest

from novasystem.cli.text import human_count, human_size, printable


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_397_920, "1.4 MB"),
        (99_949_999, "99.9 MB"),
        (99_950_000, "100 MB"),
        (999_600_000, "1.0 GB"),
        (4_683_075_271, "4.7 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes_are_decimal_and_short(size_bytes: int | None, shown: str) -> None:
    assert human_size(size_bytes) == shown


def test_counts_are_grouped() -> None:
    assert (human_count(131072), human_count(None)) == ("131,072", "-")


def test_no_control_character_reaches_the_terminal() -> None:
    said = "a\x1b[31mred\x07\x9b2J\r\x00\x7f\tb\n\u2028é🙂"
    assert printable(said) == "a[31mred2J\tb\n\u2028é🙂"
