"""jupyter-server-proxy is found by trying it, on servers as they really answer (platforms §1.3)."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest
from platform_servers import free, jupyter, serving, text

from pinokiocloud.platforms.exposure import ExposeError, Health, listens
from pinokiocloud.platforms.jupyter_proxy import JupyterProxyExposer, JupyterServer, running_servers

TOKEN = "t0ken-of-the-server"


@pytest.fixture
def app():
    with serving(text("the app")) as server:
        yield server


def server_file(folder, server, base="/", token="", pid=None, name="jpserver-1.json", **more):
    folder.mkdir(exist_ok=True)
    told = {
        "url": f"http://localhost:{server.port}{base}", "hostname": "localhost", "port": server.port, "sock": "",
        "secure": False, "base_url": base, "token": token, "root_dir": "/", "password": False,
        "pid": os.getpid() if pid is None else pid, "version": "2.21.1", **more,
    }  # fmt: skip
    (folder / name).write_text(json.dumps(told))


@pytest.mark.parametrize(("base", "token"), [("/", ""), ("/", TOKEN), ("/studiolab/default/jupyter/", TOKEN)])
def test_a_server_with_the_proxy_is_found_by_trying(tmp_path, app, base, token):
    with serving(jupyter(base, token)) as server:
        server_file(tmp_path, server, base, token)
        exposer = JupyterProxyExposer({"JUPYTER_RUNTIME_DIR": str(tmp_path)})
        assert exposer.available()
        endpoint = exposer.open(app.port)
        assert endpoint.url == f"{base}proxy/{app.port}/"
        assert (endpoint.auth, endpoint.public) == ("account", False)
        assert exposer.health()[app.port] == Health(ok=True, detail="HTTP 200")
        assert app.asked[-1][0] == "/"
        absolute = JupyterProxyExposer({}, absolute=True, folder=tmp_path, public_url="https://h.example/")
        assert absolute.open(app.port).url == f"https://h.example{base}proxy/absolute/{app.port}/"
        assert absolute.health()[app.port].ok
        assert app.asked[-1][0] == f"{base}proxy/absolute/{app.port}/"
        dead = free()
        exposer.open(dead)
        assert exposer.health()[dead] == Health(ok=False, detail=f"nothing listens on port {dead}")
        assert TOKEN not in repr([endpoint, running_servers({}, tmp_path)])


def test_a_server_without_the_proxy_is_refused_with_what_to_do(tmp_path):
    with serving(jupyter(proxy=False)) as server:
        server_file(tmp_path, server)
        exposer = JupyterProxyExposer({}, folder=tmp_path)
        assert not exposer.available()
        with pytest.raises(ExposeError, match="no Jupyter server") as caught:
            exposer.open(7860)
        assert "pip install jupyter-server-proxy" in caught.value.hint
    assert not JupyterProxyExposer({}, folder=tmp_path / "none").available()


def test_another_page_on_that_path_is_not_taken_for_the_proxy(tmp_path):
    with serving(text("welcome")) as server:
        server_file(tmp_path, server)
        assert not JupyterProxyExposer({}, folder=tmp_path).available()


@pytest.mark.parametrize("status", [302, 401, 403])
def test_a_server_that_wants_a_login_is_used_untried_and_says_so(tmp_path, app, status):
    with serving(jupyter(login=status)) as server:
        server_file(tmp_path, server)
        exposer = JupyterProxyExposer({}, folder=tmp_path)
        assert "not tried" in exposer.open(app.port).note
        assert "not tried" in exposer.health()[app.port].detail


def test_a_hub_s_server_is_found_with_the_hub_s_token(tmp_path, app):
    prefix = "/user/ann/"
    environ = {"JUPYTERHUB_SERVICE_PREFIX": prefix, "JUPYTERHUB_API_TOKEN": TOKEN}
    with serving(jupyter(prefix, TOKEN)) as server:
        server_file(tmp_path, server, prefix)
        exposer = JupyterProxyExposer(environ, folder=tmp_path)
        assert exposer.open(app.port).url == f"/user/ann/proxy/{app.port}/"
        public = {**environ, "JUPYTERHUB_PUBLIC_URL": "https://hub.example.org/user/ann/"}
        assert JupyterProxyExposer(public, folder=tmp_path).open(app.port).url == (
            f"https://hub.example.org/user/ann/proxy/{app.port}/"
        )
        service = {**environ, "JUPYTERHUB_SERVICE_URL": f"http://0.0.0.0:{server.port}/user/ann/"}
        assert JupyterProxyExposer(service, folder=tmp_path / "none").available()


def test_servers_in_order_and_without_the_dead(tmp_path):
    fake = types.SimpleNamespace(port=1234)
    server_file(tmp_path, fake, "/old/", name="jpserver-1.json")
    server_file(tmp_path, fake, "/new/", name="nbserver-2.json")
    server_file(tmp_path, fake, "/mine/", name="jpserver-3.json", pid=1)
    server_file(tmp_path, fake, "/dead/", name="jpserver-4.json", pid=2**22 + 1)
    server_file(tmp_path, fake, "/sock/", name="jpserver-5.json", sock="/tmp/s")
    (tmp_path / "jpserver-6.json").write_text("{")
    (tmp_path / "jpserver-7.json").write_text("[1]")
    (tmp_path / "kernel-8.json").write_text("{}")
    for age, name in ((30, "jpserver-1.json"), (20, "nbserver-2.json"), (40, "jpserver-3.json")):
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    bases = [server.base_url for server in running_servers({}, tmp_path)]
    assert bases == ["/new/", "/old/", "/mine/"]
    assert running_servers({"JPY_PARENT_PID": "1"}, tmp_path)[0].base_url == "/mine/"
    assert running_servers({"JUPYTERHUB_SERVICE_PREFIX": "/old/"}, tmp_path)[0].base_url == "/old/"
    assert (tmp_path / "jpserver-4.json").exists()
    assert running_servers({"HOME": str(tmp_path)}) == []
    assert JupyterServer("u", "/", TOKEN).headers == {"Authorization": f"token {TOKEN}"}


def test_the_check_leaves_no_thread_and_no_port(tmp_path):
    before = threading.active_count()
    with serving(jupyter()) as server:
        server_file(tmp_path, server)
        exposer = JupyterProxyExposer({}, folder=tmp_path)
        assert exposer.available()
        assert exposer.available()
        assert len(server.asked) == 1
        checked = int(server.asked[0][0].split("/")[2])
    assert not listens(checked)
    assert threading.active_count() <= before + 1


REAL = os.environ.get("PINOKIOCLOUD_TEST_JUPYTER") or (
    sys.executable if importlib.util.find_spec("jupyter_server_proxy") else ""
)


@pytest.mark.skipif(not REAL, reason="no jupyter-server-proxy here, nor a Python with it in PINOKIOCLOUD_TEST_JUPYTER")
@pytest.mark.parametrize("works", [True, False])
def test_a_real_jupyter_server(tmp_path, app, works):
    (tmp_path / "config").mkdir()
    settings = {"ServerApp": {"jpserver_extensions": {"jupyter_server_proxy": works}}}
    (tmp_path / "config/jupyter_server_config.json").write_text(json.dumps(settings))
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path / "run"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "JUPYTER_PREFER_ENV_PATH": "0",
    }  # fmt: skip
    command = [REAL, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0",
               "--ServerApp.base_url=/lab/x/", f"--IdentityProvider.token={TOKEN}"]  # fmt: skip
    with subprocess.Popen(command, env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 60
            while not (found := running_servers(environ)) or not listens(int(found[0].url.split(":")[2].split("/")[0])):
                assert time.monotonic() < end
                time.sleep(0.1)
            exposer = JupyterProxyExposer(environ)
            assert exposer.available() is works
            if works:
                assert exposer.open(app.port).url == f"/lab/x/proxy/{app.port}/"
                assert exposer.health()[app.port] == Health(ok=True, detail="HTTP 200")
                wrong = JupyterProxyExposer({**environ, "x": ""}, folder=Path(environ["JUPYTER_RUNTIME_DIR"]))
                assert wrong.available()
        finally:
            process.terminate()
            process.wait(20)
