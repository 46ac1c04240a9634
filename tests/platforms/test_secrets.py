"""Secrets are found in order, and shown by nothing."""

from __future__ import annotations

import copy
import json
import os
import pickle
import threading
import traceback
import types
import urllib.error
import urllib.request

import pytest
from platform_servers import serving

from pinokiocloud.home import Home
from pinokiocloud.platforms.colab import ColabStore, in_cell
from pinokiocloud.platforms.detect import detect, secrets_of
from pinokiocloud.platforms.kaggle import KaggleStore
from pinokiocloud.platforms.platform import Look
from pinokiocloud.platforms.secrets import (
    MARK,
    DotenvStore,
    EnvironmentStore,
    FileStore,
    MemoryStore,
    Redactor,
    SecretError,
    Secrets,
    SecretStore,
    looks_secret,
)

TOKEN = "hf_0123456789abcdef"


@pytest.fixture
def file(tmp_path):
    return FileStore(tmp_path / "new" / "secrets.json")


@pytest.mark.parametrize(
    ("name", "secret"),
    [("HF_TOKEN", True), ("OPENAI_API_KEY", True), ("AWS_ACCESS_KEY_ID", True), ("DB_PASSWORD", True), ("TOKEN", True),
     ("CLIENT_SECRET", True), ("NGROK_AUTHTOKEN", True), ("PATH", False), ("TOKENIZERS_PARALLELISM", False),
     ("KEYBOARD_LAYOUT", False), ("HOME", False), ("SSH_AUTH_SOCK", False)],
)  # fmt: skip
def test_names_that_look_like_secrets(name, secret):
    assert looks_secret(name) is secret


def test_the_environment_gives_variables_also_with_a_prefix():
    environ = {"HF_TOKEN": TOKEN, "PATH": "/bin", "RUNPOD_SECRET_civitai": "c-12345", "EMPTY_TOKEN": " "}
    store = EnvironmentStore(environ, prefixes=("RUNPOD_SECRET_",))
    assert store.get("HF_TOKEN") == TOKEN
    assert store.get("civitai") == "c-12345"
    assert store.get("EMPTY_TOKEN") is None
    assert store.names() == ["HF_TOKEN", "civitai"]


def test_a_dotenv_file_is_read_anew(tmp_path):
    path = tmp_path / ".env"
    store = DotenvStore(path)
    assert (store.get("HF_TOKEN"), store.names()) == (None, [])
    path.write_text(f"export HF_TOKEN='{TOKEN}'\nHF_HOME=/workspace/.hf\n# X_TOKEN=1\n")
    assert store.get("HF_TOKEN") == TOKEN
    assert store.names() == ["HF_TOKEN"]
    path.unlink()
    path.mkdir()
    with pytest.raises(SecretError, match="cannot be read"):
        store.get("HF_TOKEN")


