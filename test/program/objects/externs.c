// What an object wants from elsewhere: the kernel's configuration, and symbols.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern unsigned int LINUX_KERNEL_VERSION __kconfig;
extern unsigned long CONFIG_HZ __kconfig;
extern _Bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_NET __kconfig;
extern char CONFIG_LOCALVERSION[8] __kconfig;
extern int CONFIG_NO_SUCH_THING __kconfig __attribute__((weak));

__u64 version, hz, bpf_syscall, net, none = 9, letter;
#ifdef SYMBOLS
extern const void __bpf_call_base __ksym;
extern const void no_such_symbol __ksym __attribute__((weak));
extern const int bpf_jit_enable_not_there __ksym __attribute__((weak));
extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;
extern void bpf_no_such_function(void) __ksym __attribute__((weak));
__u64 address, missing = 9, typed = 9, task;
#endif

SEC("syscall")
int look(void *ctx) {
  version = LINUX_KERNEL_VERSION;
  hz = CONFIG_HZ;
  bpf_syscall = CONFIG_BPF_SYSCALL;
  net = CONFIG_NET;
  none = CONFIG_NO_SUCH_THING;
  letter = CONFIG_LOCALVERSION[0];
#ifdef SYMBOLS
  address = (__u64)&__bpf_call_base;
  missing = (__u64)&no_such_symbol;
  typed = (__u64)&bpf_jit_enable_not_there;
  struct task_struct *found = bpf_task_from_pid(bpf_get_current_pid_tgid() >> 32);
  if (found) {
    task = 1;
    bpf_task_release(found);
  }
  if (bpf_no_such_function) bpf_no_such_function();
#endif
  return 0;
}

char _license[] SEC("license") = "GPL";
