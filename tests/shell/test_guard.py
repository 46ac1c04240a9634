"""The conda guard (spec §4.2.5): python and conda of the managed base are not replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinokiocloud.shell.guard import harms_base

BASE = Path("/home/x/bin/miniforge")


def harms(message: str, *, other: bool = False) -> bool:
    return harms_base(message, base=BASE, other_selected=other)


@pytest.mark.parametrize(
    "message",
    [
        "conda install python",
        "conda install -y python=3.11",
        "conda install -y -c conda-forge python==3.11.4",
        "conda install 'python>=3.11'",
        'conda install "python<3.12"',
        "conda install python~=3.11",
        "conda install conda-forge::python",
        "conda install numpy python=3.11 scipy",
        "conda install PYTHON",
        "conda install conda",
        "conda install conda-libmamba-solver",
        "conda update conda",
        "conda upgrade python",
        "conda remove python",
        "conda uninstall conda",
        "conda create python=3.11",
        "conda update --all",
        "conda update --update-all",
        "conda install --revision 3",
        "conda install --revision=3",
        "conda install --file requirements.txt",
        "conda install --file=requirements.txt",
        "conda env update -f environment.yml",
        "conda env update --file environment.yml",
        "mamba install python=3.11",
        "micromamba install python",
        "/home/x/bin/miniforge/bin/conda install python=3.11",
        "sudo conda install python=3.11",
        "command conda install python=3.11",
        "CONDA_PKGS_DIRS=/tmp/p conda install python=3.11",
        "conda install -n base python=3.11",
        "conda install --name=base python=3.11",
        "conda install -p /home/x/bin/miniforge python=3.11",
        "conda install --prefix /home/x/bin/miniforge python=3.11",
        "echo a && conda install python=3.11",
        "echo a; conda install python=3.11",
        "echo a || conda install python=3.11",
        "echo a | conda install python=3.11",
        "echo a & conda install python=3.11",
        "echo a\nconda install python=3.11",
        "  conda   install   -y   python",
    ],
)  # fmt: skip
def test_what_would_replace_python_or_conda_is_found(message: str) -> None:
    assert harms(message)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "conda",
        "echo hi",
        "conda --version",
        "conda list python",
        "conda search python",
        "conda info --all",
        "conda run python --version",
        "conda activate python",
        "conda install ffmpeg",
        "conda install -y python-dateutil",
        "conda install pythonnet",
        "conda install -c python numpy",
        "conda install --channel conda numpy",
        "conda install -n other python=3.11",
        "conda install --name other python=3.11",
        "conda install -p ./env python=3.11",
        "conda create -n other python=3.11",
        "conda create -y -p /x/env python=3.11",
        "conda env create -f environment.yml",
        "conda env create --file environment.yml",
        "conda env update -n other -f environment.yml",
        "conda env update --prefix ./env --file environment.yml",
        "conda env list",
        "conda env export --file out.yml",
        "pip install python",
        "echo conda install python",
        "apt install python",
        "conda install 'unclosed",
    ],
)  # fmt: skip
def test_what_leaves_them_alone_runs(message: str) -> None:
    assert not harms(message)


def test_a_step_that_selects_another_environment_may_change_its_python() -> None:
    assert not harms("conda install python=3.11", other=True)
    assert harms("conda install -n base python=3.11", other=True)
    assert not harms("conda update --all", other=True)
