"""A kubectl for tests without a cluster: objects are files, port-forward leads to a port of this machine.

FOLDER/objects/RESOURCE/NAME.json    what `get --raw`, `get`, `create`, `patch` and `delete` are about
FOLDER/port                          where port-forward leads
FOLDER/cut                           bytes after which a port-forward is cut, as networks do
FOLDER/calls                         the words of each call, a line each
"""

import json
import os
import select
import socket
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ["FAKE_CLUSTER"])
RESOURCES = {
    "CaptureAccess": "captureaccesses",
    "PacketCapture": "packetcaptures",
    "ClusterPacketCapture": "clusterpacketcaptures",
}


def place(resource: str, name: str) -> Path:
    return FOLDER / "objects" / resource.partition(".")[0] / f"{name}.json"


def refuse(reason: str, text: str) -> None:
    sys.exit(f"Error from server ({reason}): {text}")


def read(resource: str, name: str) -> dict:
    try:
        found: dict = json.loads(place(resource, name).read_text())
        return found
    except FileNotFoundError:
        refuse("NotFound", f'{resource} "{name}" not found')
        raise


def write(resource: str, name: str, body: dict) -> None:
    target = place(resource, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.with_suffix(".tmp").write_text(json.dumps(body))
    target.with_suffix(".tmp").replace(target)


def create() -> None:
    body = json.load(sys.stdin)
    metadata = body["metadata"]
    metadata.setdefault("name", metadata.get("generateName", "") + "x7k2p")
    metadata["uid"] = "uid-of-" + metadata["name"]
    write(RESOURCES[body["kind"]], metadata["name"], body)
    print(json.dumps(body))


def raw(path: str) -> None:
    path, _, query = path.partition("?")
    words = path.strip("/").split("/")
    if not query:
        print(json.dumps(read(words[-2], words[-1])))
        return
    name = query.partition("metadata.name%3D")[2].partition("&")[0]
    before = ""
    while True:
        try:
            now = place(words[-1], name).read_text()
        except FileNotFoundError:
            print(json.dumps({"type": "DELETED", "object": {}}), flush=True)
            return
        if now != before:
            print(json.dumps({"type": "MODIFIED", "object": json.loads(now)}), flush=True)
            before = now
        time.sleep(0.02)


def patch(resource: str, name: str, text: str) -> None:
    body, change = read(resource, name), json.loads(text)
    body["spec"].setdefault("limits", {}).update(change["spec"]["limits"])
    write(resource, name, body)


def forward() -> None:
    left = int((FOLDER / "cut").read_text()) if (FOLDER / "cut").exists() else 1 << 60
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(f"Forwarding from 127.0.0.1:{server.getsockname()[1]} -> 8470", flush=True)
        while True:
            near, _ = server.accept()
            with near, socket.create_connection(("127.0.0.1", int((FOLDER / "port").read_text()))) as far:
                other = {near: far, far: near}
                while True:
                    (ready, *_), _, _ = select.select([*other], [], [])
                    data = ready.recv(min(left, 1 << 16))
                    if not data:
                        break
                    left -= len(data)
                    other[ready].sendall(data)
                    if left == 0:
                        sys.exit("lost connection to pod")


def main(words: list[str]) -> None:
    with (FOLDER / "calls").open("a") as calls:
        calls.write(" ".join(words) + "\n")
    while words[0] in ("--context", "--kubeconfig", "--as"):
        del words[:2]
    match words:
        case ["config", *_]:
            print("shop")
        case ["create", *_]:
            create()
        case ["get", "--raw", path]:
            raw(path)
        case ["get", "pods", *_]:
            listed = sorted((FOLDER / "objects" / "pod").glob("*.json"))
            print(json.dumps({"items": [json.loads(one.read_text()) for one in listed]}))
        case ["get", resource, name, *_]:
            print(json.dumps(read(resource, name)))
        case ["patch", resource, name, *_, text]:
            patch(resource, name, text)
        case ["delete", resource, name, *_]:
            place(resource, name).unlink(missing_ok=True)
        case ["port-forward", *_]:
            forward()
        case _:
            sys.exit(f"fake kubectl does not know {words}")


if __name__ == "__main__":
    main(sys.argv[1:])
