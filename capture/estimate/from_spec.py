"""A spec -> the inputs of an estimate: what is kept of the packets, and the limits of the capture."""

from capture.estimate.price import Cap, PriceFactors
from capture.estimate.room import Disk, DiskLimits
from capture.sampling.sampler import SamplerKind
from capture.spec import CaptureSpec
from capture.wire.direction import Direction


def price_factors(spec: CaptureSpec) -> PriceFactors:
    """Return the properties of a capture that decide its price."""
    sampling, ways = spec.sampling, (Direction.FORWARD, Direction.REVERSE)
    caps = {SamplerKind.PACKET_RATE: "packets", SamplerKind.BIT_RATE: "bits"}
    return PriceFactors(
        snaplen=spec.snaplen,
        headers_only=sampling.headers_only,
        shares={way: float(sampling.flow_share * sampling.packet_share(way)) for way in ways},
        caps=[
            Cap(direction=s.direction, **{caps[s.kind]: float(s.amount)}) for s in sampling.samplers if s.kind in caps
        ],
        filtered=bool(spec.rules or spec.conversations or spec.expression),
        first=any(sampling.first(way) for way in ways),
        keeps_control=bool(sampling.samplers) and sampling.keep_control,
        compressed=spec.storage.compress is not None,
    )


def disk_limits(spec: CaptureSpec, disk: Disk | None, now_ns: int) -> DiskLimits:
    """Return the limits of a capture that begins at wall-clock `now_ns`, or at the spec's start time if that is
    later."""
    counts = {
        Direction.BOTH: spec.count,
        Direction.FORWARD: spec.count_forward,
        Direction.REVERSE: spec.count_reverse,
    }
    times = [spec.duration_ns]
    if spec.stop_at_ns is not None:
        times.append(max(spec.stop_at_ns - max(now_ns, spec.start_at_ns or 0), 0))
    storage = spec.storage
    return DiskLimits(
        counts={way: count for way, count in counts.items() if count},
        max_bytes=spec.max_bytes,
        duration_ns=min((limit for limit in times if limit is not None), default=None),
        file_bytes=storage.file_bytes,
        file_ns=storage.file_ns,
        files_kept=storage.files_kept,
        min_free=storage.min_free.of(disk.size) if storage.min_free and disk else 0,
    )
