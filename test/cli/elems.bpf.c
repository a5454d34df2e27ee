// Maps whose keys and values are of every kind of type that clang tells of: for bpftool_btf.test.ts.
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;
typedef char letter;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define MAP(map, kind, n, k, v) \
  struct { __uint(type, kind); __uint(max_entries, n); __type(key, k); __type(value, v); } map SEC(".maps")

enum color { RED, GREEN = 5, BLUE = 0xfffffffd };
enum below { LESS = -3, MORE = 3 };
enum wide : u64 { HUGE = 0x123456789abcULL, ONE = 1 };

struct point { int x, y; };

struct key {
  u32 saddr;
  unsigned short port;
  u8 proto;
  char c;
};

struct value {
  u32 u;
  int i;
  u64 ul;
  long long sl;
  char name[8];
  letter letters[4];
  unsigned char raw[3];
  _Bool b;
  enum color color;
  enum wide wide;
  enum below below;
  u32 bits3 : 3;
  int bits5 : 5;
  u64 bits33 : 33;
  _Bool bit : 1;
  enum color color_bits : 4;
  union { int in_union; char bytes[4]; };
  struct { int in_anonymous; };
  union { u64 whole; struct point parts; } named;
  void *pointer;
  int (*function)(int);
  struct point points[2];
  const volatile int constant;
  int matrix[2][2];
  const char text[4];
  short s;
  unsigned short us;
  signed char sc;
  u64 flexible[];
};

MAP(hash, 1, 8, struct key, struct value);
MAP(array, 2, 3, u32, enum color);
MAP(percpu_hash, 5, 2, struct point, u64);
MAP(percpu_array, 6, 2, u32, struct point);
MAP(wide, 1, 2, u64, __int128);

const volatile int limit = 7;
int counter = 3;
char text[16] = "hi\"\\x";
struct point origin = {1, -2};
u64 zero;
static volatile _Bool flag;

SEC("socket") int program_with_a_long_name(void *ctx) {
  counter++;
  zero++;
  flag = 1;
  return limit + text[1] + origin.x;
}

char _license[] SEC("license") = "GPL";
