#!/usr/bin/env python3
"""Records conversations with the administration socket of a libvirtd.

usage: record.py DIRECTORY OUTPUT

DIRECTORY holds `libvirt-sock` and `libvirt-admin-sock` of a running libvirtd 11.3.0 with the
default limits and `auth_unix_rw = "none"`. Each scenario becomes OUTPUT/ID.jsonl, in the format that
`README.md` describes.
"""
import json
import os
import select
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

ADMIN, REMOTE = 0x06900690, 0x20008086
NAMES = {
    1: "connect_open", 2: "connect_close", 3: "connect_get_lib_version", 4: "connect_list_servers",
    5: "connect_lookup_server", 6: "server_get_threadpool_parameters",
    7: "server_set_threadpool_parameters", 8: "server_list_clients", 9: "server_lookup_client",
    10: "client_get_info", 11: "client_close", 12: "server_get_client_limits",
    13: "server_set_client_limits", 14: "connect_get_logging_outputs",
    15: "connect_get_logging_filters", 16: "connect_set_logging_outputs",
    17: "connect_set_logging_filters", 18: "server_update_tls_files",
    19: "connect_set_daemon_timeout", 20: "connect_daemon_shutdown",
}
TYPES = {0: "call", 1: "reply", 2: "message"}
INT, UINT, LLONG, ULLONG, DOUBLE, BOOLEAN, STRING = range(1, 8)


class Recorder:
    """Passes connections on to the daemon and writes down every packet."""

    def __init__(self, directory):
        self.directory = directory
        self.temporary = tempfile.mkdtemp()
        self.lines = []
        self.connections = 0
        self.open = 0
        self.lock = threading.Lock()
        for name in ("libvirt-sock", "libvirt-admin-sock"):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(os.path.join(self.temporary, name))
            listener.listen()
            threading.Thread(target=self.accept, args=(listener, name), daemon=True).start()

    def accept(self, listener, name):
        while True:
            client, _ = listener.accept()
            daemon = socket.socket(socket.AF_UNIX)
            daemon.connect(os.path.join(self.directory, name))
            with self.lock:
                self.connections += 1
                self.open += 1
                connection = self.connections
            self.note(connection, name, "c2s", event="connect")
            threading.Thread(
                target=self.relay, args=(connection, name, client, daemon), daemon=True
            ).start()

    def relay(self, connection, name, client, daemon):
        buffers = {client: b"", daemon: b""}
        while True:
            closed = None
            for source in select.select([client, daemon], [], [])[0]:
                target, direction = (daemon, "c2s") if source is client else (client, "s2c")
                try:
                    data = source.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    closed = direction
                    break
                buffers[source] += data
                while len(buffers[source]) >= 4:
                    length = struct.unpack(">I", buffers[source][:4])[0]
                    if len(buffers[source]) < length:
                        break
                    packet, buffers[source] = buffers[source][:length], buffers[source][length:]
                    self.note(connection, name, direction, packet=packet)
                    target.sendall(packet)
            if closed:
                self.note(connection, name, closed, event="close")
                client.close()
                daemon.close()
                with self.lock:
                    self.open -= 1
                return

    def note(self, connection, name, direction, event=None, packet=None):
        with self.lock:
            line = {"n": len(self.lines) + 1, "conn": connection, "socket": name, "dir": direction}
            if event:
                line["event"] = event
            else:
                length, program, version, procedure, kind, serial, status = struct.unpack(
                    ">7I", packet[:28]
                )
                line.update(
                    program=f"0x{program:08x}", version=version, procedure=procedure,
                    type=TYPES.get(kind, kind), serial=serial,
                    status={0: "ok", 1: "error"}.get(status, status), len=length,
                )
                if program == ADMIN:
                    line["procedure_name"] = NAMES.get(procedure)
                if status == 1 and kind == 1:
                    line["message"] = error(packet)
                line["payload_type"] = None
                line["hex"] = packet.hex()
            self.lines.append(line)

    def settle(self):
        """Waits until the connections that were closed are gone in the daemon too."""
        while True:
            with self.lock:
                if self.open <= len(KEPT):
                    break
            time.sleep(0.01)
        time.sleep(0.2)


