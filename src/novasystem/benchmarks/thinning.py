"""How often something is told: often at first, and the rarer the longer it takes."""

__all__ = ["Thinning"]


class Thinning:
    """``due`` at most every ``every_s``, and every ``many``-th part of the time that has passed.

    So there are ``many`` · (1 + ln(t / (``every_s`` · ``many``))) at the time t: a day of what is
    told three times a second for five minutes is some 6 600. The first ``at_once`` come whenever.
    """

    def __init__(self, *, every_s: float, many: int, at_once: int = 0) -> None:
        self._every_ns = int(every_s * 1e9)
        self._many = many
        self._at_once = at_once
        self._next_ns = 0

    def due(self, at_ns: int) -> bool:
        """Whether it may be told at ``at_ns``, of the benchmark's clock."""
        if self._at_once > 0:
            self._at_once -= 1
            return True
        if at_ns < self._next_ns:
            return False
        self._next_ns = at_ns + max(self._every_ns, at_ns // self._many)
        return True
