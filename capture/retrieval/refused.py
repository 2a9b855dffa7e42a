"""A request that gets nothing -> its HTTP status, a word for the log, a line for people."""


class RefusedError(Exception):
    """Why somebody gets nothing: the HTTP status, a word for the log, and a line for people."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason
