"""The event store: appends in order whoever appends, keeps the past against whoever would change it, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, OperationalError

from examples.governance.checks import EventStoreCheck
from examples.governance.constitution import Kind
from examples.governance.events import Act, Head
from examples.governance.store import EventStore
from tests.examples.governance.history import History
from tests.support import run_threads

pytestmark = pytest.mark.once


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres").url)
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    with closing(EventStore(url)) as fresh:
        fresh.create_tables()
        yield fresh


def assert_is_chain(store: EventStore, length: int) -> None:
    head = Head()
    for event in store.read_all(at_once=7):
        assert event.follows(head)
        head = event.head
    assert head == store.head()
    assert head.sequence == length


def test_it_keeps_events_refuses_changes_and_survives_being_opened_again(store: EventStore, url: str):
    assert (store.head(), store.last(), store.read()) == (Head(), None, [])
    store.create_tables()  # again, which changes nothing
    first = store.append(Act(Kind.PROPOSAL, "ada", text="Tea, \N{SNOWMAN}"))
    second = store.append(Act(Kind.VOTE, "bob", first.act.id, "for"))
    assert store.append(second.act) == second  # the same act is not recorded twice
    assert store.read() == [first, second]
    assert all(event.is_genuine for event in store.read())  # to the microsecond, its zone and every sign
    assert store.read(after=1) == [second]
    assert store.read(limit=1) == [first]
    assert (store.find(first.act.id), store.find("nothing"), store.last()) == (first, None, second)
    for statement in ("UPDATE events SET text = 'Coffee' WHERE sequence = 1", "DELETE FROM events"):
        with pytest.raises(DatabaseError, match="events are append-only"), store.engine.begin() as connection:
            connection.execute(text(statement))
    with closing(EventStore(url)) as again:
        assert again.read() == [first, second]
    assert_is_chain(store, 2)


def test_writers_in_each_others_way_make_one_chain(store: EventStore, url: str):
    others = [EventStore(url) for _ in range(3)]
    try:
        run_threads(*[lambda each=each: [each.append(Act(Kind.PROPOSAL, "ada")) for _ in range(10)] for each in [store, *others]])
        assert_is_chain(store, 40)
    finally:
        for each in others:
            each.close()


def test_a_database_that_is_away_is_said_and_holds_no_connection(tmp_path: Path):
    with closing(EventStore("postgresql://nobody@127.0.0.1:1/none")) as store:
        with pytest.raises(OperationalError):
            store.append(Act(Kind.PROPOSAL, "ada"))
        assert store.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_store_for_one_thread_only_is_refused():
    with pytest.raises(ValueError, match="name a file"):
        EventStore("sqlite://")


def test_the_check_tells_a_good_store_from_a_missing_table_and_from_a_forged_end(tmp_path: Path):
    with closing(EventStore(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        check, history = EventStoreCheck(store), History(store)
        with pytest.raises(OperationalError, match="no such table"):
            check.run()
        store.create_tables()
        assert check.run()
        history.proposal()
        assert check.run()
        history.tamper("UPDATE events SET text = 'Coffee'")
        assert not check.run()
