"""A benchmark's files beside what its store has: what its load saw, and what the machine did."""

from pathlib import Path

__all__ = ["log_of", "readings_of", "remove"]


def log_of(folder: Path, benchmark_id: str) -> Path:
    return folder / f"{benchmark_id}.log"


def readings_of(folder: Path, benchmark_id: str) -> Path:
    return folder / f"{benchmark_id}.machine.json.gz"


def remove(folder: Path, benchmark_id: str) -> None:
    for path in (log_of(folder, benchmark_id), readings_of(folder, benchmark_id)):
        path.unlink(missing_ok=True)
