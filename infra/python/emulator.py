"""Starts MiniStack on GATEWAY_PORT, with two bugs fixed. Ends, with all its processes, when its stdin is closed.

On AWS the answer to Invoke carries the id of the run, the one that its log lines carry too: it is how a Task's lines are
found. MiniStack makes up two ids. Here the answer gets the run's.

CloudFormation turns the text of a parameter into the number that a property needs. MiniStack keeps the text of
MaximumConcurrency: its poller of SQS fails at comparing it, and the SDK at reading it. Here it becomes a number.
"""

import contextvars
import os
import signal
import sys
import threading

from ministack import app
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

_run = contextvars.ContextVar("run", default=None)


class _WithRunId(dict):
    """Headers that keep their request id when the emulator overwrites them."""

    def update(self, other):
        super().update({name: value for name, value in other.items() if name != "x-amzn-requestid"})


_dispatch = lambda_svc._execute_function_dispatch


def _dispatch_and_tell(func, config, event, request_id, started):
    run = _run.get()
    if run is not None:
        run.setdefault("id", request_id)
    return _dispatch(func, config, event, request_id, started)


_invoke = lambda_svc._invoke


async def _invoke_and_tell(*args, **kwargs):
    run = {}
    _run.set(run)
    status, headers, body = await _invoke(*args, **kwargs)
    if "id" in run:
        headers = _WithRunId({**headers, "x-amzn-requestid": run["id"]})
    return status, headers, body


lambda_svc._execute_function_dispatch = _dispatch_and_tell
lambda_svc._invoke = _invoke_and_tell


def _with_numbers(properties):
    scaling = properties.get("ScalingConfig")
    if not scaling:
        return properties
    return {**properties, "ScalingConfig": {name: int(value) for name, value in scaling.items()}}


_mapping = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
_create, _update = _mapping["create"], _mapping["update"]
_mapping["create"] = lambda name, properties, stack: _create(name, _with_numbers(properties), stack)
_mapping["update"] = lambda name, old, new, stack: _update(name, _with_numbers(old), _with_numbers(new), stack)


def _end_with_stdin():
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    # All its processes stay in this group, and no others are in it.
    os.setpgrp()
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    app.main()
