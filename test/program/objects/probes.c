// Reads of the program's own memory by helpers.
#include "_object.h"

struct block {
  __u64 words[8];
};
MAP(blocks, ARRAY, __u32, struct block, 1);
__s64 ret[6];
char text[16] = "probe this";
char copy[16], part[4];

SEC("raw_tp/any")
int probe(void *ctx) {
  __u32 zero = 0;
  struct block *block = bpf_map_lookup_elem(&blocks, &zero);
  if (!block) return -1;
  __u64 local[4] = {1, 2, 3, 0x0405060708090a0b};
  ret[0] = bpf_probe_read_kernel(block->words, sizeof(local), local);
  ret[1] = bpf_probe_read_kernel(&block->words[4], 8, (char *)local + 27 - 3);
  ret[2] = bpf_probe_read_kernel_str(copy, sizeof(copy), text);
  ret[3] = bpf_probe_read_kernel_str(part, sizeof(part), text);
  ret[4] = bpf_probe_read_kernel(&block->words[5], 8, (void *)8) < 0;
  return block->words[3];
}
