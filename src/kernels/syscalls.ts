/**
 * Commands of bpf(2) as functions: attr is built by the field names of `union bpf_attr`, results are those of the call
 * (an fd, an id or 0; a negative errno). For what is called now and then; hot loops use `Kernel.prepare`.
 */
import {
  BPF_BTF_LOAD,
  BPF_MAP_CREATE,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
} from "../uapi/bpf.js";
import { type Field, bpfAttr, bpfMapInfo } from "../uapi/layouts.js";
import { mapTypeName } from "../uapi/names.js";
import { BPF_ATTR_SIZE, BPF_MAP_INFO_SIZE } from "../uapi/offsets.js";
import type { Kernel, UserBuffer } from "./kernel.js";

/** What BPF_MAP_CREATE is asked for: fields of attr that are not named are 0. */
export interface MapAttr {
  readonly mapType: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags?: number;
  /** Of a map of maps: the fd of its template. */
  readonly innerMapFd?: number;
  readonly numaNode?: number;
  readonly mapExtra?: bigint;
  /** At most 15 letters, digits, "_" and "."; what it is, is the kernel's to check. */
  readonly mapName?: string;
  /** BTF that `btfLoad` has loaded, and what it says of keys and values. */
  readonly btfFd?: number;
  readonly btfKeyTypeId?: number;
  readonly btfValueTypeId?: number;
}

/** What `struct bpf_map_info` says of a map. */
export interface MapInfo {
  /** BPF_MAP_TYPE_*. */
  readonly type: number;
  /** bpftool's word for it: "lru_hash". */
  readonly typeName: string;
  readonly id: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags: number;
  /** What the map type makes of it: the hashes of a bloom filter, the address of an arena. */
  readonly mapExtra: bigint;
  readonly name: string;
  /** The id of the BTF that it was created with, or 0. */
  readonly btfId: number;
  /** What type of that BTF keys have; 0 of maps whose values alone have one. */
  readonly btfKeyTypeId: number;
  readonly btfValueTypeId: number;
  /** What type of the kernel's own BTF values have, of struct_ops; else 0. */
  readonly btfVmlinuxValueTypeId: number;
}

/** A view of all of a buffer. */
export function viewOf({ bytes }: Pick<UserBuffer, "bytes">): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** BPF_MAP_CREATE. Returns an fd. */
export function mapCreate(kernel: Kernel, attr: MapAttr): number {
  return call(kernel, BPF_MAP_CREATE, bpfAttr.mapCreate, {
    map_type: attr.mapType,
    key_size: attr.keySize,
    value_size: attr.valueSize,
    max_entries: attr.maxEntries,
    map_flags: attr.mapFlags ?? 0,
    inner_map_fd: attr.innerMapFd ?? 0,
    numa_node: attr.numaNode ?? 0,
    map_extra: attr.mapExtra ?? 0n,
    map_name: new TextEncoder().encode(attr.mapName ?? ""),
    btf_fd: attr.btfFd ?? 0,
    btf_key_type_id: attr.btfKeyTypeId ?? 0,
    btf_value_type_id: attr.btfValueTypeId ?? 0,
  });
}

/** BPF_BTF_LOAD. Returns an fd. */
export function btfLoad(kernel: Kernel, bytes: Uint8Array): number {
  using btf = kernel.alloc(Math.max(bytes.length, 1));
  btf.bytes.set(bytes);
  return call(kernel, BPF_BTF_LOAD, bpfAttr.btfLoad, { btf: btf.address, btf_size: bytes.length });
}

/** BPF_OBJ_PIN. Returns 0. */
export function objPin(kernel: Kernel, fd: number, path: string): number {
  using pathname = cString(kernel, path);
  return call(kernel, BPF_OBJ_PIN, bpfAttr.obj, { pathname: pathname.address, bpf_fd: fd });
}

