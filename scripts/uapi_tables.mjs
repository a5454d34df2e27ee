/**
 * What scripts/uapi.mjs cannot read anywhere: which enums and structs are uapi, how the unnamed members of
 * `union bpf_attr` are called here, where each command's CHECK_ATTR begins, and constants that neither BTF nor an older
 * <linux/bpf.h> has.
 */

/** Enums of <linux/bpf.h> in its order. One without a name stands here by its first value. */
export const ENUMS = [
  "BPF_REG_0",
  "bpf_cmd",
  "bpf_map_type",
  "bpf_prog_type",
  "bpf_attach_type",
  "bpf_link_type",
  "bpf_perf_event_type",
  "BPF_F_KPROBE_MULTI_RETURN",
  "BPF_F_UPROBE_MULTI_RETURN",
  "bpf_addr_space_cast",
  "BPF_ANY",
  "BPF_F_NO_PREALLOC",
  "bpf_stats_type",
  "bpf_stack_build_id_status",
  "bpf_stream_id",
  "bpf_func_id",
  "BPF_F_RECOMPUTE_CSUM",
  "BPF_F_HDR_FIELD_MASK",
  "BPF_F_PSEUDO_HDR",
  "BPF_F_TUNINFO_IPV6",
  "BPF_F_SKIP_FIELD_MASK",
  "BPF_F_ZERO_CSUM_TX",
  "BPF_F_TUNINFO_FLAGS",
  "BPF_F_INDEX_MASK",
  "BPF_F_CURRENT_NETNS",
  "BPF_CSUM_LEVEL_QUERY",
  "BPF_F_ADJ_ROOM_FIXED_GSO",
  "BPF_ADJ_ROOM_ENCAP_L2_MASK",
  "BPF_F_SYSCTL_BASE_NAME",
  "BPF_LOCAL_STORAGE_GET_F_CREATE",
  "BPF_F_GET_BRANCH_RECORDS_SIZE",
  "BPF_RB_NO_WAKEUP",
  "BPF_RB_AVAIL_DATA",
  "BPF_RINGBUF_BUSY_BIT",
  "BPF_SK_LOOKUP_F_REPLACE",
  "bpf_adj_room_mode",
  "bpf_hdr_start_off",
  "bpf_lwt_encap_mode",
  "BPF_F_BPRM_SECUREEXEC",
  "BPF_F_INGRESS",
  "BPF_SKB_TSTAMP_UNSPEC",
  "bpf_ret_code",
  "BPF_FLOW_DISSECTOR_F_PARSE_1ST_FRAG",
  "tcx_action_base",
  "xdp_action",
  "sk_action",
  "BPF_SOCK_OPS_RTO_CB_FLAG",
  "BPF_SOCK_OPS_VOID",
  "BPF_TCP_ESTABLISHED",
  "TCP_BPF_IW",
  "BPF_LOAD_HDR_OPT_TCP_SYN",
  "BPF_WRITE_HDR_TCP_CURRENT_MSS",
  "BPF_FIB_LOOKUP_DIRECT",
  "BPF_FIB_LKUP_RET_SUCCESS",
  "bpf_check_mtu_flags",
  "bpf_check_mtu_ret",
  "bpf_task_fd_type",
  "BTF_F_COMPACT",
  "bpf_core_relo_kind",
  "bpf_cgroup_iter_order",
  "BPF_F_TIMER_ABS",
  "bpf_kfunc_flags",
  "bpf_cond_pseudo_jmp",
];

/** Enumerators of <linux/bpf.h> that the kernel's BTF leaves out, because no kernel code names their enum. */
export const HEADER_ENUMERATORS = [
  "BPF_DEVCG_ACC_MKNOD",
  "BPF_DEVCG_ACC_READ",
  "BPF_DEVCG_ACC_WRITE",
  "BPF_DEVCG_DEV_BLOCK",
  "BPF_DEVCG_DEV_CHAR",
];

/** #define of Linux 6.18 that Debian 12's header (6.1) has not, and BTF never has: name, value, since. */
export const NEWER_MACROS = [
  ["BPF_MEMSX", "0x80", "6.6"],
  ["BPF_JCOND", "0xe0", "6.9"],
  ["BPF_LOAD_ACQ", "0x100", "6.15"],
  ["BPF_STORE_REL", "0x110", "6.15"],
  ["BPF_F_BEFORE", "0x8", "6.6"],
  ["BPF_F_AFTER", "0x10", "6.6"],
  ["BPF_F_ID", "0x20", "6.6"],
  ["BPF_F_PREORDER", "0x40", "6.15"],
  ["BPF_F_XDP_DEV_BOUND_ONLY", "0x40", "6.3"],
  ["BPF_F_TEST_REG_INVARIANTS", "0x80", "6.8"],
  ["BPF_F_NETFILTER_IP_DEFRAG", "0x1", "6.6"],
];

