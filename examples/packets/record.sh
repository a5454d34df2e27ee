#!/usr/bin/env bash
# Records capture.pcap and capture.pcapng, the input of `npm start` and of test/packets/.
#
#   sudo examples/packets/record.sh        (Debian 12; about 15 seconds)
#
# Two network namespaces, a veth pair between them, real servers and clients of HTTP and DNS, ping, UDP, closed ports,
# fragments, IP options, extension headers. All addresses are documentation ranges (RFC 5737, RFC 3849), all traffic
# stays inside the namespaces:
#
#   network             IPv4               IPv6                on the wire
#   plain               192.0.2.0/24       2001:db8::/64       untagged
#   vlan 10             198.51.100.0/24    2001:db8:10::/64    802.1Q 10
#   QinQ 100.20         203.0.113.0/24     2001:db8:20::/64    802.1ad 100, 802.1Q 20
#
# The client is host 1 of each network, the server host 2. The tags are pushed and popped by a BPF program at tc, which
# works on kernels without the 8021q module too. The server's end is a port of a bridge, whose spanning tree sends
# 802.3 frames.
set -euo pipefail

cd "$(dirname "$0")"
if [ "$(id -u)" != 0 ]; then echo "Cannot make network namespaces: wanted root" >&2; exit 1; fi
export DEBIAN_FRONTEND=noninteractive
if ! dpkg -s bind9-dnsutils clang curl dnsmasq-base ethtool iproute2 iputils-ping linux-libc-dev python3 tcpdump \
  wireshark-common >/dev/null 2>&1; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends bind9-dnsutils clang curl dnsmasq-base ethtool iproute2 \
    iputils-ping linux-libc-dev python3 tcpdump wireshark-common >/dev/null
fi

client=tsbpf-client-$$
server=tsbpf-server-$$
work=$(mktemp -d)
daemons=()
jobs=()

