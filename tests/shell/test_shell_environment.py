"""The environment of a shell, layer by layer (spec §4.2.6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinokiocloud.errors import ShellError
from pinokiocloud.shell.environment import (
    engine_environment,
    login_path,
    managed_path,
    shell_environment,
    tool_variables,
)

HOME = Path("/home/x")


def env(params: dict[str, Any] | None = None, merged: dict[str, str] | None = None, **more: Any) -> dict[str, str]:
    return shell_environment(
        home=HOME,
        merged=merged or {},
        params=params or {},
        activation=more.pop("activation", {}),
        login=more.pop("login", "/usr/bin:/bin"),
        **more,
    )


# ---- 1: the engine's own environment -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    [
        "PYTHONPATH", "PYTHONHOME", "CMAKE_MAKE_PROGRAM", "CMAKE_GENERATOR", "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "CUDA_PATH", "CUDAX",
        "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "OPENSSL_CONF",
        "BLUEFAIRY_HOME", "CONDA_EXE", "CONDA_PREFIX", "CONDA_PREFIX_1", "CONDA_DEFAULT_ENV", "CONDA_SHLVL",
        "CONDA_PROMPT_MODIFIER", "CONDA_PYTHON_EXE", "_CE_CONDA", "_CE_M", "UV_SYSTEM_PYTHON", "UV_PRERELEASE", "UV_PYTHON",
        "UV_PROJECT_ENVIRONMENT", "UV_CONSTRAINT", "UV_BUILD_CONSTRAINT", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "PIP_BREAK_SYSTEM_PACKAGES",
        "JPY_PARENT_PID", "MPLBACKEND", "NODE_OPTIONS", "NODE_PATH", "BASH_ENV", "ENV", "PROMPT_COMMAND", "PS0", "PYENV_VERSION",
        "npm_config_prefix",
    ],
)  # fmt: skip
def test_what_belongs_to_the_kernel_does_not_reach_a_script(name: str) -> None:
    assert name not in engine_environment({name: "x", "KEPT": "1"})
    assert engine_environment({name: "x", "KEPT": "1"})["KEPT"] == "1"


@pytest.mark.parametrize(
    "name",
    ["LD_LIBRARY_PATH", "HF_TOKEN", "HTTP_PROXY", "https_proxy", "NVIDIA_VISIBLE_DEVICES", "LANG", "HOME", "USER", "COLAB_GPU",
     "CONDA_ENVS_PATH", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "MY_CUDA", "PIP_INDEX_URL"],
)  # fmt: skip
def test_what_is_the_machines_reaches_a_script(name: str) -> None:
    assert engine_environment({name: "x"})[name] == "x"


# ---- 2: constants ------------------------------------------------------------------------------------------------
def test_constants_are_set_over_what_was_there() -> None:
    got = engine_environment({"CONDA_SHORTCUTS": "1", "PYTORCH_ENABLE_MPS_FALLBACK": "0"})
    assert got == {
        "CONDA_SHORTCUTS": "0",
        "CMAKE_OBJECT_PATH_MAX": "1024",
        "PYTORCH_ENABLE_MPS_FALLBACK": "1",
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
    }


def test_a_certificate_of_ones_own_is_told_by_other_names() -> None:
    got = engine_environment({"SSL_CERT_FILE": "/ca.pem"})
    assert got["NODE_EXTRA_CA_CERTS"] == "/ca.pem"
    assert "SSL_CERT_FILE" not in got


# ---- 4, 5: PATH and the managed tools -------------------------------------------------------------------------------
def test_path_is_managed_folders_login_path_and_bin() -> None:
    got = env(merged={"PATH": "/from/ENVIRONMENT"}, login="/usr/bin:/bin")["PATH"].split(":")
    assert got == [*managed_path(HOME), "/usr/bin", "/bin", "/home/x/bin"]
    assert got[:4] == [
        "/home/x/bin/npm",
        "/home/x/bin/npm/bin",
        "/home/x/bin/miniforge/etc/profile.d",
        "/home/x/bin/miniforge/bin",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HISTFILE", "history/bash_history"), ("CONDA_ENVS_PATH", "bin/miniforge/envs"), ("CONDA_PKGS_DIRS", "bin/miniforge/pkgs"),
        ("GIT_CONFIG_GLOBAL", "gitconfig"), ("GH_CONFIG_DIR", "config/gh"), ("NPM_CONFIG_PREFIX", "bin/npm"), ("npm_config_prefix", "bin/npm"),
        ("npm_config_cache", "cache/npm_config_cache"), ("PNPM_HOME", "bin/npm"), ("pnpm_home", "bin/npm"),
        ("HOMEBREW_PREFIX", "bin/homebrew"), ("BLUEFAIRY_HOME", "bin/bluefairy"),
    ],
)  # fmt: skip
def test_tools_are_below_the_home(name: str, value: str) -> None:
    assert env(merged={name: "elsewhere"})[name] == f"/home/x/{value}"


def test_a_compiler_is_told_to_nvcc_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert tool_variables(HOME)["NVCC_PREPEND_FLAGS"] == "-ccbin /usr/bin/g++"
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "NVCC_PREPEND_FLAGS" not in tool_variables(HOME)


def test_the_login_path_is_the_machines_without_the_kernels_environment() -> None:
    got = login_path({"PATH": "/k/bin:/usr/bin:/opt/x::/bin", "VIRTUAL_ENV": "/k"}).split(":")
    assert got[:2] == ["/usr/bin", "/opt/x"]
    assert "/k/bin" not in got
    assert "" not in got
    assert "/usr/bin" in login_path({}).split(":")


# ---- 6: the step's own -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["PATH", "path", "Path"])
def test_a_list_of_folders_goes_before_the_path(name: str) -> None:
    got = env({"env": {name: ["/one", "/two"]}}, login="/usr/bin")["PATH"].split(":")
    assert got[:2] == ["/one", "/two"]
    assert got[-2:] == ["/usr/bin", "/home/x/bin"]


@pytest.mark.parametrize("value", ["/one:/two", 5, None, {"a": 1}])
def test_a_path_that_is_no_list_is_refused(value: Any) -> None:
    with pytest.raises(ShellError, match=r"env\.PATH must be a list"):
        env({"env": {"PATH": value}})


@pytest.mark.parametrize(
    ("value", "before", "text"),
    [
        (["a", "b"], None, "a:b"), (["a", "b"], "c:d", "a:b:c:d"), (["a", 5, True], None, "a:5:true"), ([], "c", "c"), ([], None, ""),
        ("text", "before", "text"), (5, None, "5"), (1.5, None, "1.5"), (1e-5, None, "0.00001"), (True, None, "true"), (False, None, "false"),
        (None, "before", "null"), ("", "before", ""), ({"a": 1}, None, "[object Object]"),
    ],
)  # fmt: skip
def test_values_of_the_step(value: Any, before: str | None, text: str) -> None:
    assert (
        env({"env": {"LD_LIBRARY_PATH": value}}, {} if before is None else {"LD_LIBRARY_PATH": before})[
            "LD_LIBRARY_PATH"
        ]
        == text
    )


@pytest.mark.parametrize("given", [None, "", [], "x", 5])
def test_an_env_that_is_no_object_is_none(given: Any) -> None:
    assert env({"env": given}) == env()


# ---- 7: defaults -----------------------------------------------------------------------------------------------------
def test_defaults_of_the_hub() -> None:
    assert env()["HF_HUB_DISABLE_UPDATE_CHECK"] == "1"
    assert env()["HF_TOKEN_PATH"] == "/home/x/cache/HF_AUTH/anonymous"
    assert env(token_path=Path("/t"))["HF_TOKEN_PATH"] == "/t"
    assert env({"env": {"HF_TOKEN_PATH": "/mine"}})["HF_TOKEN_PATH"] == "/mine"
    assert env({"env": {"HF_TOKEN_PATH": ""}})["HF_TOKEN_PATH"].endswith("anonymous")
    assert "HF_TOKEN" not in env()


def test_prompt_and_terminal() -> None:
    assert env()["PS1"] == "<<PINOKIO_SHELL>>"
    assert env(merged={"PS1": "> "})["PS1"] == "> "
    assert env(merged={"TERM": "dumb"})["TERM"] == "xterm-color"


# ---- 8: clean-up -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["A-B", "1A", "A B", "", "A=B", "é", "A.B", "A\nB", "ProgramFiles(x86)", "A\n"])
def test_names_that_are_no_identifiers_are_dropped(name: str) -> None:
    assert name not in env({"env": {name: "1"}})
    assert name not in env(merged={name: "1"})


@pytest.mark.parametrize("name", ["a", "_", "A1", "_a_B2"])
def test_names_that_are_identifiers_are_kept(name: str) -> None:
    assert env({"env": {name: "1"}})[name] == "1"


@pytest.mark.parametrize(
    ("value", "text"), [("a\nb", "a b"), ("a\r\nb", "a b"), ("a\n\n\rb", "a b"), ("\n", " "), ("a\0b", "ab")]
)
def test_line_breaks_become_one_space(value: str, text: str) -> None:
    assert env({"env": {"A": value}})["A"] == text
    assert env(merged={"A": value})["A"] == text


def test_the_lines_of_an_argument_stay() -> None:
    assert env({"env": {"PINOKIO_ARG_0": "a\nb\r\nc"}})["PINOKIO_ARG_0"] == "a\nb\r\nc"


def test_variables_are_taken_away_at_the_end() -> None:
    got = env({"env": {"A": "1"}, "-env": ["A", "TERM", "PATH", "MISSING"]}, {"B": "2"})
    assert not {"A", "TERM", "PATH"} & set(got)
    assert got["B"] == "2"
    assert env({"env": {"A": "1"}, "-env": "A"})["A"] == "1"
    assert env({"env": {"A": "1"}, "-env": None})["A"] == "1"


# ---- 9: activation ----------------------------------------------------------------------------------------------------
def test_the_activation_comes_last_except_where_somebody_chose() -> None:
    activation = {"PIP_REQUIRE_VIRTUALENV": "true", "UV_PYTHON_PREFERENCE": "only-managed"}
    assert env(activation=activation)["PIP_REQUIRE_VIRTUALENV"] == "true"
    assert env({"env": {"PIP_REQUIRE_VIRTUALENV": "false"}}, activation=activation)["PIP_REQUIRE_VIRTUALENV"] == "true"
    assert env({"-env": ["PIP_REQUIRE_VIRTUALENV"]}, activation=activation)["PIP_REQUIRE_VIRTUALENV"] == "true"
    assert env({"env": {"UV_PYTHON_PREFERENCE": "system"}}, activation=activation)["UV_PYTHON_PREFERENCE"] == "system"
    assert env(merged={"UV_PYTHON_PREFERENCE": "system"}, activation=activation)["UV_PYTHON_PREFERENCE"] == "system"


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.one_of(st.text(max_size=5), st.integers(), st.none(), st.booleans(), st.lists(st.text(max_size=3))),
        max_size=5,
    )
)
def test_whatever_is_given_becomes_an_environment_that_a_program_can_have(given_env: dict[str, Any]) -> None:
    try:
        got = env({"env": given_env})
    except ShellError:
        assert any(key.upper() == "PATH" for key in given_env)
        return
    assert all("=" not in key and "\0" not in key + value for key, value in got.items())
    assert all("\n" not in value or key.startswith("PINOKIO_ARG_") for key, value in got.items())
