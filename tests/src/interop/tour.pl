# A tour of the network calls of Sys::Virt; prints what each answers.
use strict; use warnings; use Sys::Virt;

my $lan = q{<network><name>lan</name><uuid>0c0c0c0c-0000-4000-8000-000000000001</uuid>
<forward mode='nat'/><bridge name='tourbr0' stp='on' delay='0'/><mac address='52:54:00:0c:00:01'/>
<ip address='192.168.180.1' netmask='255.255.255.0'><dhcp><range start='192.168.180.2'
end='192.168.180.254'/></dhcp></ip></network>};
my $port = q{<networkport><uuid>0d0d0d0d-0000-4000-8000-000000000001</uuid><owner><name>guest</name>
<uuid>0e0e0e0e-0000-4000-8000-000000000001</uuid></owner><mac address='52:54:00:0c:00:11'/></networkport>};

sub show {
    my ($name, $call) = @_;
    my @answer = eval { $call->() };
    if (my $error = $@) {
        print "$name -> error ", (ref $error ? join(" ", $error->code, $error->domain, $error->level, $error->message) : $error), "\n";
    } else {
        print "$name -> ", join(",", map { !defined $_ ? "undef" : ref $_ && $_->can("get_name") ? $_->get_name : ref $_ ? ref $_ : $_ } @answer), "\n";
    }
}

my $c = Sys::Virt->new(uri => $ARGV[0]);
show("networks", sub { sort map { $_->get_name } $c->list_all_networks });
show("lookup", sub { $c->get_network_by_name("lan") });
show("define", sub { $c->define_network($lan) });
my $n = $c->get_network_by_name("lan");
show("uuid", sub { $n->get_uuid_string });
show("active", sub { $n->is_active });
show("persistent", sub { $n->is_persistent });
show("create", sub { $n->create });
show("create", sub { $n->create });
show("bridge", sub { $n->get_bridge_name });
show("autostart", sub { $n->set_autostart(1); $n->get_autostart });
show("autostart", sub { $n->set_autostart(0); $n->get_autostart });
show("xml", sub { $n->get_xml_description });
show("leases", sub { scalar(my @l = $n->get_dhcp_leases) });
show("update", sub { $n->update(Sys::Virt::Network::UPDATE_COMMAND_ADD_LAST, Sys::Virt::Network::SECTION_DNS_TXT, -1, "<txt name='a' value='b'/>", Sys::Virt::Network::UPDATE_AFFECT_LIVE) });
show("port", sub { $n->create_port($port)->get_uuid_string });
show("ports", sub { scalar(my @p = $n->list_all_ports) });
show("port", sub { $n->get_port_by_uuid_string("0d0d0d0d-0000-4000-8000-000000000001")->delete });
show("names", sub { sort $c->list_network_names(10) });
show("defined names", sub { sort $c->list_defined_network_names(10) });
show("numbers", sub { ($c->num_of_networks, $c->num_of_defined_networks) });
show("destroy", sub { $n->destroy });
show("destroy", sub { $n->destroy });
show("undefine", sub { $n->undefine });
show("gone", sub { $n->get_xml_description });
