"""From readings to figures: worked examples, and why something is absent."""

import gzip
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from novasystem.benchmarks.records import Impact
from novasystem.benchmarks.telemetry import (
    GpuReading,
    Reading,
    Readings,
    ServerReading,
    impact,
    keep_readings,
    kept_readings,
    pack,
    unpack,
)
from novasystem.benchmarks.telemetry.energy import Rapl
from novasystem.benchmarks.telemetry.gpu import Gpus
from novasystem.benchmarks.telemetry.readings import halved
from tests.benchmarks import made
from tests.benchmarks.cards import Card, FakeNvml

S = 1_000_000_000


def _readings(**of_second: object) -> Readings:
    """From -2 s to 10 s, ten looks a second: core 0 is at rest, then at work from 0 on; joules are
    5 W at rest and 25 W from 0 on."""
    rows = []
    for tenth in range(-20, 101):
        second = tenth / 10
        work = max(0.0, second)
        rows.append(
            Reading(
                at_ns=int(second * S),
                cpu_busy_s=(50 + 0.1 * (second + 2) + 0.8 * work, 70 + 0.25 * (second + 2)),
                cpu_total_s=(500 + second, 500 + second),
                frequency_mhz=2000.0 if tenth < 0 else 3000.0,
                memory_bytes=2**33 + (2**31 if 40 <= tenth <= 42 else 0),
                servers=(ServerReading(2**30 if tenth != 50 else 3 * 2**29, 0.5 * work, 1),),
                cpu_energy_j=5 * (second + 2) + 20 * work,
            )
        )
    return replace(Readings(tuple(rows), ("model",), {}, 0.01, 0), **of_second)  # type: ignore[arg-type]


def test_figures_of_a_span() -> None:
    found = impact(_readings(), 0, 10 * S, 100)
    assert found.cpu_before == pytest.approx((10, 25))
    assert found.cpu_during == pytest.approx((90, 25))
    assert found.cpu_delta == pytest.approx((80, 0))
    assert found.cpu_frequency_mhz == 3000
    # The peak of three looks is not averaged away.
    assert found.memory_delta == pytest.approx(2)
    assert found.server_memory == pytest.approx(1.5)
    assert found.server_cpu_s == pytest.approx(5)
    # 25 W for 10 s, less the 5 W that the machine takes at rest.
    assert found.energy_j == pytest.approx(200)
    assert found.energy_per_token_j == pytest.approx(2)
    assert found.sampler_cpu_s == 0.01


def test_a_span_between_two_looks_has_its_share_of_the_counters() -> None:
    found = impact(_readings(), 5 * S + 10_000_000, 5 * S + 60_000_000, 1)
    assert found.cpu_during == pytest.approx((90, 25))
    assert found.server_cpu_s == pytest.approx(0.025)
    assert found.server_memory == pytest.approx(1)
    # The two seconds before were not at rest, so nothing was spent beyond them.
    assert found.energy_j is None
    told = impact(_readings(), 5 * S + 10_000_000, 5 * S + 60_000_000, 1, rest=(-2 * S, 0))
    assert told.energy_j == pytest.approx(1.0)
    assert told.cpu_before == pytest.approx((10, 25))


def test_memory_that_was_given_back_is_below_zero() -> None:
    rows = [
        row._replace(memory_bytes=2**33 - (2**30 if row.at_ns > 0 else 0))
        for row in _readings().rows
    ]
    found = impact(_readings(rows=tuple(rows)), 1 * S, 10 * S, rest=(-2 * S, 0))
    assert found.memory_delta == pytest.approx(-1)


def test_whatever_is_absent_has_its_reason_and_is_never_zero() -> None:
    nothing = Readings((), (), {"telemetry": "a look at the machine failed: no /proc"})
    bare = Readings(
        tuple(row._replace(servers=(None,), cpu_energy_j=None) for row in _readings().rows),
        ("model",),
        {"server.model": "its process 7 is gone", "cpu_energy_j": "no RAPL", "gpu": "no driver"},
    )
    for found in (impact(nothing, 0, S, 5), impact(bare, 0, S, 5), impact(bare, -2 * S, 0, 5)):
        for name in Impact.model_fields:
            value = getattr(found, name)
            if name not in {"absent", "gpu_throttled", "sampler_cpu_s"} and value in (None, ()):
                assert found.absent[name]
    found = impact(bare, 0, S, 5)
    assert found.absent["server_memory"] == "its process 7 is gone"
    assert found.absent["energy_per_token_j"] == "no RAPL; no driver"
    assert found.absent["gpu_power_w"] == "no driver"
    assert "no /proc" in impact(nothing, 0, S, 5).absent["cpu_during"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"output_tokens": None}, "no output tokens were counted"),
        ({"output_tokens": 0}, "no output tokens were counted"),
        ({"output_tokens": 5, "alone": False}, "cannot be told apart"),
    ],
)
def test_joules_per_token_are_given_only_where_they_can_be(
    more: dict[str, int | bool | None], reason: str
) -> None:
    found = impact(_readings(), 0, S, **more)  # type: ignore[arg-type]
    assert found.energy_j == pytest.approx(20)
    assert found.energy_per_token_j is None
    assert reason in found.absent["energy_per_token_j"]


