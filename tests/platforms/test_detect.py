"""Which platform it is follows from environment and files alone (platforms §1.1)."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from pinokiocloud.errors import UsageError
from pinokiocloud.home import Home
from pinokiocloud.platforms.detect import OVERRIDE, detect, exposers_of, module_of, modules, running_shell, secrets_of
from pinokiocloud.platforms.platform import Look, default_home, read_text

COLAB = {"COLAB_RELEASE_TAG": "release-colab_20261101", "COLAB_JUPYTER_IP": "172.28.0.12", "COLAB_GPU": ""}
KAGGLE = {"KAGGLE_KERNEL_RUN_TYPE": "Interactive", "KAGGLE_DATA_PROXY_URL": "x"}
LIGHTNING = {"LIGHTNING_CLOUD_SPACE_ID": "01j", "LIGHTNING_INTERACTIVE": "true"}
JUPYTER = {"JPY_PARENT_PID": "10", "HOME": "/home/me"}


def seen(environ=None, *paths, shell="", **texts):
    """Detect with a machine that has these paths and texts."""
    files = {name.replace("__", "/"): text for name, text in texts.items()}
    return detect(
        environ or {},
        lambda path: path in paths or path in files,
        lambda path: files.get(path, ""),
        shell,
    )


ROWS = [
    ("kaggle", KAGGLE, ["/kaggle/working"]),
    ("kaggle", {"KAGGLE_URL_BASE": "https://www.kaggle.com"}, ["/kaggle/working"]),
    ("kaggle", {**KAGGLE, **COLAB}, ["/kaggle/working", "/content"]),
    ("local", {"KAGGLE_URL_BASE": "https://www.kaggle.com", "HOME": "/home/me"}, []),
    ("colab_enterprise", {**COLAB, "VERTEX_PRODUCT": "COLAB_ENTERPRISE"}, ["/var/colab/hostname"]),
    ("colab", {**COLAB, "VERTEX_PRODUCT": "OTHER"}, []),
    ("colab", COLAB, ["/var/colab/hostname"]),
    ("colab", {"COLAB_RELEASE_TAG": "x", "COLAB_BACKEND_VERSION": "next"}, []),
    ("runpod", {"COLAB_RELEASE_TAG": "x", "RUNPOD_POD_ID": "abc"}, []),
    ("lightning", LIGHTNING, ["/teamspace/studios/this_studio"]),
    ("local", {**LIGHTNING, "LIGHTNING_INTERACTIVE": "false"}, []),
    ("local", {"LIGHTNING_API_KEY": "x"}, []),
    ("runpod", {"RUNPOD_POD_ID": "abc", **JUPYTER}, ["/workspace"]),
    ("vast", {"VAST_CONTAINERLABEL": "C.1"}, []),
    ("vast", {"CONTAINER_ID": "1", "VAST_TCP_PORT_22": "40001"}, []),
    ("local", {"CONTAINER_ID": "1"}, []),
    ("vast", JUPYTER, ["/etc/vast_agents"]),
    ("vast", JUPYTER, ["/etc/portal.yaml", "/.launch"]),
    ("jupyter", JUPYTER, ["/.launch"]),
    ("paperspace", {"PAPERSPACE_FQDN": "n1.clg07azjl.paperspacegradient.com"}, []),
    ("paperspace", {"PAPERSPACE_CLUSTER_ID": "c"}, ["/notebooks", "/storage"]),
    ("local", {"PAPERSPACE_API_KEY": "k"}, []),
    ("studiolab", {"SAGEMAKER_INTERNAL_IMAGE_URI": "u", **JUPYTER}, ["/home/studio-lab-user"]),
    ("studiolab", {}, ["/home/studio-lab-user", "/opt/ml/metadata/resource-metadata.json"]),
    ("sagemaker", JUPYTER, ["/opt/ml/metadata/resource-metadata.json"]),
    ("sagemaker", JUPYTER, ["/home/ec2-user/SageMaker"]),
    ("jupyterhub", {"JUPYTERHUB_SERVICE_PREFIX": "/user/x/", **JUPYTER}, []),
    ("jupyter", JUPYTER, []),
    ("jupyter", {"JPY_SESSION_NAME": "/a.ipynb"}, []),
    ("local", {"VSCODE_PID": "3"}, []),
    ("local", {}, []),
]


@pytest.mark.parametrize(("name", "environ", "paths"), ROWS)
def test_each_row_of_the_table(name, environ, paths):
    platform = seen(environ, *paths)
    assert platform.name == name
    assert platform.evidence
    assert not platform.forced
    assert platform.work_dir.is_absolute()
    assert platform.facts.persists
    assert all(folder.is_absolute() for folder in (*platform.persistent, *platform.temp))


def test_the_order_is_the_documented_one():
    assert [module.NAME for module in modules()] == [
        "kaggle", "colab_enterprise", "colab", "lightning", "runpod", "vast", "paperspace", "studiolab", "sagemaker",
        "jupyterhub", "jupyter", "local",
    ]  # fmt: skip
    assert len({module.ORDER for module in modules()}) == len(modules())


def test_variables_in_files_of_the_platform_count():
    assert seen({}, **{"/etc/rp_environment": 'export RUNPOD_POD_ID="abc"\n'}).name == "runpod"
    assert seen({}, **{"/etc/environment": 'PATH="/bin"\nVAST_CONTAINERLABEL="C.1"\nWORKSPACE=/data\n'}).name == "vast"
    assert seen({}, **{"/etc/environment": 'PATH="/bin"\n'}).name == "local"
    vast = seen({}, **{"/etc/environment": "VAST_CONTAINERLABEL=C.1\nWORKSPACE=/data\n"})
    assert vast.work_dir == Path("/data")


@pytest.mark.parametrize(("told", "persistent"), [("true", (Path("/workspace"),)), ("false", ()), ("{", ())])
def test_vast_s_work_folder_is_persistent_only_if_it_is_a_volume(told, persistent):
    text = f'{{"instance": {{"workspace_is_volume": {told}}}}}'
    platform = seen({"VAST_CONTAINERLABEL": "C.1"}, **{"/etc/vast_capabilities.json": text})
    assert platform.persistent == persistent


def test_evidence_says_what_was_seen_and_holds_no_values():
    platform = seen({**COLAB, "COLAB_RELEASE_TAG": "very-secret"}, "/var/colab/hostname")
    assert platform.evidence == (
        "COLAB_RELEASE_TAG is set", "COLAB_JUPYTER_IP is set", "/var/colab/hostname exists",
    )  # fmt: skip
    assert "very-secret" not in repr(platform)


@pytest.mark.parametrize("name", ["runpod", "RunPod", " run-pod "])
def test_the_override_wins_over_everything(name):
    platform = seen({**KAGGLE, OVERRIDE: name}, "/kaggle/working")
    assert (platform.name, platform.forced) == ("runpod", True)
    assert platform.evidence[0] == "PINOKIOCLOUD_PLATFORM=runpod"


def test_an_unknown_override_is_refused_with_the_names():
    with pytest.raises(UsageError, match="colab_enterprise, colab, lightning"):
        seen({OVERRIDE: "comodore"})
    assert seen({OVERRIDE: " "}).name == "local"


def test_every_platform_can_be_forced_and_gives_its_ways_and_stores(tmp_path):
    for module in modules():
        look = Look({OVERRIDE: module.NAME, "HOME": "/home/me"}, lambda path: False, lambda path: "")
        platform = detect(look.environ, look.exists, look.read)
        assert platform.name == module.NAME
        assert pickle.loads(pickle.dumps(platform)) == platform
        assert all(hasattr(exposer, "open") for exposer in exposers_of(platform, look))
        assert secrets_of(platform, Home(tmp_path), look).get("NO_SUCH_SECRET") is None
        assert set(module.ROOTS.values()) <= {"work", "persistent", "temp"}


def test_colab_has_one_notice_and_pulls_its_widgets():
    hosted, own = seen(COLAB, "/var/colab/hostname"), seen(COLAB)
    assert [notice.id for notice in hosted.notices] == ["colab-terms"]
    assert hosted.facts.ui == "pull"
    assert hosted.facts.tunnels == "ask"
    assert (hosted.facts.hosted, own.facts.hosted) == (True, False)
    assert [type(x).__name__ for x in exposers_of(hosted)] == ["ColabExposer"]
    assert [type(x).__name__ for x in exposers_of(own)] == ["LocalExposer"]
    mounted = seen(COLAB, "/content/drive/MyDrive")
    assert mounted.persistent == (Path("/content/drive/MyDrive"),)


@pytest.mark.parametrize(
    ("environ", "paths", "home"),
    [
        (KAGGLE, ["/kaggle/working"], "/kaggle/working/pinokios"),
        (COLAB, [], "/content/pinokios"),
        (LIGHTNING, [], "/teamspace/studios/this_studio/pinokios"),
        ({"VAST_CONTAINERLABEL": "C.1"}, [], "/workspace/pinokios"),
        ({"RUNPOD_POD_ID": "1"}, [], "/workspace/pinokios"),
        ({"RUNPOD_POD_ID": "1", "RP_WORKSPACE": "/runpod-volume"}, [], "/runpod-volume/pinokios"),
        ({"PAPERSPACE_FQDN": "x"}, [], "/notebooks/pinokios"),
        ({}, ["/home/studio-lab-user"], "/home/studio-lab-user/pinokios"),
        ({"HOME": "/root"}, ["/home/ec2-user/SageMaker"], "/home/ec2-user/SageMaker/pinokios"),
        (JUPYTER, [], "/home/me/pinokios"),
        ({"HOME": "/home/me"}, [], "/home/me/pinokios"),
        ({**COLAB, "PINOKIO_HOME": "/data/../here"}, [], "/here"),
        ({"HOME": "/home/me", "PINOKIO_HOME": "~/p"}, [], "/home/me/p"),
    ],
)
def test_where_the_home_folder_is(environ, paths, home):
    assert default_home(seen(environ, *paths), environ) == Path(home)


def test_a_notebook_in_vs_code_is_named_so():
    assert seen({"VSCODE_PID": "3"}, shell="ZMQInteractiveShell").title == "Jupyter in VS Code"
    assert seen({}, shell="TerminalInteractiveShell").name == "local"
    assert running_shell() == ""


def test_a_file_that_cannot_be_read_is_empty(tmp_path):
    assert read_text(str(tmp_path)) == ""
    assert read_text(str(tmp_path / "none")) == ""


def test_the_real_machine_is_one_of_them():
    assert detect().name in {module.NAME for module in modules()}


def test_unknown_platforms_have_no_module():
    with pytest.raises(UsageError):
        module_of("atari")


def test_a_look_does_not_show_the_environment():
    assert "hf_secret" not in repr(Look({"HF_TOKEN": "hf_secret"}))
