// Arithmetic: hashes, swapped bytes, signed and unsigned division, shifts, narrow types.
#include "_packet.h"

__u64 sums[8];
const volatile __u64 key0 = 0x0706050403020100, key1 = 0x0f0e0d0c0b0a0908;

#define ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))
static __always_inline __u64 sip(__u64 m) {
  __u64 v0 = key0 ^ 0x736f6d6570736575, v1 = key1 ^ 0x646f72616e646f6d, v2 = key0 ^ 0x6c7967656e657261, v3 = key1 ^ 0x7465646279746573;
  v3 ^= m;
  for (int i = 0; i < 6; i++) {
    v0 += v1, v1 = ROTATE(v1, 13), v1 ^= v0, v0 = ROTATE(v0, 32);
    v2 += v3, v3 = ROTATE(v3, 16), v3 ^= v2;
    v0 += v3, v3 = ROTATE(v3, 21), v3 ^= v0;
    v2 += v1, v1 = ROTATE(v1, 17), v1 ^= v2, v2 = ROTATE(v2, 32);
    if (i == 1) v0 ^= m, v2 ^= 0xff;
  }
  return v0 ^ v1 ^ v2 ^ v3;
}

SEC("xdp")
int compute(struct xdp_md *ctx) {
  __u8 *at = BEGIN(ctx), *end = END(ctx);
  if (at + 14 > end) return 0;
  __u64 size = end - at, word = 0;
  __u32 fnv = 2166136261, crc = ~0;
  for (int i = 0; i < 64; i++) {
    if (at + i + 1 > end) break;
    fnv = (fnv ^ at[i]) * 16777619;
    crc ^= at[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
    word = word << 8 | at[i];
  }
  __s16 narrow = word;
  __s8 narrower = word >> 3;
  sums[0] += sip(word);
  sums[1] ^= (__u64)fnv << 32 | ~crc;
  sums[2] += bpf_be64_to_cpu(word) ^ bpf_htonl(fnv) ^ bpf_htons(crc);
  sums[3] += (__s64)narrow * narrower - (narrower >> 2);
  sums[4] += word / (size + 1) + word % (fnv | 1) + crc / (__u32)(size | 1) + fnv % ((crc & 0xff) + 1);
  sums[5] ^= (__s32)fnv >> (size & 31) ^ (__s64)word >> (size & 63);
  sums[6] += (__u32)word * (__u64)fnv + (word > fnv) + ((__s32)crc < (__s32)fnv) + ((__s64)word <= narrow);
  sums[7] = sums[7] * 33 + (__u16)size;
  return sums[1] ^ sums[4];
}
