"""The errors of pinokiocloud.

::

    PinokioError                 everything below; code, message, hint, context, to_dict()
    ├── ScriptError              a script, one of its steps or its templates
    │   ├── ScriptNotFoundError  there is no such script
    │   ├── ScriptLoadError      the file is there and cannot be loaded
    │   ├── StepError            a step failed; carries script, index and construct
    │   └── TemplateError        a template could not be evaluated
    ├── HostError                the Node process that evaluates scripts
    │   ├── HostStartError       it could not be started
    │   ├── HostHungError        a script never gave back control
    │   └── HostDiedError        it ended: out of memory, killed
    ├── ShellError               a shell could not be started, or does not exist
    ├── PromptError              a question that nobody was there to answer
    ├── DownloadError            a download failed for good
    ├── HomeError                the home folder cannot be used
    ├── ToolError                a tool (uv, git, conda, hf …) is missing or failed
    └── UsageError               the caller's arguments are wrong
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "DownloadError",
    "HomeError",
    "HostDiedError",
    "HostError",
    "HostHungError",
    "HostStartError",
    "PinokioError",
    "PromptError",
    "ScriptError",
    "ScriptLoadError",
    "ScriptNotFoundError",
    "ShellError",
    "StepError",
    "TemplateError",
    "ToolError",
    "UsageError",
]


class PinokioError(Exception):
    """The base of every error that pinokiocloud raises.

    Parameters:
        message: what failed, in one sentence for the user.
        hint: what to do about it.
        context: where it happened (``script``, ``step``, ``path``, ``url`` …); JSON-like.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str | None = None, **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.context = context

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def to_dict(self) -> dict[str, Any]:
        """Return the error as a JSON-like object: code, message, hint, context."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "context": self.context}


class ScriptError(PinokioError):
    """A script, one of its steps or its templates is at fault."""

    code = "script"


class ScriptNotFoundError(ScriptError):
    """There is no script at this path."""

    code = "script_not_found"


class ScriptLoadError(ScriptError):
    """The script's file exists but cannot be loaded (syntax, an exception, a wrong export)."""

    code = "script_load"


class StepError(ScriptError):
    """A step failed; the context holds ``script``, ``index`` and, where known, ``method`` and ``construct``."""

    code = "step"


class TemplateError(ScriptError):
    """A template could not be evaluated."""

    code = "template"


class HostError(PinokioError):
    """The Node process that evaluates scripts failed."""

    code = "host"


class HostStartError(HostError):
    """The Node process could not be started."""

    code = "host_start"


class HostHungError(HostError):
    """A script or template never gave back control; the Node process was ended."""

    code = "host_hung"


class HostDiedError(HostError):
    """The Node process ended by itself: out of memory, or killed from outside."""

    code = "host_died"


class ShellError(PinokioError):
    """A shell could not be started, or there is no shell of this id."""

    code = "shell"


class PromptError(PinokioError):
    """A script asked a question and nobody was there to answer it."""

    code = "prompt"


class DownloadError(PinokioError):
    """A download failed for good."""

    code = "download"


class HomeError(PinokioError):
    """The home folder cannot be used."""

    code = "home"


class ToolError(PinokioError):
    """A tool that a step needs (uv, git, conda, hf, cloudflared …) is missing or failed."""

    code = "tool"


class UsageError(PinokioError):
    """The caller's arguments are wrong."""

    code = "usage"
