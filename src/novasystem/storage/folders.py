"""Folders and files for what is kept: nobody else may look into them."""

import os
from pathlib import Path

from novasystem.errors import ConfigurationError

__all__ = ["make_folder", "make_private", "publish"]


def make_folder(folder: Path) -> None:
    """The folder, where it is not there yet; raises ``ConfigurationError`` where it cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The folder '{folder}' cannot be made: {error.strerror}.",
            hint="Choose another one with NOVA_DATA_DIR.",
        ) from error


def make_private(file: Path) -> None:
    """The file, empty, where it is not there yet: SQLite would let others read it."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"The file '{file}' cannot be written: {error.strerror}.",
            hint="Choose another folder with NOVA_DATA_DIR.",
        ) from error


def publish(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Give a finished file its name, so that it is there after a crash of the machine as well.

    Raises ``OSError``; ``FileExistsError`` where the name was taken meanwhile.
    """
    if overwrite:
        os.replace(partial, target)
    else:
        _name_anew(partial, target)
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _name_anew(partial: Path, target: Path) -> None:
    try:
        # A link never replaces anything, as a renaming would.
        os.link(partial, target)
    except FileExistsError:
        raise
    except OSError:
        # There are file systems without links.
        os.replace(partial, target)
