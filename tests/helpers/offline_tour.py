"""A tour of the commands in a network of its own, without a way out; tells what tried to leave.

Run by test_offline.py in a new network namespace, in the folder of the tour.
"""

import fcntl
import json
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
UP = 1


def bring_loopback_up():
    """Let programs of this namespace talk to each other (``ip link set lo up``)."""
    with socket.socket() as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        answer = fcntl.ioctl(any_socket, SIOCGIFFLAGS, request)
        (flags,) = struct.unpack("16xH14x", answer)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | UP))


def attempts():
    """Return how many packets had nowhere to go since the namespace was made."""
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines()[:2])
    found = {"IPv4": int(dict(zip(names, values, strict=True))["OutNoRoutes"])}
    later = Path("/proc/net/snmp6")
    if later.exists():
        [count] = re.findall(r"^Ip6OutNoRoutes\s+(\d+)", later.read_text(), re.MULTILINE)
        found["IPv6"] = int(count)
    return found


def main():
    """Give the commands, one a line of standard input; they must succeed."""
    bring_loopback_up()
    before = attempts()
    said = []
    for line in sys.stdin.read().splitlines():
        done = subprocess.run(line, shell=True, capture_output=True, text=True)
        said.append({"command": line, "code": done.returncode, "said": done.stdout + done.stderr})
        after = attempts()
        said[-1]["tried"] = {name: after[name] - before[name] for name in after}
        before = after
    print(json.dumps(said))


if __name__ == "__main__":
    main()
