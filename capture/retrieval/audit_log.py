"""Accesses that are granted and refused -> lines of the log: each refusal, and each path of an access once."""

import logging
from collections import OrderedDict

from starlette.requests import Request

from capture.cluster.view import KnownCapture
from capture.retrieval.refused import RefusedError

_KEPT = 10_000
_PATH_MOST = 200
_log = logging.getLogger("bicap.audit")


class AuditLog:
    """The log of the accesses at one door."""

    def __init__(self) -> None:
        self._granted: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        """Accesses, captures and paths that the log has already."""

    def refused(self, request: Request, error: RefusedError) -> None:
        """Note a request that gets nothing."""
        extra = {"reason": error.reason, "status": error.status, "path": request.url.path[:_PATH_MOST]}
        _log.warning("access refused: %s", error, extra=extra)

    def granted(self, request: Request, access: str, capture: KnownCapture) -> None:
        """Note a request that gets what it asks for. `access` says by what right."""
        path, metadata = request.url.path[:_PATH_MOST], capture.item.metadata
        key = access, metadata.uid, path
        if key in self._granted:
            return
        extra = {"access": access, "capture": metadata.name, "uid": metadata.uid, "path": path}
        _log.info("access granted", extra=extra)
        self._granted[key] = None
        while len(self._granted) > _KEPT:
            self._granted.popitem(last=False)
