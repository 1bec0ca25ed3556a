"""The yardstick: the least that a relay on FastAPI and aiohttp can do.

``/v1/chat/completions`` looks at every event, because a server that translates has to: it reads
line by line, drops the empty lines, and yields each event by itself. ``/raw/v1/chat/completions``
passes on whatever a read brought, unseen: cheaper in a burst, where one read brings many events.
Neither parses an event, checks a request, counts, or logs.
"""

import argparse
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

__all__ = ["relay"]


def relay(upstream: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            app.state.session = session
            yield

    app = FastAPI(lifespan=lifespan)

    async def forward(request: Request, *, raw: bool) -> Response:
        asked = orjson.loads(await request.body())
        session: aiohttp.ClientSession = request.app.state.session
        answer = await session.post(
            f"{upstream}/chat/completions",
            data=orjson.dumps(asked),
            headers={"content-type": "application/json"},
        )
        if not asked.get("stream"):
            async with answer:
                return Response(await answer.read(), answer.status, media_type=answer.content_type)
        body = _reads(answer) if raw else _events(answer)
        return StreamingResponse(body, answer.status, media_type="text/event-stream")

    @app.post("/v1/chat/completions")
    async def events(request: Request) -> Response:
        return await forward(request, raw=False)

    @app.post("/raw/v1/chat/completions")
    async def reads(request: Request) -> Response:
        return await forward(request, raw=True)

    return app


async def _events(answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    async with answer:
        async for line in answer.content:
            if line != b"\n":
                yield line + b"\n"


async def _reads(answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    async with answer:
        async for data in answer.content.iter_any():
            yield data


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="such as http://127.0.0.1:9000/v1")
    arguments = parser.parse_args()
    uvicorn.run(
        relay(arguments.upstream),
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
