"""The REST half of Arize on loopback: spaces, prompts, datasets and experiments, as the unpatched client reads them.

```python
with ArizeRest() as server:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.fail("POST /v2/prompts", status=503, times=2)
    ...  # ArizePromptHub(server.connection())
assert server.prompts["desk"].versions[0]["labels"] == ["production"]
```
"""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from pydantic import SecretStr

from sia_dagster.adapters.arize.arize_client import ArizeConnection
from simulation.servers import LoopbackServer

Json = dict[str, Any]


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


KEY: Final = "ak-5f1e0c77-secret"


MOMENT: Final = "2026-11-09T00:00:{:02d}+00:00"


MOST_ITEMS: Final = 1000
"""Examples or runs that one request may carry."""


def resource_id(kind: str, number: int) -> str:
    """An id in the platform's form: base64 of `Kind:number:salt`, by which the client tells ids from names."""
    return base64.b64encode(f"{kind}:{number}:tEsT".encode()).decode()


SPACE: Final = "U3BhY2U6MTIz"
"""Key and space are those of the Flight half by default, so that one connection serves both."""


@dataclass
class Fault:
    """What happens to the next `times` requests whose `METHOD /path` matches `route`."""

    route: str
    times: int = 1
    status: int = 500
    body: bytes | None = None
    """Sent as JSON with `status`, whatever it is; None = a problem document."""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0.0
    """Seconds before anything is answered."""
    drop: bool = False
    """Close the connection without an answer."""
    after: bool = False
    """Do what was asked first: the answer is lost, not the request."""


@dataclass
class Prompt:
    """One prompt with its versions, oldest first, in wire form."""

    id: str
    name: str
    space_id: str
    versions: list[Json] = field(default_factory=list)


@dataclass
class Dataset:
    """One dataset with its examples."""

    id: str
    name: str
    space_id: str
    examples: list[Json] = field(default_factory=list)


@dataclass
class Experiment:
    """One experiment with its runs, in wire form."""

    id: str
    name: str
    dataset_id: str
    runs: list[Json] = field(default_factory=list)


