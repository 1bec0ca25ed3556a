"""The options of ``nova bench run``, and what several of its commands take."""

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "Burst",
    "Check",
    "Concurrency",
    "Conversation",
    "Depth",
    "Id",
    "MaxTokens",
    "Mode",
    "Models",
    "Name",
    "Option",
    "OutputTokens",
    "Phase",
    "PlanFile",
    "Poisson",
    "Processes",
    "Prompt",
    "PromptTokens",
    "Prompts",
    "Ramp",
    "Rate",
    "Repeat",
    "Requests",
    "SavePlan",
    "Seed",
    "Slo",
    "Speed",
    "Step",
    "Stop",
    "Sweep",
    "System",
    "Temperature",
    "TimeLimit",
    "TopK",
    "TopP",
    "Trace",
    "UntilStable",
    "WarmUp",
]


Id = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        show_default=False,
        help="Its id, or how the id begins; last is the newest, last-1 the one before.",
    ),
]

# What is measured.
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="A model; several times for several. Without it: all that answer.",
    ),
]
Mode = Annotated[
    Literal["parallel", "sequential"] | None,
    typer.Option("--mode", help="Several models at the same time (default), or one by one."),
]
PlanFile = Annotated[
    Path | None,
    typer.Option("--plan", metavar="FILE", help="A plan in TOML or JSON; flags win over it."),
]
SavePlan = Annotated[
    Path | None,
    typer.Option("--save-plan", metavar="FILE", help="Write the plan there, to run it again."),
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="TEXT", help="Stands above its results.")
]

# What is asked.
Prompt = Annotated[
    list[str] | None,
    typer.Option("--prompt", "-p", metavar="TEXT", help="What to ask; several times for several."),
]
Prompts = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Prompts of a file: .jsonl, .csv, or one a line."),
]
Conversation = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Turns of one conversation, in a file like --prompts."),
]
Trace = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Requests with the times at which they arrived."),
]
Speed = Annotated[
    float | None, typer.Option(metavar="F", help="Of a trace: 2 takes half the time.")
]
PromptTokens = Annotated[
    str | None,
    typer.Option(metavar="N,N", help="Made-up prompts of so many tokens; several: a matrix."),
]
OutputTokens = Annotated[
    str | None, typer.Option(metavar="N,N", help="And answers of so many tokens.")
]
Depth = Annotated[
    str | None,
    typer.Option(metavar="N,N", help="Tokens that lie in the context before the prompt."),
]
System = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Instructions before each prompt.")
]

# When it is asked.
Concurrency = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="So many requests at the same time.")
]
Requests = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Of each repetition. Default: 10 for each of --concurrency, or 10 s of a rate.",
    ),
]
Rate = Annotated[float | None, typer.Option(metavar="F", help="So many requests a second, evenly.")]
Poisson = Annotated[
    float | None, typer.Option(metavar="F", help="So many a second in the mean, at random.")
]
Burst = Annotated[
    str | None, typer.Option(metavar="N,S,TIMES", help="N at once, each S seconds, so many times.")
]
Ramp = Annotated[
    str | None, typer.Option(metavar="F,F,S", help="From a rate to another one in S seconds.")
]
Sweep = Annotated[
    str | None,
    typer.Option(
        metavar="F,F|auto", help="Rate after rate, until the objectives of --slo do not hold."
    ),
]
Step = Annotated[
    float | None, typer.Option(metavar="S", help="How long each rate of a sweep lasts: 10.")
]
Repeat = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="How often all of it is asked: 1.")
]
UntilStable = Annotated[
    str | None,
    typer.Option(
        metavar="[METRIC=]F%",
        help="Repeat until the interval of the mean is so narrow: 5%, ttft_s=3%. "
        "--repeat is then the most.",
    ),
]
WarmUp = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="Requests before that do not count: 1.")
]
Processes = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=64,
        help="How many processes make the load: one, and more where that is too much for one.",
    ),
]
Phase = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME",
        help="cold (loaded anew for each request), warm (default), cached (asked before).",
    ),
]

# How tokens are drawn.
MaxTokens = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="The longest that an answer may get.")
]
Temperature = Annotated[
    float | None, typer.Option(metavar="F", min=0, help="0: always the likeliest word.")
]
TopP = Annotated[
    float | None,
    typer.Option("--top-p", metavar="F", help="Only the likeliest words that make up this share."),
]
TopK = Annotated[
    int | None, typer.Option("--top-k", metavar="N", min=0, help="Only so many likeliest words.")
]
Seed = Annotated[int | None, typer.Option(metavar="N", min=0, help="Makes an answer repeatable.")]
Stop = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="Where an answer ends; several times.")
]
Option = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Of one engine, such as num_ctx=8192; several times."),
]

# What must hold.
Check = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND[=VALUE]",
        help="equals, contains, regex, json_schema, sentences, min_chars, max_chars, relevant, "
        "not_empty or same; several times. contains-i does not look at the case.",
    ),
]
Slo = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=S,…", help="What a good request meets: ttft_s=0.5,tpot_s=0.05,e2e_s=3."
    ),
]
TimeLimit = Annotated[
    float | None, typer.Option(metavar="S", help="For the whole benchmark, in seconds: 14400.")
]
