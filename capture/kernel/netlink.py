"""pyroute2 -> the parts of it that captures use, without the others.

`import pyroute2` imports everything that it has, which takes a third more of each start than these parts. So they are
imported below an empty package of that name, which is taken away again: who imports pyroute2 later gets all of it.
"""

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

__all__ = ["IPRoute", "NetlinkError", "ifaddrmsg", "ifinfmsg"]

_PACKAGE = "pyroute2"
_PARTS = {
    "IPRoute": "pyroute2.iproute.linux",
    "NetlinkError": "pyroute2.netlink.exceptions",
    "ifaddrmsg": "pyroute2.netlink.rtnl.ifaddrmsg",
    "ifinfmsg": "pyroute2.netlink.rtnl.ifinfmsg",
}


def _parts() -> dict[str, Any]:
    return {name: getattr(importlib.import_module(module), name) for name, module in _PARTS.items()}


def _parts_alone() -> dict[str, Any]:
    """Return the parts; all of the package is imported if it already was, or if the parts need more of it."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or _PACKAGE in sys.modules:
        return _parts()
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        return _parts()
    except (ImportError, AttributeError):
        for name in [name for name in sys.modules if name.startswith(f"{_PACKAGE}.")]:
            del sys.modules[name]
    finally:
        del sys.modules[_PACKAGE]
    return _parts()


if not TYPE_CHECKING:
    globals().update(_parts_alone())
