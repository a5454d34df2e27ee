// Records that are sent CPU by CPU: bytes of the program's, of the packet, both, none; and what is refused.
#include "_packet.h"

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __uint(key_size, 4);
  __uint(value_size, 4);
} events SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u32);
} nobody SEC(".maps");

__s64 answers[8];

struct record {
  __u32 size;
  __u8 head[27];
};

#define SEND(ctx, map, size, flags, from, bytes) \
  bpf_perf_event_output(ctx, &map, ((__u64)(size) << 32) | (flags), from, bytes)

#define SEND_ALL(ctx, length) \
  struct record record = {.size = length}; \
  for (int i = 0; i < 27; i++) record.head[i] = i * 3; \
  answers[0] = SEND(ctx, events, 0, BPF_F_CURRENT_CPU, &record, sizeof(record)); \
  answers[1] = SEND(ctx, events, length & 31, BPF_F_CURRENT_CPU, &record, 5); \
  answers[2] = SEND(ctx, events, length, BPF_F_CURRENT_CPU, &record, 0); \
  answers[3] = SEND(ctx, events, length + 1, BPF_F_CURRENT_CPU, &record, 8); \
  answers[4] = SEND(ctx, events, 0, 12345, &record, 8); \
  answers[5] = SEND(ctx, nobody, 0, 0, &record, 8); \
  answers[6] = SEND(ctx, nobody, length + 1, 2, &record, 8); \
  answers[7] = SEND(ctx, events, 1 << 20, BPF_F_CURRENT_CPU, &record, 8)

SEC("xdp")
int send(struct xdp_md *ctx) {
  __u32 length = SIZE(ctx);
  SEND_ALL(ctx, length);
  return XDP_PASS;
}

SEC("tc")
int send_tc(struct __sk_buff *skb) {
  SEND_ALL(skb, skb->len);
  return answers[3];
}

SEC("socket")
int send_socket(struct __sk_buff *skb) {
  SEND_ALL(skb, skb->len);
  return answers[1];
}
