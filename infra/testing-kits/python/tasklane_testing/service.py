"""A service of its own for tests."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from .duration import seconds
from .process import Process

Leftovers = Literal["fail", "ignore"]
Task = dict[str, Any]

# The service is on this machine.
_OPENER = build_opener(ProxyHandler({}))


class ServiceError(Exception):
    """The service refused a request."""

    def __init__(self, method: str, path: str, status: int, body: Any) -> None:
        details = body if isinstance(body, dict) else {}
        super().__init__(f"{method} {path}: {status} {details.get('name', '')} {details.get('message', '')}".rstrip())
        self.status = status
        self.code: int | None = details.get("code")
        self.body = body


class LeftoverTasksError(AssertionError):
    """Tasks were waiting or running when the service was closed."""

    def __init__(self, tasks: list[Task]) -> None:
        lines = [f"  {task['functionName']} {task['id']}: {task['status']}, due {task['startTimestamp']}" for task in tasks]
        super().__init__(
            f"{len(tasks)} Tasks were left over:\n" + "\n".join(lines) + "\nRun them with drain() or clock.advance(), "
            "cancel them, or use leftovers='ignore'."
        )
        self.tasks = tasks


class Clock:
    """The service's clock. Functions and tokens stay in the real time."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def advance(self, duration: int | str | timedelta) -> int:
        """Sets it forward. Whatever becomes due on the way happens at its time, and has happened once this returns.

        Returns how many runs have begun since it was set the last time, or since the start.
        """
        return self._set_forward(duration)["runs"]

    def advance_to(self, time: datetime) -> int:
        """Sets it forward to this time, or up to a second later. Returns the same."""
        ahead = (time - self.now()).total_seconds()
        if ahead < 0:
            raise ValueError(f"{time} is not a time to come: the clock is set forward only")
        return self.advance(ceil(ahead))

    def now(self) -> datetime:
        """The time on it, once everything that is due by then has happened."""
        return datetime.fromisoformat(self._set_forward(0)["timestamp"])

    def _set_forward(self, duration: int | str | timedelta) -> dict[str, Any]:
        return self._service.request("POST", "/tasklane/v1/test/clock", {"advance": seconds(duration)})


class Service:
    """A service of its own for tests. Use it in a `with` statement, or close it.

    functions: folders to search for task-config.json files, or such files.
    binary: the program `tasklane`. Default: the environment variable TASKLANE_BIN, or `tasklane` on the PATH.
    args: more arguments of `tasklane dev`, such as `["--concurrency", "1"]`.
    env: more environment variables of the service, for `$NAME` values in configurations.
    leftovers: what `close` does about Tasks that wait or run.
    patience: how many seconds the start may take.
    echo: show what the service says on stderr.
    """

    def __init__(
        self,
        functions: str | Path | Iterable[str | Path] = (),
        *,
        binary: str | None = None,
        args: Iterable[str] = (),
        env: Mapping[str, str] | None = None,
        leftovers: Leftovers = "fail",
        patience: float = 60,
        echo: bool = False,
    ) -> None:
        self.leftovers: Leftovers = leftovers
        self.clock = Clock(self)
        self._folder = tempfile.mkdtemp(prefix="tasklane-testing-")
        self._process: Process | None = None
        try:
            paths = [functions] if isinstance(functions, (str, Path)) else list(functions)
            arguments = [
                *("dev", "--listen", "127.0.0.1:0", "--data-dir", os.path.join(self._folder, "data")),
                *("--test-clock", "--json", "--until-eof", "--no-console", "--quiet"),
                *args,
                "--",
                # A folder without Functions, unless there are some: by default it would search the working directory.
                *([str(path) for path in paths] or [self._folder]),
            ]
            program = binary or os.environ.get("TASKLANE_BIN") or "tasklane"
            self._process = Process(program, arguments, {**os.environ, **(env or {})}, echo)
            events = self._process.events({"listening", "ready"}, patience)
            refused = [f"  {each['file']}: {each['message']}" for each in events["ready"]["refused"]]
            if refused:
                raise RuntimeError("these Functions could not be deployed:\n" + "\n".join(refused))
            self.url: str = events["listening"]["url"]
            #: The administrator's credentials: API_HOST, API_ACCESS_TOKEN and so on.
            self.env = _variables(Path(events["listening"]["credentials"]).read_text(encoding="utf-8"))
        except BaseException:
            self.close(leftovers="ignore", check=False)
            raise

    def __enter__(self) -> Service:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # An error of the test is worth more than what follows from it.
        self.close(leftovers="ignore" if kind else None)

    def drain(self) -> int:
        """Runs what is due, until nothing is due and nothing runs. Returns how many runs have begun, as the clock does."""
        return self.clock.advance(0)

    def create(self, function_name: str, data: Any = None, **options: Any) -> Task:
        """Creates a Task; `options` are more fields of the request, such as `startTimestamp` or `priority`."""
        return self.request("POST", "/tasks/v1/", {"functionName": function_name, **_with(data), **options})

    def execute(self, function_name: str, data: Any = None, **options: Any) -> Any:
        """Runs a Function and returns its result."""
        path = f"/tasks/v1/functions/{quote(function_name, safe='')}/execute"
        return self.request("POST", path, {**_with(data), **options}).get("result")

    def tasks(self, **values: str | int) -> list[Task]:
        """The Tasks whose fields have these values, the oldest first."""
        conditions = [f"{name}={quote(str(value), safe='')}" for name, value in values.items()]
        found: list[Task] = []
        while True:
            query = "&".join([*conditions, f"sort(creationTimestamp)&limit(100,{len(found)})"])
            page = self.request("GET", f"/tasks/v1/?{query}")["data"]
            found += page
            if len(page) < 100:
                return found

    def task(self, id: str) -> Task:
        """One Task as it is now."""
        return self.request("GET", f"/tasklane/v1/tasks/{quote(id, safe='')}")

    def logs(self, id: str) -> list[str]:
        """What a Task logged."""
        return [line["message"] for line in self.request("GET", f"/tasks/v1/{quote(id, safe='')}/logs")["data"]]

    def fail(self, function_name: str, times: int = 1, *, name: str | None = None, message: str | None = None) -> None:
        """Lets the next runs of a Function fail, without running its code."""
        error = {"name": name, "message": message}
        self.request("POST", "/tasklane/v1/test/fail", {"functionName": function_name, "times": times, "error": error})

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Sends any request as the service's administrator."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.env['API_ACCESS_TOKEN']}", "Content-Type": "application/json"}
        request = Request(self.url + path, data, headers, method=method)
        try:
            with _OPENER.open(request) as response:
                return _json(response.read())
        except HTTPError as error:
            with error:
                raise ServiceError(method, path, error.code, _json(error.read())) from None

    def close(self, *, leftovers: Leftovers | None = None, check: bool = True) -> None:
        """Ends the service and removes its data. LeftoverTasksError if Tasks wait or run."""
        process, self._process = self._process, None
        left: list[Task] = []
        try:
            if process is not None:
                try:
                    if (leftovers or self.leftovers) == "fail":
                        left = self.tasks(status="inProgress") + self.tasks(status="new")
                finally:
                    try:
                        process.stop(30)
                    except RuntimeError:
                        if check:
                            raise
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        if left:
            raise LeftoverTasksError(left)


def _with(data: Any) -> dict[str, Any]:
    """Without data it is absent, which is not the same as null."""
    return {} if data is None else {"data": data}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _variables(text: str) -> dict[str, str]:
    """The lines NAME=value of a file."""
    lines = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in lines}
