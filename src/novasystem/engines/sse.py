"""Bytes in, frames out: Server-Sent Events and newline-delimited JSON, without any I/O.

Both splitters take whatever a read delivered, cut anywhere, and cost time linear in the bytes.
Lines end at CR, LF or CRLF and nowhere else: U+2028 is legal inside a token.
"""

import re
from typing import NamedTuple

__all__ = ["MAX_FRAME_BYTES", "Frame", "FrameTooLarge", "NdjsonSplitter", "SseSplitter"]

MAX_FRAME_BYTES = 4 * 1024 * 1024

_CR = 0x0D
"""As a number: looking for one byte is several times as quick as looking for bytes."""
_EOL = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class FrameTooLarge(ValueError):
    """A frame is over the size limit; nothing after it can be trusted."""


class Frame(NamedTuple):
    """``data``: the payload; ``event``: the SSE event type, mostly empty; ``size``: bytes read."""

    data: bytes
    event: bytes
    size: int


class SseSplitter:
    """Splits a Server-Sent Events stream (WHATWG HTML, section 9.2.6) into its frames.

    Comments and events without data give no frame, nor does a byte order mark at the very start.
    A stream without any CR, which is nearly every one, is cut at blank lines by ``bytearray.find``;
    the first CR switches to line by line.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max = max_frame_bytes
        self._buffer = bytearray()
        self._scanned = 0
        self._by_line = False
        self._begun = False
        self._skip_lf = False
        self._lines: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completed; raises :class:`FrameTooLarge`."""
        buffer = self._buffer
        if not buffer and data.endswith(b"\n\n") and self._plain(data):
            # Nearly every read holds whole events: nothing is kept, or looked for again.
            size = len(data)
            if data.find(b"\n") == size - 2 and data.startswith(b"data: "):
                return [Frame(data[6:-2], b"", size)]
            return _blocks(data[:-2].split(b"\n\n"))
        buffer += data
        if not self._begun:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                return []
            self._begun = True
            if buffer.startswith(_BOM):
                del buffer[: len(_BOM)]
        large = len(buffer) + self._size > self._max
        if not self._by_line and b"\r" in data:
            self._by_line, self._scanned = True, 0
        frames = self._feed_lines() if self._by_line else self._feed_blocks()
        if large and (len(buffer) + self._size > self._max or _over(frames, self._max)):
            msg = f"a frame is longer than {self._max} bytes"
            raise FrameTooLarge(msg)
        return frames

    def _plain(self, data: bytes) -> bool:
        return self._begun and not self._by_line and len(data) <= self._max and _CR not in data

    def end(self) -> list[Frame]:
        """The frame that the end of the stream completed: some servers omit the last blank line."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        lines = [*self._lines, *_EOL.split(rest)]
        size = self._size + len(rest)
        self._lines, self._size, self._scanned = [], 0, 0
        return _frames(lines, size)

    def _feed_blocks(self) -> list[Frame]:
        frames: list[Frame] = []
        buffer = self._buffer
        start = 0
        search = max(self._scanned - 1, 0)
        while (end := buffer.find(b"\n\n", search)) >= 0:
            block = bytes(buffer[start:end])
            size = end + 2 - start
            if block.startswith(b"data: ") and b"\n" not in block:
                frames.append(Frame(block[6:], b"", size))
            else:
                frames += _frames(block.split(b"\n"), size)
            start = search = end + 2
        if start:
            del buffer[:start]
        self._scanned = len(buffer)
        return frames

    def _feed_lines(self) -> list[Frame]:
        frames: list[Frame] = []
        buffer = self._buffer
        if self._skip_lf and buffer:
            # The LF of a CRLF that a read had cut in two.
            self._skip_lf = False
            if buffer[0] == 0x0A:
                del buffer[:1]
                self._size += 1
                self._scanned = 0
        start = 0
        search = self._scanned
        while (match := _EOL.search(buffer, search)) is not None:
            line = bytes(buffer[start : match.start()])
            self._size += match.end() - start
            self._skip_lf = match.group() == b"\r" and match.end() == len(buffer)
            start = search = match.end()
            if line:
                self._lines.append(line)
            else:
                frames += _frames(self._lines, self._size)
                self._lines, self._size = [], 0
        if start:
            del buffer[:start]
        self._scanned = len(buffer)
        return frames


def _blocks(blocks: list[bytes]) -> list[Frame]:
    """The frames of whole events, each without the blank line that ended it."""
    frames: list[Frame] = []
    for block in blocks:
        if block.startswith(b"data: ") and b"\n" not in block:
            frames.append(Frame(block[6:], b"", len(block) + 2))
        else:
            frames += _frames(block.split(b"\n"), len(block) + 2)
    return frames


def _frames(lines: list[bytes], size: int) -> list[Frame]:
    """The frame of one event's lines, or none where they hold no data."""
    data: list[bytes] = []
    event = b""
    for line in lines:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value
        elif name == b"error":
            # Not in the standard, but how llama.cpp has reported errors inside a stream.
            data.append(value)
            event = b"error"
    return [Frame(b"\n".join(data), event, size)] if data else []


def _over(frames: list[Frame], limit: int) -> bool:
    """Whether one of them is too large: the same answer for one big read as for many small."""
    return any(frame.size > limit for frame in frames)


class NdjsonSplitter:
    """Splits newline-delimited JSON into its lines; blank lines give no frame."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max = max_frame_bytes
        self._buffer = bytearray()
        self._scanned = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completed; raises :class:`FrameTooLarge`."""
        frames: list[Frame] = []
        buffer = self._buffer
        buffer += data
        large = len(buffer) > self._max
        start = 0
        search = self._scanned
        while (end := buffer.find(b"\n", search)) >= 0:
            line = bytes(buffer[start:end]).strip()
            if line:
                frames.append(Frame(line, b"", end + 1 - start))
            start = search = end + 1
        if start:
            del buffer[:start]
        self._scanned = len(buffer)
        if large and (len(buffer) > self._max or _over(frames, self._max)):
            msg = f"a line is longer than {self._max} bytes"
            raise FrameTooLarge(msg)
        return frames

    def end(self) -> list[Frame]:
        """The last line, where it came without its line end."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        self._scanned = 0
        line = rest.strip()
        return [Frame(line, b"", len(rest))] if line else []
