"""What agents can do besides talking."""

from novasystem.nova.tools.protocol import Asker, Tool
from novasystem.nova.tools.registry import Tools

__all__ = ["Asker", "Tool", "Tools"]
