// Dynamic pointers: into a ring's records of sizes that are known at run time only, and into a map's value.
#include "_object.h"

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 8192);
} ring SEC(".maps");
struct block {
  __u8 bytes[64];
};
MAP(blocks, ARRAY, __u32, struct block, 2);
__s64 ret[16];
__u8 got[32];

SEC("xdp")
int fill(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx), one = 1;
  struct bpf_dynptr record;
  ret[0] = bpf_ringbuf_reserve_dynptr(&ring, size, 0, &record);
  __u8 text[8] = "dynptr!";
  ret[1] = bpf_dynptr_write(&record, 0, text, 8, 0);
  ret[2] = bpf_dynptr_write(&record, size - 4, text, 4, 0);
  ret[3] = bpf_dynptr_write(&record, size - 3, text, 4, 0);
  __u32 *word = bpf_dynptr_data(&record, 8, 4);
  if (word) *word = size;
  ret[4] = bpf_dynptr_data(&record, size, 4) == 0;
  ret[5] = bpf_dynptr_read(got, 16, &record, 0, 0);
  ret[6] = bpf_dynptr_read(got + 16, 4, &record, size - 2, 0);
  if (size & 1) bpf_ringbuf_discard_dynptr(&record, 0);
  else bpf_ringbuf_submit_dynptr(&record, 0);

  struct block *block = bpf_map_lookup_elem(&blocks, &one);
  if (!block) return -1;
  struct bpf_dynptr local;
  ret[7] = bpf_dynptr_from_mem(block, sizeof(*block), 0, &local);
  ret[8] = bpf_dynptr_write(&local, size & 63, &size, 4, 0);
  ret[9] = bpf_dynptr_read(&one, 4, &local, 16, 0);
  return one;
}
