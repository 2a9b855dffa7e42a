"""The words of a command line, over the file that it names -> what is asked for."""

from datetime import datetime

from capture.cli.rules import RULE_OPTIONS, group_rules
from capture.cli.where import selection_of
from capture.errors import SpecError
from capture.filters.conversations import read_conversations
from capture.filters.expression import parse_expression
from capture.filters.rule import Direction
from capture.filters.words import agreed_direction
from capture.manifest.asked import Asked
from capture.manifest.read import read_file
from capture.sampling.words import parse_measures, parse_sampler
from capture.spec import SNAPLEN_MAX, Hook
from capture.storage import parse_file_size, parse_file_time, parse_min_free
from capture.units import parse_duration, parse_size, parse_wall_time


def read_request(
    order: list[str],
    *,
    interfaces: tuple[str, ...],
    pods: tuple[str, ...],
    namespaces: tuple[str, ...],
    selector: str | None,
    containers: tuple[str, ...],
    pids: tuple[int, ...],
    all_pods: bool,
    own: bool,
    point: str | None,
    wait: bool,
    cri_sockets: tuple[str, ...],
    netns: str | None,
    hook: str | None,
    filename: str | None,
    conversations: str | None,
    direction: str | None,
    bidirectional: bool | None,
    inner: bool,
    icmp_errors: bool | None,
    samplers: tuple[str, ...],
    sample_seed: int | None,
    keep_control: bool | None,
    headers_only: bool,
    snaplen: int | None,
    measures: tuple[str, ...],
    count: int | None,
    count_forward: int | None,
    count_reverse: int | None,
    max_bytes: str | None,
    duration: str | None,
    start_at: str | None,
    stop_at: str | None,
    buffer: str | None,
    output: str | None,
    file_size: str | None,
    file_time: str | None,
    files_kept: int | None,
    compress: str | None,
    user: str | None,
    min_free: str | None,
    expression: tuple[str, ...],
    **words: tuple[str, ...],
) -> Asked:
    """The options, and what only the file says; `order` has the name of each option given. Raises SpecError."""
    file = read_file(filename) if filename is not None else Asked()
    start_ns, stop_ns = _times(start_at, stop_at, file.start_at_ns)
    line = Asked(
        interfaces=interfaces,
        pods=selection_of(
            pods=pods,
            namespaces=namespaces,
            selector=selector,
            containers=containers,
            pids=pids,
            all_pods=all_pods,
            own=own,
            point=point,
            wait=wait,
            cri_sockets=cri_sockets,
            interfaces=interfaces,
        ),
        netns=netns,
        rules=group_rules(order, {name: words[name] for name in RULE_OPTIONS}),
        conversations=read_conversations(conversations) if conversations is not None else None,
        expression=parse_expression(" ".join(expression)) if expression else None,
        direction=_direction(direction, bidirectional),
        inner=inner or None,
        icmp_errors=icmp_errors,
        samplers=tuple(parse_sampler(text) for text in samplers),
        sample_seed=sample_seed,
        keep_control=keep_control,
        headers_only=headers_only or None,
        snaplen=SNAPLEN_MAX if snaplen == 0 else snaplen,  # as tcpdump's -s 0
        on_pressure=parse_measures(measures) if measures else None,
        count=count,
        count_forward=count_forward,
        count_reverse=count_reverse,
        max_bytes=parse_size(max_bytes, "--max-bytes") if max_bytes is not None else None,
        duration_ns=positive_time(duration, "--duration"),
        start_at_ns=start_ns,
        stop_at_ns=stop_ns,
        buffer_bytes=parse_size(buffer, "--buffer") if buffer is not None else None,
        hook=Hook(hook) if hook is not None else None,
        file_bytes=parse_file_size(file_size) if file_size is not None else None,
        file_ns=parse_file_time(file_time) if file_time is not None else None,
        files_kept=files_kept,
        compress=compress,
        user=user,
        min_free=parse_min_free(min_free) if min_free is not None else None,
        output=output,
    )
    return line.over(file)


def _times(start_at: str | None, stop_at: str | None, start_of_file: int | None) -> tuple[int | None, int | None]:
    """Wall-clock nanoseconds; a time of day to stop at is the next one after the start."""
    begin = datetime.now().astimezone()
    start = parse_wall_time(start_at, begin, "--start-at") if start_at is not None else None
    first = start_of_file if start is None else start
    if first is not None:
        begin = datetime.fromtimestamp(first / 1e9).astimezone()
    return start, parse_wall_time(stop_at, begin, "--stop-at") if stop_at is not None else None


def positive_time(text: str | None, option: str) -> int | None:
    """A time in nanoseconds, None if the option was not given. Raises SpecError."""
    time = None if text is None else parse_duration(text, option)
    if time == 0:
        raise SpecError(f"{option} is not longer than 0")
    return time


def _direction(word: str | None, bidirectional: bool | None) -> Direction | None:
    switch = "--bidirectional" if bidirectional else "--no-bidirectional"
    direction = Direction(word) if word is not None else None
    return agreed_direction(direction, bidirectional, f"--direction {word} and {switch}")