class ArizeRest(LoopbackServer):
    """Prompts, datasets and experiments of one space in memory; `with` starts and stops the server."""

    def __init__(self, *, key: str = KEY, space: str = SPACE, page: int = 500) -> None:
        """`key` is the only one that is let in; `page` is the most items a list answers with."""
        super().__init__("arize-rest")
        self._key, self._space, self._page = key, space, page
        self.spaces: dict[str, str] = {space: "demo space"}
        """Names by id."""
        self.prompts: dict[str, Prompt] = {}
        """By name."""
        self.datasets: dict[str, Dataset] = {}
        """By name."""
        self.experiments: dict[str, Experiment] = {}
        """By name."""
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        """`METHOD /path` of each request, in order of arrival."""
        self._count = 0

    @property
    def environment(self) -> dict[str, str]:
        """The client's own variables that lead it here."""
        return {"ARIZE_API_SCHEME": "http", "ARIZE_API_HOST": "127.0.0.1", "ARIZE_API_PORT": str(self._port)}

    @property
    def changes(self) -> list[str]:
        """The requests that change something; a search is a POST that does not."""
        return [r for r in self.requests if not r.startswith("GET") and not r.endswith("/search")]

    def connection(self, **changes: Any) -> ArizeConnection:
        """What the adapters are built with."""
        known = {"space_id": self._space, "project": "desk", "api_key": SecretStr(self._key), "timeout_seconds": 60.0}
        return ArizeConnection(**{**known, **changes})

    def fail(self, route: str, **fault: Any) -> None:
        """Add a fault for requests whose `METHOD /path` matches the pattern `route`."""
        self.faults.append(Fault(route, **fault))

    def version(self, version_id: str) -> Json:
        """A prompt version in wire form."""
        return next(v for p in self.prompts.values() for v in p.versions if v["id"] == version_id)

    def add_prompt(self, name: str, *messages: str, space_id: str | None = None) -> Prompt:
        """A prompt as somebody made it in the UI, with a version for each commit message."""
        prompt = Prompt(self._next("Prompt"), name, space_id or self._space)
        self.prompts[name] = prompt
        for message in messages:
            self._add_version(prompt, {"commit_message": message, "messages": [], "provider": "OPEN_AI"})
        return prompt

    def move_label(self, version_id: str, *labels: str) -> None:
        """What the UI does: the version has these labels and no other, and no other version has them."""
        prompt = next(p for p in self.prompts.values() if any(v["id"] == version_id for v in p.versions))
        for version in prompt.versions:
            version["labels"] = [name for name in version["labels"] if name not in labels]
        self.version(version_id)["labels"] = list(labels)

    def application(self) -> web.Application:
        """The routes that the client asks for, behind faults and key."""
        app = web.Application(middlewares=[self._gate], client_max_size=64 * 2**20)
        app.router.add_get("/v2/spaces", self._list_spaces)
        app.router.add_get("/v2/spaces/{id}", self._get_space)
        app.router.add_get("/v2/prompts", self._list_prompts)
        app.router.add_post("/v2/prompts", self._create_prompt)
        app.router.add_get("/v2/prompts/{id}/versions", self._list_versions)
        app.router.add_post("/v2/prompts/{id}/versions", self._create_version)
        app.router.add_get("/v2/prompt-versions/{id}", self._get_version)
        app.router.add_put("/v2/prompt-versions/{id}/labels", self._set_labels)
        app.router.add_get("/v2/datasets", self._list_datasets)
        app.router.add_post("/v2/datasets", self._create_dataset)
        app.router.add_post("/v2/datasets/{id}/examples/search", self._search_examples)
        app.router.add_post("/v2/datasets/{id}/examples", self._insert_examples)
        app.router.add_get("/v2/experiments", self._list_experiments)
        app.router.add_post("/v2/experiments", self._create_experiment)
        app.router.add_get("/v2/experiments/{id}/runs", self._list_runs)
        app.router.add_post("/v2/experiments/{id}/runs/search", self._list_runs)
        app.router.add_post("/v2/experiments/{id}/runs", self._insert_runs)
        return app

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Faults first, then the key."""
        route = f"{request.method} {request.path}"
        self.requests.append(route)
        fault = next((f for f in self.faults if f.times > 0 and re.search(f.route, route)), None)
        if fault is None:
            return await self._authorised(request, handler)
        fault.times -= 1
        if fault.after:
            await self._authorised(request, handler)
        await asyncio.sleep(fault.hang)
        if fault.drop and request.transport is not None:
            request.transport.close()
        if fault.body is not None:
            return web.Response(
                status=fault.status, body=fault.body, content_type=fault.content_type, headers=fault.headers
            )
        return _problem(fault.status, "scripted", **fault.headers)

    async def _authorised(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("authorization") != f"Bearer {self._key}":
            return _problem(401, "the key is not known")
        return await handler(request)

    async def _list_spaces(self, request: web.Request) -> web.Response:
        found = [{"id": id_, "name": name} for id_, name in self.spaces.items() if _named(name, request)]
        return self._paged("spaces", found, request.query)

    async def _get_space(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        return web.json_response({"id": id_, "name": self.spaces[id_]}) if id_ in self.spaces else _problem(404, "none")

    async def _list_prompts(self, request: web.Request) -> web.Response:
        found = [_prompt(p) for p in self.prompts.values() if _named(p.name, request) and _in_space(p, request)]
        return self._paged("prompts", found, request.query)

    async def _create_prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["space_id"] not in self.spaces:
            return _problem(404, "no such space")
        if body["name"] in self.prompts:
            return _problem(409, "a prompt of this name exists")
        prompt = self.add_prompt(body["name"], space_id=body["space_id"])
        return web.json_response({**_prompt(prompt), "version": self._add_version(prompt, body["version"])}, status=201)

    async def _list_versions(self, request: web.Request) -> web.Response:
        prompt = _by_id(self.prompts.values(), request)
        # Newest first, as the platform shows them.
        return self._paged("prompt_versions", prompt.versions[::-1], request.query)

    async def _create_version(self, request: web.Request) -> web.Response:
        prompt = _by_id(self.prompts.values(), request)
        return web.json_response(self._add_version(prompt, await request.json()), status=201)

    async def _get_version(self, request: web.Request) -> web.Response:
        found = [v for p in self.prompts.values() for v in p.versions if v["id"] == request.match_info["id"]]
        return web.json_response(found[0]) if found else _problem(404, "no such version")

    async def _set_labels(self, request: web.Request) -> web.Response:
        version_id = request.match_info["id"]
        if all(v["id"] != version_id for p in self.prompts.values() for v in p.versions):
            return _problem(404, "no such version")
        self.move_label(version_id, *(await request.json())["labels"])
        return web.json_response(self.version(version_id))

    async def _list_datasets(self, request: web.Request) -> web.Response:
        found = [_dataset(d) for d in self.datasets.values() if _named(d.name, request) and _in_space(d, request)]
        return self._paged("datasets", found, request.query)

    async def _create_dataset(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["name"] in self.datasets:
            return _problem(409, "a dataset of this name exists")
        if fault := _refused(body["examples"], managed=("id", "created_at", "updated_at")):
            return fault
        dataset = Dataset(self._next("Dataset"), body["name"], body["space_id"])
        self.datasets[dataset.name] = dataset
        self._add_examples(dataset, body["examples"])
        return web.json_response(_dataset(dataset), status=201)

    async def _search_examples(self, request: web.Request) -> web.Response:
        dataset = _by_id(self.datasets.values(), request)
        return self._paged("examples", dataset.examples, await request.json())

    async def _insert_examples(self, request: web.Request) -> web.Response:
        dataset, body = _by_id(self.datasets.values(), request), await request.json()
        if fault := _refused(body["examples"], managed=("id", "created_at", "updated_at")):
            return fault
        added = self._add_examples(dataset, body["examples"])
        return web.json_response({**_dataset(dataset), "example_ids": added}, status=201)

    async def _list_experiments(self, request: web.Request) -> web.Response:
        wanted = request.query.get("dataset_id")
        found = [self._experiment(e) for e in self.experiments.values() if wanted in (None, e.dataset_id)]
        return self._paged("experiments", found, request.query)

    async def _create_experiment(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["name"] in self.experiments:
            return _problem(409, "an experiment of this name exists")
        if fault := self._refused_runs(body["experiment_runs"], body["dataset_id"]):
            return fault
        experiment = Experiment(self._next("Experiment"), body["name"], body["dataset_id"])
        self.experiments[experiment.name] = experiment
        self._add_runs(experiment, body["experiment_runs"])
        return web.json_response(self._experiment(experiment), status=201)

    async def _list_runs(self, request: web.Request) -> web.Response:
        experiment = _by_id(self.experiments.values(), request)
        asked = await request.json() if request.can_read_body else request.query
        return self._paged("experiment_runs", experiment.runs, asked)

    async def _insert_runs(self, request: web.Request) -> web.Response:
        experiment, body = _by_id(self.experiments.values(), request), await request.json()
        if fault := self._refused_runs(body["experiment_runs"], experiment.dataset_id):
            return fault
        added = self._add_runs(experiment, body["experiment_runs"])
        return web.json_response({**self._experiment(experiment), "run_ids": added}, status=201)

    def _refused_runs(self, runs: list[Json], dataset_id: str) -> web.Response | None:
        known = {e["id"] for d in self.datasets.values() if d.id == dataset_id for e in d.examples}
        if any(run.get("example_id") not in known or not isinstance(run.get("output"), str) for run in runs):
            return _problem(422, "a run needs an output and an example of the dataset")
        return _refused(runs, managed=("id",))

    def _paged(self, name: str, items: list[Json], asked: Any) -> web.Response:
        first = int(asked.get("cursor") or 0)
        last = first + min(int(asked.get("limit") or 50), self._page)
        more = {"has_more": True, "next_cursor": str(last)} if last < len(items) else {"has_more": False}
        return web.json_response({name: items[first:last], "pagination": more})

    def _experiment(self, found: Experiment) -> Json:
        return {"id": found.id, "name": found.name, "space_id": self._space, "dataset_id": found.dataset_id}

    def _next(self, kind: str) -> str:
        self._count += 1
        return resource_id(kind, self._count)

    def _add_version(self, prompt: Prompt, asked: Json) -> Json:
        version = {"id": self._next("PromptVersion"), "prompt_id": prompt.id, "labels": [], **asked}
        version["created_at"] = MOMENT.format(len(prompt.versions) % 60)
        prompt.versions.append(version)
        return version

    def _add_examples(self, dataset: Dataset, examples: list[Json]) -> list[str]:
        added = [{**example, "id": self._next("Example")} for example in examples]
        dataset.examples += added
        return [example["id"] for example in added]

    def _add_runs(self, experiment: Experiment, runs: list[Json]) -> list[str]:
        added = [{**run, "id": self._next("Run")} for run in runs]
        experiment.runs += added
        return [run["id"] for run in added]


def _refused(items: list[Json], *, managed: Iterable[str]) -> web.Response | None:
    if not 1 <= len(items) <= MOST_ITEMS:
        return _problem(400, f"1 to {MOST_ITEMS} items a request")
    if any(name in item for item in items for name in managed):
        return _problem(400, "a system-managed field")
    return None


def _problem(status: int, detail: str, **headers: str) -> web.Response:
    document = {"title": "refused", "status": status, "detail": detail}
    return web.Response(
        status=status, body=json.dumps(document), content_type="application/problem+json", headers=headers
    )


def _by_id(items: Iterable[Any], request: web.Request) -> Any:
    found = [item for item in items if item.id == request.match_info["id"]]
    if not found:
        raise web.HTTPNotFound(text=json.dumps({"title": "not found"}), content_type="application/problem+json")
    return found[0]


def _named(name: str, request: web.Request) -> bool:
    return request.query.get("name", "").lower() in name.lower()


def _in_space(item: Prompt | Dataset, request: web.Request) -> bool:
    return request.query.get("space_id") in (None, item.space_id)


def _prompt(prompt: Prompt) -> Json:
    return {"id": prompt.id, "name": prompt.name, "space_id": prompt.space_id, "created_at": MOMENT.format(0)}


def _dataset(dataset: Dataset) -> Json:
    return {"id": dataset.id, "name": dataset.name, "space_id": dataset.space_id, "created_at": MOMENT.format(0)}