def test_without_the_machine_at_rest_there_is_no_energy() -> None:
    begun = tuple(row for row in _readings().rows if row.at_ns >= 0)
    found = impact(_readings(rows=begun), 0, 10 * S, 5)
    assert found.energy_j is None
    assert "at rest" in found.absent["energy_j"]
    assert found.memory_delta is not None or found.absent["memory_delta"]


def test_a_server_that_was_seen_late_counts_from_zero() -> None:
    rows = tuple(
        row if row.at_ns >= 4 * S else row._replace(servers=(None,)) for row in _readings().rows
    )
    found = impact(_readings(rows=rows), 0, 10 * S)
    assert found.server_cpu_s == pytest.approx(5)


def test_one_of_several_servers_and_all_of_them() -> None:
    both = ServerReading(2**30, 1.0, 1), ServerReading(2**31, 2.0, 3)
    rows = tuple(
        row._replace(servers=tuple(s._replace(cpu_s=s.cpu_s * row.at_ns / S) for s in both))
        for row in _readings().rows
    )
    readings = _readings(rows=rows, servers=("a", "b"))
    assert impact(readings, 0, S, server="b").server_cpu_s == pytest.approx(2)
    assert impact(readings, 0, S).server_cpu_s == pytest.approx(3)
    assert impact(readings, 0, S).server_memory == pytest.approx(3)
    assert "watched" in impact(readings, 0, S, server="c").absent["server_memory"]


