"""Every test here runs on both databases, or on the one that it names."""

import pytest
import structlog

from tests.http.figures import state
from tests.storage.databases import address, database, on_postgres, postgres_address

__all__ = ["address", "database", "on_postgres", "postgres_address", "state"]


@pytest.fixture(autouse=True, scope="session")
def _plain_log() -> None:
    """Unforeseen errors are logged with their traceback, which is drawn for seconds otherwise."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
