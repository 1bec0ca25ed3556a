"""The list of models, as a table or as JSON."""

import json
import sys

from novasystem.cli.text import human_count, human_size, printable
from novasystem.engines.protocol import Model
from novasystem.engines.registry import Registry
from novasystem.errors import NovaError

__all__ = ["look"]


async def look(registry: Registry, *, as_json: bool) -> None:
    """Print what answers now, and, on standard error, which engines should and do not."""
    found = await registry.models()
    default = await _meant(registry, found, registry.default_model)
    aliases = {alias: await _meant(registry, found, alias) for alias in registry.aliases}
    if as_json:
        rows = [_row(name, model, default, aliases) for name, model in found.items()]
        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    else:
        _print_models(found, default)
        for alias, name in aliases.items():
            said = name or f"{registry.aliases[alias]}, which is not there now"
            sys.stdout.write(printable(f"{alias} is an alias of {said}") + "\n")
    sys.stdout.flush()
    for pool in registry.pools.values():
        if pool.problem is not None and pool.expected:
            # On one line, whatever the engine put into it.
            said = " ".join(str(pool.problem).split())
            sys.stderr.write(f"Warning: {printable(said)}\n")


async def _meant(registry: Registry, found: dict[str, Model], asked: str) -> str | None:
    """The name in the list that an alias, or the default, leads to."""
    try:
        resolved = await registry.resolve(asked)
    except NovaError:
        return None
    wanted = (resolved.pool.name, resolved.model)
    return next(
        (name for name, model in found.items() if (model.engine, model.name) == wanted), None
    )


def _row(
    name: str, model: Model, default: str | None, aliases: dict[str, str | None]
) -> dict[str, object]:
    return {
        "name": name,
        "model": model.name,
        "engine": model.engine,
        "default": name == default,
        "aliases": [alias for alias, target in aliases.items() if target == name],
        "parameters": model.parameters,
        "quantization": model.quantization,
        "family": model.family,
        "size_bytes": model.size_bytes,
        "context_tokens": model.context_tokens,
        "loaded": model.loaded,
        "capabilities": list(model.capabilities),
        "digest": model.digest,
    }


def _print_models(found: dict[str, Model], default: str | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # In a pipe no line is folded: each model is one line, for grep and its kind.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("NAME", no_wrap=True)
    table.add_column("ENGINE", no_wrap=True)
    table.add_column("PARAMETERS", justify="right")
    table.add_column("QUANTIZATION")
    table.add_column("SIZE", justify="right", no_wrap=True)
    table.add_column("CONTEXT", justify="right")
    table.add_column("LOADED")
    table.add_column("CAPABILITIES")
    for name, model in found.items():
        row = (
            f"{name} (default)" if name == default else name,
            model.engine,
            model.parameters or "-",
            model.quantization or "-",
            human_size(model.size_bytes),
            human_count(model.context_tokens),
            {True: "yes", False: "no", None: "-"}[model.loaded],
            ", ".join(model.capabilities) or "-",
        )
        # As Text: in a model's name, brackets are no markup.
        table.add_row(*(Text(printable(cell)) for cell in row))
    if found:
        console.print(table)
    else:
        console.print("No model answers. 'nova doctor' says why, and what to do about it.")
