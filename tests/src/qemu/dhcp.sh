#!/bin/sh
# What udhcpc calls in a guest of the tests.
case $1 in
deconfig) ip address flush dev "$interface" ;;
bound | renew)
  ip address replace "$ip/$mask" dev "$interface"
  [ -z "$router" ] || ip route replace default via "${router%% *}"
  for server in $dns; do echo "nameserver $server"; done > /etc/resolv.conf
  echo "@MARK@lease $interface $ip" > /dev/ttyS0
  ;;
esac
