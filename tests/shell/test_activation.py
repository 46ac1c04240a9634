"""What a shell runs before its message: every row of spec §4.2.5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pinokiocloud.errors import ShellError
from pinokiocloud.shell.activation import Activation, activation, portable

HOOK = 'eval "$(conda shell.bash hook)"'
OFF = ["conda deactivate"] * 3
COMMON = {
    "CONDA_AUTO_ACTIVATE_BASE": "false",
    "PYTHONNOUSERSITE": "1",
    "UV_PYTHON_PREFERENCE": "only-managed",
    "UV_PYTHON_DOWNLOADS": "automatic",
}
IN_BASE = {**COMMON, "PIP_REQUIRE_VIRTUALENV": "true"}


def of(folder: Path, **params: Any) -> Activation:
    return activation(params, folder, folder / "base")


def test_without_conda_the_base_is_activated(tmp_path: Path) -> None:
    got = of(tmp_path)
    assert got.commands == [HOOK, *OFF, "conda activate base"]
    assert got.env == IN_BASE
    assert not got.other_conda
    assert got.needs_base


@pytest.mark.parametrize("conda", [None, "", False, {}, {"name": "base"}])
def test_no_choice_is_the_base(tmp_path: Path, conda: Any) -> None:
    if conda == {}:
        assert of(tmp_path, conda=conda).commands == of(tmp_path).commands
        return
    assert of(tmp_path, conda=conda) == of(tmp_path)


@pytest.mark.parametrize("conda", ["env", {"path": "env"}])
def test_a_folder_that_is_there_is_activated(tmp_path: Path, conda: Any) -> None:
    (tmp_path / "env").mkdir()
    got = of(tmp_path, conda=conda)
    assert got.commands == [HOOK, *OFF, f"conda activate '{tmp_path}/env'"]
    assert got.env == COMMON
    assert got.other_conda


@pytest.mark.parametrize("conda", ["env", {"path": "env"}])
def test_a_folder_that_is_missing_is_created(tmp_path: Path, conda: Any) -> None:
    got = of(tmp_path, conda=conda)
    create = f"conda create -y -p '{tmp_path}/env' python=3.10.20"
    assert [item.strip() for item in got.commands] == [HOOK, create, *OFF, f"conda activate '{tmp_path}/env'"]


def test_a_path_with_a_space_and_a_quote_stays_one_word(tmp_path: Path) -> None:
    got = of(tmp_path, conda="it's an env")
    assert got.commands[-1] == f"conda activate '{tmp_path}/it'\"'\"'s an env'"


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    assert of(tmp_path, conda="/opt/env").commands[-1] == "conda activate '/opt/env'"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"conda": {"path": "env"}}, "python=3.10.20"),
        ({"conda": {"path": "env", "python": "3.11"}}, "python=3.11"),
        ({"conda": {"path": "env", "python": 3.12}}, "python=3.12"),
        ({"conda": {"path": "env", "python": "python=3.9"}}, "python=3.9"),
        ({"conda": {"path": "env", "python": "'python>=3.9'"}}, "'python>=3.9'"),
        ({"conda": {"path": "env"}, "conda_python": "3.8"}, "python=3.8"),
        ({"conda": {"path": "env", "python": "3.11"}, "conda_python": "3.8"}, "python=3.11"),
        ({"conda": {"path": "env", "args": "-c nvidia"}}, "python=3.10.20 -c nvidia"),
    ],
)
def test_what_is_created(tmp_path: Path, params: dict[str, Any], words: str) -> None:
    assert (
        activation(params, tmp_path, tmp_path / "base").commands[1].strip()
        == f"conda create -y -p '{tmp_path}/env' {words}"
    )


def test_a_name_that_is_missing_is_created_and_activated_by_name(tmp_path: Path) -> None:
    got = of(tmp_path, conda={"name": "n"})
    assert [item.strip() for item in got.commands] == [
        HOOK,
        "conda create -y -n n python=3.10.20",
        *OFF,
        "conda activate n",
    ]
    (tmp_path / "base" / "envs" / "n").mkdir(parents=True)
    assert of(tmp_path, conda={"name": "n"}).commands == [HOOK, *OFF, "conda activate n"]


def test_the_minimal_activation(tmp_path: Path) -> None:
    got = of(tmp_path, conda={"path": "env", "activate": "minimal"})
    assert got.commands == [HOOK, "conda activate base"]
    assert got.env == COMMON


def test_an_activation_of_ones_own(tmp_path: Path) -> None:
    got = of(tmp_path, conda={"path": "env", "activate": ["one", "two"]})
    assert got.commands == ["one", "two"]


def test_skip_runs_nothing_and_lets_pip_install(tmp_path: Path) -> None:
    got = of(tmp_path, conda={"skip": True})
    assert got.commands == []
    assert got.env == {}
    assert not got.needs_base


@pytest.mark.parametrize("conda", [{"python": "3.11"}, {"args": "x"}, 5, ["env"]])
def test_an_object_that_names_nothing_is_an_error(tmp_path: Path, conda: Any) -> None:
    with pytest.raises(ShellError, match="conda"):
        of(tmp_path, conda=conda)


def source(folder: Path, name: str = "env") -> str:
    return f"source {folder}/{name}/bin/activate {folder}/{name}"


@pytest.mark.parametrize("venv", ["env", {"path": "env"}])
def test_a_venv_that_is_there_is_only_activated(tmp_path: Path, venv: Any) -> None:
    (tmp_path / "env").mkdir()
    assert of(tmp_path, venv=venv).commands == [*of(tmp_path).commands, source(tmp_path)]


def test_a_file_of_that_name_counts_as_a_venv(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("")
    assert of(tmp_path, venv="env", venv_python="3.11").commands[-1] == source(tmp_path)
    assert len(of(tmp_path, venv="env").commands) == len(of(tmp_path).commands) + 1


def test_a_missing_venv_is_made_activated_left_and_activated(tmp_path: Path) -> None:
    made, first, left, again = of(tmp_path, venv="env").commands[-4:]
    assert made.endswith(f'uv venv --quiet --seed --python "$_PKC_BASE/bin/python" {tmp_path}/env')
    assert [first, left, again] == [source(tmp_path), "deactivate", source(tmp_path)]


@pytest.mark.parametrize(
    "params",
    [
        {"venv": "env", "venv_python": "3.11"},
        {"venv": {"path": "env", "python": "3.11"}},
        {"venv": "env", "venv_python": 3.11},
    ],
)
def test_a_venv_with_a_version_is_made_by_uv(tmp_path: Path, params: dict[str, Any]) -> None:
    made = activation(params, tmp_path, tmp_path / "base").commands[-4]
    assert made.endswith(f"uv venv {tmp_path}/env --python 3.11")


def test_the_version_of_a_venv_that_is_an_object_is_its_own(tmp_path: Path) -> None:
    made = of(tmp_path, venv={"path": "env"}, venv_python="3.11").commands[-4]
    assert "3.11" not in made


@pytest.mark.parametrize("venv", [None, "", False, {}, {"python": "3.11"}])
def test_a_venv_without_a_path_is_none(tmp_path: Path, venv: Any) -> None:
    assert of(tmp_path, venv=venv, venv_python="3.11").commands == of(tmp_path).commands


def test_a_venv_with_a_space_is_quoted(tmp_path: Path) -> None:
    quoted = f"'{tmp_path}/my env'"
    assert of(tmp_path, venv="my env").commands[-1] == f"source {quoted}/bin/activate {quoted}"


def test_conda_comes_before_the_venv(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "env").mkdir()
    got = of(tmp_path, conda="c", venv="env")
    assert got.commands == [HOOK, *OFF, f"conda activate '{tmp_path}/c'", source(tmp_path)]
    assert got.other_conda


def test_a_venv_works_without_conda(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    assert of(tmp_path, conda={"skip": True}, venv="env").commands == [source(tmp_path)]


def test_another_shell_is_activated_by_variables(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    got = portable(of(tmp_path, venv="env"), tmp_path / "base")
    assert got.commands == [f". {tmp_path}/env/bin/activate {tmp_path}/env"]
    assert got.env["CONDA_PREFIX"] == str(tmp_path / "base")
    assert portable(of(tmp_path, conda={"skip": True}), tmp_path / "base").env == {}
