// Atomic operations on a map's values and on the stack. Those that return what was there are of cpu v3.
#include "_object.h"

MAP(words, ARRAY, __u32, __u64, 4);
__u32 half = 0xfffffff0;
__u64 old[8];

SEC("xdp")
int change(struct xdp_md *ctx) {
  __u64 size = SIZE(ctx);
  __u32 index = size & 3;
  __u64 *word = bpf_map_lookup_elem(&words, &index);
  if (!word) return -1;
  __sync_fetch_and_add(word, size);
  __sync_fetch_and_add(&half, 7);
#if CPU >= 3
  old[0] += __sync_fetch_and_add(word, 3);
  old[1] ^= __sync_fetch_and_or(word, 0x100);
  old[2] ^= __sync_fetch_and_and(word, ~0x41ull);
  old[3] ^= __sync_fetch_and_xor(word, size << 32);
  old[4] += __sync_lock_test_and_set(&old[5], size);
  old[6] += __sync_val_compare_and_swap(&old[5], size, *word);
  old[6] += __sync_val_compare_and_swap(&old[5], 0, 1);
  old[7] += __sync_fetch_and_add(&half, size) + __sync_lock_test_and_set(&half, size * 77);
  old[7] += __sync_val_compare_and_swap(&half, size * 77, 0xf0000000);
#endif
  return half;
}
