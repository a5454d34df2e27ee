// A program of type syscall: its context is what the caller gives, and gets back.
#include "_object.h"

struct args {
  __u64 a, b;
  __u32 op, times;
  __u64 result;
  __u8 text[16];
};
MAP(history, HASH, __u32, struct args, 64);

SEC("syscall")
int compute(struct args *args) {
  __u64 a = args->a, b = args->b, result = 0;
  switch (args->op) {
    case 0: result = a + b; break;
    case 1: result = a - b; break;
    case 2: result = a * b; break;
    case 3: result = b ? a / b : 0; break;
    case 4: result = b ? a % b : a; break;
    case 5: result = a << (b & 63); break;
    case 6: result = (__s64)a >> (b & 63); break;
    case 7: {
      __u32 times = args->times;
      for (__u32 i = 0; i < 1000 && i < times; i++) result = result * 6364136223846793005ull + (a ^ b);
      break;
    }
    default: return -22;
  }
  args->result = result;
  struct args copy = *args;
  for (int i = 0; i < 16; i++) copy.text[i] = copy.text[15 - i] + 1;
  __builtin_memcpy(args->text, copy.text, sizeof(copy.text));
  __u32 key = args->op;
  bpf_map_update_elem(&history, &key, &copy, BPF_ANY);
  return result;
}
