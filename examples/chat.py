"""Holds a conversation of as many turns as there are arguments, and shows each answer as it comes.

Start the server first (`make run`), then: python examples/chat.py "My name is Ada." "Who am I?"
"""

# ruff: noqa: T201  (an example may print)

import argparse

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam


def answer(client: OpenAI, model: str, turns: list[ChatCompletionMessageParam]) -> str:
    """Print what the model says to these turns, piece by piece; returns the whole."""
    stream = client.chat.completions.create(
        model=model,
        messages=turns,
        stream=True,
        temperature=0,  # the likeliest word each time: the same question, the same answer
    )
    pieces: list[str] = []
    for chunk in stream:
        # The first piece holds only the role, the last only the reason of the end.
        piece = chunk.choices[0].delta.content or ""
        print(piece, end="", flush=True)
        pieces.append(piece)
    print()
    return "".join(pieces)


def main() -> None:
    parser = argparse.ArgumentParser(description="Hold a conversation.")
    parser.add_argument("message", nargs="*", default=["What is 2+3?"])
    parser.add_argument("--model", default="nova-tiny")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    parser.add_argument(
        "--api-key", default="none", help="one of NOVA_API_KEYS, where they are set"
    )
    arguments = parser.parse_args()

    turns: list[ChatCompletionMessageParam] = []
    with OpenAI(base_url=arguments.base_url, api_key=arguments.api_key) as client:
        for message in arguments.message:
            print(f"> {message}")
            turns.append({"role": "user", "content": message})
            # This door keeps nothing: a model knows of earlier turns what is sent again.
            said = answer(client, arguments.model, turns)
            turns.append({"role": "assistant", "content": said})


if __name__ == "__main__":
    main()
