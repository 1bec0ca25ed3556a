"""What is special about a folder of files."""

import os
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from novasystem.benchmarks.stores import Query
from novasystem.benchmarks.stores.encode import encode
from novasystem.benchmarks.stores.files import FileStore
from novasystem.benchmarks.stores.folder_index import file_name
from novasystem.errors import StorageUnavailable
from tests.benchmarks.stores.made import made, sample


def files(folder: Path) -> list[str]:
    """What lies below, which nobody else may look into."""
    found = sorted(folder.rglob("*"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in found)
    return [str(path.relative_to(folder)) for path in found if path.is_file()]


async def test_a_folder_of_files_that_a_person_can_read(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "stored")
    await store.put(made(prompt="Straße"))
    await store.add_samples("local", "bench_1", [sample(0)])
    found = files(tmp_path)
    assert found == ["stored/local/bench_1.json", "stored/local/samples/bench_1.samples"]
    assert '"prompt":"Straße"' in (tmp_path / found[0]).read_text()
    await store.delete("local", "bench_1")
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["..", "../x", "a/b", "CON", "con", "com1", "A", "a.", "", "ü" * 64]
)
def test_every_name_is_one_that_any_system_takes(name: str) -> None:
    found = file_name(name)
    assert found.startswith("x-")
    assert found.replace("-", "").isalnum()
    assert found == file_name(name)
    assert file_name("bench_0a-1") == "bench_0a-1"


async def test_what_another_process_changes_is_seen_at_once(tmp_path: Path) -> None:
    ours, theirs = FileStore(tmp_path), FileStore(tmp_path)
    await ours.put(made("bench_a"))
    folder = tmp_path / "local"
    for n in range(5):
        # As if it had been left alone for long, so that its time is relied upon.
        before = time.time_ns() - 10**11
        os.utime(folder, ns=(before, before))
        assert (await ours.list(Query())).total == n + 1
        await theirs.put(made(f"bench_{n}"))
        assert (await ours.list(Query())).total == n + 2
    await theirs.delete("local", "bench_a")
    assert (await ours.list(Query())).total == 5


async def test_a_change_within_one_tick_of_the_folders_clock_is_seen(tmp_path: Path) -> None:
    ours, theirs = FileStore(tmp_path), FileStore(tmp_path)
    folder = tmp_path / "local"
    await ours.put(made("bench_a"))
    now = time.time_ns()
    os.utime(folder, ns=(now, now))
    assert (await ours.list(Query())).total == 1
    await theirs.put(made("bench_b"))
    os.utime(folder, ns=(now, now))
    assert (await ours.list(Query())).total == 2


async def test_files_that_are_no_benchmarks_are_left_out_with_a_warning(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    await store.put(made("bench_a"))
    folder = tmp_path / "local"
    (folder / "bench_b.json").write_bytes(encode(made("bench_b"))[:-40])
    (folder / "bench_c.json").write_bytes(b"\xff\xfe")
    (folder / "bench_d.json").write_bytes(encode(made("bench_other")))
    (folder / "bench_e.json").write_bytes(encode(made("bench_e", owner_id="other")))
    (folder / "bench_f.json").mkdir()
    (folder / "bench_g.json").write_bytes(b"")
    (folder / ".bench_h.json.0.partial").write_bytes(b"{")
    (folder / "notes.txt").write_text("mine")
    with capture_logs() as said:
        found = await store.list(Query())
    assert [one.id for one in found.benchmarks] == ["bench_a"]
    assert found.total == 1
    assert {Path(line["file"]).stem for line in said} == {f"bench_{one}" for one in "bcdefg"}
    assert {line["log_level"] for line in said} == {"warning"}
    # Once is enough, while they are the same.
    with capture_logs() as said:
        assert (await store.list(Query())).total == 1
    assert said == []
    with capture_logs() as said:
        assert await store.get("local", "bench_b") is None
    assert [line["log_level"] for line in said] == ["warning"]
    assert await store.get("local", "bench_e") is None
    await store.put(made("bench_b"))
    assert (await store.list(Query())).total == 2


async def test_samples_before_and_after_a_damaged_piece_are_read(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    await store.put(made())
    log = tmp_path / "local" / "samples" / "bench_1.samples"
    await store.add_samples("local", "bench_1", [sample(0)])
    whole = log.read_bytes()
    await store.add_samples("local", "bench_1", [sample(1)])
    # The machine stopped in the middle of a piece, and then it went on.
    os.truncate(log, len(whole) + 20)
    await store.add_samples("local", "bench_1", [sample(2), sample(3)])
    with capture_logs() as said:
        found = await store.samples("local", "bench_1")
    assert [one.number for one in found] == [0, 2, 3]
    assert [line["log_level"] for line in said] == ["warning"]


async def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    store = FileStore(tmp_path / "taken")
    for call in (
        store.open(),
        store.put(made()),
        store.get("local", "bench_1"),
        store.list(Query()),
        store.delete("local", "bench_1"),
        store.samples("local", "bench_1"),
        store.version("local"),
    ):
        with pytest.raises(StorageUnavailable, match="taken"):
            await call
    with pytest.raises(StorageUnavailable):
        await FileStore(tmp_path / "nowhere").check()
