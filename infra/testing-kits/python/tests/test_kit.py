"""What the kit promises besides what the examples show. tests/it/kits.rs runs it."""

import json
import subprocess
import sys
from datetime import timedelta
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest
from tasklane_testing import LeftoverTasksError, Service, ServiceError, seconds


@pytest.fixture
def functions(tmp_path):
    good = tmp_path / "good"
    good.mkdir()
    (good / "index.py").write_text("def handler(task, context):\n    print('hi')\n    return task.get('data')\n")
    config = {"name": "echo", "path": ".", "entryPoint": "index.handler", "runtime": "python3.11"}
    (good / "task-config.json").write_text(json.dumps(config))
    return good


def test_several_services_run_at_once_and_know_nothing_of_each_other(functions):
    with Service(functions) as one, Service(functions) as other:
        task = one.create("echo", {"n": 1})
        assert one.drain() == 1
        assert one.task(task["id"])["status"] == "complete"
        assert any("hi" in line for line in one.logs(task["id"]))
        assert other.tasks() == []


def test_the_clock_is_set_to_a_time_to_come_and_never_back():
    with Service() as service:
        now = service.clock.now()
        service.clock.advance_to(now + timedelta(days=1))
        assert service.clock.now() >= now + timedelta(days=1)
        with pytest.raises(ValueError):
            service.clock.advance_to(now)


def test_a_refused_request_says_why():
    with Service() as service:
        with pytest.raises(ServiceError, match="missing") as refused:
            service.fail("missing")
        assert (refused.value.status, refused.value.code) == (404, 16)


def test_what_is_left_over_is_named_unless_the_test_forgives_it(functions):
    later = {"startTimestamp": "2100-01-01T00:00:00Z"}
    with pytest.raises(LeftoverTasksError, match="echo"):
        with Service(functions) as service:
            service.create("echo", **later)
    with Service(functions, leftovers="ignore") as service:
        service.create("echo", **later)


def test_an_error_of_the_test_is_worth_more_than_what_it_left_over(functions):
    with pytest.raises(ZeroDivisionError):
        with Service(functions) as service:
            service.create("echo", startTimestamp="2100-01-01T00:00:00Z")
            1 / 0


def test_a_function_that_cannot_be_deployed_is_named(functions):
    (functions / "task-config.json").write_text("{")
    with pytest.raises(RuntimeError, match=r"could not be deployed:\n.*task-config\.json: ."):
        Service(functions)


def test_a_program_that_is_missing_is_a_clear_sentence(tmp_path):
    with pytest.raises(RuntimeError, match="is not there .* TASKLANE_BIN"):
        Service(binary=str(tmp_path / "tasklane"))


def test_an_option_that_is_unknown_shows_what_the_program_said():
    with pytest.raises(RuntimeError, match="ended with status 2[^$]*--wrong"):
        Service(args=["--wrong"])


def test_a_service_ends_with_the_program_that_started_it_however_that_ended():
    script = "import time, tasklane_testing as t; s = t.Service(); print(s.url, flush=True); time.sleep(3600)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as program:
        url = program.stdout.readline().strip()
        opener = build_opener(ProxyHandler({}))
        with opener.open(f"{url}/healthz") as response:
            assert response.status == 200
        program.kill()
    while True:
        try:
            opener.open(f"{url}/healthz").close()
        except (URLError, ConnectionError):
            break


def test_durations_are_whole_seconds():
    for text, expected in [("90s", 90), ("1h 30m", 5400), ("2d", 172800), (7, 7), (timedelta(minutes=2), 120)]:
        assert seconds(text) == expected
    for wrong in ["", "1", "1 hour", "-1s", -1, 1.5, timedelta(milliseconds=1)]:
        with pytest.raises(ValueError):
            seconds(wrong)
