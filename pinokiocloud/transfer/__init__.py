"""Files that come from elsewhere: downloads over HTTP and copies on disk.

Nothing here knows of steps, scripts or the engine.

- ``download``: ``await download(url, …)``, resumable and safe against half files
- ``progress``: ``DownloadEvent`` and the texts the reference prints for it
- ``copy``: ``copy(src, dest, …)`` with the meaning of Node's ``fs.promises.cp``
- ``wire``, ``partial``, ``names``: HTTP, the unfinished file, and file names behind ``download``
- ``blocks``: the bytes of one file, by the fastest way the machine has
"""
