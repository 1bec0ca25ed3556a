"""What the login shows."""

from dataclasses import dataclass

__all__ = ["LoginView"]


@dataclass(frozen=True, slots=True)
class LoginView:
    """``wanted``: where to go afterwards. ``problem``: why the last try failed."""

    wanted: str
    problem: str = ""
