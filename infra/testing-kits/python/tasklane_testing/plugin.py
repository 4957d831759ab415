"""The fixtures for pytest: `tasklane` is a service of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .service import Service


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("tasklane_functions", "Folders with Functions, or task-config.json files.", type="paths", default=[])


@pytest.fixture
def tasklane_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """How `tasklane` is started: the arguments of tasklane_testing.Service. Override it to change them."""
    return {"functions": request.config.getini("tasklane_functions")}


@pytest.fixture
def tasklane(tasklane_options: dict[str, Any]) -> Iterator[Service]:
    """A service with the Functions of the setting `tasklane_functions`. Tasks that are left over fail the test."""
    service = Service(**tasklane_options)
    yield service
    service.close()
