"""A scripted server with the files and batches of OpenAI's API beside the chat completions.

```python
with BatchServer(lambda body, n: completion("correct")) as server:
    ...  # LLMConfig(base_url=server.base_url, mode="batch")
assert server.paid["<key>"] == 1
```
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from simulation.servers import Answer, Body, Reply, ScriptedServer

STEPS = ("validating", "in_progress", "finalizing")


Fault = Callable[[str, str, int], Reply | None]


@dataclass
class BatchFile:
    """A batch as the server has it."""

    number: int
    lines: list[Body]
    facts: Body
    looks: int = 0
    ended: bool = False
    outputs: list[Body] = field(default_factory=list)
    errors: list[Body] = field(default_factory=list)


class BatchServer(ScriptedServer):
    """Answers batches by the same `answer` as calls; each look moves a batch on by one of STEPS.

    `endings` are the states in which the batches end, in order of their arrival; after those it is `completed`. An
    expired or cancelled batch has answered its first half. A Reply with a status other than 200 is a line with that
    status. `fault(method, path, n)` may answer the n-th (from 0) request of such a path itself; with `late_fault`
    that is done after the work, so that only the reply is lost. Lines come back in the opposite order.
    """

    def __init__(self, answer: Answer, *, endings: Sequence[str] = (), steps: int = len(STEPS)) -> None:
        super().__init__(answer)
        self.endings, self.steps = list(endings), steps
        self.fault: Fault = lambda method, path, n: None
        self.late_fault: Fault = self.fault
        self.files: dict[str, bytes] = {}
        self.batches: list[BatchFile] = []
        self.paid: Counter[str] = Counter()
        """Completions that batches were billed for, by custom_id."""
        self.seen: Counter[tuple[str, str]] = Counter()

    def add_routes(self, app: web.Application) -> None:
        for method, path, work in (
            ("POST", "/v1/files", self._upload),
            ("GET", "/v1/files/{id}/content", self._content),
            ("POST", "/v1/batches", self._create),
            ("GET", "/v1/batches", self._list),
            ("GET", "/v1/batches/{id}", self._retrieve),
        ):
            app.router.add_route(method, path, self._faulty(method, path, work))

    def _faulty(self, method: str, path: str, work: Any) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            n = self.seen[method, path]
            self.seen[method, path] += 1
            if (reply := self.fault(method, path, n)) is not None:
                return await _sent(request, reply)
            response: web.StreamResponse = await work(request)
            if (reply := self.late_fault(method, path, n)) is not None:
                return await _sent(request, reply)
            return response

        return handle

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        assert form["purpose"] == "batch"
        name = f"file-{len(self.files)}"
        self.files[name] = file.file.read()
        return web.json_response(_file(name, self.files[name]))

    async def _content(self, request: web.Request) -> web.Response:
        content = self.files.get(request.match_info["id"])
        if content is None:
            return web.json_response({"error": {"message": "No such file."}}, status=404)
        return web.Response(body=content, content_type="application/octet-stream")

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        assert asked["endpoint"] == "/v1/chat/completions"
        assert asked["completion_window"] == "24h"
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
        assert len({line["custom_id"] for line in lines}) == len(lines)
        assert len({line["body"]["model"] for line in lines}) == 1
        assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
        number = len(self.batches)
        facts = {"id": f"batch_{number}", "object": "batch", "created_at": 1_800_000_000 + number, "status": STEPS[0]}
        counts = {"total": len(lines), "completed": 0, "failed": 0}
        self.batches.append(BatchFile(number, lines, {**asked, **facts, "request_counts": counts}))
        return web.json_response(self.batches[-1].facts)

    async def _list(self, request: web.Request) -> web.Response:
        newest = [batch.facts for batch in reversed(self.batches)]
        after, limit = request.query.get("after"), int(request.query.get("limit", "20"))
        if after:
            newest = newest[[facts["id"] for facts in newest].index(after) + 1 :]
        page = newest[:limit]
        return web.json_response({"object": "list", "data": page, "has_more": len(newest) > limit})

    async def _retrieve(self, request: web.Request) -> web.Response:
        batch = next((b for b in self.batches if b.facts["id"] == request.match_info["id"]), None)
        if batch is None:
            return web.json_response({"error": {"message": "No such batch."}}, status=404)
        batch.looks += 1
        if batch.looks <= self.steps:
            batch.facts["status"] = STEPS[min(batch.looks - 1, len(STEPS) - 1)]
        elif not batch.ended:
            self._finish(batch)
        return web.json_response(batch.facts)

    def _finish(self, batch: BatchFile) -> None:
        batch.ended = True
        ending = self.endings[batch.number] if batch.number < len(self.endings) else "completed"
        batch.facts["status"] = ending
        if ending == "failed":
            errors = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}]
            batch.facts["errors"] = {"object": "list", "data": errors}
            return
        answered = len(batch.lines) if ending == "completed" else len(batch.lines) // 2
        for line in batch.lines[:answered]:
            self._answered(batch, line)
        for line in batch.lines[answered:]:
            error = {"code": f"batch_{ending}", "message": f"The batch is {ending}."}
            batch.errors.append({"custom_id": line["custom_id"], "response": None, "error": error})
        counts = {"total": len(batch.lines), "completed": len(batch.outputs), "failed": len(batch.errors)}
        batch.facts["request_counts"] = counts
        for field_, found in (("output_file_id", batch.outputs), ("error_file_id", batch.errors)):
            if found:
                name = f"file-{len(self.files)}"
                self.files[name] = b"".join(json.dumps(line).encode() + b"\n" for line in reversed(found))
                batch.facts[field_] = name

    def _answered(self, batch: BatchFile, line: Body) -> None:
        self.requests.append(line["body"])
        scripted = self.answer(line["body"], len(self.requests) - 1)
        reply = scripted if isinstance(scripted, Reply) else Reply(body=scripted)
        entry = {"id": f"batch_req_{len(self.requests)}", "custom_id": line["custom_id"], "error": None}
        body = reply.body if isinstance(reply.body, dict) else reply.body.decode()
        entry["response"] = {"status_code": reply.status, "request_id": "r", "body": body}
        if reply.status == 200:
            self.paid[line["custom_id"]] += 1
            batch.outputs.append(entry)
        else:
            batch.errors.append(entry)


def _file(name: str, content: bytes) -> Body:
    facts = {"id": name, "object": "file", "bytes": len(content), "created_at": 0}
    return {**facts, "filename": "requests.jsonl", "purpose": "batch", "status": "processed"}


async def _sent(request: web.Request, reply: Reply) -> web.Response:
    if reply.delay:
        await asyncio.sleep(reply.delay)
    if reply.drop and request.transport is not None:
        request.transport.close()
    if isinstance(reply.body, bytes):
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
    return web.json_response(reply.body, status=reply.status, headers=reply.headers)
