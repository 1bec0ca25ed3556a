"""``python -m tools.perf``: measure, show, and fail where a limit is missed."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from tools.perf import peers
from tools.perf.at_once import benchmarks_at_once
from tools.perf.bench_client import client_decode, client_many, client_one, client_open
from tools.perf.client_peers import client_peers
from tools.perf.contestants import Stage, stage
from tools.perf.first_token import first_token
from tools.perf.history import history_page
from tools.perf.imports import imports
from tools.perf.pages import thread_page
from tools.perf.processes import LoadFailed
from tools.perf.report import Figure, machine, show, write
from tools.perf.requests import requests
from tools.perf.runs import run_added, run_rate, run_tokens
from tools.perf.startup import memory, startup
from tools.perf.tokens import burst, paced
from tools.perf.verdicts import verdicts
from tools.perf.web_pages import first_page, web_pages

__all__ = ["main"]

FIGURES: dict[str, Callable[..., Figure]] = {
    "burst": burst,
    "paced": paced,
    "requests": requests,
    "first_token": first_token,
    "run_added": run_added,
    "run_rate": run_rate,
    "run_tokens": run_tokens,
    "thread_page": thread_page,
    "benchmarks_at_once": benchmarks_at_once,
    "history_page": history_page,
    "first_page": first_page,
    "web_pages": web_pages,
    "client_one": client_one,
    "client_many": client_many,
    "client_open": client_open,
    "client_decode": client_decode,
    "memory": memory,
    "startup": startup,
    "imports": imports,
    "verdicts": verdicts,
}


PEERS: dict[str, Callable[..., Figure]] = {"client_peers": client_peers}
"""Only with ``--peers``, or by name."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.perf", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="figure", help=f"some of {', '.join(FIGURES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value there")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: rough figures")
    parser.add_argument("--peers", action="store_true", help="install others and add them")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - FIGURES.keys() - PEERS.keys():
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    if sys.platform != "linux":
        parser.error("the figures are read from Linux's accounts of its processes")
    console = Console()
    about = machine()
    console.print(", ".join(f"{key} {value}" for key, value in about.items()), soft_wrap=True)
    # Peers of the client are asked for by name: they take long, and gigabytes.
    proxied = given.peers and set(given.names) != {"client_peers"}
    peer = partial(peers.litellm, peers.installed(console)) if proxied else None
    figures = []
    try:
        with stage(peer) as running:
            for name in given.names or [*FIGURES, *(PEERS if given.peers else ())]:
                figures.append(_measured(name, running, given.quick, console))
    except LoadFailed as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 2
    finally:
        if given.json:
            write(given.json, figures, about)
    failed = [check for figure in figures for check in figure.checks if check.failed]
    console.print(f"{len(failed)} limits missed." if failed else "Every limit is met.")
    return 1 if failed else 0


def _measured(name: str, running: Stage, quick: bool, console: Console) -> Figure:
    with console.status(f"{name} …"):
        figure = (FIGURES | PEERS)[name](running, quick=quick)
    show(figure, console)
    return figure


if __name__ == "__main__":
    sys.exit(main())
