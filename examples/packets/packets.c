// Counts packets in maps, as they come in: by protocol, by flow, by source. Built by scripts/objects.mjs.
//
//     flows      hash            struct flow     ->  struct count
//     protocols  per-CPU array   enum kind       ->  struct count on each CPU
//     sources    hash            address         ->  struct count
//     refused    array           0 flows, 1 sources: what found no room there
//
// Two programs do the same: `live` at an interface, `replay` with packets of a capture, which may have been cut. The loader makes the
// maps, as large as its user wants them.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum kind { OTHER, ARP, ICMP, ICMP6, TCP, UDP, IP, KINDS };

struct flow {
  __u8 src[16], dst[16];
  __be16 src_port, dst_port;
  __u8 protocol;
  __u8 pad;
  __u16 vlan;
};
struct address {
  __u8 bytes[16];
};
struct count {
  __u64 packets, bytes;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __type(key, struct flow);
  __type(value, struct count);
} flows SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, KINDS);
  __type(key, __u32);
  __type(value, struct count);
} protocols SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __type(key, struct address);
  __type(value, struct count);
} sources SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, struct count);
} refused SEC(".maps");

// Headers, as far as they are looked at.
struct vlan_tag {
  __be16 tag, type;
};
struct ipv4 {
  __u8 version_words, tos;
  __be16 size, id, fragment;
  __u8 ttl, protocol;
  __be16 check;
  __be32 src, dst;
};
struct ipv6 {
  __u8 version, rest[3];
  __be16 payload;
  __u8 next, hops;
  __u8 src[16], dst[16];
};
struct extension {
  __u8 next, size;
  __be16 fragment;
  __u8 rest[4];
};
struct ports {
  __be16 src, dst;
};

#define MOST_TAGS 8
#define MOST_EXTENSIONS 16
// What no packet is longer than. The verifier wants to know it of what is added to pointers.
#define MOST_BYTES 0x3fff

static __always_inline void add(struct count *to, __u64 bytes) {
  __sync_fetch_and_add(&to->packets, 1);
  __sync_fetch_and_add(&to->bytes, bytes);
}

static __always_inline void add_in(void *map, const void *key, __u32 number, __u64 bytes) {
  struct count *there = bpf_map_lookup_elem(map, key), first = {1, bytes};
  if (!there) {
    if (bpf_map_update_elem(map, key, &first, BPF_NOEXIST) == 0) return;
    // Another CPU was faster, or the map is full.
    there = bpf_map_lookup_elem(map, key);
  }
  if (!there) there = bpf_map_lookup_elem(&refused, &number);
  if (there) add(there, bytes);
}

static __always_inline enum kind kind_of(__u8 protocol, int is_ipv4) {
  switch (protocol) {
    case IPPROTO_TCP: return TCP;
    case IPPROTO_UDP: return UDP;
    case IPPROTO_ICMP: return is_ipv4 ? ICMP : IP;
    case IPPROTO_ICMPV6: return is_ipv4 ? IP : ICMP6;
    default: return IP;
  }
}

// `at` is at most MOST_BYTES behind the packet's beginning; `left` is what the packet has there by its own word.
static __always_inline enum kind transport(void *at, void *end, __s64 left, int has_ports, int is_ipv4, struct flow *flow) {
  enum kind kind = kind_of(flow->protocol, is_ipv4);
  struct ports *ports = at;
  if (!has_ports || left < 4 || (kind != TCP && kind != UDP) || (void *)(ports + 1) > end) return kind;
  flow->src_port = ports->src;
  flow->dst_port = ports->dst;
  return kind;
}

static __always_inline enum kind parse_ipv4(void *at, void *end, struct flow *flow) {
  struct ipv4 *ip = at;
  if ((void *)(ip + 1) > end || ip->version_words >> 4 != 4) return OTHER;
  flow->protocol = ip->protocol;
  flow->src[10] = flow->src[11] = flow->dst[10] = flow->dst[11] = 0xff;
  __builtin_memcpy(flow->src + 12, &ip->src, 4);
  __builtin_memcpy(flow->dst + 12, &ip->dst, 4);
  __u64 header = (ip->version_words & 15) * 4, size = bpf_ntohs(ip->size);
  if (header < 20 || (size != 0 && size < header)) return kind_of(ip->protocol, 1);
  __s64 left = size == 0 ? 4 : (__s64)(size - header);
  return transport(at + header, end, left, (ip->fragment & bpf_htons(0x1fff)) == 0, 1, flow);
}