/** BPF_OBJ_GET. Returns an fd. */
export function objGet(kernel: Kernel, path: string, fileFlags = 0): number {
  using pathname = cString(kernel, path);
  return call(kernel, BPF_OBJ_GET, bpfAttr.obj, { pathname: pathname.address, file_flags: fileFlags });
}

/** BPF_MAP_FREEZE. Returns 0. */
export function mapFreeze(kernel: Kernel, fd: number): number {
  return call(kernel, BPF_MAP_FREEZE, bpfAttr.mapElem, { map_fd: fd });
}

/** BPF_MAP_GET_FD_BY_ID. Returns an fd. */
export function mapGetFdById(kernel: Kernel, id: number, openFlags = 0): number {
  return call(kernel, BPF_MAP_GET_FD_BY_ID, bpfAttr.getId, { map_id: id, open_flags: openFlags });
}

/** BPF_OBJ_GET_INFO_BY_FD of a map. */
export function mapGetInfoByFd(kernel: Kernel, fd: number): MapInfo | number {
  using info = kernel.alloc(BPF_MAP_INFO_SIZE);
  const fields = { bpf_fd: fd, info_len: BPF_MAP_INFO_SIZE, info: info.address };
  const ret = call(kernel, BPF_OBJ_GET_INFO_BY_FD, bpfAttr.info, fields);
  return ret < 0 ? ret : readMapInfo(info);
}

/** The fields of one of attr's layouts, by their kernel names; those that are not given are 0. */
export type AttrFields<L extends Layout> = { readonly [K in keyof L]?: number | bigint | Uint8Array };
export type Layout = Readonly<Record<string, Field>>;

/** Fills attr: fields as given, zeroes elsewhere. */
export function fillAttr<L extends Layout>(attr: UserBuffer, layout: L, fields: AttrFields<L>): void {
  attr.bytes.fill(0);
  const view = viewOf(attr);
  for (const name in fields) {
    const field = layout[name];
    const value = fields[name];
    if (field === undefined || value === undefined) continue;
    if (value instanceof Uint8Array) attr.bytes.set(value.subarray(0, field.size), field.off);
    else if (field.size === 8) view.setBigUint64(field.off, BigInt(value), true);
    else view.setUint32(field.off, Number(value), true);
  }
}

/** Decodes a `struct bpf_map_info`. */
export function readMapInfo(buffer: UserBuffer): MapInfo {
  const view = viewOf(buffer);
  const read = (field: Field): number => view.getUint32(field.off, true);
  const { off, size } = bpfMapInfo.name;
  // The kernel's letters are Latin-1.
  const name = String.fromCharCode(...buffer.bytes.subarray(off, off + size)).replace(/\0.*$/s, "");
  const type = read(bpfMapInfo.type);
  return {
    type,
    typeName: mapTypeName(type) ?? `type ${type}`,
    id: read(bpfMapInfo.id),
    keySize: read(bpfMapInfo.key_size),
    valueSize: read(bpfMapInfo.value_size),
    maxEntries: read(bpfMapInfo.max_entries),
    mapFlags: read(bpfMapInfo.map_flags),
    mapExtra: view.getBigUint64(bpfMapInfo.map_extra.off, true),
    name,
    btfId: read(bpfMapInfo.btf_id),
    btfKeyTypeId: read(bpfMapInfo.btf_key_type_id),
    btfValueTypeId: read(bpfMapInfo.btf_value_type_id),
    btfVmlinuxValueTypeId: read(bpfMapInfo.btf_vmlinux_value_type_id),
  };
}

/** A NUL-terminated string where the kernel can read it. */
export function cString(kernel: Kernel, text: string): UserBuffer {
  const bytes = new TextEncoder().encode(text);
  const buffer = kernel.alloc(bytes.length + 1);
  buffer.bytes.set(bytes);
  return buffer;
}

/** One call with an attr of its own. */
function call<L extends Layout>(kernel: Kernel, cmd: number, layout: L, fields: AttrFields<L>): number {
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  fillAttr(attr, layout, fields);
  return kernel.bpf(cmd, attr);
}
