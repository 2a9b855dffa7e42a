"""The status of a recorder -> the lines of `kubectl bicap describe`."""

from datetime import UTC, datetime

from capture.cluster.kube import ObjectMetadata
from capture.cluster.objects import CaptureObject, CaptureStatus, NodeStatus
from capture.cluster.recorder_objects import IncidentEntry, NodeRecorder, RecorderSummary
from capture.kubectl.progress_lines import description

AT = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)


def test_incidents_are_listed_with_what_fired_them() -> None:
    session = "tcp 10.0.0.1:4000 > 10.0.0.2:80"
    incidents = [
        IncidentEntry("incident-1.pcapng", "n1", "rst>0", at=AT, session=session, bytes=2048, complete=True),
        IncidentEntry("incident-2.pcapng", "n2", "other-node", "n1: rst>0", AT, bytes=1024),
    ]
    node = NodeStatus(
        node="n1", phase="Capturing", reason="Recording", seen=50, unmatched=10, matched=40,
        recorder=NodeRecorder(remembered=40),
    )  # fmt: skip
    status = CaptureStatus(
        phase="Capturing", node_summary="2/2", nodes=[node], recorder=RecorderSummary(incidents, 7, 3, 1)
    )
    metadata = ObjectMetadata(name="checkout", namespace="shop")
    lines = [*description(CaptureObject(metadata, status=status))]
    assert lines == [
        "shop/checkout",
        "  Capturing: 2/2 nodes, 7 incidents, 0 lost",
        "  n1: Capturing, Recording",
        "    50 seen = 10 unmatched + 40 matched; 40 remembered, 0 sampled out, 0 over the limit, 0 lost",
        "  3 fired, 1 forwarded to other nodes",
        "  2026-11-30 12:00:00  n1  incident-1.pcapng  2.0 KiB: rst>0 tcp 10.0.0.1:4000 > 10.0.0.2:80",
        "  2026-11-30 12:00:00  n2  incident-2.pcapng  1.0 KiB, unfinished: other-node (n1: rst>0)",
        "  and 5 earlier incidents",
    ]