def test_the_file_is_for_its_owner_only(file, tmp_path):
    path = tmp_path / "new/secrets.json"
    assert (file.get("A"), file.names(), file.delete("A")) == (None, [], False)
    assert not path.exists()
    old = os.umask(0)
    try:
        file.set("A", TOKEN)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert json.loads(path.read_text()) == {"A": TOKEN}
    file.set("B", "other")
    assert (file.get("A"), file.names()) == (TOKEN, ["A", "B"])
    assert file.delete("A")
    assert file.names() == ["B"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_a_file_that_others_can_read_is_refused(file, tmp_path, mode):
    file.set("A", TOKEN)
    path = tmp_path / "new/secrets.json"
    path.chmod(mode)
    for use in (lambda: file.get("A"), file.names, lambda: file.set("B", "secret-b"), lambda: file.delete("A")):
        with pytest.raises(SecretError, match="can be read by others") as caught:
            use()
        assert "chmod 600" in caught.value.hint
    assert json.loads(path.read_text()) == {"A": TOKEN}


@pytest.mark.parametrize("text", [f'["{TOKEN}"]', f'{{"A": {{"{TOKEN}": 1}}}}', f'{{"A": "{TOKEN}"', "\xff"])
def test_a_damaged_file_is_refused_without_showing_it(file, tmp_path, text):
    file.set("A", "x-secret")
    (tmp_path / "new/secrets.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(SecretError, match="damaged") as caught:
        file.get("A")
    assert TOKEN not in "".join(traceback.format_exception(caught.type, caught.value, caught.tb))
    assert caught.value.__context__ is None


def test_links_folders_and_missing_rights_are_refused(file, tmp_path):
    other = tmp_path / "other.json"
    other.write_text("{}")
    other.chmod(0o600)
    (tmp_path / "new").mkdir()
    path = tmp_path / "new/secrets.json"
    path.symlink_to(other)
    with pytest.raises(SecretError, match="is a link"):
        file.get("A")
    with pytest.raises(SecretError, match="is a link"):
        file.set("A", TOKEN)
    assert other.read_text() == "{}"
    path.unlink()
    path.mkdir()
    with pytest.raises(SecretError, match=r"is not a file|cannot be read"):
        file.get("A")
    (tmp_path / "plain").write_text("")
    with pytest.raises(SecretError, match="cannot be written") as caught:
        FileStore(tmp_path / "plain/secrets.json").set("A", TOKEN)
    assert TOKEN not in str(caught.value)


def test_storage_without_permissions_is_refused_before_anything_is_written(file, tmp_path, monkeypatch):
    real = os.fstat

    def fstat(descriptor):
        status = real(descriptor)
        return os.stat_result((status.st_mode | 0o077, *status[1:]))

    monkeypatch.setattr("pinokiocloud.platforms.secrets.os.fstat", fstat)
    with pytest.raises(SecretError, match="another disk"):
        file.set("A", TOKEN)
    monkeypatch.undo()
    assert TOKEN.encode() not in (tmp_path / "new/secrets.json").read_bytes()


def test_many_writers_lose_nothing(file):
    threads = [threading.Thread(target=file.set, args=(f"N{number}", TOKEN)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(file.names()) == 20
    with pytest.raises(SecretError):
        file.set(" ", TOKEN)


class NotebookAccessError(Exception):
    pass


class SecretNotFoundError(Exception):
    pass


class TimeoutException(Exception):
    pass


class Userdata:
    """Stands for google.colab.userdata."""

    def __init__(self, **values):
        self.values = values
        self.calls = []

    def get(self, key):
        self.calls.append(key)
        value = self.values.get(key)
        if value is None:
            raise SecretNotFoundError(f"Secret {key} does not exist.")
        if isinstance(value, Exception):
            raise value
        return value


def test_colab_is_asked_once_and_only_in_a_cell():
    userdata, cell = Userdata(HF_TOKEN=TOKEN), [False]
    store = ColabStore(userdata, cell=lambda: cell[0])
    assert store.get("HF_TOKEN") is None
    assert userdata.calls == []
    cell[0] = True
    assert store.load("HF_TOKEN", "NONE") == ["HF_TOKEN"]
    cell[0] = False
    assert store.get("HF_TOKEN") == TOKEN
    assert userdata.calls == ["HF_TOKEN", "NONE"]
    assert store.names() == ["HF_TOKEN"]


@pytest.mark.parametrize(
    ("error", "hint"), [(NotebookAccessError, "access"), (TimeoutException, "page open"), (RuntimeError, None)]
)
def test_colab_s_errors_are_told_by_name_without_their_text(error, hint):
    store = ColabStore(Userdata(X=error(TOKEN)), cell=lambda: True)
    with pytest.raises(SecretError, match=error.__name__) as caught:
        store.get("X")
    assert (hint or "") in (caught.value.hint or "")
    assert TOKEN not in "".join(traceback.format_exception(caught.type, caught.value, caught.tb))
    assert caught.value.__context__ is None


def test_without_colab_there_is_nothing():
    assert ColabStore(cell=lambda: True).get("X") is None
    assert not in_cell()


def test_a_cell_is_the_main_thread_of_a_colab_kernel_that_executes(monkeypatch):
    shell = types.SimpleNamespace(parent_header={"header": {"msg_type": "execute_request"}})
    colab = type("Shell", (), {"__str__": lambda self: "<google.colab._shell.Shell object>",
                               "parent_header": property(lambda self: shell.parent_header)})()  # fmt: skip
    monkeypatch.setitem(__import__("sys").modules, "IPython", types.SimpleNamespace(get_ipython=lambda: colab))
    assert in_cell()
    found = []
    thread = threading.Thread(target=lambda: found.append(in_cell()))
    thread.start()
    thread.join()
    assert found == [False]
    shell.parent_header = {"header": {"msg_type": "comm_msg"}}
    assert not in_cell()
    monkeypatch.setitem(__import__("sys").modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    assert not in_cell()


class CredentialError(Exception):
    pass


class BackendError(Exception):
    pass


class Client:
    """Asks over HTTP as kaggle_secrets.UserSecretsClient does, with its classes of errors."""

    url = ""

    def get_secret(self, label):
        body = json.dumps({"Label": label, "JWE": "jwt"}).encode()
        request = urllib.request.Request(f"{self.url}/requests/GetUserSecretByLabelRequest", body)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                told = json.loads(answer.read())
        except urllib.error.URLError as error:
            raise ConnectionError("Connection error trying to communicate with service.") from error
        if not told.get("wasSuccessful"):
            raise BackendError(f"Unexpected response from the service. Response: {told}.")
        return told["result"]["secret"]


@pytest.fixture
def kaggle(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")

    def answer(request):
        assert request.path == "/requests/GetUserSecretByLabelRequest"
        label = json.loads(request.body)["Label"]
        if label == "broken":
            return 500, b"", {}
        told = {"wasSuccessful": True, "result": {"secret": TOKEN}} if label == "HF_TOKEN" else {"wasSuccessful": False}
        return 200, json.dumps(told).encode(), {}

    with serving(answer) as server:
        monkeypatch.setattr(Client, "url", server.url)
        yield server


def test_kaggle_is_asked_over_http_and_once(kaggle):
    store = KaggleStore(Client)
    assert [store.get("HF_TOKEN"), store.get("HF_TOKEN"), store.get("NONE")] == [TOKEN, TOKEN, None]
    assert len(kaggle.asked) == 2
    assert store.names() == ["HF_TOKEN"]
    with pytest.raises(SecretError, match="ConnectionError") as caught:
        store.get("broken")
    assert caught.value.__context__ is None
    assert store.get("NONE") is None
    assert len(kaggle.asked) == 4


def test_kaggle_without_internet_is_left_alone_for_a_minute(monkeypatch):
    with serving(lambda request: (200, b"", {})) as gone:
        pass
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(Client, "url", gone.url)
    now, made = [0.0], []

    def client():
        made.append(1)
        return Client()

    store = KaggleStore(client, clock=lambda: now[0])
    with pytest.raises(SecretError) as caught:
        store.get("A")
    assert "Internet" in caught.value.hint
    assert store.get("B") is None
    assert len(made) == 1
    now[0] = 61.0
    with pytest.raises(SecretError):
        store.get("B")


def test_kaggle_without_its_token_says_what_to_do():
    def client():
        raise CredentialError(TOKEN)

    with pytest.raises(SecretError, match="CredentialError") as caught:
        KaggleStore(client).get("A")
    assert "Add-ons" in caught.value.hint
    assert TOKEN not in str(caught.value.to_dict())
    assert KaggleStore().get("A") is None


class Broken:
    name = "broken"

    def get(self, name):
        raise SecretError("out of order", name=name)

    def names(self):
        raise SecretError("out of order")


def test_the_first_store_that_has_it_wins_and_one_that_fails_stops_nobody():
    redactor = Redactor()
    chain = Secrets(
        [Broken(), MemoryStore({"A": TOKEN}, name="one"), MemoryStore({"A": "x", "B": "b-secret"})], redactor
    )
    assert chain.get("A") == TOKEN
    assert chain.where("B") == "memory"
    assert chain.names() == ["A", "B"]
    assert [str(problem) for problem in chain.problems] == ["out of order"] * 3
    assert redactor.redact(f"{TOKEN} b-secret") == f"{MARK} b-secret"
    assert chain.learn() == 2
    assert redactor.redact("b-secret") == MARK
    assert chain.get("C") is None
    with pytest.raises(SecretError, match="no secret C") as caught:
        chain.require("C")
    assert "looked in: broken, one, memory; out of order" in caught.value.hint
    assert chain.require("A") == TOKEN


def test_the_chain_of_a_platform(tmp_path):
    home = Home(tmp_path)
    (tmp_path / ".env").write_text("B_TOKEN=from-dotenv\nA_TOKEN=late-dotenv\n")
    FileStore(tmp_path / "config/secrets.json").set("C_TOKEN", "from-file")
    environ = {"RUNPOD_POD_ID": "1", "A_TOKEN": "from-environment", "RUNPOD_SECRET_D": "from-runpod"}
    look = Look(environ, lambda path: False, lambda path: 'export E_TOKEN="from-rp-file"\n')
    chain = secrets_of(detect(environ, look.exists, look.read), home, look)
    assert [chain.get(name) for name in ("A_TOKEN", "B_TOKEN", "C_TOKEN", "D", "E_TOKEN")] == [
        "from-environment", "from-dotenv", "from-file", "from-runpod", "from-rp-file",
    ]  # fmt: skip
    assert chain.names() == ["A_TOKEN", "B_TOKEN", "C_TOKEN", "D", "E_TOKEN"]


def stores(tmp_path):
    (tmp_path / ".env").write_text(f"A={TOKEN}\n")
    file = FileStore(tmp_path / "s.json")
    file.set("A", TOKEN)
    colab = ColabStore(Userdata(A=TOKEN), cell=lambda: True)
    kaggle = KaggleStore(lambda: types.SimpleNamespace(get_secret=lambda label: TOKEN))
    return [
        EnvironmentStore({"A": TOKEN}),
        DotenvStore(tmp_path / ".env"),
        file,
        colab,
        kaggle,
        MemoryStore({"A": TOKEN}),
    ]


def test_nothing_shows_a_token(tmp_path):
    every = stores(tmp_path)
    chain = Secrets(every)
    for thing in (*every, *(Secrets([store]) for store in every), chain, chain.redactor):
        if isinstance(thing, SecretStore):
            assert thing.get("A") == TOKEN
        shown = f"{thing!r} {thing!s} {thing} {[thing]} {thing.names() if hasattr(thing, 'names') else ''}"
        assert TOKEN not in shown
        for way in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
            with pytest.raises(TypeError) as caught:
                way(thing)
            assert TOKEN not in str(caught.value)
