"""What was said earlier, found again when it matters."""

from novasystem.nova.memory.memory import Memory
from novasystem.nova.memory.records import Recalled, Remembered

__all__ = ["Memory", "Recalled", "Remembered"]
