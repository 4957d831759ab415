"""Code that uses the types of tests/it/schemas.rs. What must not pass is marked; mypy warns of marks that are not needed."""

import typing

import functions
from functions import NullableEvent, OrderMailData, OrderMailEvent, OrderMailResult, TreeData


def handler(event: OrderMailEvent, context: object) -> OrderMailResult:
    name: str = event["functionName"]
    parts = [part["name"] for item in event["data"].get("items", []) for part in item.get("parts", [])]
    amount: float = event["data"]["amount"]
    return {"sent": amount > 0, "about": [name, parts, event["id"], event["data"].get("a-b")]}


fits: OrderMailData = {"to": "ada", "amount": 1, "kind": "order"}
unknown_field: OrderMailData = {"to": "ada", "amount": 1, "amout": 1}  # type: ignore[typeddict-unknown-key]
missing_field: OrderMailData = {"to": "ada"}  # type: ignore[typeddict-item]
other_value: OrderMailData = {"to": "ada", "amount": 1, "kind": "gift"}  # type: ignore[typeddict-item]


def nullable(event: NullableEvent) -> int:
    data = event.get("data")
    return len(data or "")


def careless(event: NullableEvent) -> int:
    return len(event["data"])  # type: ignore[arg-type]


tree: TreeData = {"value": 1, "left": {"value": 2, "right": {"value": 3}}}
broken_tree: TreeData = {"value": 1, "left": {"right": {"value": 3}}}  # type: ignore[typeddict-item]

if __name__ == "__main__":
    # The types exist at run time, too, with all that they name.
    for found in vars(functions).values():
        if isinstance(found, type) and found.__module__ == "functions":
            typing.get_type_hints(found, include_extras=True)
    assert OrderMailData.__required_keys__ == {"to", "amount"}, OrderMailData.__required_keys__
