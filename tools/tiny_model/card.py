"""Writes the model card from the evaluation's JSON: no figure in it is typed by hand."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import jax

from tools.tiny_model.export import DEFAULT_TARGET
from tools.tiny_model.model import ModelConfig, init_params, parameter_count
from tools.tiny_model.train import DEFAULT_FOLDER

CARD_PATH = DEFAULT_TARGET.with_name("MODEL_CARD.md")
TEXT_PATH = Path(__file__).with_name("card.md")


def suite_row(suite: dict[str, Any]) -> str:
    low, high = suite["interval_95"]
    bar = f"≥ {suite['bar']:.0%}" if suite["bar"] is not None else "none"
    verdict = "" if suite["bar"] is None else ("met" if suite["passed"] else "**missed**")
    return (
        f"| {suite['title']} | {suite['right']} of {suite['cases']} | {suite['share']:.1%} "
        f"| {low:.1%} to {high:.1%} | {bar} | {verdict} |"
    )


def failure_lines(suites: list[dict[str, Any]], limit: int = 2) -> list[str]:
    """A few wrong replies of each suite, as they were given."""
    lines = []
    for suite in suites:
        for failure in suite["failures"][:limit]:
            prompt, reply = (_inline(failure[key]) for key in ("prompt", "reply"))
            expected = _inline(failure["expected"])
            lines.append(f"- *{suite['title']}*: {prompt} → {reply} (expected: {expected})")
    return lines


def _inline(text: str) -> str:
    short = " ".join(text.split())
    return f"`{short[:157] + '…' if len(short) > 160 else short}`"


def render_card(report: dict[str, Any], training: dict[str, Any], config: ModelConfig) -> str:
    suites = report["suites"]
    return TEXT_PATH.read_text(encoding="utf-8").format(
        parameters=f"{parameter_count(jax.eval_shape(lambda: init_params(config, 0))):,}",
        config=config,
        head_width=config.head_width,
        megabytes=f"{report['weights_bytes'] / 1e6:.1f}",
        sha256=report["weights_sha256"],
        steps=f"{training['steps']:,}",
        tokens=f"{training['tokens_seen'] / 1e6:.1f} million",
        minutes=f"{training['elapsed_s'] / 60:.0f}",
        rows="\n".join(suite_row(suite) for suite in suites),
        failures="\n".join(failure_lines(suites)),
    )


def training_totals(folder: Path) -> dict[str, float]:
    """Steps, tokens and seconds, with those of the run whose weights were carried over."""
    files = [folder / "training.json", folder / "earlier.json"]
    parts = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    return {key: sum(part[key] for part in parts) for key in parts[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, required=True, help="what evaluate --json wrote")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--card", type=Path, default=CARD_PATH)
    options = parser.parse_args()
    report = json.loads(options.report.read_text(encoding="utf-8"))
    if report["quick"]:
        parser.error("a card needs the full evaluation, not a --quick one")
    training = training_totals(options.folder)
    config = ModelConfig(**json.loads((options.folder / "config.json").read_text()))
    options.card.write_text(render_card(report, training, config), encoding="utf-8")


if __name__ == "__main__":
    main()
