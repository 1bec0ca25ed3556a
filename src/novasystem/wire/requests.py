"""From OpenAI's forms to what engines are asked; whatever cannot be honoured is refused."""

from collections.abc import Sequence

from novasystem.engines.requests import JsonOutput, Tool, ToolChoice
from novasystem.errors import InvalidRequest, UnsupportedParameter
from novasystem.wire.schemas import NamedTool, Part, ResponseFormat, ToolIn

__all__ = ["to_json_output", "to_text", "to_tool", "to_tool_choice"]


def to_text(where: str, parts: Sequence[Part]) -> str:
    """The text of a message's parts, joined; ``where`` names the message."""
    for part in parts:
        if part.type != "text" or part.text is None:
            raise UnsupportedParameter(
                f"{where}.content", f"parts of type '{part.type[:40]}' are not understood, text is"
            )
        for name, value in (part.model_extra or {}).items():
            # An answer's own parts come back with their annotations; none steers the model.
            if value is not None and name != "annotations":
                raise UnsupportedParameter(f"{where}.content", f"a text has no '{name[:80]}'")
    return "".join(part.text or "" for part in parts)


def to_tool(tool: ToolIn) -> Tool:
    if tool.type != "function" or tool.function is None:
        raise UnsupportedParameter(
            "tools", f"tools of type '{tool.type[:40]}' are not offered, functions are"
        )
    for name, value in (tool.model_extra or {}).items():
        if value is not None:
            raise UnsupportedParameter(f"tools.{name[:80]}", "a function has no such field")
    function = tool.function
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters=function.parameters or {"type": "object", "properties": {}},
    )


def to_tool_choice(choice: str | NamedTool | None, tools: Sequence[Tool]) -> ToolChoice:
    """Raises ``InvalidRequest`` where a call is asked for that no tool can take."""
    if choice is None or choice == "auto":
        return ToolChoice()
    if choice == "none":
        return ToolChoice("none")
    if not tools:
        raise InvalidRequest("'tool_choice' needs 'tools'.", param="tool_choice")
    if choice == "required":
        return ToolChoice("required")
    assert not isinstance(choice, str)
    name = choice.function.name
    if name not in {tool.name for tool in tools}:
        raise InvalidRequest(
            f"'tool_choice' names '{name}', which is not among the tools.", param="tool_choice"
        )
    return ToolChoice("required", name)


def to_json_output(wanted: ResponseFormat | None) -> JsonOutput | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return JsonOutput()
    if wanted.json_schema is None or wanted.json_schema.schema_ is None:
        raise InvalidRequest(
            "'response_format' of type 'json_schema' has no schema.",
            param="response_format.json_schema.schema",
        )
    return JsonOutput(wanted.json_schema.schema_, wanted.json_schema.name)
