// A ring: records that are reserved, submitted, discarded and copied, until it is full.
#include "_packet.h"

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} ring SEC(".maps");
__u64 full, asked[4];

struct record {
  __u32 size;
  __u8 head[28];
};

SEC("xdp")
int log_packet(struct xdp_md *ctx) {
  void *at = BEGIN(ctx);
  __u32 size = END(ctx) - at;
  struct record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
  if (!record) {
    full++;
    return XDP_DROP;
  }
  record->size = size;
  __builtin_memset(record->head, 0, sizeof(record->head));
  if (at + 14 <= END(ctx)) __builtin_memcpy(record->head, at, 14);
  if (size & 1) bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
  else bpf_ringbuf_submit(record, 0);
  if ((size & 3) == 2) {
    __u8 bytes[13] = "thirteen byte";
    bytes[0] = size;
    if (bpf_ringbuf_output(&ring, bytes, sizeof(bytes), BPF_RB_FORCE_WAKEUP)) full++;
  }
  asked[0] = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
  asked[1] = bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE);
  asked[2] = bpf_ringbuf_query(&ring, BPF_RB_CONS_POS);
  asked[3] = bpf_ringbuf_query(&ring, BPF_RB_PROD_POS);
  return asked[0];
}
