"""fs.copy, fs.download, fs.link, fs.share, fs.open, fs.unzip, net.download (spec §4.4, §5.8)."""

from __future__ import annotations

import asyncio
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from pinokiocloud.errors import DownloadError, StepError
from pinokiocloud.home.drive import drive_home, link
from pinokiocloud.home.uri import remote_of
from pinokiocloud.methods.context import StepContext
from pinokiocloud.methods.registry import method
from pinokiocloud.transfer.copy import NodeFsError, copy


@method(
    "fs.copy",
    summary="copy a file or folder",
    source="spec §4.4",
    src="path",
    dest="path",
    options="{recursive, force, errorOnExist …}",
)
async def fs_copy(ctx: StepContext) -> None:
    """Copy as Node's ``fs.promises.cp`` does."""
    source, target = ctx.resolve(ctx.params.get("src")), ctx.resolve(ctx.params.get("dest"))
    options = ctx.params.get("options") if isinstance(ctx.params.get("options"), dict) else {}
    assert options is not None
    ctx.stream(f"\r\ncopying:\r\nfrom: {source}\r\nto: {target}\r\n")
    try:
        await asyncio.to_thread(
            copy,
            source,
            target,
            recursive=bool(options.get("recursive")),
            force=options.get("force") is not False,
            error_on_exist=bool(options.get("errorOnExist")),
            dereference=bool(options.get("dereference")),
            preserve_timestamps=bool(options.get("preserveTimestamps")),
            verbatim_symlinks=bool(options.get("verbatimSymlinks")),
        )
    except NodeFsError as error:
        error.js_message = str(error)  # type: ignore[attr-defined]
        if str(error.code).startswith("ERR_FS"):
            error.js_name = f"SystemError [{error.code}]"  # type: ignore[attr-defined]
        raise
    ctx.stream("done\r\n")


def _printer(ctx: StepContext) -> Any:
    from pinokiocloud.transfer.progress import DownloadEvent, render_parts  # noqa: PLC0415 - see _download

    def show(event: DownloadEvent) -> None:
        for part in render_parts(event):
            ctx.stream(part)

    return show


async def _download(ctx: StepContext, url: Any, *, path: Any, folder: Any) -> Path:
    from pinokiocloud.transfer.download import download  # noqa: PLC0415 - requests costs 0.1 s of every start

    if not isinstance(url, str) or not url:
        raise DownloadError("a download needs an address", hint="give 'uri' or 'url'")
    if path is not None:
        got = await download(url, path=ctx.resolve(path), on_event=_printer(ctx))
    else:
        got = await download(url, directory=ctx.resolve(folder), on_event=_printer(ctx))
    ctx.stream("\r\nDone\r\n")
    return got.path


@method(
    "fs.download",
    summary="download files",
    source="spec §4.4",
    uri="address or list of addresses",
    url="the same",
    dir="folder",
    path="file",
)
async def fs_download(ctx: StepContext) -> None:
    """Download to a folder or a file (spec §4.4)."""
    params = ctx.params
    urls = params.get("uri", params.get("url"))
    folder, path = params.get("dir"), params.get("path")
    if folder is None and path is None:
        raise StepError(
            f"step {ctx.index}: fs.download needs 'dir' or 'path'",
            script=ctx.run.path,
            index=ctx.index,
            hint="dir keeps the remote name, path names the file",
        )
    if isinstance(urls, list):
        if folder is None:
            raise StepError(f"step {ctx.index}: several addresses need 'dir'", script=ctx.run.path, index=ctx.index)
        for url in urls:
            await _download(ctx, url, path=None, folder=folder)
        return
    await _download(ctx, urls, path=path if folder is None else None, folder=folder)


@method("net.download", summary="download a file", source="systems §1", url="address", path="file", dir="folder")
async def net_download(ctx: StepContext) -> dict[str, Any]:
    """Download a file; give its path (systems.md §1)."""
    params = ctx.params
    url = params.get("url", params.get("uri"))
    file = await _download(ctx, url, path=params.get("path"), folder=params.get("dir", "."))
    return {"path": str(file)}


@method(
    "fs.link",
    "fs.share",
    summary="share folders with other apps",
    source="spec §5.8",
    drive="{route: folder}",
    peers="git addresses",
    venv="virtual environment (no effect here)",
)
async def fs_link(ctx: StepContext) -> None:
    """Put folders on the virtual drive (spec §5.8)."""
    params = ctx.params
    routes = params.get("drive")
    if isinstance(routes, dict):
        shown = json.dumps(params, indent=2, ensure_ascii=False).replace("\n", "\r\n")
        ctx.stream(f"\r\ncreating a shared drive:\r\n{shown}")
        app = ctx.engine.place.environment.app_of(ctx.cwd) or ctx.cwd
        env = ctx.engine.step_environment(ctx.run)
        done = await asyncio.to_thread(
            link,
            routes,
            drive=drive_home(env, app, ctx.engine.home.drive),
            cwd=ctx.cwd,
            own=remote_of(app),
            peers=params.get("peers") or (),
        )
        for problem in done.problems:
            ctx.stream(f"\r\n{problem}")
        for conflict in done.conflicts:
            ctx.stream(f"\r\n{conflict}")
        ctx.stream("\r\nDone!")
    if params.get("venv"):
        # An optimisation of disk space that uv's cache with hard links already gives (spec §5.8, degrade).
        ctx.stream(f"\r\n{params['venv']}: packages are shared through uv's cache, nothing to link\r\n")


@method(
    "fs.open",
    summary="show a file or folder",
    source="spec §4.4",
    path="path",
    action="view or a command",
    command="the same",
    mode="the same",
)
async def fs_open(ctx: StepContext) -> None:
    """Show where it is: there is no desktop to open it on (spec §6)."""
    path = ctx.resolve(ctx.params.get("path"))
    ctx.emit("info", {"path": str(path), "action": ctx.params.get("action") or ctx.params.get("mode") or "view"})
    ctx.stream(f"\r\n{path}\r\n")


def _inside(folder: Path, name: str) -> Path:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise StepError(f"the archive holds {name!r}, which leads outside of {folder}")
    return target


def _unpack(archive: Path, folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                target = _inside(folder, info.filename)
                file.extract(info, folder)
                mode = info.external_attr >> 16 & 0o777
                if mode and not info.is_dir():
                    target.chmod(mode)
            return len(file.infolist())
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            for member in tar.getmembers():
                _inside(folder, member.name)
            tar.extractall(folder, filter="data")
            return len(tar.getmembers())
    raise StepError(f"{archive} is neither a zip nor a tar archive")


@method(
    "fs.unzip",
    summary="unpack an archive",
    source="systems §1",
    path="archive",
    src="the same",
    dest="folder",
    dir="the same",
)
async def fs_unzip(ctx: StepContext) -> None:
    """Unpack a zip or tar archive; nothing may leave the folder."""
    params = ctx.params
    archive = ctx.resolve(params.get("path", params.get("src")))
    target = params.get("dest", params.get("dir"))
    folder = ctx.resolve(target) if target else archive.parent
    if not archive.exists():
        raise StepError(f"there is no archive {archive}", script=ctx.run.path, index=ctx.index)
    count = await asyncio.to_thread(_unpack, archive, folder)
    ctx.stream(f"\r\nunpacked {count} entries of {archive.name} to {folder}\r\n")
