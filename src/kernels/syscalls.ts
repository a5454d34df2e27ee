/**
 * Commands of bpf(2) as functions: attr is built by the field names of `union bpf_attr`, results are those of the call
 * (an fd, an id or 0; a negative errno). For what is called now and then; hot loops use `Kernel.prepare`.
 */
import { BPF_MAP_CREATE, BPF_MAP_GET_FD_BY_ID, BPF_OBJ_GET, BPF_OBJ_GET_INFO_BY_FD, BPF_OBJ_PIN } from "../uapi/bpf.js";
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
  readonly numaNode?: number;
  /** At most 15 letters, digits, "_" and "."; what it is, is the kernel's to check. */
  readonly mapName?: string;
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
  readonly name: string;
}

/** A view of all of a buffer. */
export function viewOf({ bytes }: Pick<UserBuffer, "bytes">): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** BPF_MAP_CREATE. Returns an fd. */
export function mapCreate(kernel: Kernel, attr: MapAttr): number {
  const fields = bpfAttr.mapCreate;
  return call(kernel, BPF_MAP_CREATE, (view) => {
    put(view, fields.map_type, attr.mapType);
    put(view, fields.key_size, attr.keySize);
    put(view, fields.value_size, attr.valueSize);
    put(view, fields.max_entries, attr.maxEntries);
    put(view, fields.map_flags, attr.mapFlags ?? 0);
    put(view, fields.numa_node, attr.numaNode ?? 0);
    const name = new TextEncoder().encode(attr.mapName ?? "");
    const { off, size } = fields.map_name;
    for (let i = 0; i < size && i < name.length; i++) view.setUint8(off + i, name[i]!);
  });
}

/** BPF_OBJ_PIN. Returns 0. */
export function objPin(kernel: Kernel, fd: number, pathname: string): number {
  using path = cString(kernel, pathname);
  return call(kernel, BPF_OBJ_PIN, (view) => {
    put(view, bpfAttr.obj.pathname, path.address);
    put(view, bpfAttr.obj.bpf_fd, fd);
  });
}

/** BPF_OBJ_GET. Returns an fd. */
export function objGet(kernel: Kernel, pathname: string): number {
  using path = cString(kernel, pathname);
  return call(kernel, BPF_OBJ_GET, (view) => put(view, bpfAttr.obj.pathname, path.address));
}

/** BPF_MAP_GET_FD_BY_ID. Returns an fd. */
export function mapGetFdById(kernel: Kernel, id: number): number {
  return call(kernel, BPF_MAP_GET_FD_BY_ID, (view) => put(view, bpfAttr.getId.map_id, id));
}

/** BPF_OBJ_GET_INFO_BY_FD of a map. */
export function mapGetInfoByFd(kernel: Kernel, fd: number): MapInfo | number {
  using buffer = kernel.alloc(BPF_MAP_INFO_SIZE);
  const ret = call(kernel, BPF_OBJ_GET_INFO_BY_FD, (view) => {
    put(view, bpfAttr.info.bpf_fd, fd);
    put(view, bpfAttr.info.info_len, BPF_MAP_INFO_SIZE);
    put(view, bpfAttr.info.info, buffer.address);
  });
  if (ret < 0) return ret;
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
    name,
  };
}

/** One call with an attr of its own. */
function call(kernel: Kernel, cmd: number, fill: (view: DataView) => void): number {
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  fill(viewOf(attr));
  return kernel.bpf(cmd, attr);
}

function put(view: DataView, { off, size }: Field, value: number): void {
  if (size === 8) view.setBigUint64(off, BigInt(value), true);
  else view.setUint32(off, value, true);
}

function cString(kernel: Kernel, text: string): UserBuffer {
  const bytes = new TextEncoder().encode(text);
  const buffer = kernel.alloc(bytes.length + 1);
  buffer.bytes.set(bytes);
  return buffer;
}
