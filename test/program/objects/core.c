// What CO-RE asks of the kernel's types: fields that lie elsewhere, that are missing, sizes, enums, flavors.
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
// In another order than the kernel's, and with a member that it has not.
struct task_struct {
  int nosuch;
  int tgid;
  int pid;
  char comm[16];
};
struct task_struct___flavored {
  int tgid;
};
struct nosuch_struct {
  int member;
};
struct sk_buff {
  unsigned int len;
  unsigned int ip_summed : 2;
};
#pragma clang attribute pop

enum bpf_map_type___mine { BPF_MAP_TYPE_LPM_TRIE___mine = 3, BPF_MAP_TYPE_NOSUCH___mine = 4 };

struct answers {
  __u64 pidOff, tgidOff, tgidOffOfFlavor, commOff, commSize, nosuchExists, pidExists, structExists, missingExists, structSize;
  __u64 trie, nosuchValue, trieExists, bits, bitsSize, bitsLeft, bitsRight;
};
struct answers answers;

#define OFF(type, member) __builtin_preserve_field_info(((type *)0)->member, BPF_FIELD_BYTE_OFFSET)

SEC("socket")
int ask(struct __sk_buff *skb) {
  answers.pidOff = OFF(struct task_struct, pid);
  answers.tgidOff = OFF(struct task_struct, tgid);
  answers.tgidOffOfFlavor = OFF(struct task_struct___flavored, tgid);
  answers.commOff = OFF(struct task_struct, comm);
  answers.commSize = bpf_core_field_size(((struct task_struct *)0)->comm);
  answers.nosuchExists = bpf_core_field_exists(((struct task_struct *)0)->nosuch);
  answers.pidExists = bpf_core_field_exists(((struct task_struct *)0)->pid);
  answers.structExists = bpf_core_type_exists(struct task_struct);
  answers.missingExists = bpf_core_type_exists(struct nosuch_struct);
  answers.structSize = bpf_core_type_size(struct task_struct);
  answers.trie = bpf_core_enum_value(enum bpf_map_type___mine, BPF_MAP_TYPE_LPM_TRIE___mine);
  answers.trieExists = bpf_core_enum_value_exists(enum bpf_map_type___mine, BPF_MAP_TYPE_LPM_TRIE___mine);
  answers.nosuchValue = bpf_core_enum_value_exists(enum bpf_map_type___mine, BPF_MAP_TYPE_NOSUCH___mine);
  answers.bits = OFF(struct sk_buff, ip_summed);
  answers.bitsSize = __builtin_preserve_field_info(((struct sk_buff *)0)->ip_summed, BPF_FIELD_BYTE_SIZE);
  answers.bitsLeft = __builtin_preserve_field_info(((struct sk_buff *)0)->ip_summed, BPF_FIELD_LSHIFT_U64);
  answers.bitsRight = __builtin_preserve_field_info(((struct sk_buff *)0)->ip_summed, BPF_FIELD_RSHIFT_U64);
  // Not reached: the kernel has no such member, and what would read it is no call that there is.
  if (bpf_core_field_exists(((struct task_struct *)0)->nosuch)) answers.pidOff = OFF(struct task_struct, nosuch);
  return 0;
}

char _license[] SEC("license") = "GPL";
