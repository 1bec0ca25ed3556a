"""Structured logs on standard error: for people on a terminal, as JSON elsewhere."""

import logging
import os
import sys
from typing import Any, Literal

import orjson
import structlog

__all__ = ["configure"]


def configure(
    level: str,
    format: Literal["auto", "console", "json"] = "auto",  # noqa: A002
    *,
    pid: bool = False,
) -> None:
    """Set up structlog, and lead what other libraries log into the same stream.

    ``pid``: each line says which process wrote it, where several write into one stream.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    console = format == "console" or (format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        if console
        else structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if pid:
        shared.append(_add_pid)
    renderer: list[Any] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                # Not structlog's own: that one shows local variables, and so prompts and keys.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
        if console
        else [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[remove_meta, *renderer]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.WARNING))


def _add_pid(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    # Not set where the line is about another process.
    event.setdefault("pid", os.getpid())
    return event


def _dumps(value: object, **_: object) -> str:
    return orjson.dumps(value, default=str).decode()
