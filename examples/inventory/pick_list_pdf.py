"""The printed pick list: one page or more to walk along the boxes with. Publishes everything called ``pick_list_pdf_…``.

Promises: the lines stand in walking order, whatever their order in the list; a PDF that was counted is stored. Made in the background, see
``tasks.py``.
"""

from __future__ import annotations

import io
import threading
import time
from dataclasses import dataclass
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

from measurand import Counter, Histogram

from .database import Database, find
from .errors import NotFoundError
from .models import PickList, PickListPdf, utc_now

GENERATED = Counter("pick_list_pdf_generated_total", "PDFs made and stored")
LINE_COUNT = Histogram("pick_list_pdf_line_count", "Lines of a PDF", buckets=(1, 2, 3, 5, 8, 13, 21, 34, 55, 100))
BOX_COUNT = Histogram("pick_list_pdf_box_count", "Boxes that a PDF sends somebody to", buckets=(1, 2, 3, 5, 8, 13, 21))
GENERATION_DURATION = Histogram(
    "pick_list_pdf_generation_duration_seconds",
    "Time to read a pick list, lay it out and store the PDF, by whether that succeeded",
    ["status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    label_values={"status": ["success", "error"]},
)

_laying_out = threading.Lock()  # the layout engine keeps state of its own between its calls


@dataclass(frozen=True)
class Sheet:
    """What is printed."""

    title: str
    subtitle: str
    rows: list[tuple[int, int, int, str, str]]  # box, location, quantity, part, status; in walking order


def generate(database: Database, list_id: int) -> dict[str, Any]:
    """Make the PDF of a pick list as it is now, and store it in place of an earlier one. Raises ``NotFoundError``."""
    begun, status = time.monotonic(), "error"
    try:
        sheet = _read(database, list_id)
        content = render(sheet)
        with database.writing() as session:
            session.merge(PickListPdf(pick_list_id=list_id, content=content, made_at=utc_now()))
        status = "success"
    finally:
        GENERATION_DURATION.labels(status).observe(time.monotonic() - begun)
    boxes = len({row[0] for row in sheet.rows})
    GENERATED.inc()
    LINE_COUNT.observe(len(sheet.rows))
    BOX_COUNT.observe(boxes)
    return {"pick_list_id": list_id, "lines": len(sheet.rows), "boxes": boxes, "bytes": len(content)}


def stored(database: Database, list_id: int) -> bytes:
    """The PDF that was made last. Raises ``NotFoundError`` when there is none."""
    with database.reading() as session:
        find(session, PickList, list_id)
        pdf = session.get(PickListPdf, list_id)
        if pdf is None:
            raise NotFoundError(f"there is no PDF of pick list {list_id} yet; POST to the same address to have one made")
        return pdf.content


def render(sheet: Sheet) -> bytes:
    """The PDF of a sheet: A4, a table that repeats its head on every page, page numbers."""
    regular, bold = _fonts()
    title = ParagraphStyle("title", fontName=bold, fontSize=18, leading=24)
    text = ParagraphStyle("text", fontName=regular, fontSize=9, leading=12)
    head = [Paragraph(f"<b>{name}</b>", text) for name in ("Box", "Location", "Pieces", "Part", "Status")]
    rows = [[Paragraph(escape(str(cell)), text) for cell in row] for row in sheet.rows]
    table = Table([head, *rows], colWidths=[16 * mm, 20 * mm, 18 * mm, 96 * mm, 20 * mm], repeatRows=1)
    table.setStyle([("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.lightgrey), ("VALIGN", (0, 0), (-1, -1), "TOP")])
    page = io.BytesIO()
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), 20 * mm)
    document = SimpleDocTemplate(page, pagesize=A4, title=sheet.title, author="Workshop inventory", **margins)
    with _laying_out:
        document.build(
            [Paragraph(escape(sheet.title), title), Paragraph(escape(sheet.subtitle), text), Spacer(1, 6 * mm), table],
            onFirstPage=_number,
            onLaterPages=_number,
        )
    return page.getvalue()


def _read(database: Database, list_id: int) -> Sheet:
    with database.reading() as session:
        pick_list = find(session, PickList, list_id)
        lines = sorted(pick_list.lines, key=lambda line: (line.box_no, line.location_no))
        rows = [(row.box_no, row.location_no, row.quantity, f"{row.part_id}: {row.part.description}", row.status) for row in lines]
        units = f"{pick_list.requested_units} units of {pick_list.kit.name}"
        return Sheet(f"Pick list {list_id}", f"{units}, created {pick_list.created_at:%Y-%m-%d %H:%M} UTC", rows)


def _number(canvas: Canvas, document: SimpleDocTemplate) -> None:
    canvas.setFont(_fonts()[0], 8)
    canvas.drawRightString(A4[0] - 20 * mm, 12 * mm, f"page {document.page}")


@cache
def _fonts() -> tuple[str, str]:
    """Fonts that come with the library and know more than Latin-1: a resistor has its Ω."""
    for name, file in (("Vera", "Vera.ttf"), ("Vera-Bold", "VeraBd.ttf")):
        pdfmetrics.registerFont(TTFont(name, file))
    pdfmetrics.registerFontFamily("Vera", normal="Vera", bold="Vera-Bold", italic="Vera", boldItalic="Vera-Bold")
    return "Vera", "Vera-Bold"
