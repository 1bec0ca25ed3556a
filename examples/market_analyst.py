"""Makes a market analyst, asks it a question on a thread, and reads the conversation back.

Start the server first (`make run`), then:
python examples/market_analyst.py "Which sectors gain when interest rates fall?"
"""

# ruff: noqa: T201  (an example may print)

import argparse
import sys
import warnings

from openai import OpenAI

# OpenAI's own server has no assistants any more, so its client warns of them. This one has.
warnings.filterwarnings("ignore", "deprecated|The Assistants API", DeprecationWarning)

INSTRUCTIONS = (
    "You are a market analyst. Answer in a few plain sentences, name the main risk, "
    "and say what you would look at next."
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask a market analyst.")
    parser.add_argument("question", nargs="*", default=["Which sectors gain when rates fall?"])
    parser.add_argument("--model", default="nova-tiny")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    parser.add_argument(
        "--api-key", default="none", help="one of NOVA_API_KEYS, where they are set"
    )
    arguments = parser.parse_args()

    with OpenAI(base_url=arguments.base_url, api_key=arguments.api_key) as client:
        assistant = client.beta.assistants.create(
            name="Market analyst",
            model=arguments.model,
            instructions=INSTRUCTIONS,
            temperature=0,  # the likeliest word each time: the same question, the same answer
        )
        # The thread is kept on the server: each question is asked with all that came before it.
        thread = client.beta.threads.create(metadata={"topic": "markets"})
        for question in arguments.question:
            client.beta.threads.messages.create(thread.id, role="user", content=question)
            run = client.beta.threads.runs.create_and_poll(
                thread_id=thread.id,
                assistant_id=assistant.id,
                max_completion_tokens=200,
                poll_interval_ms=100,
            )
            if run.status not in {"completed", "incomplete"}:
                sys.exit(f"The run ended {run.status}: {run.last_error}")

        for message in client.beta.threads.messages.list(thread.id, order="asc"):
            text = "".join(part.text.value for part in message.content if part.type == "text")
            print(f"{message.role}: {text}")

        # Nothing goes by itself: what is not wanted any more is deleted.
        client.beta.threads.delete(thread.id)
        client.beta.assistants.delete(assistant.id)


if __name__ == "__main__":
    main()
