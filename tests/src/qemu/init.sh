#!/bin/sh
# First process of a guest of the tests.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do insmod "/modules/$module"; done < /modules/order

# The words of the kernel's command line.
name=guest
for word in $(cat /proc/cmdline); do
  case $word in name=*) name=${word#name=} ;; esac
done
hostname "$name"
say() { echo "@MARK@$*" > /dev/ttyS0; }

# A key of the power button is one record in its device.
for device in /sys/class/input/event*; do
  [ "$(cat "$device/device/name")" = "Power Button" ] || continue
  (head -c 24 "/dev/input/${device##*/}" > /dev/null; say power button; poweroff -f) &
done

# The channel of the guest agent has a name.
for port in /sys/class/virtio-ports/*; do
  [ "$(cat "$port/name" 2> /dev/null)" = org.qemu.guest_agent.0 ] || continue
  /agent "/dev/${port##*/}" &
done

ip link set lo up
for link in /sys/class/net/*; do
  link=${link##*/}
  [ "$link" = lo ] && continue
  ip link set "$link" up
  udhcpc -i "$link" -x "hostname:$name" -s /dhcp -t 30 -T 1 -A 1 -b -S > /dev/null 2>&1 &
done

# No echo: what is read here are answers only.
stty -F /dev/ttyS0 -echo -onlcr
say up "$name"
while :; do setsid sh < /dev/ttyS0 > /dev/ttyS0 2>&1; done