/** Kernel-internal errnos that bpf(2) lets through to user space. No uapi header has them. */
export const LEAKED_ERRNOS = [["ENOTSUPP", 524, "what the map's type does not do; not EOPNOTSUPP (95), both occur"]];

/** The members of `union bpf_attr` by their first field, or by name where C gives one: the group's name here. */
export const ATTR_GROUPS = {
  map_type: "MAP_CREATE",
  map_fd: "MAP_ELEM",
  batch: "BATCH",
  prog_type: "PROG_LOAD",
  pathname: "OBJ",
  target_fd: "PROG_ATTACH",
  test: "TEST",
  start_id: "GET_ID",
  info: "INFO",
  query: "QUERY",
  raw_tracepoint: "RAW_TRACEPOINT",
  btf: "BTF_LOAD",
  task_fd_query: "TASK_FD_QUERY",
  link_create: "LINK_CREATE",
  link_update: "LINK_UPDATE",
  link_detach: "LINK_DETACH",
  enable_stats: "ENABLE_STATS",
  iter_create: "ITER_CREATE",
  prog_bind_map: "PROG_BIND_MAP",
  token_create: "TOKEN_CREATE",
  prog_stream_read: "PROG_STREAM_READ",
};

/**
 * The last field that each command knows (the kernel's *_LAST_FIELD): every byte of attr behind it must be zero.
 * MAP_BATCH, OBJ, PROG_ATTACH and GET_NEXT_ID each stand for several commands, as they do in the kernel.
 */
export const LAST_FIELDS = {
  MAP_CREATE: "MAP_CREATE.excl_prog_hash_size",
  MAP_LOOKUP_ELEM: "MAP_ELEM.flags",
  MAP_UPDATE_ELEM: "MAP_ELEM.flags",
  MAP_DELETE_ELEM: "MAP_ELEM.key",
  MAP_GET_NEXT_KEY: "MAP_ELEM.next_key",
  MAP_LOOKUP_AND_DELETE_ELEM: "MAP_ELEM.flags",
  MAP_FREEZE: "MAP_ELEM.map_fd",
  MAP_BATCH: "BATCH.flags",
  PROG_LOAD: "PROG_LOAD.keyring_id",
  OBJ: "OBJ.path_fd",
  PROG_ATTACH: "PROG_ATTACH.expected_revision",
  PROG_TEST_RUN: "TEST.batch_size",
  GET_NEXT_ID: "GET_ID.next_id",
  PROG_GET_FD_BY_ID: "GET_ID.prog_id",
  MAP_GET_FD_BY_ID: "GET_ID.open_flags",
  BTF_GET_FD_BY_ID: "GET_ID.fd_by_id_token_fd",
  LINK_GET_FD_BY_ID: "GET_ID.link_id",
  OBJ_GET_INFO_BY_FD: "INFO.info",
  PROG_QUERY: "QUERY.revision",
  RAW_TRACEPOINT_OPEN: "RAW_TRACEPOINT.cookie",
  BTF_LOAD: "BTF_LOAD.btf_token_fd",
  TASK_FD_QUERY: "TASK_FD_QUERY.probe_addr",
  LINK_CREATE: "LINK_CREATE.uprobe_multi.pid",
  LINK_UPDATE: "LINK_UPDATE.old_prog_fd",
  LINK_DETACH: "LINK_DETACH.link_fd",
  ENABLE_STATS: "ENABLE_STATS.type",
  ITER_CREATE: "ITER_CREATE.flags",
  PROG_BIND_MAP: "PROG_BIND_MAP.flags",
  TOKEN_CREATE: "TOKEN_CREATE.bpffs_fd",
  PROG_STREAM_READ_BY_FD: "PROG_STREAM_READ.prog_fd",
};

/** Structs with a fixed layout beside `union bpf_attr`. */
export const STRUCTS = ["bpf_insn", "bpf_map_info", "bpf_prog_info", "bpf_btf_info"];
