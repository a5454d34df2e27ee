/**
 * fdinfo of a map's fd, or a BTF object's, as Linux has it in /proc/self/fdinfo.
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

/** The same of a BTF object or a program; undefined for an fd that is of neither. */
export function otherFdinfoOf(kernel: Kernel, fd: number): string | undefined {
  return btfFdinfoOf(kernel, fd) ?? progFdinfoOf(kernel, fd);
}

function progFdinfoOf(kernel: Kernel, fd: number): string | undefined {
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  using info = kernel.alloc(BPF_PROG_INFO_SIZE);
  fillAttr(attr, bpfAttr.info, { bpf_fd: fd, info_len: BPF_PROG_INFO_SIZE, info: info.address });
  if (kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attr) !== 0) return undefined;
  const view = viewOf(info);
  const field = ({ off }: Field): number => view.getUint32(off, true);
  const tag = info.bytes.slice(bpfProgInfo.tag.off, bpfProgInfo.tag.off + 8);
  return [
    `prog_type:\t${field(bpfProgInfo.type)}`,
    `prog_jited:\t${field(bpfProgInfo.jited_prog_len) === 0 ? 0 : 1}`,
    `prog_tag:\t${[...tag].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`,
    `memlock:\t${Math.ceil((field(bpfProgInfo.xlated_prog_len) + PROG_HEAD_BYTES) / PAGE_BYTES) * PAGE_BYTES}`,
    `prog_id:\t${field(bpfProgInfo.id)}`,
    "run_time_ns:\t0",
    "run_cnt:\t0",
    "recursion_misses:\t0",
    `verified_insns:\t${field(bpfProgInfo.verified_insns)}`,
    "",
  ].join("\n");
}

/** Of a program, beside its instructions; and what memory comes in. */
const PROG_HEAD_BYTES = 384;
const PAGE_BYTES = 4096;

function btfFdinfoOf(kernel: Kernel, fd: number): string | undefined {
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  using info = kernel.alloc(BPF_BTF_INFO_SIZE);
  fillAttr(attr, bpfAttr.info, { bpf_fd: fd, info_len: BPF_BTF_INFO_SIZE, info: info.address });
  if (kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attr) !== 0) return undefined;
  return `btf_id:\t${viewOf(info).getUint32(bpfBtfInfo.id.off, true)}\n`;
}
