import json, libvirt, sys, threading, time

LIFECYCLE = ["defined", "undefined", "started", "stopped"]
events = []


def loop():
    while True:
        libvirt.virEventRunDefaultImpl()


def lifecycle(connection, network, event, detail, opaque):
    events.append("%s %s" % (network.name(), LIFECYCLE[event]))


def lease(found):
    words = [found["iface"], found["expirytime"], found["type"], found["mac"], found["iaid"]]
    words += ["%s/%d" % (found["ipaddr"], found["prefix"]), found["hostname"], found["clientid"]]
    return " ".join("-" if word is None else str(word) for word in words)


def call(verb, name, argument):
    if verb == "define":
        return connection.networkDefineXML(argument)
    if verb == "create-xml":
        return connection.networkCreateXML(argument)
    if verb == "events":
        # A client may hear of an event after the reply of the call that caused it.
        time.sleep(0.3)
        heard = list(events)
        events.clear()
        return "\n".join(heard)
    network = connection.networkLookupByName(name)
    begin = time.perf_counter_ns()
    answer = network_call(network, verb, argument)
    return begin, answer


def network_call(network, verb, argument):
    words = argument.split(" ")
    if verb == "start":
        network.create()
    elif verb == "destroy":
        network.destroy()
    elif verb == "undefine":
        network.undefine()
    elif verb == "add-dns-host":
        network.update(3, 10, -1, argument, 3)
    elif verb == "update":
        command, section, index, flags, xml = argument.split(" ", 4)
        network.update(int(command), int(section), int(index), xml, int(flags))
    elif verb == "xml":
        return network.XMLDesc(int(argument or "0"))
    elif verb == "active":
        return "true" if network.isActive() else "false"
    elif verb == "leases":
        found = network.DHCPLeases(argument) if argument else network.DHCPLeases()
        return "\n".join(map(lease, found))
    elif verb == "port-create":
        flags, xml = argument.split(" ", 1)
        return network.portCreateXML(xml, int(flags)).UUIDString()
    elif verb == "port-list":
        return "\n".join(port.UUIDString() for port in network.listAllPorts())
    elif verb == "port-xml":
        return network.portLookupByUUIDString(words[0]).XMLDesc()
    elif verb == "port-delete":
        network.portLookupByUUIDString(words[0]).delete()
    elif verb == "port-limits":
        limits = network.portLookupByUUIDString(words[0]).parameters()
        return "\n".join("%s=%d" % limit for limit in limits.items())
    elif verb == "port-limit":
        limits = dict(word.split("=") for word in words[1:])
        limits = {name: int(value) for name, value in limits.items()}
        network.portLookupByUUIDString(words[0]).setParameters(limits)
    else:
        raise ValueError(verb)


libvirt.registerErrorHandler(lambda context, error: None, None)
hears = "events" in sys.argv
if hears:
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=loop, daemon=True).start()
connection = libvirt.open(sys.argv[1])
if hears:
    connection.networkEventRegisterAny(None, libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE, lifecycle, None)
print("ready", flush=True)
for line in sys.stdin:
    verb, name, argument = (line.rstrip("\n").split(" ", 2) + [""])[:3]
    begin = time.perf_counter_ns()
    try:
        answer = call(verb, name, argument)
        if isinstance(answer, tuple):
            begin, answer = answer
        end = time.perf_counter_ns()
        print(end - begin, json.dumps(answer if isinstance(answer, str) else ""), flush=True)
    except libvirt.libvirtError as error:
        message = error.get_error_message().replace("\n", " ")
        print("error", error.get_error_code(), error.get_error_domain(), message, flush=True)
