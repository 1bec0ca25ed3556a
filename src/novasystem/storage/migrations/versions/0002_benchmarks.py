"""Benchmarks: what lists go by, their bodies, their samples, and the sets that filters read."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _compared(length: int) -> sa.String:
    plain = sa.String(length)
    return plain.with_variant(sa.String(length, collation="C"), "postgresql")


def _benchmark_key(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    return (
        sa.Column("benchmark_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["benchmark_key"],
            ["benchmarks.key"],
            name=op.f(f"fk_{table}_benchmark_key"),
            ondelete="CASCADE",
        ),
    )


def upgrade() -> None:
    op.create_table(
        "benchmark_owners",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("next_number", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", name=op.f("pk_benchmark_owners")),
    )
    op.create_table(
        "benchmarks",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", _compared(64), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("ttft_s", sa.Float(), nullable=True),
        sa.Column("tokens_per_s", sa.Float(), nullable=True),
        sa.Column("total_s", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_benchmarks")),
        sqlite_autoincrement=True,
    )
    for column in ("id", "number"):
        name = op.f(f"ix_benchmarks_owner_id_{column}")
        op.create_index(name, "benchmarks", ["owner_id", column], unique=True)
    for columns in (
        ["owner_id", "at_us", "id", "number"],
        ["owner_id", "ttft_s", "id", "at_us", "number"],
        ["owner_id", "tokens_per_s", "id", "at_us", "number"],
        ["owner_id", "total_s", "id", "at_us", "number"],
    ):
        op.create_index(op.f(f"ix_benchmarks_{'_'.join(columns)}"), "benchmarks", columns)
    op.create_table(
        "benchmark_bodies",
        *_benchmark_key("benchmark_bodies"),
        sa.Column("light", sa.LargeBinary(), nullable=False),
        sa.Column("whole", sa.LargeBinary(), nullable=False),
        sa.Column("terms", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("benchmark_key", name=op.f("pk_benchmark_bodies")),
    )
    op.create_table(
        "benchmark_terms",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("term", _compared(80), nullable=False),
        sa.Column("chunk", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "term", "chunk", name=op.f("pk_benchmark_terms")),
    )
    op.create_table(
        "benchmark_samples",
        *_benchmark_key("benchmark_samples"),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("benchmark_key", "seq", name=op.f("pk_benchmark_samples")),
    )
