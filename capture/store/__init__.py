"""Finished files of a capture -> confirmed objects in a store: S3, Google Cloud Storage, Azure, SFTP, a folder.

    capture or agent: `Uploads` ─ descriptors of files ─▶ the uploader, a process of its own: `uploader_process`
         FILE.json, status  ◀─ confirmed, or why not ───┘       ─ put, then read back ─▶ an `ObjectPlace`

The uploader has no capabilities, another user where that is possible, and the only memory that credentials are in. It
gets open descriptors of files and needs no right to any folder. A file counts as uploaded when it was read back from
the store, whole, with the size and the SHA-256 that it has here; what a store answers to a write proves nothing.

It may import `storage` and what is below it. When a file is finished is decided by who writes it (`run`, `agent`);
what is deleted here, too.
"""
