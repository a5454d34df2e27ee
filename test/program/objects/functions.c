// Functions: static and global, eight deep, with pointers to the stack of their callers.
#include "_object.h"

__u64 trace[8];

struct pair {
  __u64 a, b;
};

NOINLINE int mix(__u32 a, __s32 b, __u64 c, __u8 d) {
  return (a ^ b) + (c >> 7) * d;
}

NOINLINE int swap(struct pair *pair) {
  if (!pair) return -1;
  __u64 a = pair->a;
  pair->a = pair->b;
  pair->b = a + 1;
  return pair->a > pair->b;
}

#define LEVEL(n, next) \
  static NOINLINE __u64 level##n(struct pair *pair, __u64 x) { \
    volatile __u64 local[4] = {x, x + n, x * n, pair->a}; \
    trace[n] += local[2]; \
    pair->b += local[1]; \
    return next + local[0] + local[3]; \
  }
LEVEL(6, x)
LEVEL(5, level6(pair, x + 5))
LEVEL(4, level5(pair, x * 3))
LEVEL(3, level4(pair, x ^ 0x55))
LEVEL(2, level3(pair, x - 7))
LEVEL(1, level2(pair, x << 1))

SEC("xdp")
int call(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx);
  struct pair pair = {size, size * 2};
  __u64 sum = level1(&pair, size);
  trace[0] += swap(&pair);
  trace[7] = sum ^ pair.a ^ pair.b;
  return mix(size, -5, trace[7], size);
}
