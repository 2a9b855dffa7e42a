"""The words of a command line -> a CaptureSpec."""

from datetime import datetime

from capture.cli.rules import RULE_OPTIONS, group_rules
from capture.errors import SpecError
from capture.filters.expression import parse_expression
from capture.filters.rule import Direction
from capture.filters.rulefile import RuleFile, read_rules
from capture.filters.sessions import read_sessions
from capture.sampling.sampler import Sampling
from capture.sampling.words import parse_measures, parse_sampler
from capture.spec import SNAPLEN_MAX, CaptureSpec, Hook
from capture.storage import Storage, parse_file_size, parse_file_time, parse_min_free
from capture.units import parse_duration, parse_size, parse_wall_time


def build_spec(
    order: list[str],
    *,
    interfaces: tuple[str, ...],
    netns: str | None,
    hook: str,
    rule_file: str | None,
    sessions: str | None,
    direction: str | None,
    bidirectional: bool | None,
    inner: bool,
    icmp_errors: bool,
    samplers: tuple[str, ...],
    sample_seed: int | None,
    keep_control: bool | None,
    headers_only: bool,
    snaplen: int,
    measures: tuple[str, ...],
    count: int | None,
    count_forward: int | None,
    count_reverse: int | None,
    max_bytes: str | None,
    duration: str | None,
    start_at: str | None,
    stop_at: str | None,
    buffer: str,
    file_size: str | None,
    file_time: str | None,
    files_kept: int | None,
    compress: str | None,
    user: str | None,
    min_free: str | None,
    expression: tuple[str, ...],
    **words: tuple[str, ...],
) -> CaptureSpec:
    """The options as a spec; `order` has the name of each option given. Raises SpecError."""
    file = read_rules(rule_file) if rule_file is not None else RuleFile()
    start_ns, stop_ns = _times(start_at, stop_at)
    return CaptureSpec(
        interfaces=interfaces,
        netns=netns,
        rules=(*group_rules(order, {name: words[name] for name in RULE_OPTIONS}), *file.rules),
        sessions=read_sessions(sessions) if sessions is not None else None,
        expression=parse_expression(" ".join(expression)) if expression else None,
        direction=_direction(direction, bidirectional) or file.direction or Direction.BOTH,
        inner=inner,
        icmp_errors=icmp_errors,
        sampling=_sampling(rule_file, file, samplers, sample_seed, keep_control, headers_only),
        snaplen=snaplen or SNAPLEN_MAX,
        on_pressure=parse_measures(measures) if measures else (),
        count=count,
        count_forward=count_forward,
        count_reverse=count_reverse,
        max_bytes=parse_size(max_bytes, "--max-bytes") if max_bytes is not None else None,
        duration_ns=positive_time(duration, "--duration"),
        start_at_ns=start_ns,
        stop_at_ns=stop_ns,
        storage=Storage(
            file_bytes=parse_file_size(file_size) if file_size is not None else None,
            file_ns=parse_file_time(file_time) if file_time is not None else None,
            files_kept=files_kept,
            compress=compress,
            user=user,
            min_free=parse_min_free(min_free) if min_free is not None else None,
        ),
        buffer_bytes=parse_size(buffer, "--buffer"),
        hook=Hook(hook),
    )


def _sampling(
    rule_file: str | None,
    file: RuleFile,
    samplers: tuple[str, ...],
    seed: int | None,
    keep_control: bool | None,
    headers_only: bool,
) -> Sampling:
    """What is given on the command line goes before what the file says; samplers of both must agree."""
    of_file = [parse_sampler(text, f"rule file {rule_file}: sample") for text in file.sample]
    control = keep_control if keep_control is not None else file.keep_control
    return Sampling(
        samplers=(*(parse_sampler(text) for text in samplers), *of_file),
        seed=seed if seed is not None else file.sample_seed or 0,
        keep_control=True if control is None else control,
        headers_only=headers_only or bool(file.headers_only),
    )


def _times(start_at: str | None, stop_at: str | None) -> tuple[int | None, int | None]:
    """Wall-clock nanoseconds; a time of day to stop at is the next one after the start."""
    begin = datetime.now().astimezone()
    start = parse_wall_time(start_at, begin, "--start-at") if start_at is not None else None
    if start is not None:
        begin = datetime.fromtimestamp(start / 1e9).astimezone()
    return start, parse_wall_time(stop_at, begin, "--stop-at") if stop_at is not None else None


def positive_time(text: str | None, option: str) -> int | None:
    """A time in nanoseconds, None if the option was not given. Raises SpecError."""
    time = None if text is None else parse_duration(text, option)
    if time == 0:
        raise SpecError(f"{option} is not longer than 0")
    return time


def _direction(direction: str | None, bidirectional: bool | None) -> Direction | None:
    if direction is None:
        return None if bidirectional is None else Direction.BOTH if bidirectional else Direction.FORWARD
    if bidirectional is not None and bidirectional != (direction == Direction.BOTH.value):
        switch = "--bidirectional" if bidirectional else "--no-bidirectional"
        raise SpecError(f"--direction {direction} and {switch} contradict each other; give one of them")
    return Direction(direction)
