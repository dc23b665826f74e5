"""Whether a port is free, and who has it."""

import errno
import socket
from pathlib import Path

from ostinato_cli.embedded.errors import EmbeddedServerError
from ostinato_cli.embedded.server import free_port

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - where such a server answers
_LISTENING = "0A"  # the state in /proc/net/tcp


def claim_port(host: str, port: int) -> int:
    """The port, found free; port 0 asks for any."""
    if port == 0:
        return free_port()
    problem = _problem(host, port)
    if problem is None:
        return port
    if problem.errno != errno.EADDRINUSE:
        raise EmbeddedServerError(
            f"Cannot listen on {host} port {port}: {problem.strerror}. Use another --host or --port."
        )
    owner = _owner(port)
    raise EmbeddedServerError(
        f"Port {port} is taken{f' by {owner}' if owner else ''}. Stop that program, or use another --port."
    )


def preferred_port(host: str, port: int) -> int:
    """The port if it is free, else any."""
    return port if _problem(host, port) is None else free_port()


def shown_host(host: str) -> str:
    """The host as it stands in the URL of a server bound to `host`."""
    return _ANY_ADDRESS.get(host, f"[{host}]" if ":" in host else host)


def _problem(host: str, port: int) -> OSError | None:
    try:
        family, kind, proto, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will: a closing socket is free
            probe.bind(address)
            probe.listen()
    except OSError as error:
        return error
    return None


def _owner(port: int) -> str | None:
    """The listening process as `name (process 12)`; None where /proc does not tell."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) in sockets:
                process = link.parent.parent
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:  # it has ended, or is somebody else's
            continue
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        rows = table.read_text().splitlines()[1:] if table.exists() else []
        for local, state, inode in ((row.split()[1], row.split()[3], row.split()[9]) for row in rows):
            if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                inodes.add(inode)
    return inodes
