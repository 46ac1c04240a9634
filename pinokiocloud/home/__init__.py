"""The home folder: its layout, its variables, its URIs and its virtual drives."""

from __future__ import annotations

from pinokiocloud.home.environment import Environment
from pinokiocloud.home.layout import Home

__all__ = ["Environment", "Home"]
