"""What the machine did, through a whole benchmark of the embedded model: figures, file, curves."""

from pathlib import Path

from novasystem.benchmarks.carrying import new_benchmark
from novasystem.benchmarks.local import OWNER, passing
from novasystem.benchmarks.plan import Parameters, Plan, Prompt
from novasystem.benchmarks.reports.as_json import read_json
from novasystem.benchmarks.reports.formats import render
from novasystem.settings import Settings


async def test_a_benchmark_keeps_what_the_machine_did_until_it_is_deleted(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, ollama_url="off")
    plan = Plan(
        models=("nova-tiny",),
        workload=Prompt(prompt="What is 2+2?"),
        parameters=Parameters(max_tokens=16),
        repetitions=3,
    )
    async with passing(settings) as local:
        carrier = local.carrier
        benchmark = await carrier.carry_out(new_benchmark(plan, OWNER))
        readings = await carrier.readings(benchmark)
        samples = await carrier.samples(benchmark)
        path = carrier.readings_path(benchmark.id)
        assert readings is not None
        assert readings.servers == ("embedded",)
        # They lie on the samples' clock: some before the first request, some after its start.
        first = min(sample.sent_ns for sample in samples if sample.sent_ns is not None)
        assert readings.rows[0].at_ns < first < readings.rows[-1].at_ns
        [result] = benchmark.results
        found = result.system_impact
        # The child has the weights and its context in memory.
        assert found.server_memory is not None
        assert found.server_memory > 0.004
        assert found.server_cpu_s is not None
        assert len(found.cpu_delta) == len(found.cpu_during) > 0
        assert benchmark.system_info is not None
        assert benchmark.environment.models[0].quantization == "F16"
        report = render("json", benchmark, samples, readings)
        assert read_json(report).readings is not None
        assert "CPU: cores in use" in render("html", benchmark, samples, readings)
        assert path.exists()
        assert await carrier.delete(OWNER, benchmark.id)
        assert not path.exists()
        assert await carrier.readings(benchmark) is None
