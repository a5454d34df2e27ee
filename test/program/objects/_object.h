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

#define NOINLINE __attribute__((noinline))

char _license[] SEC("license") = "GPL";
