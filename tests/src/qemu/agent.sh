#!/bin/sh
# A guest agent of a few commands, on the port that is its argument.
exec 3<> "$1"
answer() { printf '{"return": %s}\n' "$1" >&3; }
frozen=0
while :; do
  while read -r line <&3; do
    case $line in
    *guest-sync-delimited*)
      id=${line##*\"id\":}
      printf '\377{"return": %s}\n' "${id%%\}*}" >&3
      ;;
    *guest-ping*) answer '{}' ;;
    *guest-get-host-name*) answer "{\"host-name\": \"$(hostname)\"}" ;;
    *guest-get-time*) answer "$(date +%s)000000000" ;;
    *guest-network-get-interfaces*)
      mac=$(cat /sys/class/net/eth0/address)
      address=$(ip -o -4 address show dev eth0 | sed 's/.* inet \([0-9./]*\) .*/\1/')
      address="\"ip-address\": \"${address%/*}\", \"prefix\": ${address#*/}"
      address="{$address, \"ip-address-type\": \"ipv4\"}"
      answer "[{\"name\": \"eth0\", \"hardware-address\": \"$mac\", \"ip-addresses\": [$address]}]"
      ;;
    *guest-fsfreeze-freeze*) frozen=1; answer 1 ;;
    *guest-fsfreeze-thaw*) answer "$frozen"; frozen=0 ;;
    *guest-shutdown*reboot*) reboot -f ;;
    *guest-shutdown*) poweroff -f ;;
    *) echo '{"error": {"class": "CommandNotFound", "desc": "The command has not been found"}}' >&3 ;;
    esac
  done
  # Without a client at the other end there is nothing to read.
  sleep 0.1
done
