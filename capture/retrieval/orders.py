"""What the controller asks of an agent, and what an agent says before the bytes of its answer: JSON, both ways.

    GET  /v1/orders?node=N    a stream of lines, each an Order; an empty one every ORDER_PULSE_SECONDS
    POST /v1/answers/ID       header Bicap-Answer: an AnswerHead; the body is the answer
    GET  /v1/time             the controller's clock, ns

The answer to a request is a request of the agent, with a connection of its own, so HTTP's flow control is all that is
needed for bounded memory on both sides.
"""

from typing import Literal

import msgspec

AUDIENCE = "bicap-controller"
"""Audience of the agents' tokens: a token that was made for it is good for nothing else."""
ORDERS_PATH, ANSWERS_PATH, TIME_PATH = "/v1/orders", "/v1/answers/", "/v1/time"
ANSWER_HEADER = "Bicap-Answer"
ORDER_PULSE_SECONDS = 5.0
ORDER_SILENCE_SECONDS = 15.0
"""Silence after which the other side counts as gone."""


class Order(msgspec.Struct, rename="camel", frozen=True):
    """One thing to do: `list` the files of a capture, `stat` or `read` one of them, or follow the capture `live`."""

    verb: Literal["list", "stat", "read", "live"]
    capture: str
    """UID of the capture."""
    name: str = ""
    first: int | None = None
    last: int | None = None
    """The range, as WantedRange has it; both None: from the beginning."""
    if_range: str = ""
    """The ETag that a range is good for; "" for any."""
    id: str = ""
    """Given by the hub; the answer names it."""


class AnswerHead(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True):
    """What becomes of an order: an HTTP status, and what is to be known before the bytes."""

    status: int = 200
    error: str = ""
    size: int = 0
    """Bytes of the whole file, now."""
    offset: int = 0
    """Of the first byte of the answer."""
    length: int = 0
    """Bytes of the answer."""
    sha256: str = ""
    """Of the whole file, if it is complete and known."""
    digest: str = ""
    """SHA-256 of the bytes of this answer, in Base64."""
