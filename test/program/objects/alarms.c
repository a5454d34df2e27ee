// Timers: each helper by itself, as the caller asks for it; and functions that are rung.
#include "_object.h"

struct alarm {
  __u64 rang;
  struct bpf_timer timer;
  // How often it starts itself again, in how many nanoseconds.
  __u64 again, period;
  __u64 key;
  __s64 ret;
};
// Elems in slots, where they are too large for a line.
struct wide {
  struct alarm alarm;
  __u8 more[96];
};
struct small {
  struct bpf_timer timer;
  __u64 rang;
};
MAP(cells, ARRAY, __u32, struct alarm, 4);
MAP(table, HASH, __u32, struct alarm, 8);
MAP(recent, LRU_HASH, __u32, struct wide, 4);
MAP(lines, HASH, __u32, struct small, 8);
struct locked {
  struct small small;
  struct bpf_spin_lock lock;
};
MAP(locks, HASH, __u32, struct locked, 8);

struct args {
  __u32 op, map, key, callback;
  __u64 nsecs, flags;
};
enum { INIT, SET_CALLBACK, START, CANCEL, DELETE, UPDATE, NOW };

static int ring(void *map, __u32 *key, struct alarm *alarm) {
  alarm->rang++;
  alarm->key = *key;
  if (alarm->again > 0) {
    alarm->again--;
    alarm->ret = bpf_timer_start(&alarm->timer, alarm->period, 0);
  }
  return 0;
}

static int ring_small(void *map, __u32 *key, struct small *small) {
  small->rang += *key;
  return 0;
}

// What a timer's own function may do with it.
static int stop(void *map, __u32 *key, struct alarm *alarm) {
  alarm->ret = bpf_timer_cancel(&alarm->timer);
  alarm->rang++;
  return 0;
}

static int drop(void *map, __u32 *key, struct alarm *alarm) {
  bpf_map_delete_elem(map, key);
  return 0;
}

#define ACT(map_, timer_, small_) \
  switch (args->op) { \
    case INIT: \
      return bpf_timer_init(timer_, map_, args->flags); \
    case SET_CALLBACK: \
      if (small_) return bpf_timer_set_callback(timer_, ring_small); \
      if (args->callback == 1) return bpf_timer_set_callback(timer_, stop); \
      if (args->callback == 2) return bpf_timer_set_callback(timer_, drop); \
      return bpf_timer_set_callback(timer_, ring); \
    case START: \
      return bpf_timer_start(timer_, args->nsecs, args->flags); \
    case CANCEL: \
      return bpf_timer_cancel(timer_); \
  }

SEC("syscall")
int act(struct args *args) {
  __u32 key = args->key;
  if (args->op == NOW) {
    args->nsecs = bpf_ktime_get_ns();
    return 0;
  }
  if (args->map == 0) {
    struct alarm *alarm = bpf_map_lookup_elem(&cells, &key);
    if (!alarm) return 1000;
    ACT(&cells, &alarm->timer, 0);
    if (args->op == UPDATE) {
      struct alarm zero = {};
      return bpf_map_update_elem(&cells, &key, &zero, 0);
    }
  } else if (args->map == 1) {
    struct alarm *alarm = bpf_map_lookup_elem(&table, &key);
    if (!alarm) return 1000;
    ACT(&table, &alarm->timer, 0);
    if (args->op == DELETE) return bpf_map_delete_elem(&table, &key);
    if (args->op == UPDATE) {
      struct alarm zero = {};
      return bpf_map_update_elem(&table, &key, &zero, 0);
    }
  } else if (args->map == 2) {
    struct wide *wide = bpf_map_lookup_elem(&recent, &key);
    if (!wide) return 1000;
    ACT(&recent, &wide->alarm.timer, 0);
    if (args->op == DELETE) return bpf_map_delete_elem(&recent, &key);
  } else if (args->map == 4) {
    struct locked *locked = bpf_map_lookup_elem(&locks, &key);
    if (!locked) return 1000;
    ACT(&locks, &locked->small.timer, 1);
    if (args->op == UPDATE) {
      struct locked zero = {};
      return bpf_map_update_elem(&locks, &key, &zero, args->flags);
    }
  } else {
    struct small *small = bpf_map_lookup_elem(&lines, &key);
    if (!small) return 1000;
    ACT(&lines, &small->timer, 1);
    if (args->op == DELETE) return bpf_map_delete_elem(&lines, &key);
  }
  return 1001;
}

// Another program that sets its own function.
static int other_ring(void *map, __u32 *key, struct alarm *alarm) {
  alarm->rang += 100;
  return 0;
}

SEC("tc")
int other(struct __sk_buff *skb) {
  __u32 zero = 0;
  struct alarm *alarm = bpf_map_lookup_elem(&cells, &zero);
  if (!alarm) return -1;
  return bpf_timer_set_callback(&alarm->timer, other_ring);
}