def error(packet):
    code, domain, present = struct.unpack(">3I", packet[28:40])
    if not present:
        return [code, domain, None]
    length = struct.unpack(">I", packet[40:44])[0]
    return [code, domain, packet[44:44 + length].decode()]


KEPT = []


def text(value):
    data = value.encode()
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


def word(value):
    return struct.pack(">I", value & 0xFFFFFFFF)


def param(name, kind, value):
    form = {INT: ">i", UINT: ">I", LLONG: ">q", ULLONG: ">Q", DOUBLE: ">d", BOOLEAN: ">i"}
    packed = text(value) if kind == STRING else struct.pack(form[kind], value)
    return text(name) + word(kind) + packed


def params(server, *entries, flags=0):
    return text(server) + word(len(entries)) + b"".join(param(*entry) for entry in entries) + word(flags)


class Raw:
    """A client that sends what it is given."""

    def __init__(self, recorder, name="libvirt-admin-sock"):
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.connect(os.path.join(recorder.temporary, name))
        self.serial = 0

    def call(self, procedure, payload=b"", program=ADMIN, version=1):
        header = struct.pack(">7I", 28 + len(payload), program, version, procedure, 0, self.serial, 0)
        self.serial += 1
        self.stream.sendall(header + payload)
        reply = b""
        while len(reply) < 4 or len(reply) < struct.unpack(">I", reply[:4])[0]:
            data = self.stream.recv(65536)
            if not data:
                return None
            reply += data
        return reply

    def close(self):
        self.stream.close()


def client(recorder):
    """A client of the main server that has called something."""
    raw = Raw(recorder, "libvirt-sock")
    raw.call(66, program=REMOTE)
    KEPT.append(raw)
    return raw


def leave(raw):
    KEPT.remove(raw)
    raw.close()