def test_gpus_add_up_and_say_what_holds_them_down() -> None:
    def gpus(tenth: int) -> tuple[GpuReading, GpuReading]:
        hot = 0x24 if tenth == 5 else 0x01
        seconds = (tenth + 20) / 10
        return (
            GpuReading(80, 2**30, 300, 60, 300 * seconds, hot),
            GpuReading(40, 2**31, 100, 70 if tenth == 3 else 50, None, 0),
        )

    rows = tuple(row._replace(gpus=gpus(row.at_ns * 10 // S)) for row in _readings().rows)
    found = impact(_readings(rows=rows), 0, S, rest=(-2 * S, 0))
    assert found.gpu_percent == pytest.approx(60)
    assert found.gpu_memory == pytest.approx(3)
    assert found.gpu_power_w == pytest.approx(400)
    assert found.gpu_temperature_c == 70
    assert found.gpu_throttled == ("power cap", "temperature, by the driver")
    # The card takes as much at rest: what is spent is the processor's.
    assert found.energy_j == pytest.approx(20)
    assert "not every GPU" in found.absent["gpu_energy_j"]


def test_halving_loses_no_count_and_no_peak() -> None:
    rows = _readings().rows
    few = rows
    while len(few) > 10:
        few = tuple(halved(few))
    whole, coarse = (impact(_readings(rows=each), 0, 10 * S, 10) for each in (rows, few))
    assert few[0] == rows[0]
    assert few[-1].at_ns == rows[-1].at_ns
    assert coarse.memory_delta == pytest.approx(2)
    assert coarse.server_memory == whole.server_memory
    # Where the load began is known less exactly now; what was spent over all is not.
    assert few[-1].cpu_busy_s == rows[-1].cpu_busy_s
    assert few[-1].cpu_energy_j == rows[-1].cpu_energy_j


def test_readings_go_through_json_and_back() -> None:
    cards = (GpuReading(80, 2**30, None, 60, None, 4),)
    rows = tuple(row._replace(gpus=cards, servers=(None,)) for row in made.readings().rows)
    readings = replace(made.readings(), rows=rows)
    again = unpack(orjson.loads(orjson.dumps(pack(readings))))
    assert again.rows[3].cpu_busy_s == pytest.approx(readings.rows[3].cpu_busy_s, abs=0.001)
    assert [row.at_ns for row in again.rows] == [row.at_ns for row in readings.rows]
    assert again.rows[0].gpus == cards
    assert again.absent == readings.absent
    assert impact(again, 0, S).cpu_during == pytest.approx(impact(readings, 0, S).cpu_during, 0.05)


def test_readings_are_kept_beside_a_log_and_go_on_after_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "b.machine.json.gz"
    assert kept_readings(path) is None
    keep_readings(path, _readings())
    first = kept_readings(path)
    assert first is not None
    assert len(first.rows) == len(_readings().rows)
    # The benchmark is carried on: later rows stand behind the earlier ones.
    later = tuple(row._replace(at_ns=row.at_ns + 100 * S) for row in _readings().rows)
    keep_readings(path, _readings(rows=later))
    both = kept_readings(path)
    assert both is not None
    assert len(both.rows) == 2 * len(first.rows)
    # Of another set of servers nothing can be joined.
    other = tuple(row._replace(at_ns=row.at_ns + 200 * S, servers=()) for row in _readings().rows)
    keep_readings(path, _readings(rows=other, servers=()))
    last = kept_readings(path)
    assert last is not None
    assert len(last.rows) == len(other)


def test_many_readings_are_kept_in_a_small_file(tmp_path: Path) -> None:
    many = tuple(
        _readings().rows[0]._replace(at_ns=at * S // 10, memory_bytes=at) for at in range(9_000)
    )
    path = tmp_path / "b.machine.json.gz"
    keep_readings(path, _readings(rows=many))
    kept = kept_readings(path)
    assert kept is not None
    assert 1000 < len(kept.rows) <= 4096
    assert kept.rows[-1].memory_bytes == 8_999
    assert path.stat().st_mode & 0o077 == 0
    assert path.stat().st_size < 2**20


@pytest.mark.parametrize("broken", [b"", b"no gzip", gzip.compress(b"{}"), gzip.compress(b"[")])
def test_a_broken_file_of_readings_is_none(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "b.machine.json.gz"
    path.write_bytes(broken)
    assert kept_readings(path) is None
    keep_readings(path, _readings())
    assert kept_readings(path) is not None


def test_a_folder_that_takes_no_file_costs_the_curves_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keep_readings(tmp_path / "file" / "b.machine.json.gz", _readings())


@pytest.mark.parametrize("packed", [{}, {"format": 2, "rows": []}, {"format": 1, "rows": [[1]]}])
def test_what_are_no_readings_is_refused(packed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no readings"):
        unpack(packed)


def _zone(folder: Path, name: str, joules: float, of: str) -> Path:
    zone = folder / name
    zone.mkdir(parents=True)
    (zone / "name").write_text(f"{of}\n")
    (zone / "max_energy_range_uj").write_text("262143328850\n")
    (zone / "energy_uj").write_text(f"{int(joules * 1e6)}\n")
    return zone


def test_rapl_adds_packages_and_memory_and_nothing_twice(tmp_path: Path) -> None:
    zones = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:2": "psys",
        "intel-rapl-mmio:0": "package-0",
    }
    made_zones = [_zone(tmp_path, name, 1000, of) for name, of in zones.items()]
    (tmp_path / "intel-rapl").mkdir()
    rapl = Rapl(tmp_path)
    assert rapl.names == ("package-0", "dram", "package-1")
    assert rapl.read() == 0
    for zone in made_zones:
        (zone / "energy_uj").write_text("1010000000\n")
    assert rapl.read() == pytest.approx(30)
    assert rapl.absent == {}


def test_rapl_that_begins_again_at_zero_goes_on_counting(tmp_path: Path) -> None:
    zone = _zone(tmp_path, "intel-rapl:0", 262_143, "package-0")
    rapl = Rapl(tmp_path)
    (zone / "energy_uj").write_text("5000000\n")
    assert rapl.read() == pytest.approx(0.32885 + 5)
    (zone / "energy_uj").write_text("6000000\n")
    assert rapl.read() == pytest.approx(0.32885 + 6)


def test_rapl_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert "no RAPL" in Rapl(tmp_path / "none").absent["cpu_energy_j"]
    assert "no package" in Rapl(tmp_path).absent["cpu_energy_j"]
    zone = _zone(tmp_path, "intel-rapl:0", 1, "package-0")
    rapl = Rapl(tmp_path)
    (zone / "energy_uj").unlink()
    assert rapl.read() is None
    assert "no more" in rapl.absent["cpu_energy_j"]
    (zone / "energy_uj").write_text("what?\n")
    assert Rapl(tmp_path).read() is None


def test_a_card_is_read_in_its_units() -> None:
    card = Card(power_w=312.5, joules=5000, throttle=0x08)
    library = FakeNvml([card])
    gpus = Gpus(library)
    first = gpus.read()[0]
    assert first == GpuReading(50, 20 * 2**30, 312.5, 61, 0, 8)
    card.joules = 5012.5
    assert gpus.read()[0].energy_j == pytest.approx(12.5)
    assert gpus.cards() == (("NVIDIA H200", 140 * 2**30, "570.86.10"),)
    gpus.close()
    assert library.open == 0


def test_a_card_that_counts_no_joules_has_its_power_over_time() -> None:
    card = Card(joules=None, power_w=1e9)
    gpus = Gpus(FakeNvml([card]))
    assert gpus.read()[0].energy_j == 0
    second = gpus.read()[0].energy_j
    assert second is not None
    assert second > 0
    third = gpus.read()[0].energy_j
    assert third is not None
    assert third > second


def test_what_a_card_does_not_support_is_asked_once_and_absent() -> None:
    card = Card(joules=None, power_w=None)
    gpus = Gpus(FakeNvml([card], old=True))
    for _ in range(3):
        reading = gpus.read()[0]
    assert (reading.power_w, reading.energy_j) == (None, None)
    assert card.asked == ["power", "energy"]
    assert "Not Supported" in gpus.absent["gpu_power_w"]
    # An older driver has the bits under an older name.
    assert "gpu_throttled" not in gpus.absent


def test_no_driver_and_no_card_are_reasons() -> None:
    broken = Gpus(FakeNvml([], broken="NVML Shared Library Not Found"))
    assert "Shared Library" in broken.absent["gpu"]
    assert broken.read() == ()
    broken.close()
    assert "no GPU" in Gpus(FakeNvml([])).absent["gpu"]
