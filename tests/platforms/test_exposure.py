"""Showing ports: each platform's own way (platforms §1.3)."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import types

import pytest
import yaml
from platform_servers import forwarded, free, serving, text

from pinokiocloud.errors import UsageError
from pinokiocloud.platforms import vast_portal
from pinokiocloud.platforms.colab import ColabExposer
from pinokiocloud.platforms.detect import detect, exposers_of
from pinokiocloud.platforms.exposure import (
    Endpoint,
    ExposeError,
    Exposer,
    Health,
    MemoryExposer,
    answers,
    fetched,
)
from pinokiocloud.platforms.lightning import LightningExposer
from pinokiocloud.platforms.local import LocalExposer
from pinokiocloud.platforms.paperspace import PaperspaceExposer
from pinokiocloud.platforms.platform import Look
from pinokiocloud.platforms.runpod import RunPodExposer
from pinokiocloud.platforms.vast import VastDirectExposer
from pinokiocloud.platforms.vast_portal import VastPortalExposer

TOKEN = "t0ken-of-the-server"


@pytest.fixture
def app():
    with serving(text("the app")) as server:
        yield server


def test_the_double_keeps_the_rules_of_the_protocol():
    double = MemoryExposer(refuse=(5,))
    assert isinstance(double, Exposer)
    assert double.available()
    endpoint = double.open(7860)
    assert endpoint == Endpoint("https://7860.example.invalid/", "memory", "none", public=False, port=7860)
    assert double.open(7860) is endpoint
    double.open(8188)
    double.sick.add(8188)
    assert double.health() == {7860: Health(ok=True), 8188: Health(ok=False)}
    double.close(7860)
    double.close(7860)
    double.close()
    assert double.endpoints == ()
    assert double.calls == [("open", 7860), ("open", 8188), ("close", 7860), ("close", 8188)]
    with pytest.raises(ExposeError):
        double.open(5)


@pytest.mark.parametrize("port", [0, -1, 65536, "7860", True, 1.5, None])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(UsageError):
        MemoryExposer().open(port)


def test_a_page_is_looked_at_without_following_it(app):
    assert answers(app.url) == Health(ok=True, detail="HTTP 200")
    with serving(lambda request: (302, b"", {"Location": "http://127.0.0.1:1/"})) as server:
        assert answers(server.url).ok
    with serving(text("", 404)) as server:
        assert answers(server.url) == Health(ok=False, detail="HTTP 404")
    assert not answers(f"http://127.0.0.1:{free()}/?token={TOKEN}").ok
    assert TOKEN not in answers(f"http://127.0.0.1:{free()}/?token={TOKEN}").detail
    assert fetched(f"{app.url}/a?b=c") == (200, b"the app")
    assert app.asked[-1][0] == "/a?b=c"
    assert fetched(f"https://127.0.0.1:{app.port}/") == (0, b"")
    assert fetched("http://127.0.0.1:x/") == (0, b"")


def test_this_machine_is_not_asked_through_a_proxy(app, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert answers(app.url).ok
    assert fetched(app.url)[0] == 200


def test_local_is_the_machine_itself(app):
    exposer = LocalExposer()
    assert exposer.available()
    assert exposer.open(app.port).url == f"{app.url}/"
    assert not exposer.open(app.port).public
    assert exposer.health()[app.port].ok


# Colab


def test_colab_asks_the_page_once_and_keeps_the_address(app):
    asked, cell = [], [True]

    def eval_js(script):
        asked.append(script)
        return "https://xyz-7860-colab.googleusercontent.com/"

    exposer = ColabExposer(eval_js, cell=lambda: cell[0])
    endpoint = exposer.open(app.port)
    assert asked == [f"google.colab.kernel.proxyPort({app.port})"]
    assert (endpoint.url, endpoint.auth, endpoint.public) == (
        "https://xyz-7860-colab.googleusercontent.com/", "account", False,
    )  # fmt: skip
    cell[0] = False
    assert exposer.open(app.port) is endpoint
    assert exposer.health()[app.port].ok
    with pytest.raises(ExposeError, match="main thread of a running cell"):
        exposer.open(app.port + 1)
    assert len(asked) == 1


@pytest.mark.parametrize("answer", [None, "", "http://plain/", {}, RuntimeError("no page")])
def test_colab_s_page_may_give_no_address(answer):
    def eval_js(script):
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(ExposeError, match="gave no address"):
        ColabExposer(eval_js, cell=lambda: True).open(7860)


def test_colab_shows_a_frame_in_the_cell():
    shown = []
    exposer = ColabExposer(lambda script: "", frame=lambda port, **how: shown.append((port, how)), cell=lambda: True)
    exposer.show(7860, path="/x", height=400)
    assert shown == [(7860, {"path": "/x", "height": "400"})]
    assert not ColabExposer().available()
    with pytest.raises(ExposeError, match="running cell"):
        ColabExposer().show(7860)
    with pytest.raises(ExposeError, match="no Colab kernel"):
        ColabExposer(cell=lambda: True).open(7860)


def test_kaggle_and_colab_enterprise_have_no_way_of_their_own():
    for name in ("kaggle", "colab_enterprise"):
        assert exposers_of(detect({"PINOKIOCLOUD_PLATFORM": name})) == []


# Lightning


class Studio:
    """Stands for lightning_sdk.Studio."""

    def __init__(self, late=0, error=None, auth=None):
        self.ports, self.added, self.late, self.error, self.auth = [], [], late, error, auth

    def add_ports(self, ports):
        if self.error:
            raise self.error
        self.added.append(ports)
        for name, port in ports.items():
            self.ports.append(types.SimpleNamespace(
                name=name, ports=[str(port)], auth=self.auth,
                urls=[] if self.late > 0 else [f"https://{port}-01j.cloudspaces.litng.ai"],
            ))  # fmt: skip
        return self.ports[-1:]

    def list_ports(self):
        self.late -= 1
        if self.late == 0:
            self.ports[-1].urls = ["7860-01j.cloudspaces.litng.ai"]
        return self.ports


def test_lightning_adds_a_port_or_takes_the_one_that_is_there():
    studio = Studio()
    exposer = LightningExposer(lambda: studio)
    assert exposer.open(7860).url == "https://7860-01j.cloudspaces.litng.ai"
    assert LightningExposer(lambda: studio).open(7860).url == "https://7860-01j.cloudspaces.litng.ai"
    assert studio.added == [{"pinokiocloud-7860": 7860}]
    assert (exposer.open(7860).auth, exposer.open(7860).public) == ("none", True)
    guarded = Studio(auth=types.SimpleNamespace(enabled=True))
    assert LightningExposer(lambda: guarded).open(7860).auth == "token"


def test_lightning_s_address_may_come_late_or_never():
    assert LightningExposer(lambda: Studio(late=4), pause=0).open(7860).url == "https://7860-01j.cloudspaces.litng.ai"
    with pytest.raises(ExposeError, match="no address"):
        LightningExposer(lambda: Studio(late=99), pause=0).open(7860)
    with pytest.raises(ExposeError, match="PermissionError"):
        LightningExposer(lambda: Studio(error=PermissionError("free account"))).open(7860)
    if importlib.util.find_spec("lightning_sdk") is None:
        assert not LightningExposer().available()
        with pytest.raises(ExposeError, match="lightning_sdk is missing"):
            LightningExposer().open(7860)


# RunPod, Paperspace


def test_runpod_names_its_proxy_or_its_tcp_port(app):
    environ = {"RUNPOD_POD_ID": "abc123", "RUNPOD_PUBLIC_IP": "1.2.3.4", "RUNPOD_TCP_PORT_8000": "43210"}
    exposer = RunPodExposer(environ)
    assert exposer.available()
    assert exposer.open(7860).url == "https://abc123-7860.proxy.runpod.net/"
    assert exposer.open(8000).url == "http://1.2.3.4:43210/"
    assert exposer.open(7860).public
    assert "HTTP ports" in exposer.open(7860).note
    assert not RunPodExposer({}).available()
    with pytest.raises(ExposeError, match="RUNPOD_POD_ID"):
        RunPodExposer({}).open(7860)
    here = RunPodExposer(environ, template="http://127.0.0.1:{port}/{pod}/")
    here.open(app.port)
    assert here.health()[app.port].ok
    with serving(text("", 404)) as unlisted:
        here.open(unlisted.port)
        assert "add" in here.health()[unlisted.port].detail


def test_paperspace_forwards_one_port(app):
    exposer = PaperspaceExposer("n1.example.com")
    assert exposer.open(6006).url == "https://tensorboard-n1.example.com/"
    with pytest.raises(ExposeError, match="6006"):
        exposer.open(7860)
    assert not PaperspaceExposer("").available()
    with pytest.raises(ExposeError, match="PAPERSPACE_FQDN"):
        PaperspaceExposer("").open(6006)
    here = PaperspaceExposer("x", template=app.url + "/{fqdn}")
    here.open(6006)
    assert here.health()[6006].ok


# Vast

VAST = {
    "PUBLIC_IPADDR": "5.6.7.8", "VAST_TCP_PORT_22": "40022", "VAST_TCP_PORT_8000": "40800",
    "VAST_TCP_PORT_70001": "43333",
    "VAST_TCP_PORT_bad": "1", "VAST_TCP_PORT_99": "x", "VAST_UDP_PORT_8001": "40801",
}  # fmt: skip


@pytest.mark.parametrize(
    ("port", "url"),
    [(8000, "http://5.6.7.8:40800/"), (43333, "http://5.6.7.8:43333/"), (7860, None), (70001, None), (40800, None)],
)
def test_vast_s_declared_ports(port, url):
    exposer = VastDirectExposer(VAST)
    assert exposer.available()
    assert exposer.ports == [8000, 43333]
    if url is None:
        with pytest.raises((ExposeError, UsageError)):
            exposer.open(port)
    else:
        endpoint = exposer.open(port)
        assert (endpoint.url, endpoint.auth, endpoint.public) == (url, "none", True)
    assert not VastDirectExposer({}).available()


class Portal:
    """The portal's file, and a Caddy that reads it anew when it is restarted, as Vast's own manager makes it."""

    def __init__(self, folder, **environ):
        self.file = folder / "portal.yaml"
        self.environ = {"PUBLIC_IPADDR": "5.6.7.8", "OPEN_BUTTON_TOKEN": TOKEN, **environ}
        self.outer = free()
        self.environ[f"VAST_TCP_PORT_{self.outer}"] = "40700"
        self.environ["VAST_TCP_PORT_22"] = "40022"
        self.running, self.restarts = [], 0

    def write(self, **applications):
        self.file.write_text(yaml.safe_dump({"applications": applications}))

    def read(self):
        return yaml.safe_load(self.file.read_text())["applications"]

    def restart(self):
        self.restarts += 1
        self.stop()
        for entry in self.read().values():
            outer, inner = entry["external_port"], entry["internal_port"]
            if outer != inner and f"VAST_TCP_PORT_{outer}" in self.environ:
                context = serving(self.answer(inner), outer)
                context.__enter__()
                self.running.append(context)

    def answer(self, inner):
        def caddy(request):
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return 401, b"", {"WWW-Authenticate": 'Basic realm="restricted"'}
            told = forwarded(inner, request.path)
            return (*told, {}) if told else (502, b"not ready", {})

        return caddy

    def stop(self):
        for context in self.running:
            context.__exit__(None, None, None)
        self.running = []

    def exposer(self, **options):
        return VastPortalExposer(self.environ, **{"file": self.file, "restart": self.restart, "wait": 5.0, **options})


@pytest.fixture
def portal(tmp_path):
    made = Portal(tmp_path)
    made.write(Jupyter={"hostname": "localhost", "external_port": 8080, "internal_port": 8080, "open_path": "/",
                        "name": "Jupyter"})  # fmt: skip
    yield made
    made.stop()


def test_vast_s_portal_gets_an_entry_and_asks_for_the_token(portal, app):
    exposer = portal.exposer()
    assert exposer.available()
    endpoint = exposer.open(app.port)
    assert endpoint.url == "http://5.6.7.8:40700/"
    assert (endpoint.auth, endpoint.public, endpoint.token) == ("token", True, "OPEN_BUTTON_TOKEN")
    assert TOKEN not in repr(endpoint)
    assert portal.read()[f"PinokioCloud {app.port}"] == {
        "hostname": "localhost", "external_port": portal.outer, "internal_port": app.port, "open_path": "/",
        "name": f"PinokioCloud {app.port}",
    }  # fmt: skip
    assert exposer.health()[app.port] == Health(ok=True, detail="HTTP 200")
    assert fetched(f"http://127.0.0.1:{portal.outer}/")[0] == 401
    exposer.close(app.port)
    assert list(portal.read()) == ["Jupyter"]
    assert portal.restarts == 2
    assert exposer.health() == {}


def test_vast_s_portal_sees_an_app_that_does_not_answer(portal):
    exposer = portal.exposer()
    port = free()
    exposer.open(port)
    assert "does not answer" in exposer.health()[port].detail
    portal.stop()
    assert exposer.health()[port] == Health(ok=False, detail="Caddy does not answer")


def test_an_entry_that_is_there_already_is_used_and_stays(portal, app):
    portal.write(Mine={"hostname": "localhost", "external_port": portal.outer, "internal_port": app.port,
                       "open_path": "/", "name": "Mine"})  # fmt: skip
    exposer = portal.exposer()
    assert exposer.open(app.port).url == "http://5.6.7.8:40700/"
    exposer.close()
    assert list(portal.read()) == ["Mine"]
    assert portal.restarts == 0


def test_without_a_free_port_nothing_is_changed(portal, app):
    before = portal.file.read_text()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", portal.outer))
        taken.listen()
        with pytest.raises(ExposeError, match="no free port"):
            portal.exposer().open(app.port)
    assert portal.file.read_text() == before
    with pytest.raises(ExposeError, match="no free port"):
        portal.exposer().open(portal.outer)


def test_an_entry_is_taken_back_when_caddy_does_not_come(portal, app):
    def broken():
        raise subprocess.CalledProcessError(7, ["supervisorctl"])

    before = portal.read()
    with pytest.raises(ExposeError, match="could not be restarted"):
        portal.exposer(restart=broken).open(app.port)
    assert portal.read() == before
    with pytest.raises(ExposeError, match="did not open port"):
        portal.exposer(restart=lambda: None, wait=0.2).open(app.port)
    assert portal.read() == before


@pytest.mark.parametrize(
    ("environ", "scheme", "auth", "token"),
    [({}, "http", "token", "OPEN_BUTTON_TOKEN"), ({"ENABLE_HTTPS": "true"}, "https", "token", "OPEN_BUTTON_TOKEN"),
     ({"ENABLE_AUTH": "false"}, "http", "none", ""), ({"OPEN_BUTTON_TOKEN": "", "WEB_PASSWORD": "p"}, "http", "token",
      "WEB_PASSWORD")],
)  # fmt: skip
def test_the_instance_s_settings_decide_scheme_and_password(tmp_path, app, environ, scheme, auth, token):
    portal = Portal(tmp_path, **environ)
    portal.write()
    try:
        endpoint = portal.exposer().open(app.port)
    finally:
        portal.stop()
    assert (endpoint.url.split(":")[0], endpoint.auth, endpoint.token) == (scheme, auth, token)


def test_a_port_without_password_by_setting_is_told(tmp_path, app):
    portal = Portal(tmp_path)
    portal.write()
    portal.environ["AUTH_EXCLUDE"] = f"1, {portal.outer}"
    try:
        endpoint = portal.exposer().open(app.port)
    finally:
        portal.stop()
    assert endpoint.auth == "none"
    assert "open to everybody" in endpoint.note


@pytest.mark.parametrize("content", ["[", "- a\n- b\n", "applications: [1]\n", "applications:\n  a: 1\n"])
def test_a_portal_file_of_another_shape_is_left_alone(portal, app, content):
    portal.file.write_text(content)
    with pytest.raises(ExposeError, match=r"portal\.yaml"):
        portal.exposer().open(app.port)
    assert portal.file.read_text() == content


def test_an_empty_portal_file_is_filled(portal, app):
    portal.file.write_text("")
    portal.exposer().open(app.port)
    assert list(portal.read()) == [f"PinokioCloud {app.port}"]


def test_vast_s_own_tunnels_are_listed(portal):
    told = [{"targetUrl": "http://localhost:8000", "tunnelUrl": "https://a-b.trycloudflare.com"}, {"targetUrl": "x"}]
    with serving(text(told)) as manager:
        assert portal.exposer(manager=manager.url).tunnels() == {8000: "https://a-b.trycloudflare.com"}
        assert manager.asked[0][0] == "/get-all-quick-tunnels"
    assert portal.exposer(manager=manager.url).tunnels() == {}


def test_without_a_portal_it_is_not_available(tmp_path, monkeypatch):
    assert not VastPortalExposer(VAST, file=tmp_path / "none", restart=lambda: None).available()
    (tmp_path / "f").write_text("")
    assert not VastPortalExposer({}, file=tmp_path / "f", restart=lambda: None).available()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not VastPortalExposer(VAST, file=tmp_path / "f").available()
    tool = tmp_path / "supervisorctl"
    tool.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\n')
    tool.chmod(0o755)
    assert VastPortalExposer(VAST, file=tmp_path / "f").available()
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    vast_portal._supervisorctl()
    assert (tmp_path / "called").read_text() == "restart caddy\n"


def test_platforms_give_the_ways_that_the_facts_name():
    def ways(**environ):
        look = Look(environ, lambda path: path in environ.get("PATHS", ""), lambda path: "")
        return [exposer.name for exposer in exposers_of(detect(environ, look.exists, look.read), look)]

    assert ways(VAST_CONTAINERLABEL="C.1") == ["vast-portal", "vast-direct"]
    assert ways(RUNPOD_POD_ID="x") == ["runpod"]
    assert ways(LIGHTNING_CLOUD_SPACE_ID="x", LIGHTNING_INTERACTIVE="true") == ["lightning"]
    assert ways(PAPERSPACE_FQDN="x") == ["paperspace", "jupyter-server-proxy"]
    assert ways(JUPYTERHUB_SERVICE_PREFIX="/u/") == ["jupyter-server-proxy"]
    assert ways(JPY_PARENT_PID="1") == ["jupyter-server-proxy", "local"]
    assert ways() == ["local"]
