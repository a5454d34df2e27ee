// What is printed is not compared; what the calls return is.
#include "_object.h"

__s64 ret[4];

SEC("xdp")
int print(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx);
  ret[0] = bpf_printk("size");
  ret[1] = bpf_printk("tsbpf %d %x", size, size);
  ret[2] = bpf_printk("tsbpf %d %d %d %d", size, 2, 3, 4);
  ret[3] = bpf_printk("tsbpf %lld", (__u64)size << 32);
  return ret[1];
}
