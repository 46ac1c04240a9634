"""The variables of a home and its apps (spec §5.5)."""

from __future__ import annotations

import os
import time

import pytest

from pinokiocloud.errors import HomeError
from pinokiocloud.home.environment import APP_DEFAULTS, CACHE_KEYS, Environment, completed_system, parse
from pinokiocloud.home.layout import Home


@pytest.fixture
def home(tmp_path):
    return Home.open(tmp_path / "home")


@pytest.fixture
def app(home):
    folder = home.api / "app"
    folder.mkdir()
    return folder


def test_base_then_system_then_app(home, app):
    home.environment_file.write_text("A=system\nB=system\nC=system\nREL=./models\nBLANK=\nUP=./../x/\nSELF=./\n")
    (app / "ENVIRONMENT").write_text("B=app\nC=\nMINE=./models/\nQUOTED=' '\n")
    base = {"A": "base", "BLANK": "base", "QUOTED": "base", "OTHER": "base", "C": "base"}
    root = home.root
    assert Environment(home).merged(app, base) == {
        "A": "system", "B": "app", "C": "system", "REL": f"{root}/models", "BLANK": "base", "UP": f"{root.parent}/x",
        "SELF": str(root), "MINE": f"{app}/models", "QUOTED": "base", "OTHER": "base",
    }  # fmt: skip
    assert base["A"] == "base"
    assert "MINE" not in Environment(home).merged(None, {})


def test_values_of_a_new_home(home, app):
    """Case shell-envdump: what the ENVIRONMENT files contribute."""
    values = Environment(home).merged(app, {})
    assert values == {
        **{key: f"{home.root}/cache/{key}" for key in CACHE_KEYS},
        "PIP_CONFIG_FILE": f"{home.root}/pipconfig", "CONDARC": f"{home.root}/condarc", "PS1": "<<PINOKIO_SHELL>>",
        "GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_ALLOWED_PATHS": str(home.root), "PINOKIO_SHARE_VAR": "url",
        "PINOKIO_SHARE_CLOUDFLARE": "false", "PINOKIO_SCRIPT_DEFAULT": "true", "PINOKIO_DRIVE": f"{home.root}/drive",
        "PINOKIO_SHARE_LOCAL": "false",
    }  # fmt: skip
    assert len(CACHE_KEYS) == 14


def test_the_file_in_the_pinokio_folder_is_read_against_the_app(home, app):
    environment = Environment(home)
    (app / "ENVIRONMENT").write_text("A=outer\n")
    assert environment.app_file(app) == app / "ENVIRONMENT"
    assert environment.merged(app, {})["A"] == "outer"
    (app / "pinokio").mkdir()
    assert environment.app_file(app) == app / "pinokio" / "ENVIRONMENT"
    assert "A" not in environment.merged(app, {})
    (app / "pinokio" / "ENVIRONMENT").write_text("A=./inner\n")
    assert environment.merged(app, {})["A"] == f"{app}/inner"


def test_the_file_that_is_set(home, app):
    environment = Environment(home)
    assert environment.settings_file(app) == app / "ENVIRONMENT"
    (app / "pinokio").mkdir()
    (app / "ENVIRONMENT").write_text("")
    assert environment.settings_file(app) == app / "ENVIRONMENT"
    (app / "pinokio" / "ENVIRONMENT").write_text("")
    assert environment.settings_file(app) == app / "pinokio" / "ENVIRONMENT"
    assert environment.settings_file(app, strict=True) == app / "ENVIRONMENT"


def test_changes_are_seen_at_once(home, app):
    environment = Environment(home)
    file = app / "ENVIRONMENT"
    for number in range(50):
        # The same size, often the same time stamp and inode.
        file.write_text(f"N={number:03}\n")
        assert environment.merged(app, {})["N"] == f"{number:03}"
    file.unlink()
    assert "N" not in environment.merged(app, {})
    home.environment_file.write_text("N=system\n")
    assert environment.merged(app, {})["N"] == "system"


def test_unchanged_files_are_not_read_again(home, app, monkeypatch):
    environment = Environment(home)
    for file in (home.environment_file, app / "ENVIRONMENT"):
        file.touch()
        os.utime(file, (1e9, 1e9))
    time.sleep(0.06)
    environment.merged(app, {})
    monkeypatch.setattr("pinokiocloud.home.environment.read", lambda path: pytest.fail(f"read {path}"))
    base = {f"NAME_{number}": "value" for number in range(100)}
    best = min(_timed(lambda: environment.merged(app, base)) for _ in range(200))
    assert best < 100e-6


def _timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def test_a_file_that_cannot_be_read(home, app):
    (app / "ENVIRONMENT").symlink_to("ENVIRONMENT")
    with pytest.raises(HomeError, match="cannot be read"):
        Environment(home).merged(app, {})


