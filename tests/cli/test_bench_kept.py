"""``nova bench``: what is kept is found again, reported, put away and taken in."""

import json
from pathlib import Path

import pytest

from novasystem.storage.database import Database, database_url
from novasystem.storage.schema import SCHEMA
from tests.cli.benches import bench, listed, measure, shown, waiting
from tests.cli.preloaded import Preloaded
from tests.servers.mongo import find_mongo, mongo_server
from tests.servers.nova import nova_server

__all__ = ["bench", "waiting"]


def test_reports_by_flag_and_by_the_file_s_ending(bench: Preloaded) -> None:
    id_ = measure(bench, "--repeat", "2")["id"]
    bench.run("bench", "report", "last", "-o", "report.html")
    assert "<html" in (bench.folder / "report.html").read_text()
    bench.run("bench", "report", id_, "-o", "one.samples.csv")
    assert len((bench.folder / "one.samples.csv").read_text().splitlines()) == 4
    assert bench.run("bench", "report", id_, "--markdown").stdout.startswith("# ")
    assert "MODEL" in bench.run("bench", "report", id_).stdout
    wrong = bench.run("bench", "report", id_, "-o", "report.docx", code=2)
    assert ".html" in wrong.stderr
    names = bench.run("bench", "export", "--folder", "out").stdout.split()
    assert names == [f"out/{id_}.json"]
    exported = json.loads((bench.folder / names[0]).read_text())
    assert exported["benchmark"]["id"] == id_
    assert len(exported["samples"]) == 3


def test_the_list_is_filtered_sorted_and_paged(bench: Preloaded) -> None:
    ids = [
        measure(bench, "--name", name, "--warm-up", "0")["id"] for name in ("apple", "pear", "plum")
    ]
    assert listed(bench) == ids[::-1]
    assert listed(bench, "--ascending", "--limit", "1", "--offset", "1") == [ids[1]]
    assert listed(bench, "--text", "pear") == [ids[1]]
    assert listed(bench, "--status", "failed") == []
    assert listed(bench, "--since", "1h", "--model", "scripted") == ids[::-1]
    assert listed(bench, "--until", "2020-01-31") == []
    assert "'--offset 1' shows" in bench.run("bench", "list", "--limit", "1").stderr
    assert "no time" in bench.run("bench", "list", "--since", "soon", code=2).stderr
    assert "no status" in bench.run("bench", "list", "--status", "odd", code=2).stderr
    # Archived, brought back, deleted.
    dry = bench.run("bench", "archive", "--keep", "1", "--dry-run")
    assert dry.stdout.split() == ids[1::-1]
    assert listed(bench) == ids[::-1]
    bench.run("bench", "archive", "--keep", "1")
    assert listed(bench) == [ids[2]]
    assert listed(bench, "--archived") == ids[1::-1]
    bench.run("bench", "archive", "--restore", ids[1])
    assert listed(bench) == ids[:0:-1]
    assert "--yes" in bench.run("bench", "prune", "--archived", "--keep", "0", code=2).stderr
    bench.run("bench", "prune", "--archived", "--keep", "0", "--yes")
    assert listed(bench, "--archived") == []
    bench.run("bench", "delete", "--yes", ids[1], ids[2])
    assert listed(bench) == []
    assert list((bench.folder / "data/benchmarks/logs").iterdir()) == []


def test_an_id_that_is_not_there_is_told_from_one_that_cannot_be(bench: Preloaded) -> None:
    assert "No benchmark found" in bench.run("bench", "show", "last", code=2).stderr
    assert "No benchmark found" in bench.run("bench", "show", "bench_0", code=2).stderr
    assert "cannot be the id" in bench.run("bench", "show", "../x", code=2).stderr


def test_the_older_design_s_files_are_taken_in(bench: Preloaded) -> None:
    old = bench.folder / "old"
    old.mkdir()
    (old / "benchmark_20250131_120000.json").write_text(
        json.dumps(
            {
                "timestamp": "2025-01-31T12:00:00",
                "prompt": "Hello",
                "results": [{"model": "llama3", "success": True, "response": "Hi"}],
            }
        )
    )
    (old / "benchmark_broken.json").write_text("{")
    done = bench.run("bench", "import", "old", code=1)
    assert "Passed over 'benchmark_broken.json'" in done.stderr
    assert listed(bench) == done.stdout.split()
    assert "1 were there already" in bench.run("bench", "import", "old", code=1).stderr


@pytest.mark.parametrize("store", ["sql", "files"])
def test_a_server_on_the_same_data_sees_it_at_once(
    bench: Preloaded, store: str, tmp_path: Path
) -> None:
    both = bench.having(NOVA_BENCHMARK_STORE=store)
    with nova_server(tmp_path, both.environment):
        made = measure(both, "--repeat", "2")
        assert listed(both) == [made["id"]]
    assert listed(both) == [made["id"]]


def test_older_data_is_upgraded_after_a_backup(bench: Preloaded) -> None:
    data = bench.folder / "data"
    data.mkdir()
    database = Database(database_url(None, data))
    database.rebuild_now(lambda connection: SCHEMA.migrate(connection, SCHEMA.revisions[0]))
    database.close()
    assert listed(bench) == []
    assert len(list((data / "backups").glob("*.zip"))) == 1
    found = json.loads(bench.run("db", "info", "--json").stdout)
    assert found["schema"] == SCHEMA.head


def test_one_whose_store_is_down_waits_and_is_carried_over(
    bench: Preloaded, tmp_path: Path
) -> None:
    if find_mongo() is None:
        pytest.skip("no server that speaks MongoDB's protocol: run `make mongo`, which needs Go")
    with mongo_server(tmp_path / "first") as server:
        port = int(server.url.rpartition(":")[2])
        address = f"{server.database('nova')}?serverSelectionTimeoutMS=500"
    there = bench.having(NOVA_BENCHMARK_STORE="mongo", NOVA_MONGO_URL=address)
    made = measure(there, "--repeat", "2", "--warm-up", "0")
    assert made["status"] == "completed"
    assert "carried over" in made["notes"][0]
    # By its id it is there, and no list looks as if it were all.
    assert json.loads(there.run("bench", "show", made["id"], "--json").stdout) == made
    assert "carried over" in there.run("bench", "show", made["id"]).stdout
    assert "cannot be used now" in there.run("bench", "list", code=1).stderr
    with mongo_server(tmp_path / "first", port=port):
        assert listed(there) == [made["id"]]
        stored = shown(there)
        assert stored["notes"] == []
        assert stored["results"] == made["results"]
        samples = there.run("bench", "report", "last", "--samples").stdout
        assert len(samples.strip().splitlines()) == 3
