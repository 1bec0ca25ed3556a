"""How a failure looks on the command line, and with which code the command ends.

::

    0    done
    1    it failed in a way that the other codes do not cover; ``doctor``: there is a problem
    2    it was asked wrongly: usage, configuration, a request that cannot be carried out
    3    an engine failed, could not be reached, or is overloaded
    130  ended by Ctrl-C
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from novasystem.cli.text import printable
from novasystem.errors import (
    ConfigurationError,
    EngineError,
    InvalidRequest,
    MalformedRequest,
    ModelNotFound,
    NotFound,
    NovaError,
    Overloaded,
)

__all__ = ["exit_code", "report", "traced"]

_CODES: dict[type[NovaError], int] = {
    ConfigurationError: 2,
    InvalidRequest: 2,
    MalformedRequest: 2,
    ModelNotFound: 2,
    NotFound: 2,
    EngineError: 3,
    Overloaded: 3,
}


def exit_code(error: Exception) -> int:
    """The code of the nearest class in the table."""
    return next((_CODES[cls] for cls in type(error).__mro__ if cls in _CODES), 1)


def report(error: Exception) -> None:
    """Say on standard error what failed and what to try."""
    if isinstance(error, NovaError):
        message, hint = error.message, error.hint
    else:
        message = f"Unexpected {type(error).__name__}: {error}"
        hint = "'--log-level debug' shows where it happened."
    sys.stdout.flush()
    sys.stderr.write(f"Error: {printable(message)}\n")
    if hint:
        sys.stderr.write(f"  {printable(hint)}\n")
    sys.stderr.flush()


@contextmanager
def traced(log_level: str) -> Iterator[None]:
    """Show where an error came from before it goes on to :func:`report`, at ``debug`` alone."""
    try:
        yield
    except BrokenPipeError:
        raise
    except Exception:
        if log_level == "debug":
            import traceback

            traceback.print_exc()
        raise
