"""NovaSystem: measure, serve and keep the language models that you run yourself."""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        # Read on demand: importing this module costs more than the rest of the package's start.
        from importlib import metadata

        return metadata.version("novasystem")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
