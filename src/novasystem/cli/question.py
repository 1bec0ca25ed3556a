"""What is asked: from an argument, standard input, or both."""

import sys

from novasystem.errors import InvalidRequest

__all__ = ["question"]


def question(message: str | None) -> str | None:
    """What is asked: the argument, then standard input where it is no terminal.

    ``None``: neither is there, so somebody wants to talk.
    """
    argument = None if message == "-" else message
    # A terminal is read where "-" asks for it.
    piped = _standard_input() if message == "-" or not _is_terminal() else None
    if argument is None and piped is None:
        return None
    text = "\n\n".join(part for part in (argument, piped) if part)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("The message is not valid UTF-8.") from error
    if not text.strip():
        raise InvalidRequest(
            "The message is empty.", hint="Give it as an argument or on standard input."
        )
    return text


def _is_terminal() -> bool:
    # Python has no stdin at all where it was closed.
    return sys.stdin is not None and sys.stdin.isatty()


def _standard_input() -> str:
    if sys.stdin is None:
        return ""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise InvalidRequest("What came on standard input is not valid UTF-8 text.") from error
