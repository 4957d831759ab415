"""Uses the client that openapi-python-client makes of docs/openapi.json, against a running service with the Function `echo`."""

import os

from tasklane_client import AuthenticatedClient
from tasklane_client.api.functions import list_function_versions
from tasklane_client.api.tasks import create_task, get_task, get_task_result, list_tasks
from tasklane_client.models import Error, Task, TaskCreation, TaskStatus

client = AuthenticatedClient(base_url=os.environ["API_HOST"], token=os.environ["API_ACCESS_TOKEN"])

created = create_task.sync(client=client, body=TaskCreation(function_name="echo", data={"n": 1.5}, store_result=True))
assert isinstance(created, Task), created
ended = get_task.sync(str(created.id), client=client, wait=25)
assert isinstance(ended, Task) and ended.status == TaskStatus.COMPLETE, ended
assert ended.function_version == 1, ended
result = get_task_result.sync(str(created.id), client=client)
assert result == {"got": {"n": 1.5}}, result

refused = create_task.sync(client=client, body=TaskCreation(function_name="nowhere"))
assert isinstance(refused, Error) and refused.code == 16, refused

assert list_tasks.sync(client=client).data[0].id == created.id
assert [version.current for version in list_function_versions.sync("echo", client=client).data] == [True]
