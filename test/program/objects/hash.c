// All that programs do with a hash, and what each call returns.
#include "_object.h"

struct key {
  __u32 a;
  __u16 b;
  __u8 c[6];
};
struct value {
  __u64 sum;
  __u32 n;
  __u32 last;
};
MAP(table, HASH, struct key, struct value, 16);
MAP(tiny, HASH, __u64, __u32, 2);
MAP(odd, HASH, struct { __u8 bytes[5]; }, struct { __u8 bytes[3]; }, 8, __uint(map_flags, BPF_F_NO_PREALLOC););
__s64 ret[16];

SEC("xdp")
int change(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx);
  struct key key = {.a = size & 7, .b = 0x1234, .c = "abcde"};
  struct value value = {.sum = size, .n = 1, .last = size};
  ret[0] = bpf_map_update_elem(&table, &key, &value, BPF_EXIST);
  ret[1] = bpf_map_update_elem(&table, &key, &value, BPF_NOEXIST);
  struct value *there = bpf_map_lookup_elem(&table, &key);
  if (!there) return -1;
  there->n++;
  there->sum += size;
  ret[2] = bpf_map_update_elem(&table, &key, there, BPF_ANY);
  key.b++;
  ret[3] = bpf_map_delete_elem(&table, &key);
  ret[4] = bpf_map_update_elem(&table, &key, &value, BPF_ANY);
  if (size & 1) ret[5] = bpf_map_delete_elem(&table, &key);
  ret[6] = bpf_map_update_elem(&table, &key, &value, 77);
  ret[7] = bpf_map_lookup_elem(&table, &key) == 0;

  for (__u64 i = 0; i < 4; i++) {
    __u32 n = size + i;
    ret[8 + i] = bpf_map_update_elem(&tiny, &i, &n, BPF_ANY);
  }
  __u64 gone = size % 3;
  ret[12] = bpf_map_delete_elem(&tiny, &gone);
  __u8 small[8] = {size, 1, 2, 3, 4}, three[4] = {9, size, 7};
  ret[13] = bpf_map_update_elem(&odd, small, three, BPF_ANY);
  return there->n;
}
