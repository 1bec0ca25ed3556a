"""What nobody foresaw: told to the user as an id, and to the log in full."""

import secrets

import structlog

from novasystem.errors import NovaError

__all__ = ["InternalError", "as_nova_error"]

_log = structlog.get_logger(__name__)


class InternalError(NovaError):
    """Something unforeseen: the details are in the log, under the id that the message gives."""

    code = "internal_error"


def as_nova_error(error: Exception) -> NovaError:
    """``error`` itself, or, where it was not foreseen, a generic one with an id; logged here."""
    if isinstance(error, NovaError):
        return error
    error_id = secrets.token_hex(8)
    _log.error("unexpected error", error_id=error_id, exc_info=error)
    return InternalError(
        f"Something went wrong that should not have (id {error_id}).",
        hint="The server's log tells more under this id.",
    )