static __always_inline int is_extension(__u8 protocol) {
  return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_AH ||
         protocol == IPPROTO_DSTOPTS;
}

static __always_inline enum kind parse_ipv6(void *at, void *end, struct flow *flow) {
  struct ipv6 *ip = at;
  if ((void *)(ip + 1) > end || ip->version >> 4 != 6) return OTHER;
  __builtin_memcpy(flow->src, ip->src, 16);
  __builtin_memcpy(flow->dst, ip->dst, 16);
  __u8 next = ip->next;
  // 0 is a jumbogram, or what a network card is given to cut into segments itself.
  __s64 left = ip->payload == 0 ? MOST_BYTES : bpf_ntohs(ip->payload);
  __u64 off = sizeof(*ip);
  int is_first = 1;
  for (int i = 0; i < MOST_EXTENSIONS && is_extension(next); i++) {
    if (off > MOST_BYTES) break;
    struct extension *extension = at + off;
    if (left < 8 || (void *)(extension + 1) > end) {
      // The kind of what is not to be seen is not known.
      flow->protocol = next;
      return IP;
    }
    __u64 size = (extension->size + 1) * 8;
    if (next == IPPROTO_FRAGMENT) {
      size = 8;
      is_first = (extension->fragment & bpf_htons(0xfff8)) == 0;
    } else if (next == IPPROTO_AH) {
      size = (extension->size + 2) * 4;
    }
    next = extension->next;
    off += size;
    left -= size;
    if (!is_first) break;
  }
  flow->protocol = next;
  if (off > MOST_BYTES) return kind_of(next, 0);
  return transport(at + off, end, left, is_first, 0, flow);
}

// From the Ethernet header on. `bytes` is the packet's length on the wire.
static __always_inline void count(void *at, void *end, __u64 bytes) {
  struct flow flow = {};
  __u32 kind = OTHER;
  struct ethhdr *ethernet = at;
  if ((void *)(ethernet + 1) <= end) {
    __be16 type = ethernet->h_proto;
    at += sizeof(*ethernet);
    int is_whole = 1;
    for (int i = 0; i < MOST_TAGS; i++) {
      if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD) && type != bpf_htons(ETH_P_QINQ1)) break;
      struct vlan_tag *tag = at;
      if ((void *)(tag + 1) > end) {
        is_whole = 0;
        break;
      }
      if (i == 0) flow.vlan = bpf_ntohs(tag->tag) & 0xfff;
      type = tag->type;
      at += sizeof(*tag);
    }
    if (!is_whole) kind = OTHER;
    else if (type == bpf_htons(ETH_P_ARP)) kind = ARP;
    else if (type == bpf_htons(ETH_P_IP)) kind = parse_ipv4(at, end, &flow);
    else if (type == bpf_htons(ETH_P_IPV6)) kind = parse_ipv6(at, end, &flow);
  }
  struct count *protocol = bpf_map_lookup_elem(&protocols, &kind);
  if (protocol) {
    protocol->packets++;
    protocol->bytes += bytes;
  }
  if (kind == OTHER || kind == ARP) return;
  add_in(&flows, &flow, 0, bytes);
  add_in(&sources, flow.src, 1, bytes);
}

SEC("xdp")
int live(struct xdp_md *ctx) {
  void *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  count(at, end, end - at);
  return XDP_PASS;
}

// Before the packet stands its length on the wire.
SEC("xdp")
int replay(struct xdp_md *ctx) {
  __u32 *length = (void *)(long)ctx->data;
  void *end = (void *)(long)ctx->data_end;
  if ((void *)(length + 1) > end) return XDP_ABORTED;
  count(length + 1, end, *length);
  return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
