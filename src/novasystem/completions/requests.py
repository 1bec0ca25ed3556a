"""From OpenAI's wire format to what engines are asked; whatever cannot be honoured is refused."""

from typing import Any

from novasystem.completions.schemas import (
    CompletionRequest,
    EmbeddingRequest,
    MessageIn,
    StreamOptions,
)
from novasystem.engines.requests import (
    EmbedRequest,
    GenerateRequest,
    Message,
    Sampling,
    TimeLimits,
    ToolCall,
)
from novasystem.errors import InvalidRequest, MessageTooLong, UnsupportedParameter
from novasystem.wire.requests import to_json_output, to_text, to_tool, to_tool_choice

__all__ = ["to_embed", "to_generate"]

# Parameters of OpenAI's that ask for nothing at these values; at any other they cannot be honoured.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "function_call": (),
    "functions": (),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "prediction": (),
    "prompt_cache_key": (),
    "prompt_cache_retention": (),
    "reasoning_effort": (),
    "safety_identifier": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
_INSTEAD = {
    "functions": "Use 'tools'.",
    "function_call": "Use 'tool_choice'.",
    "reasoning_effort": "Use 'think'.",
    "store": "Completions are not stored.",
}


def to_generate(body: CompletionRequest, limits: TimeLimits, max_chars: int) -> GenerateRequest:
    """Raises ``InvalidRequest`` for what cannot be honoured, ``MessageTooLong`` past the limit."""
    if body.model_extra:
        refuse_unknown(body.model_extra)
    if body.n not in {None, 1}:
        raise UnsupportedParameter("n", "one answer a request is given; ask several times")
    if body.stream_options is not None:
        _check_stream_options(body.stream_options, streamed=bool(body.stream))
    messages = tuple(_message(index, message) for index, message in enumerate(body.messages))
    if sum(len(message.content) for message in messages) > max_chars:
        msg = f"The messages together are longer than {max_chars:,} characters."
        raise MessageTooLong(msg, hint="Shorten them, or raise NOVA_MAX_PROMPT_CHARS.")
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    options = {
        name: value
        for name, value in (("num_ctx", body.num_ctx), ("keep_alive", body.keep_alive))
        if value is not None
    }
    tools = tuple(to_tool(tool) for tool in body.tools or ())
    return GenerateRequest(
        model=body.model or "",
        messages=messages,
        sampling=Sampling(
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            min_p=body.min_p,
            seed=body.seed,
            max_tokens=(
                body.max_tokens
                if body.max_completion_tokens is None
                else body.max_completion_tokens
            ),
            stop=stop,
            # A penalty of 0 is none: an engine that knows no penalties can honour it.
            presence_penalty=body.presence_penalty or None,
            frequency_penalty=body.frequency_penalty or None,
            repeat_penalty=body.repeat_penalty,
        ),
        tools=tools,
        tool_choice=to_tool_choice(body.tool_choice, tools),
        parallel_tool_calls=body.parallel_tool_calls if tools else None,
        json_output=to_json_output(body.response_format),
        think=body.think,
        options=options,
        limits=limits,
    )


def to_embed(body: EmbeddingRequest, limits: TimeLimits, max_chars: int) -> EmbedRequest:
    if body.model_extra:
        refuse_unknown(body.model_extra)
    given = [body.input] if isinstance(body.input, str) else body.input
    texts = tuple(text for text in given if isinstance(text, str))
    if len(texts) != len(given):
        raise UnsupportedParameter("input", "token numbers mean nothing here; send text")
    if not texts or not all(texts):
        raise InvalidRequest("'input' has no text.", hint="Send a text or a list of texts.")
    if sum(map(len, texts)) > max_chars:
        msg = f"The texts together are longer than {max_chars:,} characters."
        raise MessageTooLong(msg, hint="Send fewer at once, or raise NOVA_MAX_PROMPT_CHARS.")
    return EmbedRequest(body.model or "", texts, body.dimensions, limits)


def refuse_unknown(extra: dict[str, Any]) -> None:
    """Raise for the first parameter that would otherwise be dropped; ``null`` asks for nothing."""
    for name, value in extra.items():
        if value is None or value in _NEUTRAL.get(name, ()):
            continue
        if name in _NEUTRAL:
            raise UnsupportedParameter(
                name, "no engine here can do this", hint=_INSTEAD.get(name, "Leave it out.")
            )
        raise UnsupportedParameter(name[:80], "there is no such parameter")


def _check_stream_options(options: StreamOptions, *, streamed: bool) -> None:
    if options.include_usage and not streamed:
        msg = "'stream_options' means nothing without 'stream: true'."
        raise InvalidRequest(msg, hint="A whole answer has its usage.", param="stream_options")
    if options.include_obfuscation:
        raise UnsupportedParameter(
            "stream_options.include_obfuscation", "nothing is mixed into a stream"
        )


def _message(index: int, message: MessageIn) -> Message:
    where = f"messages[{index}]"
    for name, value in (message.model_extra or {}).items():
        if name in {"refusal", "annotations", "audio", "reasoning_content", "reasoning"}:
            # Parts of an answer that clients send back as they got it; none steers the model.
            continue
        if value is not None:
            raise UnsupportedParameter(f"{where}.{name[:80]}", "messages have no such field")
    calls = tuple(
        ToolCall(call.id, call.function.name, call.function.arguments)
        for call in message.tool_calls or ()
    )
    if calls and message.role != "assistant":
        raise InvalidRequest(
            f"'{where}': only an assistant's message has tool_calls.", param=f"{where}.tool_calls"
        )
    if message.role == "tool" and not message.tool_call_id:
        raise InvalidRequest(
            f"'{where}': a tool's message says which call it answers.",
            param=f"{where}.tool_call_id",
        )
    if message.content is None and not calls:
        raise InvalidRequest(f"'{where}' has no content.", param=f"{where}.content")
    return Message(
        role="system" if message.role == "developer" else message.role,
        content=_text(where, message),
        tool_calls=calls,
        tool_call_id=message.tool_call_id,
        name=message.name,
    )


def _text(where: str, message: MessageIn) -> str:
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    return to_text(where, content)
