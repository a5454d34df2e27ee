// A raw tracepoint: its arguments go into a ring.
#include "_object.h"

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} events SEC(".maps");

struct event {
  __u64 args[4];
  __u32 size, kind;
};

SEC("raw_tp/any")
int trace(struct bpf_raw_tracepoint_args *ctx) {
  struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event) return -1;
  event->args[0] = ctx->args[0];
  event->args[1] = ctx->args[1];
  event->args[2] = ctx->args[2];
  event->args[3] = ctx->args[3];
  event->size = sizeof(*event);
  event->kind = ctx->args[0] > ctx->args[1];
  int ret = event->args[3];
  if (ctx->args[2] & 1) bpf_ringbuf_discard(event, 0);
  else bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
  return ret;
}
