"""Lists the models that answer now, with the official OpenAI client.

Start the server first (`make run`), then: python examples/list_models.py
"""

# ruff: noqa: T201  (an example may print)

import argparse

from openai import OpenAI


def main() -> None:
    parser = argparse.ArgumentParser(description="List the models that answer now.")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    parser.add_argument(
        "--api-key", default="none", help="one of NOVA_API_KEYS, where they are set"
    )
    arguments = parser.parse_args()

    # The client insists on a key; a server without NOVA_API_KEYS does not look at it.
    with OpenAI(base_url=arguments.base_url, api_key=arguments.api_key) as client:
        for model in client.models.list():
            # owned_by is the engine behind a model: embedded, ollama, openai ...
            print(f"{model.id}\t{model.owned_by}")


if __name__ == "__main__":
    main()