clean_up() {
  for pid in "${jobs[@]}" "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait || true
  ip netns del "$client" 2>/dev/null || true
  ip netns del "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

at_client() { ip netns exec "$client" "$@"; }
at_server() { ip netns exec "$server" "$@"; }
# Starts a daemon in a namespace, with a log. $! is the daemon itself: `ip netns exec` replaces itself by it.
daemon() { # log, netns, command...
  ip netns exec "${@:2}" >"$work/$1.log" 2>&1 &
  daemons+=($!)
}

# --- the wire -------------------------------------------------------------------------------------------------------

cat >"$work/vlan.c" <<'C'
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

static long (*load_bytes)(const void *skb, __u32 off, void *to, __u32 len) = (void *)BPF_FUNC_skb_load_bytes;
static long (*vlan_push)(struct __sk_buff *skb, __be16 proto, __u16 tci) = (void *)BPF_FUNC_skb_vlan_push;
static long (*vlan_pop)(struct __sk_buff *skb) = (void *)BPF_FUNC_skb_vlan_pop;

static __attribute__((always_inline)) int byte_at(struct __sk_buff *skb, __u32 off)
{
	__u8 byte = 0;
	return load_bytes(skb, off, &byte, 1) < 0 ? 0 : byte;
}

/* Tags a frame by the network that its sender's address is in. */
__attribute__((section("push"), used)) int push_tags(struct __sk_buff *skb)
{
	int vlan = 0, qinq = 0, net;

	if (skb->protocol == __builtin_bswap16(ETH_P_IPV6)) {
		net = byte_at(skb, 14 + 8 + 5);
		vlan = net == 0x10;
		qinq = net == 0x20;
	} else if (skb->protocol == __builtin_bswap16(ETH_P_IP) || skb->protocol == __builtin_bswap16(ETH_P_ARP)) {
		net = byte_at(skb, skb->protocol == __builtin_bswap16(ETH_P_IP) ? 14 + 12 : 14 + 14);
		vlan = net == 198;
		qinq = net == 203;
	}
	if (vlan)
		vlan_push(skb, __builtin_bswap16(ETH_P_8021Q), 10);
	if (qinq) {
		vlan_push(skb, __builtin_bswap16(ETH_P_8021Q), 20);
		vlan_push(skb, __builtin_bswap16(ETH_P_8021AD), 100);
	}
	return TC_ACT_OK;
}

__attribute__((section("pop"), used)) int pop_tags(struct __sk_buff *skb)
{
	if (skb->vlan_present && vlan_pop(skb) == 0 && skb->vlan_present)
		vlan_pop(skb);
	return TC_ACT_OK;
}
C
clang -O2 -g -target bpf -I"/usr/include/$(uname -m)-linux-gnu" -c "$work/vlan.c" -o "$work/vlan.o"

ip netns add "$client"
ip netns add "$server"
at_client ip link add wire address 02:00:00:00:00:01 type veth peer name wire address 02:00:00:00:00:02 netns "$server"
at_server ip link add bridge address 02:00:00:00:00:02 type bridge stp_state 1 forward_delay 200 hello_time 100
at_server ip link set wire master bridge

for netns in "$client" "$server"; do
  # Frames as a wire has them: no 64 KiB segments that a network card would cut.
  ip netns exec "$netns" ethtool -K wire tx off tso off gso off gro off >/dev/null
  ip netns exec "$netns" tc qdisc add dev wire clsact
  ip netns exec "$netns" tc filter add dev wire egress bpf direct-action object-file "$work/vlan.o" section push
  ip netns exec "$netns" tc filter add dev wire ingress bpf direct-action object-file "$work/vlan.o" section pop
  ip -n "$netns" link set lo up
  ip -n "$netns" link set wire up
done

daemon tcpdump-wire "$client" tcpdump -i wire -s 192 -B 16384 -Z root -w "$work/wire.pcap"
daemon tcpdump-lo "$server" tcpdump -i lo -s 192 -Z root --time-stamp-precision=nano -w "$work/lo.pcap"
tcpdumps=("${daemons[@]}")
for log in tcpdump-wire tcpdump-lo; do
  for _ in $(seq 50); do grep -q "listening on" "$work/$log.log" && break || sleep 0.1; done
done

address() { # netns, device, host
  for net in 192.0.2 198.51.100 203.0.113; do ip -n "$1" address add "$net.$3/24" dev "$2"; done
  for net in 2001:db8: 2001:db8:10: 2001:db8:20:; do ip -n "$1" address add "$net:$3/64" dev "$2" nodad; done
}
address "$client" wire 1
address "$server" bridge 2
at_server ip link set bridge up
servers4=(192.0.2.2 198.51.100.2 203.0.113.2)
servers6=(2001:db8::2 2001:db8:10::2 2001:db8:20::2)
# A bridge port forwards after two forward delays.
for try in $(seq 100); do
  if at_client ping -q -c 1 -W 1 192.0.2.2 >/dev/null 2>&1; then break; fi
  if [ "$try" = 100 ]; then echo "The namespaces cannot reach each other" >&2; exit 1; fi
done

# --- servers --------------------------------------------------------------------------------------------------------

mkdir "$work/www"
for size in 0 100 1400 5000 20000 60000; do head -c "$size" /dev/zero | tr '\0' x >"$work/www/$size.txt"; done
daemon http "$server" python3 -m http.server 80 --bind :: --protocol HTTP/1.1 --directory "$work/www"
daemon dns "$server" dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-hosts --no-resolv \
  --log-facility=- --address=/example.com/192.0.2.2 --address=/example.com/2001:db8::2 \
  --address=/example.net/198.51.100.2 --txt-record=txt.example.com,"$(head -c 200 /dev/zero | tr '\0' t)"
# Echoes datagrams on port 7 and resets every connection to port 9.
cat >"$work/echo.py" <<'PY'
import select, socket, struct
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.bind(("::", 7))
tcp = socket.create_server(("::", 9), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    for ready in select.select([udp, tcp], [], [])[0]:
        if ready is udp:
            data, sender = udp.recvfrom(65536)
            udp.sendto(data, sender)
        else:
            with tcp.accept()[0] as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
PY
daemon echo "$server" python3 "$work/echo.py"
sleep 1

# --- clients --------------------------------------------------------------------------------------------------------

cat >"$work/odd.py" <<'PY'
# Datagrams of many sizes, echoed; closed ports; connections that are reset; extension headers; a multicast group.
import socket, struct, sys
servers = sys.argv[1:]
for server in servers:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    for i in range(60):
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.settimeout(2)
            udp.connect((server, 7))
            udp.send(bytes(i * 50))
            udp.recv(65536)
    for i in range(10):
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"closed", (server, 1000 + i))
    for port in [9] * 10 + list(range(2000, 2020)):
        try:
            socket.create_connection((server, port), timeout=2).close()
        except ConnectionError:
            pass
    if family == socket.AF_INET6:
        pad = bytes([0, 0, 1, 4, 0, 0, 0, 0])
        for option in [socket.IPV6_HOPOPTS, socket.IPV6_DSTOPTS]:
            with socket.socket(family, socket.SOCK_DGRAM) as udp:
                udp.settimeout(2)
                udp.setsockopt(socket.IPPROTO_IPV6, option, pad)
                for size in [10, 100, 3000]:
                    udp.sendto(bytes(size), (server, 7))
                    udp.recv(65536)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
    group = socket.inet_aton("233.252.0.1") + socket.inet_aton("192.0.2.1")
    udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.1"))
    udp.sendto(b"all", ("233.252.0.1", 5000))
PY

http() { # server: each file over its own connection, then all over one
  local urls=() size
  for size in 0 100 1400 5000 20000 60000 100 1400 0 100 1400 missing; do urls+=("http://$1/$size.txt"); done
  for _ in 1 2 3; do at_client curl -g -s -H "Connection: close" "${urls[@]}" >/dev/null; done
  at_client curl -g -s "${urls[@]}" >/dev/null
}

for i in $(seq 60); do
  printf '%s\n' "host$i.example.com A" "host$i.example.com AAAA" "host$i.example.net A" "host$i.example.org A"
done >"$work/queries"
echo "txt.example.com TXT +tcp" >>"$work/queries"
dns() { # server
  at_client dig "@$1" -f "$work/queries" >/dev/null
}

pings() { # server
  at_client ping -q -c 60 -i 0.02 "$1" >/dev/null
  at_client ping -q -c 20 -i 0.02 -s 4000 "$1" >/dev/null
  at_client ping -q -c 10 -i 0.02 -s 1472 "$1" >/dev/null
}

for server_address in "${servers4[@]}" "${servers6[@]}"; do
  case $server_address in *:*) url="[$server_address]" ;; *) url=$server_address ;; esac
  (http "$url" && dns "$server_address") &
  jobs+=($!)
  pings "$server_address" &
  jobs+=($!)
