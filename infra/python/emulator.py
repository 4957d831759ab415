"""Starts MiniStack on GATEWAY_PORT, with two bugs fixed. Ends, with all its processes, when its stdin is closed.

On AWS the answer to Invoke carries the id of the run, the one that its log lines carry too: it is how a Task's lines are
found. MiniStack makes up two ids. Here the answer gets the run's.

CloudFormation turns the text of a parameter into the number that a property wants. MiniStack keeps the text of
MaximumConcurrency, and its poller of SQS then fails at comparing it. Here the poller gets the number.
"""

import contextvars
import os
import signal
import sys
import threading

from ministack import app
from ministack.services import lambda_svc

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


_sqs_esm_concurrency = lambda_svc._sqs_esm_concurrency


def _sqs_esm_concurrency_of_text(mapping, *args, **kwargs):
    scaling = dict(mapping.get("ScalingConfig") or {})
    if "MaximumConcurrency" in scaling:
        scaling["MaximumConcurrency"] = int(scaling["MaximumConcurrency"])
    return _sqs_esm_concurrency({**mapping, "ScalingConfig": scaling}, *args, **kwargs)


lambda_svc._sqs_esm_concurrency = _sqs_esm_concurrency_of_text


def _end_with_stdin():
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    # All its processes stay in this group, and no others are in it.
    os.setpgrp()
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    app.main()
