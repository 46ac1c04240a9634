from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from loopback import Server

from pinokiocloud.transfer import wire

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts are not what these tests are about."""
    monkeypatch.setattr("pinokiocloud.transfer.download.BACKOFF_BASE", 0.001)
    monkeypatch.setattr(wire, "RETRY_AFTER_CAP", 0.01)
