/**
 * struct bpf_map_info: what BPF_OBJ_GET_INFO_BY_FD answers. Behaves as bpf_map_get_info_by_fd in kernel/bpf/syscall.c.
 */
import { BPF_MAP_TYPE_ARRAY } from "../src/uapi/bpf";
import { E2BIG, EFAULT, EINVAL, EPERM } from "../src/uapi/errno";
import {
  BPF_MAP_INFO_BTF_ID_OFF,
  BPF_MAP_INFO_BTF_KEY_TYPE_ID_OFF,
  BPF_MAP_INFO_BTF_VALUE_TYPE_ID_OFF,
  BPF_MAP_INFO_BTF_VMLINUX_VALUE_TYPE_ID_OFF,
  BPF_MAP_INFO_HASH_OFF,
  BPF_MAP_INFO_HASH_SIZE_OFF,
  BPF_MAP_INFO_ID_OFF,
  BPF_MAP_INFO_KEY_SIZE_OFF,
  BPF_MAP_INFO_MAP_EXTRA_OFF,
  BPF_MAP_INFO_MAP_FLAGS_OFF,
  BPF_MAP_INFO_MAX_ENTRIES_OFF,
  BPF_MAP_INFO_NAME_OFF,
  BPF_MAP_INFO_SIZE,
  BPF_MAP_INFO_TYPE_OFF,
  BPF_MAP_INFO_VALUE_SIZE_OFF,
} from "../src/uapi/offsets";
import { sha256 } from "./_sha256";
import { InfoAttr, checkTail } from "./attr";
import { btfAt } from "./btf";
import { BpfMap } from "./map";
import { ArrayMap } from "./maps/_array";
import { isUser } from "./mem/pages";
import { PAGE_SIZE } from "./super";
import { keyCopy, shadow } from "./task";

/** Up to the end of the last field: the padding behind it counts as unknown. */
const KNOWN_BYTES: u32 = BPF_MAP_INFO_HASH_SIZE_OFF + 4;
/** Of a SHA-256. */
const HASH_BYTES: u32 = 32;

/** Writes what is known of the map to `info` (at most `infoLen` bytes), and how many bytes that is to the user's attr. */
export function mapInfo(map: BpfMap, info: u64, infoLen: u32, user: usize): i32 {
  if (infoLen > PAGE_SIZE) return -E2BIG;
  const ret = checkTail(info, KNOWN_BYTES, infoLen);
  if (ret != 0) return ret;
  if (!isUser(info, infoLen)) return -EFAULT;
  const bytes = min<u32>(infoLen, BPF_MAP_INFO_SIZE);
  const to = keyCopy();
  memory.fill(to, 0, BPF_MAP_INFO_SIZE);
  // Of no bytes the address may be any, and memory.copy would trap on it.
  if (bytes != 0) memory.copy(to, <usize>info, bytes);
  const hash = load<u64>(to, BPF_MAP_INFO_HASH_OFF);
  const hashSize = load<u32>(to, BPF_MAP_INFO_HASH_SIZE_OFF);
  if (hash != 0) {
    if (map.type != BPF_MAP_TYPE_ARRAY || hashSize != HASH_BYTES) return -EINVAL;
    if (map.frozen == 0) return -EPERM;
    if (!isUser(hash, HASH_BYTES)) return -EFAULT;
    const array = changetype<ArrayMap>(map);
    sha256(array.values, array.slotSize * array.maxEntries, shadow());
    memory.copy(<usize>hash, shadow(), HASH_BYTES);
  } else if (hashSize != 0) {
    return -EINVAL;
  }
  // What is not known of this map stays as the caller had it.
  store<u32>(to, map.type, BPF_MAP_INFO_TYPE_OFF);
  store<u32>(to, map.id, BPF_MAP_INFO_ID_OFF);
  store<u32>(to, map.keySize, BPF_MAP_INFO_KEY_SIZE_OFF);
  store<u32>(to, map.valueSize, BPF_MAP_INFO_VALUE_SIZE_OFF);
  store<u32>(to, map.maxEntries, BPF_MAP_INFO_MAX_ENTRIES_OFF);
  store<u32>(to, map.mapFlags, BPF_MAP_INFO_MAP_FLAGS_OFF);
  store<u64>(to, map.name0, BPF_MAP_INFO_NAME_OFF);
  store<u64>(to, map.name1, BPF_MAP_INFO_NAME_OFF + 8);
  if (map.btf != 0) {
    store<u32>(to, btfAt(map.btf).id, BPF_MAP_INFO_BTF_ID_OFF);
    store<u32>(to, map.btfKeyTypeId, BPF_MAP_INFO_BTF_KEY_TYPE_ID_OFF);
    store<u32>(to, map.btfValueTypeId, BPF_MAP_INFO_BTF_VALUE_TYPE_ID_OFF);
  }
  store<u32>(to, 0, BPF_MAP_INFO_BTF_VMLINUX_VALUE_TYPE_ID_OFF);
  store<u64>(to, map.mapExtra, BPF_MAP_INFO_MAP_EXTRA_OFF);
  if (bytes != 0) memory.copy(<usize>info, to, bytes);
  const infoLenAt = user + offsetof<InfoAttr>("infoLen");
  if (!isUser(infoLenAt, 4)) return -EFAULT;
  store<u32>(infoLenAt, bytes);
  return 0;
}
