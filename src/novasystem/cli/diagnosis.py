"""All checks of ``nova doctor`` in order, shown as they are done."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path

from novasystem.cli import checks, engine_checks
from novasystem.cli.benchmark_checks import of_benchmarks
from novasystem.cli.checks import Check, problem
from novasystem.cli.failures import traced
from novasystem.cli.session import opened, registry_of
from novasystem.cli.text import printable, styled
from novasystem.errors import ConfigurationError, NovaError
from novasystem.settings import Settings

__all__ = ["examine"]

_COLOURS = {"ok": "32", "note": "36", "warning": "33", "problem": "31"}


def examine(config: Path | None, log_level: str | None, *, as_json: bool) -> bool:
    """Carry out every check that can be made; false where one found a problem."""
    settings: Settings | None = None
    done = [*checks.surroundings(), *checks.settings_files(config, os.environ)]
    try:
        settings = opened(config, log_level)
    except ConfigurationError as error:
        done.append(problem("settings", error))
    if not as_json:
        for check in done:
            _show(check)
    if settings is not None:
        with traced(settings.log_level):
            done += asyncio.run(_with_settings(settings, show=not as_json))
    problems = sum(check.status == "problem" for check in done)
    if as_json:
        found = {"ok": not problems, "checks": [asdict(check) for check in done]}
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    elif problems:
        sys.stdout.write(f"\n{problems} problem{'s' if problems > 1 else ''} found.\n")
    else:
        sys.stdout.write("\nNo problem found.\n")
    return not problems


async def _with_settings(settings: Settings, *, show: bool) -> list[Check]:
    done: list[Check] = []
    async with aclosing(_checks(settings)) as found:
        async for check in found:
            done.append(check)
            if show:
                _show(check)
    return done


async def _checks(settings: Settings) -> AsyncGenerator[Check]:
    for check in checks.of_settings(settings):
        yield check
    async with aclosing(of_benchmarks(settings)) as found:
        async for check in found:
            yield check
    usable, missing = engine_checks.weights(settings)
    if missing is not None:
        yield missing
    try:
        registry = registry_of(usable)
    except NovaError as error:
        yield problem("engines", error)
        return
    try:
        async with aclosing(engine_checks.of_engines(registry)) as found:
            async for check in found:
                yield check
    finally:
        await registry.aclose()


def _show(check: Check) -> None:
    status = f"{check.status:<8}"
    if styled(sys.stdout):
        status = f"\x1b[{_COLOURS[check.status]}m{status}\x1b[0m"
    sys.stdout.write(f"{status} {check.name}: {printable(check.detail)}\n")
    if check.hint:
        sys.stdout.write(f"{'':<8}   {printable(check.hint)}\n")
    sys.stdout.flush()
