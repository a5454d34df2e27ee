// Arrays on the stack: counted, searched, and a switch over many cases.
#include "_packet.h"

__u64 places[8];
__u16 numbers[8];
__u32 kinds[8];

static NOINLINE int kind(__u32 value) {
  switch (value & 31) {
    case 0: return 3;
    case 1: case 5: case 9: return 1;
    case 2: return value > 100 ? 2 : 7;
    case 7: return 5;
    case 13: return 6;
    case 21: case 22: return 4;
    case 30: return 0;
    default: return 7;
  }
}

SEC("xdp")
int sort(struct xdp_md *ctx) {
  __u8 *at = BEGIN(ctx), *end = END(ctx);
  if (at + 16 > end) return 0;
  __u16 sorted[8];
  for (int i = 0; i < 8; i++) numbers[i] = at[2 * i] << 8 | at[2 * i + 1];
  // In a map's value, of which the verifier knows nothing: it need not follow each order that there may be.
  for (int i = 0; i < 7; i++) {
    for (int j = 0; j < 7 - i; j++) {
      if (numbers[j] <= numbers[j + 1]) continue;
      __u16 number = numbers[j];
      numbers[j] = numbers[j + 1];
      numbers[j + 1] = number;
    }
  }
  for (int i = 0; i < 8; i++) sorted[i] = numbers[7 - i];
  for (int i = 0; i < 8; i++) {
    places[i] += sorted[i];
    kinds[kind(sorted[i]) & 7]++;
  }
  return sorted[3];
}
