/**
 * fdinfo of the fd of a map, a program or a BTF object, as Linux has it in /proc/self/fdinfo.
 */
import { BPF_OBJ_GET_INFO_BY_FD } from "../../uapi/bpf.js";
import { type Field, bpfAttr, bpfBtfInfo, bpfMapInfo, bpfProgInfo } from "../../uapi/layouts.js";
import { BPF_ATTR_SIZE, BPF_BTF_INFO_SIZE, BPF_MAP_INFO_SIZE, BPF_PROG_INFO_SIZE } from "../../uapi/offsets.js";
import type { Kernel } from "../kernel.js";
import { fillAttr, viewOf } from "../syscalls.js";
import type { Engine } from "./engine.js";

/**
 * @param map The fd's map, held by the caller.
 * @returns The lines, or undefined when the fd is closed meanwhile.
 */
export function fdinfoOf(kernel: Kernel, engine: Engine, fd: number, map: number): string | undefined {
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  using info = kernel.alloc(BPF_MAP_INFO_SIZE);
  fillAttr(attr, bpfAttr.info, { bpf_fd: fd, info_len: BPF_MAP_INFO_SIZE, info: info.address });
  if (kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attr) !== 0) return undefined;
  const view = viewOf(info);
  const field = ({ off }: Field): number => view.getUint32(off, true);
  return [
    `map_type:\t${field(bpfMapInfo.type)}`,
    `key_size:\t${field(bpfMapInfo.key_size)}`,
    `value_size:\t${field(bpfMapInfo.value_size)}`,
    `max_entries:\t${field(bpfMapInfo.max_entries)}`,
    `map_flags:\t0x${field(bpfMapInfo.map_flags).toString(16)}`,
    `map_extra:\t0x${view.getBigUint64(bpfMapInfo.map_extra.off, true).toString(16)}`,
    `memlock:\t${engine.memoryOf(map) >>> 0}`,
    `map_id:\t${field(bpfMapInfo.id)}`,
    `frozen:\t${engine.isFrozen(map)}`,
    "",
  ].join("\n");
}

/** The same of a program or a BTF object; undefined for an fd that is of none. */
export function otherFdinfoOf(kernel: Kernel, fd: number): string | undefined {
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  using info = kernel.alloc(BPF_PROG_INFO_SIZE);
  fillAttr(attr, bpfAttr.info, { bpf_fd: fd, info_len: BPF_PROG_INFO_SIZE, info: info.address });
  if (kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attr) !== 0) return undefined;
  const view = viewOf(info);
  // How much the kernel has told is how the two are told apart.
  const isBtf = viewOf(attr).getUint32(bpfAttr.info.info_len.off, true) <= BPF_BTF_INFO_SIZE;
  const field = ({ off }: Field): number => view.getUint32(off, true);
  if (isBtf) return `btf_id:\t${field(bpfBtfInfo.id)}\n`;
  const { tag } = bpfProgInfo;
  const digits = [...info.bytes.subarray(tag.off, tag.off + tag.size)].map((byte) =>
    byte.toString(16).padStart(2, "0"),
  );
  return [
    `prog_type:\t${field(bpfProgInfo.type)}`,
    `prog_jited:\t${field(bpfProgInfo.jited_prog_len) === 0 ? 0 : 1}`,
    `prog_tag:\t${digits.join("")}`,
    `memlock:\t${field(bpfProgInfo.xlated_prog_len)}`,
    `prog_id:\t${field(bpfProgInfo.id)}`,
    "",
  ].join("\n");
}
