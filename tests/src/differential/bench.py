"""Times libvirt's parser and formatter: documents in (4 bytes of length before each), medians out.

An empty call on the same connection is subtracted, so that the binding does not count.
"""
import statistics
import struct
import sys
import time

import libvirt

libvirt.registerErrorHandler(lambda context, error: None, None)
connection = libvirt.open("test:///default")
source, sink = sys.stdin.buffer, sys.stdout.buffer


def median(call, count):
    times = []
    for _ in range(count):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times)


while len(head := source.read(8)) == 8:
    length, count = struct.unpack(">II", head)
    document = source.read(length).decode()
    network = connection.networkDefineXML(document)
    empty = median(network.isActive, 2000)
    parse = median(lambda: connection.networkDefineXML(document), count)
    write = median(lambda: network.XMLDesc(0), count)
    network.undefine()
    sink.write(struct.pack(">QQ", int(max(parse - empty, 0)), int(max(write - empty, 0))))
    sink.flush()
