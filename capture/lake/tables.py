"""The tables of the lake by name."""

from capture.lake.lake_findings import FINDINGS
from capture.lake.lake_latency import LATENCY
from capture.lake.lake_packets import PACKETS
from capture.lake.lake_sessions import SESSIONS
from capture.lake.schema import TableSchema

TABLES: dict[str, TableSchema] = {table.name: table for table in (SESSIONS, PACKETS, LATENCY, FINDINGS)}
