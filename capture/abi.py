"""bpf/abi.h -> numpy dtypes and enums: the only description of the data that kernel and user space share.

The header has only plain structs of u8..u64, structs of those, and enums with explicit values, so a page of code can
parse it. The C compiler lays such structs out as numpy does with `align=True`.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

BPF_FOLDER = Path(__file__).resolve().parent / "bpf"

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRUCT = re.compile(r"struct (\w+) \{(.*?)\};", re.DOTALL)
_ENUM = re.compile(r"enum (\w+) \{(.*?)\};", re.DOTALL)
_FIELD = re.compile(r"(?:struct )?(\w+) (\w+)(?:\[(\d+)\])?;")
_SCALARS = {"u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64}


def parse_structs(header: str) -> dict[str, np.dtype[Any]]:
    """Return the dtype of each struct by name, in the order of the header; a struct may hold earlier ones."""
    known: dict[str, Any] = dict(_SCALARS)
    for name, body in _STRUCT.findall(_COMMENT.sub("", header)):
        fields = [(field, (known[kind], int(n)) if n else known[kind]) for kind, field, n in _FIELD.findall(body)]
        known[name] = np.dtype(fields, align=True)
    return {name: dtype for name, dtype in known.items() if name not in _SCALARS}


def parse_enums(header: str) -> dict[str, dict[str, int]]:
    """Return the constants of each enum, by the enum's name."""
    text = _COMMENT.sub("", header)
    return {name: {k: int(v) for k, v in re.findall(r"(\w+) = (\d+)", body)} for name, body in _ENUM.findall(text)}


_header = (BPF_FOLDER / "abi.h").read_text()
_structs = parse_structs(_header)
_enums = parse_enums(_header)

PACKET_RUN = _structs["packet_run"]
"""Beginning of a run of blocks: wall_offset_ns, the packets that are reverse (bits), bytes of blocks, flags."""
PACKET_BLOCK = _structs["packet_block"]
"""Beginning of an Enhanced Packet Block."""
PACKET_BLOCK_END = _structs["packet_block_end"]
"""Its end, behind the packet and its padding."""
INTERFACE_COUNTERS = _structs["interface_counters"]
"""One row of exact counters: packets, and bytes where the name ends in _bytes."""
OVERFLOW_RUN = _structs["overflow_run"]
"""Beginning of a record of the overflow ring: number of the ring that it belongs to, from 1; then the run's."""
BATCH_STATE = _structs["batch_state"]
"""The batch of a CPU: used (bytes), oldest_ns, submitted (bytes so far), packets; has_ring, wall_offset_ns."""
CHUNK_HEAD = _structs["chunk_head"]
"""Beginning of a chunk: number, used (bytes), packets before it on its CPU, first_ns."""
RECORDER_STATE = _structs["recorder_state"]
"""The chunks of a CPU: number, index, packets, first, chunks."""
REASON_PLACE = _structs["reason_place"]
"""A reason and the place in the kernel's code that gave it."""
PLACE_COUNTS = _structs["place_counts"]
"""Events of a place on one CPU: count, recorded, over, other, busy."""
REASON_RECORD = _structs["reason_record"]
"""An event whose packet or socket matches."""
REASON_STATE = _structs["reason_state"]
"""Events that a CPU has written so far."""
PRESSURE = _structs["pressure"]
"""Pressure on the rings: level, the time of its last change (ns, CLOCK_MONOTONIC), bytes put into the overflow ring
and read from it."""
CONVERSATION_KEY = _structs["conversation_key"]
"""The canonical tuple of an exact conversation."""

GROUP_KEY = _structs["group_key"]
"""An address, as a key of the groups map."""

INBOUND = _enums["packet_flag"]["PACKET_INBOUND"]
OUTBOUND = _enums["packet_flag"]["PACKET_OUTBOUND"]
REVERSE = _enums["packet_flag"]["PACKET_REVERSE"]
ALONE = _enums["packet_flag"]["PACKET_ALONE"]
TAGGED = _enums["packet_flag"]["PACKET_TAGGED"]
LOW_IS_SOURCE = _enums["source_side"]["LOW_IS_SOURCE"]
HIGH_IS_SOURCE = _enums["source_side"]["HIGH_IS_SOURCE"]
GROUP_NODE = _enums["group"]["GROUP_NODE"]
GROUP_PODS = _enums["group"]["GROUP_PODS"]
REASON_RECORDS = _enums["reason_sizes"]["REASON_RECORDS"]
REASON_DROP = _enums["reason_kind"]["REASON_DROP"]
REASON_RESET_SENT = _enums["reason_kind"]["REASON_RESET_SENT"]
REASON_RESET_RECEIVED = _enums["reason_kind"]["REASON_RESET_RECEIVED"]
HOOKS = _enums["hook"]["HOOKS"]
HOOK_FROM_POD = _enums["hook"]["HOOK_FROM_POD"]
HOOK_TO_POD = _enums["hook"]["HOOK_TO_POD"]

PERF_HEADERS = 12
"""Bytes before each sample in a ring: struct perf_event_header (8) and the raw size (4)."""
LARGEST_CAPTURE = 65528 - PERF_HEADERS - PACKET_RUN.itemsize - PACKET_BLOCK.itemsize
"""Most bytes of a packet that are captured, as in bpf/lib/block.h."""