def virt_admin(recorder, *words):
    uri = f"libvirtd:///system?socket={recorder.temporary}/libvirt-admin-sock"
    subprocess.run(
        ["virt-admin", "-c", uri, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    recorder.settle()


def number(recorder):
    """The number of the client of the main server that came last, as the last list had it."""
    replies = [line for line in recorder.lines if line.get("procedure") == 8 and line["type"] == "reply"]
    packets = (bytes.fromhex(line["hex"]) for line in replies)
    packet = next(packet for packet in packets if b"libvirtd" in packet)
    count = struct.unpack(">I", packet[28:32])[0]
    # a server's name of eight bytes, then number, time and transport
    return str(struct.unpack(">Q", packet[32 + 32 * (count - 1) + 12:][:8])[0])


def commands(recorder):
    for line in open(os.path.join(os.path.dirname(__file__), "commands.txt"), encoding="utf-8"):
        line = line.rstrip("\n")
        if not line or line.startswith("#"):
            continue
        if line == "@client":
            client(recorder)
        elif line == "@leave":
            leave(KEPT[0])
            recorder.settle()
        else:
            virt_admin(recorder, *(number(recorder) if word == "ID" else word for word in shlex.split(line)))


def values(recorder):
    """Values that virt-admin itself refuses, or cannot say."""
    raw = Raw(recorder)
    raw.call(1, word(0))
    srv = "libvirtd"
    for procedure, known in ((7, ("minWorkers", "maxWorkers", "prioWorkers")),
                             (13, ("nclients_max", "nclients_unauth_max"))):
        get = procedure - 1
        raw.call(procedure, params(srv))
        for name in known:
            # libvirtd would start as many threads
            for value in (0, 1, 6 if name == "prioWorkers" else 0xFFFFFFFF):
                raw.call(procedure, params(srv, (name, UINT, value)))
                raw.call(get, text(srv) + word(0))
            for kind, value in ((INT, 6), (LLONG, 6), (ULLONG, 6), (DOUBLE, 6.0), (BOOLEAN, 1), (STRING, "6")):
                raw.call(procedure, params(srv, (name, kind, value)))
        raw.call(procedure, params(srv, ("other", UINT, 6)))
        raw.call(procedure, params(srv, ("", UINT, 6)))
        raw.call(procedure, params(srv, (known[1], UINT, 12), (known[1], UINT, 11)))
        raw.call(procedure, params(srv, (known[0], UINT, 13), ("other", UINT, 6)))
        raw.call(get, text(srv) + word(0))
        raw.call(procedure, params(srv, ("nWorkers" if procedure == 7 else "nclients", UINT, 6)))
        raw.call(procedure, params(srv, (known[0], UINT, 9), (known[1], UINT, 9)))
        raw.call(get, text(srv) + word(0))
        # parameters are checked in the order of their names
        raw.call(procedure, params(srv, (known[0], INT, 6), ("aaa", UINT, 6)))
        raw.call(procedure, params(srv, ("zzz", UINT, 6), (known[0], INT, 6)))
        raw.call(procedure, params(srv, (known[1], INT, 6), (known[0], BOOLEAN, 1)))
        raw.call(procedure, params("nosuch", (known[0], UINT, 9)))
        raw.call(procedure, params("nosuch", ("other", UINT, 9)))
        raw.call(procedure, params("nosuch", ("other", UINT, 9), flags=1))
        raw.call(procedure, params(srv, (known[0], UINT, 9), flags=1))
        many = [(f"p{number}", UINT, number) for number in range(33)]
        raw.call(procedure, params(srv, *many))
        raw.call(procedure, params(srv, *many[:32]))
    leave_raw(raw, recorder)


def flags(recorder):
    """Flags, which none of the calls takes, and arguments that do not decode."""
    raw = Raw(recorder)
    someone = text("libvirtd") + struct.pack(">QqI", 1, 0, 0)
    payloads = {
        1: b"", 4: word(1), 5: text("libvirtd"), 6: text("libvirtd"),
        7: text("libvirtd") + word(0), 8: text("libvirtd") + word(1),
        9: text("libvirtd") + struct.pack(">Q", 1), 10: someone, 11: someone, 12: text("libvirtd"),
        13: text("libvirtd") + word(0), 14: b"", 15: b"", 16: word(1) + text("1:stderr"),
        17: word(1) + text("1:x"), 18: text("libvirtd"), 19: word(0),
    }
    for procedure, payload in payloads.items():
        raw.call(procedure, payload + word(1))
        raw.call(procedure, payload)
    raw.call(1, word(0))
    raw.call(1, word(0))
    raw.call(4, word(0) + word(0))
    raw.call(4, word(7) + word(0))
    raw.call(8, text("libvirtd") + word(0) + word(0))
    raw.call(3)
    raw.call(0)
    raw.call(21)
    raw.call(1000)
    raw.call(3, version=2)
    raw.call(1, word(0), program=REMOTE)
    raw.call(20, word(2))
    leave_raw(raw, recorder)


def names(recorder):
    """Servers and clients that do not exist, with and without a wrong flag."""
    raw = Raw(recorder)
    raw.call(1, word(0))
    for server in ("nosuch", "", "admin "):
        name = text(server)
        someone = name + struct.pack(">QqI", 1, 0, 0)
        payloads = {
            5: name, 6: name, 7: name + word(0), 8: name + word(1), 9: name + struct.pack(">Q", 1),
            10: someone, 11: someone, 12: name, 13: name + word(0), 18: name,
        }
        for procedure, payload in payloads.items():
            for flag in (0, 1):
                raw.call(procedure, payload + word(flag))
    for identifier in (0, 999999, 0xFFFFFFFFFFFFFFFF):
        someone = text("libvirtd") + struct.pack(">QqI", identifier, 0, 0)
        for flag in (0, 1):
            raw.call(9, text("libvirtd") + struct.pack(">Q", identifier) + word(flag))
            raw.call(10, someone + word(flag))
            raw.call(11, someone + word(flag))
    leave_raw(raw, recorder)


def logging(recorder):
    """Definitions of log filters and outputs, as text or absent."""
    raw = Raw(recorder)
    raw.call(1, word(0))
    for procedure in (17, 16):
        get = procedure - 2
        raw.call(get, word(0))
        for definition in open(os.path.join(os.path.dirname(__file__), "logging.txt"), encoding="utf-8"):
            kind, _, definition = definition.rstrip("\n").partition(" ")
            if kind != ("filters" if procedure == 17 else "outputs"):
                continue
            raw.call(procedure, word(1) + text(definition) + word(0))
            raw.call(get, word(0))
        raw.call(procedure, word(0) + word(0))
        raw.call(get, word(0))
    leave_raw(raw, recorder)


def clients(recorder):
    """Clients that come, call and go, seen by a connection that stays."""
    raw = Raw(recorder)
    raw.call(1, word(0))
    listing = text("libvirtd") + word(1) + word(0)
    limits = text("libvirtd") + word(0)
    raw.call(8, listing)
    first = client(recorder)
    raw.call(8, listing)
    raw.call(12, limits)
    reply = raw.call(8, listing)
    number = struct.unpack(">Q", reply[44:52])[0]
    someone = text("libvirtd") + struct.pack(">QqI", number, 0, 0)
    raw.call(10, someone + word(1))
    raw.call(11, someone + word(1))
    # only the number counts
    raw.call(10, text("libvirtd") + struct.pack(">QqI", number, 5, 9) + word(0))
    raw.call(9, text("libvirtd") + struct.pack(">Q", number) + word(0))
    raw.call(10, someone + word(0))
    raw.call(11, someone + word(0))
    # closed by the administrator: gone with the reply
    raw.call(8, listing)
    raw.call(12, limits)
    raw.call(10, someone + word(0))
    raw.call(11, someone + word(0))
    raw.call(9, text("libvirtd") + struct.pack(">Q", number) + word(0))
    leave(first)
    second = client(recorder)
    second.call(1, word(0) + word(0), program=REMOTE)
    raw.call(8, listing)
    # closed by itself: gone with the reply
    second.call(2, program=REMOTE)
    raw.call(8, listing)
    raw.call(12, limits)
    leave(second)
    # says nothing at all
    silent = Raw(recorder, "libvirt-sock")
    KEPT.append(silent)
    time.sleep(0.3)
    reply = raw.call(8, listing)
    number = struct.unpack(">Q", reply[44:52])[0]
    raw.call(10, text("libvirtd") + struct.pack(">QqI", number, 0, 0) + word(0))
    raw.call(12, limits)
    leave(silent)
    leave_raw(raw, recorder)


def leave_raw(raw, recorder):
    raw.call(2)
    raw.close()
    recorder.settle()


SCENARIOS = {
    "01-commands": (commands, "all commands of virt-admin, with valid and invalid values"),
    "02-values": (values, "parameters by type and value"),
    "03-flags": (flags, "flags, missing arguments, unknown procedures"),
    "06-names": (names, "servers and clients that do not exist"),
    "04-logging": (logging, "log filters and outputs"),
    "05-clients": (clients, "clients that come and go"),
}


def main(directory, output, names):
    for name, (scenario, title) in SCENARIOS.items():
        if names and name not in names:
            continue
        recorder = Recorder(directory)
        scenario(recorder)
        recorder.settle()
        while KEPT:
            leave(KEPT[0])
        recorder.settle()
        packets = sum("hex" in line for line in recorder.lines)
        meta = {"id": name, "title": title, "client": "virt-admin 11.3.0" if name[:2] == "01" else "record.py",
                "daemon": "libvirtd 11.3.0", "connections": recorder.connections, "packets": packets}
        with open(os.path.join(output, name + ".jsonl"), "w", encoding="utf-8") as file:
            for line in [{"meta": meta}, *recorder.lines]:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


main(sys.argv[1], sys.argv[2], sys.argv[3:])
