"""Files of the older design are taken in, whatever they lack."""

import datetime
import json
import os
from pathlib import Path
from typing import Any

import pytest

from novasystem.benchmarks.importing import import_folder, read_file
from novasystem.benchmarks.older import Unreadable
from novasystem.benchmarks.stores import Query
from novasystem.benchmarks.stores.files import FileStore
from novasystem.errors import InvalidRequest

OLD: dict[str, Any] = {
    "id": "some-uuid",
    "timestamp": "2024-11-02T10:11:12.500000+00:00",
    "status": "completed",
    "mode": "sequential",
    "prompt": "What is 2+2? \u2028 🦜",
    "parameters": {"temperature": 0.7, "top_k": 40},
    "system_info": {
        "platform": "Linux-6.1",
        "processor": "x86_64",
        "python_version": "3.11.2",
        "cpu": {"physical_cores": 4, "total_cores": 8, "max_frequency": "3600.0Mhz"},
        "memory": {"total": 15.5, "available": 8.25, "used": 7.25, "percent_used": 46.8},
        "gpu": [],
    },
    "results": [
        {
            "model": "llama3.2",
            "success": True,
            "error": None,
            "timestamp": "2024-11-02T10:11:13",
            "timing": {
                "time_to_first_chunk": 0.1,
                "time_to_first_token": "0.15",
                "total_time": "2.5s",
            },
            "throughput": {
                "total_chunks": 40,
                "total_bytes": "5000",
                "average_chunk_size": 125,
                "bytes_per_second": 2000.0,
            },
            "system_impact": {"cpu_delta": [1.5, "-2", None], "memory_delta": 0.25},
            "response": "4",
        }
    ],
}


def write(folder: Path, name: str, said: Any) -> Path:
    path = folder / name
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    return path


def test_all_that_it_says_is_taken_in(tmp_path: Path) -> None:
    found = read_file(write(tmp_path, "benchmark_20241102_101112.json", OLD), "me")
    assert found.owner_id == "me"
    assert found.timestamp == datetime.datetime(2024, 11, 2, 10, 11, 12, 500_000, datetime.UTC)
    assert (found.status, found.mode, found.prompt) == ("completed", "sequential", OLD["prompt"])
    assert found.parameters == OLD["parameters"]
    assert found.system_info is not None
    assert found.system_info.cpu.max_frequency == 3600
    assert found.system_info.memory.total == 15.5
    (one,) = found.results
    assert one.timing.time_to_first_token == 0.15
    assert one.timing.total_time == 2.5
    assert one.throughput.total_bytes == 5000
    assert one.system_impact.cpu_delta == (1.5, -2)
    assert one.timestamp == datetime.datetime(2024, 11, 2, 10, 11, 13).astimezone()
    assert one.response == "4"
    assert found.summary.succeeded == 1


@pytest.mark.parametrize(
    ("change", "status", "errors"),
    [
        ({"success": False, "error": "timeout"}, "failed", {"unknown": 1}),
        ({"success": False, "error": {"code": "x", "message": "y"}}, "failed", {"x": 1}),
        ({"success": False, "error": None}, "failed", {"unknown": 1}),
        ({"success": None, "error": ""}, "completed", {}),
        ({"success": None, "response": None}, "failed", {"unknown": 1}),
    ],
)
def test_an_error_may_be_said_in_many_ways(
    tmp_path: Path, change: dict[str, Any], status: str, errors: dict[str, int]
) -> None:
    said = {key: value for key, value in OLD.items() if key != "status"}
    said["results"] = [OLD["results"][0] | change]
    found = read_file(write(tmp_path, "benchmark_1.json", said))
    assert found.status == status
    assert found.results[0].errors == errors


def test_a_prompt_may_stand_in_a_result_or_nowhere(tmp_path: Path) -> None:
    said = {key: value for key, value in OLD.items() if key != "prompt"}
    assert read_file(write(tmp_path, "benchmark_1.json", said)).prompt is None
    said["results"] = [OLD["results"][0] | {"prompt": "there"}]
    assert read_file(write(tmp_path, "benchmark_2.json", said)).prompt == "there"


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("20240131_235958", datetime.datetime(2024, 1, 31, 23, 59, 58)),
        ("2024-01-31T23-59-58", datetime.datetime(2024, 1, 31, 23, 59, 58)),
        ("20240131235958", datetime.datetime(2024, 1, 31, 23, 59, 58)),
        ("2024-01-31T23:59:58.250", datetime.datetime(2024, 1, 31, 23, 59, 58, 250_000)),
        ("1706745598", datetime.datetime(2024, 1, 31, 23, 59, 58, tzinfo=datetime.UTC)),
    ],
)
def test_the_time_may_stand_in_the_name_alone(
    tmp_path: Path, name: str, at: datetime.datetime
) -> None:
    said = {key: value for key, value in OLD.items() if key != "timestamp"}
    found = read_file(write(tmp_path, f"benchmark_{name}.json", said))
    assert found.timestamp == (at if at.tzinfo else at.astimezone())