done
at_client python3 "$work/odd.py" "${servers4[@]}" "${servers6[@]}" &
jobs+=($!)
for server_address in "${servers4[@]}"; do
  at_client ping -q -c 10 -i 0.02 -R "$server_address" >/dev/null
  at_client ping -q -c 10 -i 0.02 -T tsonly "$server_address" >/dev/null
done
at_server ping -q -c 50 -i 0.02 127.0.0.1 >/dev/null
at_server ping -q -c 50 -i 0.02 ::1 >/dev/null
at_server dig @::1 host.example.com AAAA >/dev/null
for job in "${jobs[@]}"; do wait "$job" || { echo "A client failed: $job" >&2; exit 1; }; done
sleep 1

# --- the files ------------------------------------------------------------------------------------------------------

kill "${tcpdumps[@]}"
wait "${tcpdumps[@]}" || true
grep -q "^0 packets dropped by kernel" "$work/tcpdump-wire.log" || { echo "tcpdump lost packets" >&2; exit 1; }
# Two interfaces of different time resolution in one pcapng, and a section header that does not name this machine's system.
editcap -r "$work/wire.pcap" "$work/part.pcap" 1-600
mergecap -I none -w "$work/merged.pcapng" "$work/part.pcap" "$work/lo.pcap"
python3 - "$work/merged.pcapng" capture.pcapng <<'PY'
import struct, sys
data = open(sys.argv[1], "rb").read()
section = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
open(sys.argv[2], "wb").write(section + data[struct.unpack_from("<I", data, 4)[0]:])
PY
mv "$work/wire.pcap" capture.pcap
chmod 644 capture.pcap capture.pcapng
capinfos -c -d -s -M capture.pcap capture.pcapng
