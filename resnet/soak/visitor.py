"""One visitor: a browser's cookie, the HTTP API, and the page's own way of asking."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Attributes:
        verb: that was asked.
        status: of HTTP; 0 if there was no answer.
        seconds: until it was whole.
        said: the sentence of a refusal.
    """

    verb: str
    status: int
    seconds: float
    said: str = ""

    @property
    def done(self) -> bool:
        return self.status == 200

    @property
    def refused(self) -> bool:
        """Refused with a sentence, as announced: the photo or option, or too much at once."""
        return bool(self.said) and (400 <= self.status < 500 or self.status == 503)

    @property
    def failed(self) -> bool:
        return not (self.done or self.refused)


class Visitor:
    """Asks over connections of its own, with a cookie of its own."""

    def __init__(self, url: str):
        self._client = httpx.AsyncClient(
            base_url=url, timeout=150, verify=False, trust_env=False,
            headers={"origin": url, "user-agent": "resnet.soak"},
        )  # fmt: skip

    async def __aenter__(self) -> Visitor:
        (await self._client.get("/")).raise_for_status()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(self, verb: str, data: bytes, name: str = "photo.jpg", **form: str) -> Answer:
        """A verb of the HTTP API; a picture if `accept="image/png"`."""
        fields = ("a", "b") if verb == "compare" else ("photo",)
        headers = {"accept": form.pop("accept", "application/json")}
        started = time.perf_counter()
        try:
            answer = await self._client.post(
                f"/api/v1/{verb}", files={field: (name, data) for field in fields}, data=form,
                headers=headers,
            )  # fmt: skip
        except httpx.HTTPError:
            return Answer(verb, 0, time.perf_counter() - started)
        return Answer(verb, answer.status_code, time.perf_counter() - started, _said(answer))

    async def classify(self, data: bytes, name: str) -> Answer:
        """The verb that is asked for most."""
        return await self.ask("classify", data, name)

    async def look(self, data: bytes, name: str = "photo.jpg") -> Answer:
        """As the page does it: send the photo, wait in the queue, read the events."""
        started = time.perf_counter()
        try:
            paths = await self.give([(name, data)])
            if isinstance(paths, httpx.Response):
                return Answer("page", paths.status_code, time.perf_counter() - started,
                              _said(paths))  # fmt: skip
            status, said = await self._call("classify", [file_data(paths[0]), 5])
        except httpx.HTTPError:
            return Answer("page", 0, time.perf_counter() - started)
        return Answer("page", status, time.perf_counter() - started, said)

    async def give(self, files: list[tuple[str, bytes]]) -> list[str] | httpx.Response:
        """Send photos; their paths, or the refusal."""
        sent = [("files", file) for file in files]
        answer = await self._client.post("/gradio_api/upload", files=sent)
        return answer.json() if answer.status_code == 200 else answer

    async def batch(self, paths: list[str]) -> Answer:
        """The tab *Batch* for photos that were sent, to its end."""
        config = (await self._client.get("/config")).json()
        button = next(c["id"] for c in config["components"]
                      if c["props"].get("elem_id") == "batch-start")  # fmt: skip
        event = next(d for d in config["dependencies"] if [button, "click"] in d["targets"])
        body = {
            "data": [[file_data(path) for path in paths], None],
            "fn_index": event["id"],
            "session_hash": "batchbatch",
        }
        started = time.perf_counter()
        answer = await self._client.post("/gradio_api/queue/join", json=body)
        if answer.status_code != 200:
            return Answer("batch", answer.status_code, 0.0, _said(answer))
        status = 0
        asked = {"session_hash": "batchbatch"}
        async with self._client.stream("GET", "/gradio_api/queue/data", params=asked) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:") and '"process_completed"' in line:
                    status = 200 if json.loads(line[5:])["success"] else 500
        return Answer("batch", status, time.perf_counter() - started)

    async def _call(self, verb: str, data: list[Any]) -> tuple[int, str]:
        answer = await self._client.post(f"/gradio_api/call/{verb}", json={"data": data})
        if answer.status_code != 200:
            return answer.status_code, _said(answer)
        path = f"/gradio_api/call/{verb}/{answer.json()['event_id']}"
        event, said = "", ""
        async with self._client.stream("GET", path) as stream:
            if stream.status_code != 200:
                return stream.status_code, ""
            async for line in stream.aiter_lines():
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:") and event == "error":
                    said = str((json.loads(line[5:]) or {}).get("error") or "")
        return (200 if event == "complete" else 422), said


def file_data(path: str) -> dict[str, Any]:
    """A file as Gradio's events name it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def _said(answer: httpx.Response) -> str:
    """The sentence of a refusal; "" if it has none."""
    if answer.status_code < 400:
        return ""
    kind = answer.headers.get("content-type", "")
    if "json" not in kind:
        return answer.text[:300] if kind.startswith("text/plain") else ""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return ""
