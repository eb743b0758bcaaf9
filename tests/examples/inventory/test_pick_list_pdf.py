"""The printed pick list: a real PDF with the right lines in walking order, made in the background, counted when it is stored."""

from __future__ import annotations

import io

import pytest
from flask.testing import FlaskClient
from pypdf import PdfReader
from sqlalchemy import text

from examples.inventory import pick_list_pdf
from examples.inventory.database import Database
from examples.inventory.errors import NotFoundError
from tests.examples.inventory.workshop import Workshop
from tests.support import run_threads

SECONDS = "pick_list_pdf_generation_duration_seconds_count"


def words(pdf: bytes) -> list[str]:
    """The text of each page."""
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def sheet(lines: int, part: str = "10 kΩ") -> pick_list_pdf.Sheet:
    return pick_list_pdf.Sheet("Pick list 7", "3 units of Clock", [(1 + n // 10, n % 10, 1, part, "open") for n in range(lines)])


def test_it_is_made_in_the_background_and_can_be_fetched_then(client: FlaskClient, workshop: Workshop, metrics):
    first, second = workshop.stocked(5, 5)
    made = workshop.pick_list(workshop.kit_of(second, first), units=2)
    path = f"/api/pick-lists/{made['id']}/pdf"
    assert "POST to the same address" in client.get(path).get_json()["error"]
    task = workshop.task(client.post(path))
    assert (task["kind"], task["state"]) == ("pick_list_pdf", "done")
    answer = client.get(path)
    assert (answer.mimetype, len(answer.data)) == ("application/pdf", task["outcome"]["bytes"])
    (page,) = words(answer.data)
    assert "Pick list 1" in page
    assert "2 units of Clock" in page
    assert page.index(f"{first}: 10 kΩ") < page.index(f"{second}: 10 kΩ")  # the order of the boxes, not of the kit
    assert metrics.delta("pick_list_pdf_generated_total") == 1
    assert metrics.delta("pick_list_pdf_line_count_sum") == 2
    assert metrics.delta("pick_list_pdf_box_count_sum") == 1
    assert metrics.delta(SECONDS, status="success") == 1


def test_it_shows_what_is_picked_when_it_is_made_again(client: FlaskClient, workshop: Workshop):
    (part,) = workshop.stocked(5)
    made = workshop.pick_list(workshop.kit_of(part))
    path = f"/api/pick-lists/{made['id']}/pdf"
    workshop.task(client.post(path))
    assert "picked" not in words(client.get(path).data)[0]
    client.post(f"/api/pick-lists/{made['id']}/lines/{made['lines'][0]['id']}/pick")
    workshop.task(client.post(path))
    assert "picked" in words(client.get(path).data)[0]


def test_a_list_that_is_not_there_is_refused_at_once(client: FlaskClient, metrics):
    assert client.post("/api/pick-lists/99/pdf").status_code == 404
    assert client.get("/api/pick-lists/99/pdf").get_json()["error"] == "there is no pick list 99"
    assert metrics.delta(SECONDS) == 0


def test_one_that_fails_is_timed_as_an_error_and_not_counted(database: Database, metrics):
    with pytest.raises(NotFoundError):
        pick_list_pdf.generate(database, 99)
    assert metrics.delta(SECONDS, status="error") == 1
    assert metrics.delta("pick_list_pdf_generated_total") == 0
    assert metrics.delta("pick_list_pdf_line_count_count") == 0


def test_one_that_cannot_be_stored_is_not_counted(client: FlaskClient, workshop: Workshop, database: Database, metrics):
    (part,) = workshop.stocked(5)
    made = workshop.pick_list(workshop.kit_of(part))
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE pick_list_pdfs"))
    task = workshop.task(client.post(f"/api/pick-lists/{made['id']}/pdf"))
    assert (task["state"], task["outcome"]) == ("failed", {"error": "this went wrong on our side; the log has the details"})
    assert metrics.delta(SECONDS, status="error") == 1
    assert metrics.delta("pick_list_pdf_generated_total") == 0


def test_a_long_list_repeats_its_head_on_numbered_pages():
    pages = words(pick_list_pdf.render(sheet(100)))
    assert len(pages) > 1
    for number, page in enumerate(pages, start=1):
        assert f"page {number}" in page
        assert "Location" in page
    assert sum(page.count("10 kΩ") for page in pages) == 100


def test_descriptions_are_printed_as_they_are():
    (page,) = words(pick_list_pdf.render(sheet(1, part='Bolt 1/4" <b>& nut</b> µ ' + "x" * 120)))
    assert 'Bolt 1/4" <b>& nut</b> µ' in page


def test_many_can_be_laid_out_at_once():
    made: list[bytes] = []
    run_threads(*[lambda: made.append(pick_list_pdf.render(sheet(30)))] * 4)
    assert len({tuple(words(pdf)) for pdf in made}) == 1
