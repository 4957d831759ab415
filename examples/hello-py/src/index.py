"""Says hello. The event is the Task; what its creator gave is in `data`."""


def handler(task, context):
    name = (task.get("data") or {}).get("name", "world")
    print(f"Saying hello to {name}, request {context.aws_request_id}")
    return {"message": f"Hello, {name}!"}
