"""Programs that import private names of the real library, or derive metrics of their own kind, on both libraries."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from tests.compat.kit import answer, attempt, run

INSTALL = "from measurand.compat import install\ninstall()\n"
SHOW = """
import json
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, disable_created_metrics, generate_latest

disable_created_metrics()
registry = CollectorRegistry()

def show(*found):
    print(json.dumps(found or sorted(generate_latest(registry).decode().splitlines())))
"""


def on_both(program: str) -> Any:
    """What a program says on the real library, which is what it says on ours."""
    source = SHOW + textwrap.dedent(program)
    theirs = answer(source)
    assert answer(INSTALL + source) == theirs
    return theirs


def test_the_answer_to_a_scrape_is_baked_the_same() -> None:
    status, headers, body, *compressed = on_both("""
        import gzip
        from prometheus_client.exposition import _bake_output, parse_qs, urlparse

        Counter("c", "Help", registry=registry).inc()
        Gauge("g", "Help", registry=registry).set(2)
        query = parse_qs(urlparse("/metrics?name[]=c_total").query)
        status, headers, body = _bake_output(registry, "text/plain", "gzip", query, True)
        again = _bake_output(registry, None, "gzip", {}, False)
        show(status, headers, body.decode(), again[0], again[1], gzip.decompress(again[2]).decode())
    """)
    assert (status, headers) == ("200 OK", [["Content-Type", "text/plain; version=0.0.4; charset=utf-8"]])
    assert "c_total 1.0" in body
    assert "g 2.0" not in body
    assert "g 2.0" in compressed[-1]


def test_a_server_of_the_programs_own_is_silent() -> None:
    done = attempt(
        INSTALL
        + textwrap.dedent("""
        import threading, urllib.request
        from prometheus_client import Counter, make_wsgi_app
        from prometheus_client.exposition import ThreadingWSGIServer, _SilentHandler, make_server

        Counter("c", "Help").inc()
        server = make_server("127.0.0.1", 0, make_wsgi_app(), ThreadingWSGIServer, handler_class=_SilentHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics").read()
        server.shutdown()
        server.server_close()
        assert b"c_total 1.0" in page
    """)
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_names_are_built_and_checked_the_same() -> None:
    built, checked, refused = on_both("""
        from prometheus_client.metrics import _build_full_name, _validate_exemplar, _validate_labelnames

        def refused(check, *args):
            try:
                check(*args)
            except ValueError:
                return True
            return False

        show(
            [_build_full_name("counter", "a_total", "ns", "sub", "seconds"), _build_full_name("gauge", "tasks", "ns", "", "")],
            _validate_labelnames(Histogram, ["a", "b"]),
            [
                refused(_build_full_name, "counter", "", "", "", ""),
                refused(_validate_labelnames, Histogram, ["le"]),
                refused(_validate_labelnames, Counter, ["le"]),
                refused(_validate_labelnames, Counter, ["__name__"]),
                refused(_validate_exemplar, {"trace": "x"}),
                refused(_validate_exemplar, {"trace": "x" * 128}),
            ],
        )
    """)
    assert built == ["ns_sub_a_seconds", "ns_tasks"]
    assert checked == ["a", "b"]
    assert refused == [True, True, False, True, False, True]


def test_whether_creation_times_are_shown_is_said() -> None:
    assert answer(
        INSTALL
        + textwrap.dedent("""
        import json
        from prometheus_client import disable_created_metrics, enable_created_metrics
        from prometheus_client.metrics import _get_use_created

        said = [_get_use_created()]
        enable_created_metrics()
        said.append(_get_use_created())
        disable_created_metrics()
        print(json.dumps([*said, _get_use_created()]))
    """)
    ) == [False, True, False]


def test_every_metric_is_one_of_the_class_that_programs_derive_from() -> None:
    assert on_both("""
        from prometheus_client import Enum, Info
        from prometheus_client.metrics import MetricWrapperBase

        class Own(MetricWrapperBase):
            _type = "gauge"

            def _metric_init(self):
                pass

        made = [Counter("c", "Help"), Gauge("g", "Help", ["l"]).labels("x"), Info("i", "Help"), Enum("e", "Help", states=["on"])]
        show([isinstance(metric, MetricWrapperBase) for metric in [*made, Own("o", "Help"), 1]],
             [isinstance(made[0], Own), issubclass(Own, MetricWrapperBase), issubclass(Summary, MetricWrapperBase)])
    """) == [[True, True, True, True, True, False], [False, True, True]]


@pytest.mark.parametrize("labels", ["", "['shop']"], ids=["alone", "with labels"])
def test_a_metric_of_the_programs_own_kind_keeps_and_shows_its_numbers(labels: str) -> None:
    page = on_both(f"""
        from prometheus_client.metrics import MetricWrapperBase
        from prometheus_client.samples import Sample
        from prometheus_client.values import ValueClass

        class Total(MetricWrapperBase):
            _type = "counter"

            def __init__(self, name, documentation, labelnames=(), step=1, registry=registry, _labelvalues=None, **options):
                self._step = step
                super().__init__(name, documentation, labelnames, registry=registry, _labelvalues=_labelvalues, **options)
                self._kwargs["step"] = step

            def _metric_init(self):
                place = (self._type, self._name, self._name + "_total", self._labelnames, self._labelvalues)
                self._value, self._created = ValueClass(*place, self._documentation), 5.0

            def set(self, value):
                self._raise_if_not_observable()
                self._value.set(value * self._step)

            def _child_samples(self):
                yield Sample("_total", {{"kind": "own"}}, self._value.get(), None, None)
                yield "_created", {{}}, self._created, None, None, None

        labels = {labels or "[]"}
        total = Total("sold", "Help", labels, step=3)
        if labels:
            total.labels("a").set(2)
            total.labels(shop="b").set(4)
            total.remove("a")
            try:
                total.set(1)
            except ValueError:
                total.labels("c").set(0)
        else:
            total.set(2)
        show()
    """)
    assert ('sold_total{kind="own",shop="b"} 12.0' if labels else 'sold_total{kind="own"} 6.0') in page
    assert any("sold_created" in line for line in page)
    assert not any('shop="a"' in line for line in page)


def test_a_subclass_may_show_more_than_its_class_does() -> None:
    page = on_both("""
        from prometheus_client.samples import Exemplar, Sample

        class WithMost(Summary):
            def __init__(self, *args, **options):
                self.most = 0.0
                super().__init__(*args, **options)

            def observe(self, amount):
                super().observe(amount)
                self.most = max(self.most, amount)

            def _child_samples(self):
                return (*super()._child_samples(), Sample("_most", {}, self.most, None, None))

        class Several(Histogram):
            def observe(self, amounts, exemplar=None):
                self._raise_if_not_observable()
                for amount in amounts:
                    self._sum.inc(amount)
                    for bucket, bound in zip(self._buckets, self._upper_bounds):
                        if amount <= bound:
                            bucket.inc(1)
                            bucket.set_exemplar(Exemplar({"trace": "x"}, amount, 1.5))
                            break

        most = WithMost("size", "Help", ["l"], registry=registry)
        most.labels("x").observe(3)
        most.labels("x").observe(2)
        most.labels("y").observe(5)
        WithMost("alone", "Help", registry=registry).observe(1)
        several = Several("spans", "Help", buckets=(1, 2), registry=registry)
        several.observe([0.5, 1.5, 9])
        assert several._buckets[1].get_exemplar() == ({"trace": "x"}, 1.5, 1.5)
        assert list(several._kwargs["buckets"]) == [1, 2]
        show()
    """)
    assert 'size_most{l="x"} 3.0' in page
    assert 'size_most{l="y"} 5.0' in page
    assert "alone_most 1.0" in page
    assert 'spans_bucket{le="2.0"} 2.0' in page


def test_the_pages_for_aiohttp_and_django_are_ours() -> None:
    run(
        INSTALL
        + textwrap.dedent("""
        import asyncio
        from prometheus_client import Counter
        from prometheus_client.aiohttp import make_aiohttp_handler
        from aiohttp import web
        from aiohttp.test_utils import TestClient, TestServer
        import django
        from django.conf import settings
        from django.test import RequestFactory

        Counter("c", "Help").inc()

        async def scraped():
            application = web.Application()
            application.router.add_get("/metrics", make_aiohttp_handler())
            async with TestClient(TestServer(application)) as client:
                response = await client.get("/metrics?name[]=c_total", headers={"Accept": "application/openmetrics-text"})
                return response.content_type, await response.text()

        kind, page = asyncio.run(scraped())
        assert kind == "application/openmetrics-text"
        assert page.endswith("c_total 1.0\\n# EOF\\n"), page

        settings.configure()
        django.setup()
        from prometheus_client.django import PrometheusDjangoView

        response = PrometheusDjangoView.as_view()(RequestFactory().get("/metrics"))
        assert b"c_total 1.0" in response.content
    """)
    )
