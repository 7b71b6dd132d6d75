"""libvirt's side of the differential run.

In: documents, each after its length (4 bytes, big-endian). Out: error number (0: none), domain and
length, 4 bytes each, then the printed document or the error's text.
"""
import struct
import sys

import libvirt

libvirt.registerErrorHandler(lambda context, error: None, None)
connection = libvirt.open("test:///default")
source, sink = sys.stdin.buffer, sys.stdout.buffer
while len(head := source.read(4)) == 4:
    document = source.read(struct.unpack(">I", head)[0]).decode()
    try:
        network = connection.networkDefineXML(document)
        code, domain, text = 0, 0, network.XMLDesc(0)
        network.undefine()
    except libvirt.libvirtError as error:
        code, domain, text = error.get_error_code(), error.get_error_domain(), error.get_error_message()
    except (ValueError, SystemError):
        # The binding cannot take the document (a NUL), or not the error's text (cut within a character).
        code, domain, text = -1, -1, ""
    data = (text or "").encode("utf-8", "surrogateescape")
    sink.write(struct.pack(">iii", code, domain, len(data)) + data)
    sink.flush()
