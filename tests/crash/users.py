"""Users who work while the server dies again and again, and write down what it acknowledged."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from tests.crash.api import Api, Broken, Refused
from tests.crash.ledger import Frame, Ledger, Watch
from tests.servers.speaker import MODEL, slow_text

__all__ = ["Users"]

TOOL = {"type": "function", "function": {"name": "note", "parameters": {"type": "object"}}}
_ENDED = {"completed", "failed", "cancelled", "incomplete", "expired"}


class Users:
    """``over``: whether nobody needs to begin anything new any more."""

    def __init__(self, api: Api, ledger: Ledger, assistant_id: str, seed: int) -> None:
        self._api = api
        self._ledger = ledger
        self._assistant_id = assistant_id
        self._random = random.Random(seed)
        self.over = False

    async def work(self) -> None:
        """Everyone at once, each again and again, until all have what they asked for last."""
        tasks = [self.post, self.watch, self.watch, self.watch, self.stream_tools, self.call_tools]
        tasks += [self.chat, self.chat, self.cancel, self.wait]
        await asyncio.gather(*(self._again(task) for task in tasks))

    async def _again(self, task: Callable[[], Awaitable[None]]) -> None:
        await task()
        while not self.over:
            await task()

    async def post(self) -> None:
        """Messages one after another, each of them once."""
        thread_id = await self._thread()
        for count in range(90):
            if self.over and count > 8:
                break
            await self._post(thread_id, f"m {uuid4().hex}")

    async def watch(self) -> None:
        pieces = self._random.randint(10, 60)
        thread_id = await self._thread()
        await self._post_surely(thread_id, f"slowly {pieces} 0.01")
        watch = await self._watch_run(thread_id)
        self._ledger.texts[watch.run_id] = slow_text(pieces)

    async def stream_tools(self) -> None:
        """A run that is watched from its beginning to its end, with the call of a tool between."""
        thread_id = await self._thread()
        await self._post_surely(thread_id, 'call note {"n": 1}')
        watch = await self._watch_run(thread_id)
        path = f"/v1/threads/{thread_id}/runs/{watch.run_id}"
        told: list[dict[str, str]] = []
        while watch.calls:
            if not told:
                self._ledger.executed[watch.run_id] += watch.calls
                told = [{"tool_call_id": call, "output": "o"} for call in watch.calls]
            body = {"tool_outputs": told, "stream": True}
            if not await self._see(watch, "POST", f"{path}/submit_tool_outputs", body):
                await self._see_rest(watch)
        self._ledger.outputs[watch.run_id] |= {one["tool_call_id"] for one in told}
        self._ledger.texts[watch.run_id] = "Told: o"

    async def call_tools(self) -> None:
        """A tool that is called twice in one run, and whose effect must not be had again."""
        thread_id = await self._thread()
        await self._post_surely(thread_id, 'again 2 note {"n": 1}')
        run = await self._run(thread_id)
        path = f"/v1/threads/{thread_id}/runs/{run['id']}"
        outputs: dict[str, str] = {}
        while run["status"] not in _ENDED:
            if run["status"] != "requires_action":
                await asyncio.sleep(0.02)
                run = await self._api.until_answered("GET", path)
                continue
            calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
            for call in calls:
                if call["id"] not in outputs:
                    self._ledger.executed[run["id"]].append(call["id"])
                    outputs[call["id"]] = f"o{len(outputs)}"
            told = [{"tool_call_id": c["id"], "output": outputs[c["id"]]} for c in calls]
            try:
                run = await self._api.ask(
                    "POST", f"{path}/submit_tool_outputs", {"tool_outputs": told}
                )
                self._ledger.outputs[run["id"]] |= {call["id"] for call in calls}
            except Broken:
                run = await self._api.until_answered("GET", path)
            except Refused as refusal:
                # It had arrived, and its answer had not.
                if refusal.status != 400:
                    raise
                run = await self._api.until_answered("GET", path)
        self._ledger.texts[run["id"]] = "Told: o0, o1"

    async def chat(self) -> None:
        """A turn that stops where its watcher leaves, so that a kill ends it."""
        conversation = str(uuid4())
        pieces = self._random.randint(5, 30)
        body = {"message": f"slowly {pieces} 0.01", "conversation_id": conversation}
        watch = Watch(conversation, "")
        self._ledger.chat_watches.append(watch)
        again = f"/api/v1/chat/{conversation}/events"
        asked: tuple[str, str, Any] = ("POST", "/api/v1/chat", {**body, "model": MODEL})
        while True:
            try:
                async with aclosing(self._api.events(*asked, watch.last_number)) as events:
                    async for frame in events:
                        watch.frames.append(frame)
                        self._show_chat(watch, frame)
                break
            except Broken:
                asked = ("GET", again, None)
                watch.break_off()
            except Refused as refusal:
                # It never began, or was never heard of; then it may be said again.
                if refusal.status != 404 or watch.last_number:
                    raise
                asked = ("POST", "/api/v1/chat", {**body, "model": MODEL})
        last = watch.frames[-1]
        assert last.name in {"done", "error"}, last
        self._ledger.chats[conversation] = watch.text if last.name == "done" else ""
        if last.name == "done":
            assert watch.text == slow_text(pieces), watch

    def _show_chat(self, watch: Watch, frame: Frame) -> None:
        if frame.name == "chunk":
            watch.text += json.loads(frame.data)["content"]
        elif frame.name == "replace":
            watch.text = json.loads(frame.data)["content"]

    async def cancel(self) -> None:
        thread_id = await self._thread()
        await self._post_surely(thread_id, "slowly 200 0.02")
        run = await self._run(thread_id)
        path = f"/v1/threads/{thread_id}/runs/{run['id']}"
        await asyncio.sleep(self._random.uniform(0, 0.2))
        while run["status"] not in _ENDED:
            try:
                run = await self._api.ask("POST", f"{path}/cancel")
                self._ledger.cancelled.add(run["id"])
            except Broken:
                continue
            except Refused as refusal:
                if refusal.status != 400:
                    raise
            await asyncio.sleep(0.02)
            run = await self._api.until_answered("GET", path)

    async def wait(self) -> None:
        """``Prefer: wait``: the request lasts until the run ends, and the run longer than it."""
        thread_id = await self._thread()
        await self._post_surely(thread_id, "slowly 10 0.01")
        run = await self._run(thread_id, {"prefer": "wait=30"})
        path = f"/v1/threads/{thread_id}/runs/{run['id']}"
        while run["status"] not in _ENDED:
            run = await self._api.until_answered("GET", path)
        self._ledger.texts[run["id"]] = slow_text(10)
        if run["status"] == "completed":
            self._ledger.said[run["id"]] = slow_text(10)

    async def _thread(self) -> str:
        thread_id: str = (await self._api.until_answered("POST", "/v1/threads", {}))["id"]
        return thread_id

    async def _post(self, thread_id: str, text: str) -> bool:
        """Say it once, whether or not it arrives; whether that was acknowledged."""
        try:
            message = await self._api.ask(
                "POST", f"/v1/threads/{thread_id}/messages", {"role": "user", "content": text}
            )
        except Broken:
            return False
        self._ledger.messages[thread_id].append((message["id"], text))
        return True

    async def _post_surely(self, thread_id: str, text: str) -> None:
        while not await self._post(thread_id, text):
            continue

    async def _run(self, thread_id: str, headers: dict[str, str] | None = None) -> Any:
        """The thread's one run, however often it has to be asked for."""
        path, body = f"/v1/threads/{thread_id}/runs", {"assistant_id": self._assistant_id}
        while True:
            try:
                run = await self._api.ask("POST", path, body, headers)
            except Broken:
                listed = (await self._api.until_answered("GET", path))["data"]
                if not listed:
                    continue
                (run,) = listed
            self._ledger.runs[run["id"]] = thread_id
            return run

    async def _watch_run(self, thread_id: str) -> Watch:
        """The thread's one run, begun and watched until it ends or waits for outputs."""
        watch = Watch(thread_id, "")
        self._ledger.watches.append(watch)
        body = {"assistant_id": self._assistant_id, "stream": True}
        while not await self._see(watch, "POST", f"/v1/threads/{thread_id}/runs", body):
            if await self._find_run(watch):
                await self._see_rest(watch)
                break
        return watch

    async def _find_run(self, watch: Watch) -> bool:
        """Whether the run is there, though its stream has not told of it."""
        if not watch.run_id:
            path = f"/v1/threads/{watch.thread_id}/runs"
            listed = (await self._api.until_answered("GET", path))["data"]
            if listed:
                watch.run_id = listed[0]["id"]
                self._ledger.runs[watch.run_id] = watch.thread_id
        return bool(watch.run_id)

    async def _see_rest(self, watch: Watch) -> None:
        path = f"/v1/threads/{watch.thread_id}/runs/{watch.run_id}?stream=true"
        while not await self._see(watch, "GET", path):
            continue

    async def _see(self, watch: Watch, method: str, path: str, body: Any = None) -> bool:
        """One connection; whether the stream came to its end."""
        after = watch.last_number if method == "GET" else 0
        try:
            async with aclosing(self._api.events(method, path, body, after)) as events:
                async for frame in events:
                    self._show(watch, frame)
        except Broken:
            watch.break_off()
            return False
        return True

    def _show(self, watch: Watch, frame: Frame) -> None:
        watch.frames.append(frame)
        if frame.name in {"done", "error"}:
            return
        said = json.loads(frame.data)
        if frame.name == "thread.run.created":
            watch.run_id = said["id"]
            self._ledger.runs[watch.run_id] = watch.thread_id
        elif frame.name == "thread.run.requires_action":
            calls = said["required_action"]["submit_tool_outputs"]["tool_calls"]
            watch.calls = [call["id"] for call in calls]
        elif frame.name in {"thread.run.queued", "thread.run.failed", "thread.run.cancelled"}:
            watch.calls = []
        elif frame.name == "thread.message.delta":
            watch.text += said["delta"]["content"][0]["text"]["value"]
        elif frame.name == "thread.message.replaced":
            watch.text = "".join(part["text"]["value"] for part in said["content"])
        elif frame.name in {"thread.message.created", "thread.message.deleted"}:
            watch.text = ""
        elif frame.name in {"thread.message.completed", "thread.message.incomplete"}:
            # What stands on the screen is what was said, however often it was taken up again.
            assert watch.text == said["content"][0]["text"]["value"], (watch.text, said)
