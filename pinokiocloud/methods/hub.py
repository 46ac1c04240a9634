"""hf.download, hf.upload, hf.login, hf.logout: the Hugging Face hub (spec §4.9)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from pinokiocloud.errors import ToolError
from pinokiocloud.methods.context import StepContext
from pinokiocloud.methods.registry import method
from pinokiocloud.methods.shell import run_shell
from pinokiocloud.shell.command import argv_line

_OPTIONS = ("path", "env")
_CHECK = 10.0  # s


async def _hf(ctx: StepContext, command: str) -> Any:
    flags = {key: value for key, value in ctx.params.items() if key not in _OPTIONS}
    positionals = flags.pop("_", [])
    message = {"_": ["hf", command, *(positionals if isinstance(positionals, list) else [positionals])], **flags}
    params = {key: ctx.params[key] for key in _OPTIONS if key in ctx.params}
    # quoted, so that names with spaces stay whole (the reference splits them)
    return await run_shell(ctx, {**params, "message": [argv_line(message)]})


@method(
    "hf.download",
    summary="download from the Hugging Face hub",
    source="spec §4.9",
    _="repository and files",
    path="folder",
    env="variables",
)
async def hf_download(ctx: StepContext) -> Any:
    """Download a repository or files of it."""
    return await _hf(ctx, "download")


@method(
    "hf.upload",
    summary="upload to the Hugging Face hub",
    source="spec §4.9",
    _="repository and files",
    path="folder",
    env="variables",
)
async def hf_upload(ctx: StepContext) -> Any:
    """Upload files."""
    return await _hf(ctx, "upload")


def _token(file: Path) -> str | None:
    token = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    if token:
        return token.strip()
    try:
        return file.read_text().strip() or None
    except OSError:
        return None


def _valid(token: str) -> bool:
    from huggingface_hub import HfApi  # noqa: PLC0415 - heavy

    try:
        HfApi().whoami(token=token)
    except Exception as error:
        raise ToolError(
            f"the Hugging Face token was refused: {error}",
            hint="make a new one at https://huggingface.co/settings/tokens",
        ) from error
    return True


def _store(file: Path, token: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(token)
    temporary.replace(file)


@method("hf.login", summary="log in at the Hugging Face hub", source="spec §4.9", force="ask again", timeout="ms")
async def hf_login(ctx: StepContext) -> Any:
    """Check the token of HF_TOKEN or of an earlier login; ask for one when there is none."""
    from pinokiocloud.prompts import Prompt  # noqa: PLC0415 - only where somebody is asked

    file = ctx.engine.home.cache / "HF_AUTH" / "token"
    token = None if ctx.params.get("force") else _token(file)
    known = token is not None
    if token is None:
        fields = [{"key": "token", "title": "Hugging Face token", "type": "password", "required": True}]
        params = {
            "title": "Hugging Face login",
            "description": "https://huggingface.co/settings/tokens",
            "form": fields,
        }
        ctx.emit("input", params)
        answer = await ctx.engine.ask_person(ctx, Prompt("input", params, ctx.run.path, ctx.index, fields))
        token = str(answer.get("token", "")).strip() if isinstance(answer, dict) else ""
    await asyncio.wait_for(asyncio.to_thread(_valid, token), _CHECK * 6)
    _store(file, token)
    return {"status": "success", "already_logged_in": known, "token_path": str(file)}


@method("hf.logout", summary="log out", source="spec §4.9")
async def hf_logout(ctx: StepContext) -> Any:
    """Forget the stored token."""
    (ctx.engine.home.cache / "HF_AUTH" / "token").unlink(missing_ok=True)
    return {"status": "success"}
