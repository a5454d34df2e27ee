// Records that user space has written.
#include "_object.h"

struct {
  __uint(type, BPF_MAP_TYPE_USER_RINGBUF);
  __uint(max_entries, 4096);
} commands SEC(".maps");
__u64 sum, records, sizes;
__s64 ret[4];

static long take(struct bpf_dynptr *record, void *ctx) {
  __u64 word = 0;
  ret[1] = bpf_dynptr_read(&word, 8, record, 0, 0);
  ret[2] = bpf_dynptr_read(&word, 8, record, 9, 0);
  sum += word;
  records++;
  return word == 13;
}

SEC("xdp")
int drain(struct xdp_md *ctx) {
  ret[0] = bpf_user_ringbuf_drain(&commands, take, 0, BPF_RB_NO_WAKEUP);
  return ret[0];
}
