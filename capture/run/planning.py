"""A spec and the present state of the machine -> the plan of a capture; nothing is loaded."""

from capture.errors import TargetError
from capture.kernel.counters import online_cpus
from capture.kernel.features import can_visit, choose_hook
from capture.kernel.frozen import makes_ring
from capture.plan import CapturePlan, make_plan, overflow_bytes
from capture.spec import CaptureSpec
from capture.targets.finder import Finder


def plan_capture(spec: CaptureSpec) -> CapturePlan:
    """Find the interfaces and pods of a spec, and plan its capture. Raises TargetError, SpecError, PrivilegeError."""
    finder = Finder(spec)
    try:
        found = finder.look()
    finally:
        finder.close()
    if not found.places and found.refusal is not None:
        raise found.refusal
    if not found.places and not (spec.pods and spec.pods.wait):
        raise TargetError(
            f"nothing to capture on: {'; '.join(found.troubles)}"
            if found.troubles
            else f"nothing to capture on: not on this node: {spec.pods}; `bicap pods` lists what is, "
            "--wait waits for it"
        )
    cpus = online_cpus()
    batching = can_visit(cpus)
    overflows = not spec.in_memory and makes_ring(overflow_bytes(spec.buffer_bytes))
    return make_plan(spec, found.places, choose_hook(spec.hook), cpus, batching, found.addresses, overflows)
