"""NovaSystem: measure, serve and keep the language models that you run yourself."""

from importlib import metadata

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    # Read on demand: the package's metadata costs a search of the import path.
    if name == "__version__":
        return metadata.version("novasystem")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
