"""The server's HTTP as users of a server that dies see it: an answer, a refusal, or neither."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp

from tests.crash.ledger import Frame

__all__ = ["Api", "Broken", "Refused"]

_GONE = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)


class Broken(Exception):
    """The connection ended before the answer did: nothing is known of what was asked."""


class Refused(Exception):
    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status}: {said}")
        self.status = status


class Api:
    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._base = f"http://127.0.0.1:{port}"

    async def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Any:
        """The answer's JSON. Raises ``Broken`` and ``Refused``."""
        try:
            async with self._session.request(
                method, self._base + path, json=body, headers=headers
            ) as answer:
                said = await answer.read()
        except _GONE as error:
            raise Broken(repr(error)) from error
        if answer.status >= 300:
            raise Refused(answer.status, said.decode())
        return json.loads(said)

    async def until_answered(self, method: str, path: str, body: Any = None) -> Any:
        """As :meth:`ask`, again where that broke: for what may be asked twice."""
        while True:
            try:
                return await self.ask(method, path, body)
            except Broken:
                continue

    async def events(
        self, method: str, path: str, body: Any = None, after: int = 0
    ) -> AsyncGenerator[Frame, None]:
        """The events of a stream; raises ``Broken`` where it does not come to its end."""
        headers = {"last-event-id": str(after)} if after else None
        number: int | None = None
        name = data = ""
        try:
            async with self._session.request(
                method, self._base + path, json=body, headers=headers
            ) as answer:
                if answer.status >= 300:
                    raise Refused(answer.status, await answer.text())
                async for line in answer.content:
                    key, _, value = line.decode().rstrip("\n").partition(": ")
                    if key == "id":
                        number = int(value)
                    elif key == "event":
                        name = value
                    elif key == "data":
                        data = value
                    elif line == b"\n" and name:
                        yield Frame(number, name, data)
                        number, name, data = None, "", ""
        except _GONE as error:
            raise Broken(repr(error)) from error
