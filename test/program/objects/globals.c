// Variables of all sections, structs and arrays among them, and sections of an own name.
#include "_object.h"

struct point {
  __s32 x, y;
  __u8 name[6];
  __u64 weight;
};
struct point points[4];
struct point origin = {3, -4, "home", 0x1122334455667788};
const volatile __u32 primes[8] = {2, 3, 5, 7, 11, 13, 17, 19};
const char greeting[] = "hello";
static volatile __s8 tiny = -5;
__u64 in_own SEC(".data.stats") = 42;
__u32 in_bss SEC(".bss.more");

SEC("xdp")
int vary(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx);
  struct point *point = &points[size & 3];
  point->x += origin.x * (__s32)size;
  point->y -= origin.y;
  point->weight ^= origin.weight >> (size & 15);
  for (int i = 0; i < 6; i++) point->name[i] = origin.name[i] ^ greeting[i & 3];
  origin.x = -origin.x;
  tiny -= size;
  in_own += primes[size & 7] * (__s64)tiny;
  in_bss = in_bss * 31 + (__u8)tiny;
  return in_bss;
}
