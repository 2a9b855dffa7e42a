"""An object -> what the newest schemas of Kubernetes say against it."""

from typing import Any


def refusal(item: dict[str, Any]) -> str:
    """Return the first thing that is wrong, fields that nobody knows included; empty if nothing is."""
    # Imported here: that makes 38 parsers, which takes seconds, and every worker of the tests would wait for them.
    import kubernetes_validate

    try:
        kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error)
    return ""
