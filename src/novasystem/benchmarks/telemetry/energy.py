"""Joules of the processor and its memory, from Linux's powercap files (RAPL).

A zone ``/sys/class/powercap/intel-rapl:0`` has ``name``, ``energy_uj`` (counts up, and begins again
at 0 after ``max_energy_range_uj``) and zones inside it, ``intel-rapl:0:0``. The name and the files
are the same on AMD's processors. See the kernel's documentation, "Power Capping Framework".
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["POWERCAP", "Rapl"]

POWERCAP = Path("/sys/class/powercap")


@dataclass(slots=True)
class _Zone:
    name: str
    file: Path
    range_uj: int
    last_uj: int
    sum_uj: int = 0

    def read_j(self) -> float:
        now_uj = int(self.file.read_text())
        # The counter has begun again. At 10 Hz that happens once between two looks at most:
        # its range lasts for many minutes.
        self.sum_uj += now_uj - self.last_uj + (self.range_uj if now_uj < self.last_uj else 0)
        self.last_uj = now_uj
        return self.sum_uj / 1e6


class Rapl:
    """The packages and their memory, added up; ``absent`` says why where nothing can be read.

    Left out are zones that count the same joules once more: ``core`` and ``uncore`` are parts of
    their package, ``psys`` is the whole board, and ``intel-rapl-mmio`` is a second way to the same
    package.
    """

    def __init__(self, folder: Path = POWERCAP) -> None:
        self.absent: dict[str, str] = {}
        self._zones: list[_Zone] = []
        if not folder.is_dir():
            self._missing(f"this machine has no RAPL: there is no {folder}")
            return
        for zone in sorted(folder.glob("intel-rapl:*")):
            try:
                self._add(zone)
            except PermissionError:
                file = zone / "energy_uj"
                self._missing(f"{file} may be read by the administrator alone")
                return
            except (OSError, ValueError) as error:
                self._missing(f"{zone} cannot be read: {error}")
                return
        if not self._zones:
            self._missing(f"this machine has no RAPL: {folder} has no package in it")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(zone.name for zone in self._zones)

    def read(self) -> float | None:
        """Joules since this object was made; ``None`` where they cannot be read."""
        if not self._zones:
            return None
        try:
            return sum(zone.read_j() for zone in self._zones)
        except (OSError, ValueError) as error:
            self._missing(f"RAPL could be read no more: {error}")
            return None

    def _add(self, zone: Path) -> None:
        name = (zone / "name").read_text().strip()
        if not (name.startswith("package") or name == "dram"):
            return
        range_uj = 0
        with contextlib.suppress(FileNotFoundError):
            range_uj = int((zone / "max_energy_range_uj").read_text())
        file = zone / "energy_uj"
        self._zones.append(_Zone(name, file, range_uj, int(file.read_text())))

    def _missing(self, reason: str) -> None:
        self._zones = []
        self.absent["cpu_energy_j"] = reason