@pytest.mark.parametrize("at", [1706745598, 1706745598.0, 1706745598000, "1706745598"])
def test_the_time_may_be_a_number(tmp_path: Path, at: Any) -> None:
    found = read_file(write(tmp_path, "benchmark_x.json", OLD | {"timestamp": at}))
    assert found.timestamp == datetime.datetime(2024, 1, 31, 23, 59, 58, tzinfo=datetime.UTC)


def test_the_least_that_is_a_benchmark(tmp_path: Path) -> None:
    found = read_file(write(tmp_path, "benchmark_20240131_235958.json", {"results": []}))
    assert found.status == "failed"
    assert found.results == ()
    assert found.system_info is None
    by_model = {"timestamp": OLD["timestamp"], "results": {"m": {"response": "x"}, "n": None}}
    found = read_file(write(tmp_path, "benchmark_2.json", by_model))
    assert [(one.model, one.success) for one in found.results] == [("m", True), ("n", False)]
    assert found.status == "partial"


def test_what_is_no_json_elsewhere_is_taken_in_as_well(tmp_path: Path) -> None:
    text = json.dumps(OLD | {"parameters": {"x": [float("nan"), float("inf")], "y": "\ud83e"}})
    path = write(tmp_path, "benchmark_1.json", "\ufeff" + text.replace('"4"', '"half \\ud83e"'))
    found = read_file(path)
    assert found.parameters == {"x": [None, None], "y": "?"}
    assert found.results[0].response == "half ?"
    memory = OLD["system_info"] | {"memory": {"total": 16 * 2**30, "available": 4 * 2**30}}
    found = read_file(write(tmp_path, "benchmark_2.json", OLD | {"system_info": memory}))
    assert found.system_info is not None
    assert (found.system_info.memory.total, found.system_info.memory.used) == (16, 12)
    assert found.system_info.memory.percent_used == 75


async def test_a_folder_is_taken_in_once_and_what_cannot_be_is_told_by_name(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    write(folder, "benchmark_1.json", OLD)
    write(folder, "benchmark_2.json", OLD | {"prompt": "another"})
    # The same, laid out in another way.
    write(folder, "benchmark_3.json", json.dumps(OLD, indent=4, sort_keys=True))
    write(folder, "benchmark_4.json", '{"results": [')
    write(folder, "benchmark_5.json", "[]")
    write(folder, "benchmark_6.json", {"results": 7, "timestamp": 1})
    write(folder, "benchmark_7.json", {"results": []})
    write(folder, "benchmark_8.json", OLD | {"prompt": "x" * 10, "results": ["no", 1, None]})
    write(folder, "notes.json", OLD | {"prompt": "not one of them"})
    (folder / "benchmark_9.json").mkdir()
    os.mkfifo(folder / "benchmark_a.json")
    (folder / "benchmark_b.json").write_bytes(b'{"x": "\xff"}')
    write(folder, "benchmark_c.json", "[" * 100_000)
    store = FileStore(tmp_path / "store")
    dry = await import_folder(store, folder, dry_run=True)
    assert (await store.list(Query())).total == 0
    done = await import_folder(store, folder)
    assert done.added == dry.added
    assert len(done.added) == 3
    assert len(done.known) == 1
    assert {one.file for one in done.skipped} == {f"benchmark_{which}.json" for which in "45679abc"}
    assert all(one.why for one in done.skipped)
    again = await import_folder(store, folder)
    assert again.added == ()
    assert set(again.known) == set(done.added)
    page = await store.list(Query())
    assert {one.id for one in page.benchmarks} == set(done.added)


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no folder"):
        await import_folder(FileStore(tmp_path), tmp_path / "nowhere")
    with pytest.raises(Unreadable):
        read_file(tmp_path / "benchmark_1.json")
