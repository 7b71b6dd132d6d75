"""libvirt's side of the differential run.

In: documents, each after its length (4 bytes, big-endian). Out: error number (0: none), domain, the
error number of a definition that is held against the schema, and length, 4 bytes each, then the
printed document or the error's text.
"""
import struct
import sys

import libvirt

libvirt.registerErrorHandler(lambda context, error: None, None)
connection = libvirt.open("test:///default")
source, sink = sys.stdin.buffer, sys.stdout.buffer


def define(document, flags):
    """Error number, domain, and the printed document or the error's text."""
    try:
        network = connection.networkDefineXMLFlags(document, flags)
        text = network.XMLDesc(0)
        network.undefine()
        return 0, 0, text
    except libvirt.libvirtError as error:
        return error.get_error_code(), error.get_error_domain(), error.get_error_message()
    except (ValueError, SystemError):
        # The binding cannot take the document (a NUL), or not the error's text (cut within a character).
        return -1, -1, ""


while len(head := source.read(4)) == 4:
    document = source.read(struct.unpack(">I", head)[0]).decode()
    code, domain, text = define(document, 0)
    validated, _, _ = define(document, libvirt.VIR_NETWORK_DEFINE_VALIDATE)
    data = (text or "").encode("utf-8", "surrogateescape")
    sink.write(struct.pack(">iiii", code, domain, validated, len(data)) + data)
    sink.flush()
