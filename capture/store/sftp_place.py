"""A folder of an SFTP server -> an ObjectPlace, through asyncssh. The server's key is checked, always.

A file is written as NAME.part, synced, and renamed when it is whole. SFTP's own rename refuses to replace a file.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, TypeVar

from capture.store.object_place import PlaceError, StoreRefusedError, TakenError
from capture.store_url import StoreUrl

T = TypeVar("T")
_PIECE = 4 << 20
"""Bytes that are given to asyncssh at a time, which sends them in many requests at once."""
_CONNECT_SECONDS = 15
_STALLED_SECONDS = 60
"""Longest time for one piece; a server that is silent longer counts as gone."""


class SftpPlace:
    """An SFTP server, connected when it is first used. Raises StoreRefusedError without a host key, or a key of ours.

    `known_hosts` is text as in ~/.ssh/known_hosts. Without it nothing is connected to: asyncssh takes None for "do
    not check".
    """

    def __init__(self, url: StoreUrl, private_key: str | None, known_hosts: str | None) -> None:
        import asyncssh

        if private_key is None:
            raise StoreRefusedError("there is no private key; give a file of one with --store-credentials")
        if known_hosts is None or not known_hosts.strip():
            raise StoreRefusedError(
                "there is no host key; give the known_hosts of the server with --store-known-hosts"
            )
        try:
            self._hosts = asyncssh.import_known_hosts(known_hosts)
        except ValueError as error:
            raise StoreRefusedError(f"the known hosts are not understood: {error}") from None
        try:
            self._key = asyncssh.import_private_key(private_key)
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise StoreRefusedError(f"the private key is not understood: {error}") from None
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sftp", daemon=True)
        self._thread.start()
        self._connection: Any = None
        self._client: Any = None

    def size(self, name: str) -> int | None:
        """See ObjectPlace."""
        return self._run(self._size(_path(name)))

    def put(
        self, name: str, source: BinaryIO, size: int, on_bytes: Callable[[int], None], replace: bool = False
    ) -> None:
        """See ObjectPlace."""
        path, part = _path(name), f"{_path(name)}.part"
        file = self._run(self._create(part))
        try:
            sent = 0
            try:
                while piece := source.read(_PIECE):
                    self._run(file.write(piece, sent))
                    sent += len(piece)
                    on_bytes(sent)
            finally:
                with suppress(PlaceError):
                    self._run(_sync(file))
                self._run(file.close())
            written = self._run(self._size(part))
            if written != size:
                raise PlaceError(f"the server has {written or 0:,} of {size:,} bytes of {name}")
            self._run(self._rename(part, path, replace))
        except PlaceError:
            with suppress(PlaceError):
                self._run(self._remove(part))
            raise

    @contextmanager
    def read(self, name: str) -> Iterator[Iterator[bytes]]:
        """See ObjectPlace."""
        file = self._run(self._open(_path(name)))
        try:
            yield iter(lambda: bytes(self._run(file.read(_PIECE))), b"")
        finally:
            with suppress(PlaceError):
                self._run(file.close())

    def close(self) -> None:
        """See ObjectPlace."""
        self._disconnect()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # Below: what runs in the loop, and how its errors are told apart.

    def _run(self, step: Coroutine[Any, Any, T]) -> T:
        import asyncssh

        limited = asyncio.wait_for(step, _STALLED_SECONDS)
        try:
            return asyncio.run_coroutine_threadsafe(limited, self._loop).result()
        except asyncssh.HostKeyNotVerifiable as error:
            raise StoreRefusedError(f"the host key of {self._url.place} is not the known one: {error}") from None
        except asyncssh.PermissionDenied:
            raise StoreRefusedError(f"{self._url.place} does not take the key of {self._url.user}") from None
        except asyncssh.SFTPPermissionDenied as error:
            raise StoreRefusedError(f"not allowed on {self._url.place}: {error}") from None
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.DisconnectError) as error:
            self._disconnect()
            raise PlaceError(f"the connection to {self._url.place} broke: {error}") from None
        except asyncssh.SFTPError as error:
            raise PlaceError(f"{self._url.place} fails: {error.reason or type(error).__name__}") from None
        except TimeoutError:
            self._disconnect()
            raise PlaceError(f"{self._url.place} does not answer") from None
        except OSError as error:
            self._disconnect()
            raise PlaceError(f"{self._url.place} is not reached: {error}") from None

    def _disconnect(self) -> None:
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            self._loop.call_soon_threadsafe(connection.abort)

    async def _sftp(self) -> Any:
        import asyncssh

        if self._client is None:
            self._connection = await asyncssh.connect(
                self._url.place,
                self._url.port or 22,
                username=self._url.user,
                client_keys=[self._key],
                known_hosts=self._hosts,
                agent_path=None,
                config=None,
                preferred_auth="publickey",
                connect_timeout=_CONNECT_SECONDS,
                keepalive_interval=15,
                keepalive_count_max=2,
            )
            self._client = await self._connection.start_sftp_client()
        return self._client

    async def _size(self, path: str) -> int | None:
        import asyncssh

        try:
            found = await (await self._sftp()).stat(path)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None
        return int(found.size)

    async def _create(self, path: str) -> Any:
        client = await self._sftp()
        folder = path.rpartition("/")[0]
        if folder:
            await client.makedirs(folder, exist_ok=True)
        return await client.open(path, "wb")

    async def _open(self, path: str) -> Any:
        return await (await self._sftp()).open(path, "rb")

    async def _remove(self, path: str) -> None:
        await (await self._sftp()).remove(path)

    async def _rename(self, part: str, path: str, replace: bool) -> None:
        import asyncssh

        client = await self._sftp()
        if replace:
            await client.posix_rename(part, path)
            return
        try:
            await client.rename(part, path)
        except asyncssh.SFTPError:
            if await self._size(path) is not None:
                raise TakenError(f"{path} is there already") from None
            raise


async def _sync(file: Any) -> None:
    import asyncssh

    with suppress(asyncssh.SFTPOpUnsupported):
        await file.fsync()


def _path(name: str) -> str:
    return name.removeprefix("~/") if name.startswith("~/") else f"/{name}"
