// Timers: what the calls return. None of them rings.
#include "_object.h"

struct alarm {
  struct bpf_timer timer;
  __u64 rang;
};
MAP(alarms, ARRAY, __u32, struct alarm, 2);
__s64 ret[10];

static int ring(void *map, int *key, struct alarm *alarm) {
  alarm->rang++;
  return 0;
}

SEC("tc")
int set(struct __sk_buff *skb) {
  __u32 zero = 0;
  struct alarm *alarm = bpf_map_lookup_elem(&alarms, &zero);
  if (!alarm) return -1;
  ret[0] = bpf_timer_start(&alarm->timer, 1000, 0);
  ret[1] = bpf_timer_init(&alarm->timer, &alarms, 1);
  ret[2] = bpf_timer_init(&alarm->timer, &alarms, 1);
  ret[3] = bpf_timer_set_callback(&alarm->timer, ring);
  ret[4] = bpf_timer_start(&alarm->timer, 3600000000000ull, 0);
  ret[5] = bpf_timer_cancel(&alarm->timer);
  ret[6] = bpf_timer_cancel(&alarm->timer);
  ret[7] = bpf_timer_start(&alarm->timer, 3600000000000ull, 8);
  return alarm->rang;
}
