"""Which processes are measured without having asked, and what becomes of integrations that fail."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support import run_python

pytestmark = pytest.mark.once


def begun(folder: Path, *options: str, code: str = "", then: str = "", **variables: str) -> str:
    """Whether :func:`begin` starts the runtime in such a process, which runs code before and then, and what it says."""
    told = {"MEASURAND_RUN": '{"without": ["flask"], "quiet": false}', "MEASURAND_STATE_DIRECTORY": str(folder), **variables}
    ask = "from measurand.bootstrap import runtime, unattended\nunattended.begin()\nprint(runtime.current() is not None)"
    done = run_python(f"{code}\n{ask}\n{then}", *options, **told)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() + "\n" + done.stderr


def test_the_program_itself_is(tmp_path: Path) -> None:
    said = begun(tmp_path)
    assert said.startswith("True\n")
    assert "measurand: skipped flask: as told" in said


def test_one_that_was_not_told_is_not(tmp_path: Path) -> None:
    assert begun(tmp_path, MEASURAND_RUN="") == "False\n"


def test_one_that_a_measured_program_has_started_is_not(tmp_path: Path) -> None:
    assert begun(tmp_path, MEASURAND_RUN_IN="1") == "False\n"


ARGV = "import sys; sys.orig_argv[:] = {!r}"


@pytest.mark.parametrize(
    ("command", "variables", "is_measured"),
    [
        ("python -m flask --app shop run --debug", {}, False),
        ("python /bin/flask --app shop run --debug", {"WERKZEUG_RUN_MAIN": "true"}, True),
        ("python /bin/flask run", {"FLASK_DEBUG": "1"}, False),
        ("python /bin/flask run", {"FLASK_DEBUG": "0"}, True),
        ("python /bin/flask run --no-reload", {"FLASK_DEBUG": "1"}, True),
        ("python -B -c from multiprocessing.resource_tracker import main;main(6)", {}, False),
        ("python manage.py runserver", {}, False),
        ("python manage.py runserver --noreload", {}, True),
        ("python manage.py runserver", {"RUN_MAIN": "true"}, True),
        ("python manage.py migrate", {}, True),
    ],
)
def test_of_a_server_that_reloads_the_one_that_serves_is(
    command: str, variables: dict[str, str], is_measured: bool, tmp_path: Path
) -> None:
    assert begun(tmp_path, code=ARGV.format(command.split()), **variables).startswith(f"{is_measured}\n")


def test_an_integration_that_is_missing_something_is_skipped_in_a_line(tmp_path: Path) -> None:
    """An entry point as another distribution brings it."""
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[measurand.integrations]\nbroken = broken_integration\n")
    (tmp_path / "broken.py").write_text("value = 1\n")
    integration = "from measurand.errors import MissingExtra\ndef instrument():\n    raise MissingExtra('broken', 'broken', '1.0', '2.0')\n"
    (tmp_path / "broken_integration.py").write_text(integration)
    place = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = run_python(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom measurand.bootstrap import unattended\nunattended.begin()\nimport broken",
        MEASURAND_RUN='{"without": [], "quiet": true}',
        MEASURAND_STATE_DIRECTORY=str(tmp_path),
        PYTHONPATH=place,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "measurand: skipped broken: broken 1.0 is installed, and 2.0 or newer is needed; run: pip install --upgrade 'measurand[broken]'"
    ]


def test_one_that_fails_costs_only_itself(tmp_path: Path) -> None:
    """One that is not waited for, so that it fails while the others are still to come."""
    info = tmp_path / "failing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: failing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[measurand.integrations]\nabc = failing_integration\nzipfile = late_integration\n")
    (tmp_path / "failing_integration.py").write_text("def instrument():\n    raise RuntimeError('changed')\n")
    late = "from types import SimpleNamespace\ndef instrument():\n    return SimpleNamespace(about='the last one')\n"
    (tmp_path / "late_integration.py").write_text(late)
    said = begun(tmp_path, code=f"import sys; sys.path.insert(0, {str(tmp_path)!r})")
    assert said.startswith("True\n")
    assert "measurand: skipped abc: RuntimeError: changed" in said
    assert "measurand: the last one" in said
    assert "nothing is measured" not in said


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ("api.example.com, *.Cdn.example", "['*.cdn.example', '_OTHER', 'api.example.com']"),
        ("", "['_OTHER']"),
        ("https://api.example.com", "measurand: skipped httpx: 'https://api.example.com' is no host to tell apart"),
    ],
)
def test_the_hosts_that_clients_tell_apart_stand_in_the_environment(tmp_path: Path, hosts: str, said: str) -> None:
    asking = """if True:
        import httpx, measurand
        with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as client:
            for host in ("api.example.com", "eu.cdn.example", "example.com"):
                client.get(f"https://{host}/")
        samples = [sample for metric in measurand.REGISTRY.collect() for sample in metric.samples]
        print(sorted({sample.labels["host"] for sample in samples if sample.name == "http_client_requests_total"}))
    """
    assert said in begun(tmp_path, then=asking, MEASURAND_CLIENT_HOSTS=hosts)
