"""`pytest` runs it. The fixture `tasklane` is a service of its own for each test."""

import pytest


@pytest.fixture(autouse=True)
def first_digest(tasklane):
    """The first digest of the Schedule is due at once, and is not what the tests are about."""
    tasklane.drain()


def test_there_is_a_digest_at_once_and_six_more_in_an_hour(tasklane):
    tasklane.clock.advance("1h")
    assert [task["status"] for task in tasklane.tasks(functionName="digest")] == ["complete"] * 7


def test_a_digest_is_retried_twice_when_the_mail_server_cannot_be_reached(tasklane):
    tasklane.fail("digest", 2, name="CONNECTION_ERROR")
    task = tasklane.create("digest", {"reader": "Ada"})
    # Its retries come after 2 and after 5 seconds.
    tasklane.clock.advance("8s")
    attempts = tasklane.request("GET", f"/tasklane/v1/tasks/{task['id']}/attempts")["data"]
    assert [attempt["status"] for attempt in attempts] == ["retried", "retried", "complete"]


def test_it_says_to_whom_it_was_sent(tasklane):
    assert tasklane.execute("digest", {"reader": "Bob"}) == {"sentTo": "Bob"}
