"""The two directions of a conversation."""

from enum import Enum


class Direction(Enum):
    """Packets of a conversation: from the source that is asked for to its destination, back, or both."""

    BOTH = "both"
    FORWARD = "forward"
    REVERSE = "reverse"
