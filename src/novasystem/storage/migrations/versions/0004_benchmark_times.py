"""Sets of benchmarks by time: the hour of each, its 32 hours and its 1,024 hours."""

import zlib
from collections import defaultdict

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_CHUNK = 32_768
_HOUR_US = 3_600_000_000
_AT_ONCE = 1000

_benchmarks = sa.table(
    "benchmarks",
    sa.column("owner_id", sa.String),
    sa.column("number", sa.Integer),
    sa.column("at_us", sa.BigInteger),
)
_terms = sa.table(
    "benchmark_terms",
    sa.column("owner_id", sa.String),
    sa.column("term", sa.String),
    sa.column("chunk", sa.Integer),
    sa.column("bits", sa.LargeBinary),
)


def upgrade() -> None:
    connection = op.get_bind()
    columns = _benchmarks.c
    asked = sa.select(columns.owner_id, columns.number, columns.at_us)
    sets: dict[tuple[str, str, int], list[int]] = defaultdict(list)
    for owner_id, number, at_us in connection.execute(asked):
        chunk, bit = divmod(number, _CHUNK)
        hour = at_us // _HOUR_US
        for level in range(3):
            sets[owner_id, f"t{level}:{hour >> (5 * level)}", chunk].append(bit)
    rows = [
        {"owner_id": owner_id, "term": term, "chunk": chunk, "bits": _packed(found)}
        for (owner_id, term, chunk), found in sets.items()
    ]
    for at in range(0, len(rows), _AT_ONCE):
        connection.execute(sa.insert(_terms), rows[at : at + _AT_ONCE])


def _packed(numbers: list[int]) -> bytes:
    bits = bytearray(max(numbers) // 8 + 1)
    for number in numbers:
        bits[number // 8] |= 1 << (number % 8)
    return zlib.compress(bytes(bits), 1)


def downgrade() -> None:
    raise NotImplementedError
