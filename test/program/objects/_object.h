// What the objects share: maps in one line, results in a variable that tests compare.
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAP(name, kind, keyType, valueType, entries, ...) \
  struct { \
    __uint(type, BPF_MAP_TYPE_##kind); \
    __uint(max_entries, entries); \
    __type(key, keyType); \
    __type(value, valueType); \
    __VA_ARGS__ \
  } name SEC(".maps")

// How long a packet is, in 64 bits: the compiler would make it, and pointers on the way, of 32, which the verifier refuses to have spilled.
#define SIZE(ctx) \
  ({ \
    __u64 size_ = (void *)(long)(ctx)->data_end - (void *)(long)(ctx)->data; \
    asm volatile("" : "+r"(size_)); \
    size_; \
  })

#define NOINLINE __attribute__((noinline))

char _license[] SEC("license") = "GPL";
