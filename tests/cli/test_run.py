"""What ``measurand run`` makes of a command line, and says where it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from measurand.cli.main import main
from measurand.cli.run import service_name, surroundings
from measurand.config import unknown_variables

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("uvicorn shop.main:app --port 80", "shop"),
        ("gunicorn -w 4 shop:create_app()", "shop"),
        ("python -m uvicorn shop.main:app", "shop"),
        ("celery -A shop.tasks worker", "shop"),
        ("flask --app shop run", "shop"),
        ("flask --app=shop:app run", "shop"),
        ("python3 /srv/jobs/import_parts.py --host a:80", "import_parts"),
        ("python -m shop.worker", "shop"),
        ("python manage.py runserver", "python"),
        ("/usr/bin/shopd --port 80", "shopd"),
        ("shopd", "shopd"),
    ],
)
def test_a_service_is_called_by_what_runs(command: str, name: str) -> None:
    assert service_name(command.split()) == name


def test_what_the_environment_says_goes_before_what_is_guessed_and_what_is_told_before_both() -> None:
    command = ["uvicorn", "shop:app"]
    bare = surroundings(command, environ={})
    assert (bare["MEASURAND_SERVICE"], bare["MEASURAND_MANAGEMENT"]) == ("shop", "127.0.0.1:9100")
    assert json.loads(bare["MEASURAND_RUN"]) == {"without": [], "quiet": False}
    said = {"SERVICE_NAME": "said", "MEASURAND_MANAGEMENT": "9200", "PYTHONPATH": "/srv", "MEASURAND_RUN_IN": "1"}
    kept = surroundings(command, environ=said)
    assert "MEASURAND_SERVICE" not in kept
    assert "MEASURAND_RUN_IN" not in kept
    assert kept["MEASURAND_MANAGEMENT"] == "9200"
    site, rest = kept["PYTHONPATH"].split(os.pathsep)
    assert rest == "/srv"
    assert (Path(site) / "sitecustomize.py").is_file()
    told = surroundings(command, service="told", management="9300", without=["redis"], quiet=True, environ=said)
    assert (told["MEASURAND_SERVICE"], told["MEASURAND_MANAGEMENT"]) == ("told", "9300")
    assert json.loads(told["MEASURAND_RUN"]) == {"without": ["redis"], "quiet": True}
    assert unknown_variables(told) == []


@pytest.mark.parametrize("arguments", [["run"], ["run", "--"], ["run", "--quiet", "--"]])
def test_a_command_has_to_be_there(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "there is no COMMAND to run: measurand run -- uvicorn shop:app" in capsys.readouterr().err


def test_one_that_cannot_be_run_is_said_with_the_status_of_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--", str(tmp_path / "nothing")]) == 127
    (tmp_path / "text").write_text("no program")
    assert main(["run", "--", str(tmp_path / "text")]) == 126
    said = capsys.readouterr().err
    assert "nothing cannot be run: No such file or directory" in said
    assert "text cannot be run: Permission denied" in said


def measured(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEASURAND_")}
    ran = [sys.executable, "-m", "measurand", "run", "--management", "127.0.0.1:0", "--", *command]
    return subprocess.run(ran, env=environment | variables, capture_output=True, text=True, timeout=60, check=False)


def test_the_program_is_what_it_would_have_been(tmp_path: Path) -> None:
    code = "import sys; print(sys.argv[1:]); sys.exit(3)"
    done = measured(sys.executable, "-c", code, "a b", "--", MEASURAND_STATE_DIRECTORY=str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "['a b', '--']\n")
    assert "service 'python" in done.stderr


def test_settings_that_cannot_be_used_are_said_and_the_program_runs(tmp_path: Path) -> None:
    done = measured(sys.executable, "-c", "print('runs')", MEASURAND_DRAIN_DELAY="soon", MEASURAND_STATE_DIRECTORY=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "runs\n")
    assert "measurand: nothing is measured: MEASURAND_DRAIN_DELAY is 'soon', but must be seconds" in done.stderr


def test_an_interpreter_without_this_package_says_so_and_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import sys; sys.path.insert(0, sys.argv[1]); import sitecustomize; print('runs')", site()],
        env={"MEASURAND_RUN": "{}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "runs\n")
    assert done.stderr == f"measurand: not installed for {sys.executable}: nothing is measured\n"


def site() -> str:
    return surroundings(["x"], environ={})["PYTHONPATH"]


def test_the_machines_own_customization_is_still_run(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('its own')")
    done = measured(sys.executable, "-c", "print('runs')", PYTHONPATH=str(tmp_path), MEASURAND_STATE_DIRECTORY=str(tmp_path))
    by_us_and_by_the_program = "its own\n" * 2
    assert (done.returncode, done.stdout) == (0, f"{by_us_and_by_the_program}runs\n"), done.stderr