def test_odd_places_are_no_files(home, app):
    (app / "ENVIRONMENT").mkdir()
    (home.api / "file").write_text("")
    environment = Environment(home)
    assert environment.merged(app, {}) == environment.merged(home.api / "file", {}) == environment.merged(None, {})


def test_app_of(home, app, tmp_path):
    environment = Environment(home)
    (home.api / "run.js").write_text("")
    link = tmp_path / "link"
    link.symlink_to(home.root)
    assert environment.app_of(app / "sub" / "run.js") == app
    assert environment.app_of(app) == app
    assert environment.app_of(home.api / "not.git" / "there.js") == home.api / "not.git"
    assert environment.app_of(app / ".." / "other" / "x.js") == home.api / "other"
    assert environment.app_of(link / "api" / "app" / "run.js") == app
    for path in (home.api, home.root, home.api / "run.js", home.root / "apis" / "app", tmp_path, app / "../.."):
        assert environment.app_of(path) is None


def test_folders_to_create(home, app):
    home.environment_file.write_text(
        "HF_HOME=./cache/HF_HOME\nTMPDIR=/elsewhere/tmp\nPIP_CONFIG_FILE=./pipconfig/\nDATA=./data/\nFILE=./file\n"
        "URL=https://example.com/\nABS=/data/sets/\nGONE=./gone/\nPINOKIO_DRIVE=./drive\nTMP=\n"
    )
    (app / "ENVIRONMENT").write_text("HF_HOME=./cache/HF_HOME\nGONE=./here\nREL=./rel/dir\n")
    environment = Environment(home)
    assert sorted(map(str, environment.path_values(app))) == sorted(
        [f"{app}/cache/HF_HOME", "/elsewhere/tmp", f"{home.root}/data", "/data/sets"]
    )
    assert home.root / "gone" in environment.path_values(None)


def test_a_new_app_file(home, app):
    with home.environment_file.open("a") as file:
        file.write("CUSTOM=./models\nBLANK=\nSECRET='a#b'\n")
    environment = Environment(home)
    file = environment.create_app_environment(app)
    assert file == app / "ENVIRONMENT"
    assert parse(file.read_text()) == {**APP_DEFAULTS, "CUSTOM": "./models", "SECRET": "a#b"}
    assert environment.merged(app, {})["HF_HOME"] == f"{app}/cache/HF_HOME"
    file.write_text("A=1\n")
    assert environment.create_app_environment(app) == file
    assert file.read_text() == "A=1\n"


def test_a_new_app_file_takes_values_of_the_system(home, app):
    text = home.environment_file.read_text()
    home.environment_file.write_text(
        text.replace("SHARE_CLOUDFLARE=false", "SHARE_CLOUDFLARE=true").replace("HF_HOME=./cache", "HF_HOME=/big")
    )
    values = parse(Environment(home).create_app_environment(app).read_text())
    assert values["PINOKIO_SHARE_CLOUDFLARE"] == "true"
    assert values["HF_HOME"] == "/big/HF_HOME"


def test_a_new_app_file_begins_with_the_template(home, app):
    (app / "pinokio").mkdir()
    (app / "_ENVIRONMENT").write_text("A=outer\n")
    (app / "pinokio" / "_ENVIRONMENT").write_bytes("\ufeff# mine\r\nHF_HOME=./models\r\nKEY=\r\n".encode("utf-16-le"))
    file = Environment(home).create_app_environment(app)
    assert file == app / "pinokio" / "ENVIRONMENT"
    text = file.read_bytes().decode()
    assert text.startswith("# mine\r\nHF_HOME=./models\r\nKEY=\n\n")
    assert parse(text) == {**APP_DEFAULTS, "HF_HOME": "./models", "KEY": ""}
    assert text.count("HF_HOME") == 1


def test_an_app_file_that_cannot_be_written(home):
    with pytest.raises(HomeError, match="cannot be written"):
        Environment(home).create_app_environment(home.api / "missing")


def test_the_system_file_is_completed_in_place():
    text = "# mine\nHF_HOME=/big # disk\nTMP=/tmp\nexport TEMP='./cache/TEMP'\nMINE=1\nPINOKIO_SHARE_VAR=\n"
    new = completed_system(text)
    assert new.startswith("# mine\nHF_HOME=/big # disk\nTMP=./cache/TMP\nexport TEMP='./cache/TEMP'\nMINE=1\n")
    values = parse(new)
    assert values["PINOKIO_SHARE_VAR"] == ""
    assert values["TORCH_HOME"] == "./cache/TORCH_HOME"
    assert completed_system(new) == new
