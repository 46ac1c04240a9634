"""The machine and the platform that the engine runs on."""

from __future__ import annotations
