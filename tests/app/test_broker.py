"""Celery's broker without a server: no message is taken half, twice, or lost between two readers."""

import threading
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.entity import Queue

from marefia import broker


@pytest.fixture
def connect(tmp_path: Path) -> Any:
    broker.register()
    broker.make_folders(tmp_path)
    options = {
        "data_folder_in": str(tmp_path / "queue"),
        "data_folder_out": str(tmp_path / "queue"),
        "control_folder": str(tmp_path / "control"),
    }
    return lambda: Connection("filesystem://localhost", transport_options=options)


def take(connection: Any, count: int, name: str = "work") -> list[int]:
    """Take messages until there is none, at most `count`."""
    queue = connection.SimpleQueue(name)
    taken = []
    try:
        for _ in range(count):
            message = queue.get(block=False)
            taken.append(message.payload)
            message.ack()
    except queue.Empty:
        pass
    finally:
        queue.close()
    return taken


def test_messages_come_in_the_order_in_which_they_were_sent(connect: Any, tmp_path: Path) -> None:
    with connect() as connection:
        queue = connection.SimpleQueue("work")
        for number in range(3):
            queue.put(number)
        other = connection.SimpleQueue("other")
        other.put(99)
        assert take(connection, 9) == [0, 1, 2]
        other.close()
        queue.close()
    assert len(list((tmp_path / "queue").iterdir())) == 1


def test_two_readers_at_once_take_each_message_once(connect: Any) -> None:
    with connect() as connection:
        queue = connection.SimpleQueue("race")  # kombu remembers in a process which queues it has bound
        for number in range(60):
            queue.put(number)
        queue.close()
    taken: list[list[int]] = []

    def read() -> None:
        with connect() as mine:
            taken.append(take(mine, 60, "race"))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for some in taken for number in some) == list(range(60))


def test_a_message_that_is_being_written_is_not_seen(connect: Any, tmp_path: Path) -> None:
    (tmp_path / "queue/1_x.work.new").write_text("{half")
    with connect() as connection:
        assert take(connection, 1) == []


def test_a_broker_whose_folder_is_not_there_yet_is_empty_and_makes_it(connect: Any, tmp_path: Path) -> None:
    (tmp_path / "queue").rmdir()
    with connect() as connection:
        channel = connection.channel()
        Queue("work", channel=channel)
        with pytest.raises(Empty):
            channel._get("work")
        channel._put("work", {"a": 1})
        assert channel._get("work") == {"a": 1}
