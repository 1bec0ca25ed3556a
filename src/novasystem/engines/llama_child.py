"""llama.cpp in a process of its own: a crash in native code must not take the server down.

Run as ``python -m novasystem.engines.llama_child``. The first line on standard input is the
configuration as JSON (with the key, which so stands in no argument list or environment); one line
of JSON on standard output says that it is ready, or why not. The end of standard input ends it:
so it never outlives its parent, not even one that was killed.
"""

import json
import os
import shutil
import sys
import threading
from typing import Any, TextIO

__all__ = ["main"]


def main() -> None:
    config = json.loads(sys.stdin.readline())
    # llama.cpp may write to standard output: the answers to the parent get a descriptor of theirs.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, args=(config,), daemon=True).start()
    try:
        server = _serve(config)
    except Exception as error:
        _answer(answers, {"error": f"{type(error).__name__}: {error}"})
        raise SystemExit(1) from error
    _answer(answers, {"ready": server.listening_address})
    threading.Event().wait()


def _serve(config: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config["model_path"]
    params.model_alias = {config["model_name"]}
    params.hostnames = [config["host"]]
    params.port = 0
    params.api_keys = [config["api_key"]]
    params.n_parallel = config["slots"]
    # The context is divided among the slots; each gets what was asked for.
    params.n_ctx = config["context_tokens"] * config["slots"]
    params.use_jinja = True
    params.embedding = True
    if not _names_its_pooling(config["model_path"]):
        # Of a mean llama.cpp leaves out the tokens that it finds in its prompt cache, so that equal
        # texts get different vectors; the last token is computed anew each time.
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
    # A text to embed must fit into one batch.
    params.n_ubatch = params.n_batch = min(2048, config["context_tokens"])
    if config["threads"]:
        params.cpuparams.n_threads = config["threads"]
        params.cpuparams_batch.n_threads = config["threads"]
    params.cache_ram_mib = config["cache_mib"]
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_props = False
    params.cors_origins = ""
    params.offline = True
    return xllamacpp.Server(params)


def _names_its_pooling(model_path: str) -> bool:
    """Whether the file is of a model made for embeddings; its metadata opens the file."""
    with open(model_path, "rb") as file:
        return b".pooling_type" in file.read(1 << 16)


def _end_with_parent(config: dict[str, Any]) -> None:
    while sys.stdin.readline():
        pass
    if config["folder"]:
        shutil.rmtree(config["folder"], ignore_errors=True)
    # Not an orderly exit: llama.cpp waits for its running generations, which nobody reads now.
    os._exit(0)


def _answer(answers: TextIO, said: dict[str, Any]) -> None:
    answers.write(json.dumps(said) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
