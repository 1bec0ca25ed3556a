"""``nova bench``: carry benchmarks out, and on, and end them."""

import typer

from novasystem.cli import bench_options as options
from novasystem.cli.options import Config, Json, LogLevel

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command(
    epilog="""\b
Examples:
  nova bench run                                  every model, one prompt
  nova bench run -m nova-tiny -p "What is 2+2?" --repeat 20 --check contains=4
  nova bench run -m a -m b --mode sequential --prompts prompts.jsonl
  nova bench run -m a --prompt-tokens 128,512 --output-tokens 64 --repeat 5
  nova bench run -m a -p "Hi." --concurrency 8 --requests 100
  nova bench run -m a -p "Hi." --sweep auto --slo ttft_s=0.5
  nova bench run --plan nightly.toml --json > result.json

\b
What arrives is shown on standard error, the results on standard output. Ctrl-C ends it:
what had arrived is kept and shown, and 'nova bench resume' carries it on.
It ends with code 3 where a model or a request failed, and 130 where it was cancelled.
JSON: the benchmark, with id, timestamp, status, mode, prompt, parameters, plan,
system_info, environment, summary, and results: an array of objects with model,
success, error, timing, throughput, tokens, system_impact, checks, response, metrics.
"""
)
def run(
    model: options.Models = None,
    prompt: options.Prompt = None,
    prompts: options.Prompts = None,
    plan: options.PlanFile = None,
    repeat: options.Repeat = None,
    until_stable: options.UntilStable = None,
    mode: options.Mode = None,
    concurrency: options.Concurrency = None,
    requests: options.Requests = None,
    rate: options.Rate = None,
    poisson: options.Poisson = None,
    burst: options.Burst = None,
    ramp: options.Ramp = None,
    sweep: options.Sweep = None,
    step: options.Step = None,
    prompt_tokens: options.PromptTokens = None,
    output_tokens: options.OutputTokens = None,
    depth: options.Depth = None,
    conversation: options.Conversation = None,
    trace: options.Trace = None,
    speed: options.Speed = None,
    phase: options.Phase = None,
    warm_up: options.WarmUp = None,
    processes: options.Processes = None,
    system: options.System = None,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    top_k: options.TopK = None,
    seed: options.Seed = None,
    stop: options.Stop = None,
    option: options.Option = None,
    check: options.Check = None,
    slo: options.Slo = None,
    time_limit: options.TimeLimit = None,
    name: options.Name = None,
    save_plan: options.SavePlan = None,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Measure models, and keep what came of it."""
    from novasystem.cli.benching.planning import Flags, plan_of
    from novasystem.cli.benching.running import run as run_plan
    from novasystem.cli.session import opened

    settings = opened(config, log_level)
    flags = Flags(
        plan=plan,
        name=name,
        model=model or (),
        mode=mode,
        prompt=prompt or (),
        prompts=prompts,
        conversation=conversation,
        trace=trace,
        speed=speed,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        depth=depth,
        system=system,
        concurrency=concurrency,
        requests=requests,
        rate=rate,
        poisson=poisson,
        burst=burst,
        ramp=ramp,
        sweep=sweep,
        step=step,
        repeat=repeat,
        until_stable=until_stable,
        warm_up=warm_up,
        processes=processes,
        phase=phase,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        seed=seed,
        stop=stop or (),
        option=option or (),
        check=check or (),
        slo=slo,
        time_limit=time_limit,
    )
    raise typer.Exit(run_plan(settings, plan_of(flags), save_plan=save_plan, as_json=json))


@app.command(
    epilog="""\b
Examples:
  nova bench resume last

\b
What had arrived is not asked again. One that has ended says so.
Codes and JSON are those of 'nova bench run'.
"""
)
def resume(
    benchmark: options.Id,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Carry on a benchmark that was killed or cancelled."""
    from novasystem.cli.benching.running import resume as resume_one
    from novasystem.cli.session import opened

    raise typer.Exit(resume_one(opened(config, log_level), benchmark, as_json=json))


@app.command(
    epilog="""\b
Examples:
  nova bench cancel last

\b
For one that another terminal, or a server on this machine, carries out.
"""
)
def cancel(benchmark: options.Id, config: Config = None, log_level: LogLevel = None) -> None:
    """End a benchmark that goes on; what had arrived is kept."""
    from novasystem.cli.benching.keeping import cancel as cancel_one
    from novasystem.cli.session import opened

    cancel_one(opened(config, log_level), benchmark)
