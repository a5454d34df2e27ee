// Programs of every form of instruction that clang makes: for bpftool_prog.test.ts.
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned long long u64;
typedef unsigned char u8;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name

struct xdp_md { u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
struct flow { u32 src; u16 port; u16 pad; };
struct unused;
enum verdict { DROP = 1, PASS = 2 };
typedef int (*callback)(struct flow *, const char *, ...);

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*tail_call)(void *ctx, void *map, u32 index) = (void *)12;
static u64 (*ktime)(void) = (void *)5;
static long (*loop)(u32 n, void *f, void *ctx, u64 flags) = (void *)181;

struct { __uint(type, 1); __type(key, struct flow); __type(value, u64); __uint(max_entries, 16); } counts SEC(".maps");
struct { __uint(type, 2); __type(key, u32); __type(value, u64); __uint(max_entries, 4); } slots SEC(".maps");
struct { __uint(type, 3); __uint(key_size, 4); __uint(value_size, 4); __uint(max_entries, 2); } jumps SEC(".maps");

const volatile u32 limit = 7;
u64 seen;
u32 start = 3;

static __attribute__((noinline)) int longer(struct xdp_md *ctx, enum verdict otherwise, int x) {
  return ctx->data_end - ctx->data > x ? PASS : otherwise;
}

static __attribute__((noinline)) u64 mix(u64 x, const volatile u32 *p, u8 *const restrict bytes) {
  u64 sum = x / 3 + (x % 7) * 5;
  if (p) sum ^= *p;
  if (bytes) sum -= bytes[0] << 3;
  return __builtin_bswap64(sum) | __builtin_bswap16(sum);
}

SEC("xdp") int count(struct xdp_md *ctx) {
  struct flow f = {1, 2, 0};
  u32 k = 1;
  u64 one = 1, *v = lookup(&counts, &f);
  if (v) __sync_fetch_and_add(v, 1); else update(&counts, &f, &one, 0);
  v = lookup(&slots, &k);
  if (v) *v += limit;
  seen++;
  return longer(ctx, DROP, 60);
}

SEC("socket") int atomics(void *skb) {
  u32 k = 2;
  u64 *v = lookup(&slots, &k);
  if (!v) return 0;
  u64 a = __sync_fetch_and_add(v, 3);
  a += __sync_fetch_and_or(v, 5);
  a += __sync_fetch_and_and(v, 0xff);
  a += __sync_fetch_and_xor(v, 9);
  a += __sync_lock_test_and_set(v, 11);
  a += __sync_val_compare_and_swap(v, 11, 12);
  u32 *w = (u32 *)v;
  a += __sync_fetch_and_add(w, 3);
  a += __sync_val_compare_and_swap(w, 1, 2);
  *(u8 *)w = 7;
  *(u16 *)w = start;
  start = ktime();
  return mix(a, &limit, 0);
}

static int step(u32 i, void *ctx) {
  seen += i;
  return 0;
}

SEC("tc") int jumps_and_loops(void *skb) {
  u32 *data = skb;
  int len = data[0];
  if (len > 100 && len < 2000) tail_call(skb, &jumps, 1);
  if (len == -5 || (len & 0x10) || len <= 3) loop(4, step, 0, 0);
  return -len >> 2;
}

SEC("tracepoint/syscalls/sys_enter_getpid") int a_program_with_a_long_name(void *ctx) {
  seen++;
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
