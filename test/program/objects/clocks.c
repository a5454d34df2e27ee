// Time, chance and who runs: no numbers to compare, but what must hold of them.
#include "_object.h"

__u64 holds[10];

SEC("tc")
int ask(struct __sk_buff *skb) {
  __u64 before = bpf_ktime_get_ns(), after = bpf_ktime_get_ns();
  char comm[16] = {};
  holds[0] = before != 0 && after >= before;
  holds[1] = bpf_ktime_get_boot_ns() != 0;
  holds[2] = bpf_ktime_get_coarse_ns() != 0;
  holds[3] = bpf_ktime_get_tai_ns() > 1700000000000000000;
  holds[4] = bpf_get_smp_processor_id() < 1024;
  holds[5] = bpf_get_current_pid_tgid() >> 32 != 0;
  holds[6] = bpf_get_current_comm(comm, sizeof(comm)) == 0;
  holds[7] = comm[0] != 0 && comm[15] == 0;
  __u64 sum = 0;
  for (int i = 0; i < 8; i++) sum |= bpf_get_prandom_u32();
  holds[8] = sum != 0 && sum >> 32 == 0;
  return 1;
}
