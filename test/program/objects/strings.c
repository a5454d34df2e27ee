// Numbers in text, and text in numbers.
#include "_object.h"

char out[6][48];
__s64 ret[16];
unsigned long parsed[4];
char decimal[16] = "-1234 rest", hexadecimal[16] = "0xfFee", octal[16] = "0777", none[16] = "none", large[24] = "99999999999999999999";
const char word[] = "tsbpf";
char other[8] = "tsbpg";

SEC("xdp")
int text(struct xdp_md *ctx) {
  __u64 size = SIZE(ctx);
  long number = 0;
  ret[0] = bpf_strtol(decimal, sizeof(decimal), 0, &number);
  ret[1] = number;
  ret[2] = bpf_strtoul(hexadecimal, sizeof(hexadecimal), 0, &parsed[0]);
  ret[3] = bpf_strtoul(octal, sizeof(octal), 0, &parsed[1]);
  ret[4] = bpf_strtoul(octal, sizeof(octal), 10, &parsed[2]);
  ret[5] = bpf_strtol(none, sizeof(none), 10, &number);
  ret[6] = bpf_strtoul(large, sizeof(large), 10, &parsed[3]);
  ret[7] = bpf_strncmp(other, sizeof(other), word) < 0;
  ret[8] = bpf_strncmp(other, 4, word);
  ret[9] = bpf_strncmp(other, sizeof(other), word) > 0;
  __u64 numbers[3] = {size, -size, size * 1000003};
  static const char fmt0[] = "%d and %lld, %llx";
  ret[10] = bpf_snprintf(out[0], sizeof(out[0]), fmt0, numbers, sizeof(numbers));
  static const char fmt1[] = "[%5u] [%-6d] [%llx]";
  ret[11] = bpf_snprintf(out[1], sizeof(out[1]), fmt1, numbers, sizeof(numbers));
  __u64 texts[2] = {(__u64)(long)word, 0x41 + (size & 15)};
  static const char fmt2[] = "%s %c%%";
  ret[12] = bpf_snprintf(out[2], sizeof(out[2]), fmt2, texts, sizeof(texts));
  static const char fmt3[] = "%08x is longer than there is room for";
  ret[13] = bpf_snprintf(out[3], 12, fmt3, numbers, 8);
  static const char fmt4[] = "none";
  ret[14] = bpf_snprintf(out[4], sizeof(out[4]), fmt4, 0, 0);
  ret[15] = bpf_snprintf(0, 0, fmt0, numbers, sizeof(numbers));
  return ret[10];
}
