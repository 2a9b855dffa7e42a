"""The two directions of a conversation."""

from enum import Enum


class Direction(Enum):
    """Direction of packets to capture: from a rule's source to its destination, back, or both."""

    BOTH = "both"
    FORWARD = "forward"
    REVERSE = "reverse"
