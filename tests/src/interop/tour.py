# A tour of every network call of libvirt-python; prints what each answers.
import libvirt, sys, threading, time

LAN = """<network><name>lan</name><uuid>0c0c0c0c-0000-4000-8000-000000000001</uuid>
<forward mode='nat'/><bridge name='tourbr0' stp='on' delay='0'/><mac address='52:54:00:0c:00:01'/>
<ip address='192.168.180.1' netmask='255.255.255.0'><dhcp><range start='192.168.180.2'
end='192.168.180.254'/></dhcp></ip></network>"""
ISO = """<network><name>iso</name><uuid>0c0c0c0c-0000-4000-8000-000000000002</uuid>
<bridge name='tourbr1' stp='on' delay='0'/><mac address='52:54:00:0c:00:02'/>
<ip address='192.168.181.1' netmask='255.255.255.0'/></network>"""
PORT = """<networkport><uuid>0d0d0d0d-0000-4000-8000-000000000001</uuid><owner><name>guest</name>
<uuid>0e0e0e0e-0000-4000-8000-000000000001</uuid></owner><mac address='52:54:00:0c:00:11'/>
</networkport>"""
LIVE, CONFIG = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE, libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG

libvirt.registerErrorHandler(lambda context, error: None, None)
libvirt.virEventRegisterDefaultImpl()
def loop():
    while True:
        libvirt.virEventRunDefaultImpl()
threading.Thread(target=loop, daemon=True).start()

def show(name, call, *args):
    try:
        answer = call(*args)
        if isinstance(answer, list):
            answer = sorted(getattr(one, "name", getattr(one, "UUIDString", lambda: one))() for one in answer)
        elif hasattr(answer, "name") and callable(answer.name):
            answer = answer.name()
        elif hasattr(answer, "UUIDString"):
            answer = answer.UUIDString()
        print(name, "->", answer)
    except libvirt.libvirtError as e:
        print(name, "-> error", e.get_error_code(), e.get_error_domain(), e.get_error_level(), repr(e.get_error_message()),
              repr(e.get_str1()), repr(e.get_str2()), repr(e.get_str3()), e.get_int1(), e.get_int2())

c = libvirt.open(sys.argv[1])
c.setKeepAlive(1, 3)
heard = []
c.registerCloseCallback(lambda *a: None, None)
ids = [c.networkEventRegisterAny(None, libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE,
                                 lambda c, n, e, d, o: heard.append(("lifecycle", n.name(), e, d)), None),
       c.networkEventRegisterAny(None, libvirt.VIR_NETWORK_EVENT_ID_METADATA_CHANGE,
                                 lambda c, n, t, u, o: heard.append(("metadata", n.name(), t, u)), None)]
show("type", c.getType)
show("libversion", c.getLibVersion)
show("alive", c.isAlive)
show("numOfNetworks", c.numOfNetworks)
show("numOfDefinedNetworks", c.numOfDefinedNetworks)
show("listAll", c.listAllNetworks)
show("lookup", c.networkLookupByName, "lan")
show("lookup", c.networkLookupByUUIDString, "0c0c0c0c-0000-4000-8000-000000000001")
show("define", c.networkDefineXML, LAN)
show("defineFlags", c.networkDefineXMLFlags, LAN, libvirt.VIR_NETWORK_DEFINE_VALIDATE)
show("defineFlags", c.networkDefineXMLFlags, LAN, 64)
n = c.networkLookupByName("lan")
for _ in range(2):
    for name in ("name", "UUIDString", "isActive", "isPersistent", "autostart", "bridgeName", "listAllPorts"):
        show(name, getattr(n, name))
    show("xml", n.XMLDesc, 0)
    show("xml", n.XMLDesc, libvirt.VIR_NETWORK_XML_INACTIVE)
    show("xml", n.XMLDesc, 8)
    show("leases", n.DHCPLeases)
    show("create", n.create)
show("create", n.create)
show("listNetworks", c.listNetworks)
show("listDefinedNetworks", c.listDefinedNetworks)
show("setAutostart", n.setAutostart, 1)
show("autostart", n.autostart)
show("setAutostart", n.setAutostart, 0)
show("createXML", c.networkCreateXML, ISO)
show("createXMLFlags", c.networkCreateXMLFlags, ISO, libvirt.VIR_NETWORK_CREATE_VALIDATE)
for flags in range(0, 64, 3):
    show("listAll %d" % flags, c.listAllNetworks, flags)
show("listAll", c.listAllNetworks, 1 << 20)
show("update", n.update, libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, libvirt.VIR_NETWORK_SECTION_DNS_TXT, -1,
     "<txt name='a' value='b'/>", LIVE | CONFIG)
show("update", n.update, 9, 9, -1, "<x/>", 0)
show("update", n.update, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, libvirt.VIR_NETWORK_SECTION_DNS_TXT, -1,
     "<txt name='none' value='b'/>", LIVE)
show("setMetadata", n.setMetadata, 1, "title", None, None, CONFIG)
show("setMetadata", n.setMetadata, 0, "text", None, None, LIVE)
show("setMetadata", n.setMetadata, 2, "<e/>", "k", "http://example.com/k", LIVE | CONFIG)
show("metadata", n.metadata, 1, None, CONFIG)
show("metadata", n.metadata, 1, None, LIVE)
show("metadata", n.metadata, 2, "http://example.com/k", LIVE)
show("metadata", n.metadata, 2, "http://example.com/none", LIVE)
show("portCreateXML", n.portCreateXML, PORT, 0)
show("portCreateXML", n.portCreateXML, PORT, 0)
show("portCreateXML", n.portCreateXML, "<networkport/>", 0)
show("listAllPorts", n.listAllPorts)
p = n.portLookupByUUIDString("0d0d0d0d-0000-4000-8000-000000000001")
show("port xml", p.XMLDesc, 0)
show("port parameters", p.parameters, 0)
show("port setParameters", p.setParameters, {"inbound.average": 2000, "inbound.peak": 4000, "outbound.average": 64}, 0)
show("port parameters", p.parameters, 0)
show("port setParameters", p.setParameters, {"bogus": 1}, 0)
show("port delete", p.delete, 0)
show("port xml", p.XMLDesc, 0)
show("lookup port", n.portLookupByUUIDString, "0d0d0d0d-0000-4000-8000-000000000001")
i = c.networkLookupByName("iso")
show("destroy", i.destroy)
show("destroy", i.destroy)
show("undefine", n.undefine)
show("destroy", n.destroy)
show("isActive", n.isActive)
show("xml", n.XMLDesc, 0)
time.sleep(0.3)
for one in ids:
    show("deregister", c.networkEventDeregisterAny, one)
for one in heard:
    print("event", *one)
show("close", c.close)
