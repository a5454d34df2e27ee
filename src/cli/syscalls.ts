/**
 * The commands of bpf(2) that the command line needs, one function each: attr is built by the field names of
 * `union bpf_attr`, results are those of the system call (an fd, an id or 0; a negative errno).
 */
import type { Kernel, UserBuffer } from "../kernels/kernel.js";
import {
  type AttrFields,
  type Layout,
  type MapInfo,
  cString,
  fillAttr,
  readMapInfo,
  viewOf,
} from "../kernels/syscalls.js";
import {
  BPF_BTF_GET_FD_BY_ID,
  BPF_BTF_GET_NEXT_ID,
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_GET_NEXT_ID,
  BPF_PROG_TEST_RUN,
} from "../uapi/bpf.js";
import { errnoName } from "../uapi/errno_name.js";
import { type Field, bpfAttr, bpfBtfInfo, bpfProgInfo } from "../uapi/layouts.js";
import { cmdName } from "../uapi/names.js";
import { BPF_ATTR_SIZE, BPF_BTF_INFO_SIZE, BPF_MAP_INFO_SIZE, BPF_PROG_INFO_SIZE } from "../uapi/offsets.js";

/** What `map create` asks for. */
export interface MapSpec {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags: number;
  readonly name: Uint8Array;
  readonly innerMapFd: number;
  readonly ifindex: number;
}

/** What the kernel knows of a program. */
export interface ProgInfo {
  /** BPF_PROG_TYPE_*. */
  readonly type: number;
  readonly id: number;
  readonly name: string;
  /** Eight bytes, in hex. */
  readonly tag: string;
  readonly btfId: number;
  readonly gplCompatible: boolean;
  /** Since boot, in nanoseconds; 0 where the kernel keeps no time. */
  readonly loadTime: bigint;
  readonly createdByUid: number;
  readonly xlatedBytes: number;
  /** 0: it is interpreted. */
  readonly jitedBytes: number;
  readonly mapCount: number;
  readonly ifindex: number;
  /** 0 unless statistics were on. */
  readonly runTimeNs: bigint;
  readonly runCount: bigint;
  readonly recursionMisses: bigint;
}

/** A list of a program that the kernel has. */
export type ProgList = "mapIds" | "xlated" | "ksyms" | "funcs" | "lines";

/** The fields of lists: their count (or bytes), their address, and what an entry takes. */
const PROG_LISTS: Readonly<
  Record<ProgList, { readonly count: Field; readonly at: Field; readonly size: number | Field }>
> = {
  mapIds: { count: bpfProgInfo.nr_map_ids, at: bpfProgInfo.map_ids, size: 4 },
  xlated: { count: bpfProgInfo.xlated_prog_len, at: bpfProgInfo.xlated_prog_insns, size: 1 },
  ksyms: { count: bpfProgInfo.nr_jited_ksyms, at: bpfProgInfo.jited_ksyms, size: 8 },
  funcs: { count: bpfProgInfo.nr_func_info, at: bpfProgInfo.func_info, size: bpfProgInfo.func_info_rec_size },
  lines: { count: bpfProgInfo.nr_line_info, at: bpfProgInfo.line_info, size: bpfProgInfo.line_info_rec_size },
};

/** A test run, and what came of it. */
export interface TestRun {
  readonly dataIn: Uint8Array | undefined;
  readonly dataOutSize: number;
  readonly contextIn: Uint8Array | undefined;
  readonly contextOutSize: number;
  readonly repeat: number;
}

/** What a test run left. */
export interface TestRunResult {
  readonly retval: number;
  readonly durationNs: number;
  readonly data: Uint8Array;
  readonly context: Uint8Array;
  /** What the kernel says that there is, which may be more than it had room for. */
  readonly dataSize: number;
  readonly contextSize: number;
}

/** What the kernel knows of a BTF object. */
export interface BtfInfo {
  readonly id: number;
  readonly size: number;
  /** The kernel's own, or a module's; others have none. */
  readonly name: string;
  readonly kernelBtf: boolean;
}

/** Objects that have ids. */
export type Numbered = "map" | "prog" | "btf";

/** How the next id is found, and how an object is opened by its id. */
const BY_ID: Readonly<Record<Numbered, { readonly next: number; readonly open: number }>> = {
  map: { next: BPF_MAP_GET_NEXT_ID, open: BPF_MAP_GET_FD_BY_ID },
  prog: { next: BPF_PROG_GET_NEXT_ID, open: BPF_PROG_GET_FD_BY_ID },
  btf: { next: BPF_BTF_GET_NEXT_ID, open: BPF_BTF_GET_FD_BY_ID },
};

/** Makes system calls on a kernel, and knows which fds they opened. */
export class Syscalls {
  readonly kernel: Kernel;
  /** Something in the kernel is no longer as it was. */
  changed = false;
  readonly #attr: UserBuffer;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #fds = new Set<number>();

  /** @param trace Told of every call, when given. */
  constructor(kernel: Kernel, trace?: (line: string) => void) {
    this.kernel = kernel;
    this.#attr = kernel.alloc(BPF_ATTR_SIZE);
    this.#trace = trace;
  }

  mapCreate(spec: MapSpec): number {
    return this.#opened(
      this.#change(BPF_MAP_CREATE, bpfAttr.mapCreate, {
        map_type: spec.type,
        key_size: spec.keySize,
        value_size: spec.valueSize,
        max_entries: spec.maxEntries,
        map_flags: spec.mapFlags,
        map_name: spec.name,
        inner_map_fd: spec.innerMapFd,
        map_ifindex: spec.ifindex,
      }),
    );
  }

  /** Key undefined: a map without keys. */
  lookupElem(fd: number, key: UserBuffer | undefined, value: UserBuffer): number {
    const fields = { map_fd: fd, key: key?.address ?? 0, value: value.address };
    return this.#call(BPF_MAP_LOOKUP_ELEM, bpfAttr.mapElem, fields);
  }

  /** Key undefined: a map without keys. */
  updateElem(fd: number, key: UserBuffer | undefined, value: UserBuffer, flags: number): number {
    const fields = { map_fd: fd, key: key?.address ?? 0, value: value.address, flags };
    return this.#change(BPF_MAP_UPDATE_ELEM, bpfAttr.mapElem, fields);
  }

  /** Key undefined: a map without keys. */
  lookupAndDeleteElem(fd: number, key: UserBuffer | undefined, value: UserBuffer): number {
    const fields = { map_fd: fd, key: key?.address ?? 0, value: value.address };
    return this.#change(BPF_MAP_LOOKUP_AND_DELETE_ELEM, bpfAttr.mapElem, fields);
  }

  deleteElem(fd: number, key: UserBuffer): number {
    return this.#change(BPF_MAP_DELETE_ELEM, bpfAttr.mapElem, { map_fd: fd, key: key.address });
  }

  /** Key undefined: the first key. */
  getNextKey(fd: number, key: UserBuffer | undefined, nextKey: UserBuffer): number {
    const fields = { map_fd: fd, key: key?.address ?? 0, next_key: nextKey.address };
    return this.#call(BPF_MAP_GET_NEXT_KEY, bpfAttr.mapElem, fields);
  }

  /**
   * Reads a batch of elems. The cursors are 264 bytes, large enough for a key of any type that has batches.
   *
   * @param inCursor Undefined: from the start.
   * @returns How many were read and what the call returned: -ENOENT with the last batch.
   */
  lookupBatch(
    fd: number,
    inCursor: UserBuffer | undefined,
    outCursor: UserBuffer,
    keys: UserBuffer,
    values: UserBuffer,
    count: number,
  ): { readonly count: number; readonly ret: number } {
    const ret = this.#call(BPF_MAP_LOOKUP_BATCH, bpfAttr.batch, {
      map_fd: fd,
      in_batch: inCursor?.address ?? 0,
      out_batch: outCursor.address,
      keys: keys.address,
      values: values.address,
      count,
    });
    return { ret, count: viewOf(this.#attr).getUint32(bpfAttr.batch.count.off, true) };
  }

  mapFreeze(fd: number): number {
    return this.#change(BPF_MAP_FREEZE, bpfAttr.mapElem, { map_fd: fd });
  }

  objPin(fd: number, path: string): number {
    using pathname = cString(this.kernel, path);
    return this.#change(BPF_OBJ_PIN, bpfAttr.obj, { pathname: pathname.address, bpf_fd: fd });
  }

  objGet(path: string): number {
    using pathname = cString(this.kernel, path);
    return this.#opened(this.#call(BPF_OBJ_GET, bpfAttr.obj, { pathname: pathname.address }));
  }

  unlink(path: string): number {
    const result = this.kernel.unlink(path);
    if (result >= 0) this.changed = true;
    return result;
  }

  /** Returns the id that follows `id`, 0 for the first, or a negative errno. */
  getNextId(what: Numbered, id: number): number {
    const result = this.#call(BY_ID[what].next, bpfAttr.getId, { start_id: id });
    return result < 0 ? result : viewOf(this.#attr).getUint32(bpfAttr.getId.next_id.off, true);
  }

  getFdById(what: Numbered, id: number): number {
    return this.#opened(this.#call(BY_ID[what].open, bpfAttr.getId, { map_id: id }));
  }

  /** Returns what the kernel knows of a map, or a negative errno. */
  mapInfo(fd: number): MapInfo | number {
    using info = this.kernel.alloc(BPF_MAP_INFO_SIZE);
    return this.mapInfoInto(fd, info);
  }

  /** The same by way of a buffer, which is given to the kernel as it is. */
  mapInfoInto(fd: number, info: UserBuffer): MapInfo | number {
    const result = this.#info(fd, info);
    return result < 0 ? result : readMapInfo(info);
  }

  /** Returns what the kernel knows of a program, or a negative errno. */
  progInfo(fd: number): ProgInfo | number {
    using info = this.kernel.alloc(BPF_PROG_INFO_SIZE);
    const result = this.#info(fd, info);
    if (result < 0) return result;
    const view = viewOf(info);
    const u32 = ({ off }: Field): number => view.getUint32(off, true);
    const u64 = ({ off }: Field): bigint => view.getBigUint64(off, true);
    const bytes = ({ off, size }: Field): Uint8Array => info.bytes.subarray(off, off + size);
    return {
      type: u32(bpfProgInfo.type),
      id: u32(bpfProgInfo.id),
      name: textOf(bytes(bpfProgInfo.name)),
      tag: Buffer.from(bytes(bpfProgInfo.tag)).toString("hex"),
      btfId: u32(bpfProgInfo.btf_id),
      gplCompatible: (u32(bpfProgInfo.gpl_compatible) & 1) !== 0,
      loadTime: u64(bpfProgInfo.load_time),
      createdByUid: u32(bpfProgInfo.created_by_uid),
      xlatedBytes: u32(bpfProgInfo.xlated_prog_len),
      jitedBytes: u32(bpfProgInfo.jited_prog_len),
      mapCount: u32(bpfProgInfo.nr_map_ids),
      ifindex: u32(bpfProgInfo.ifindex),
      runTimeNs: u64(bpfProgInfo.run_time_ns),
      runCount: u64(bpfProgInfo.run_cnt),
      recursionMisses: u64(bpfProgInfo.recursion_misses),
    };
  }

  /** Returns lists that the kernel has of a program: their bytes, and what an entry takes; or a negative errno. */
  progLists<L extends ProgList>(
    fd: number,
    wanted: readonly L[],
  ): Readonly<Record<L, { bytes: Uint8Array; size: number }>> | number {
    using info = this.kernel.alloc(BPF_PROG_INFO_SIZE);
    const view = viewOf(info);
    let result = this.#info(fd, info);
    if (result < 0) return result;
    const lists = wanted.map((name) => {
      const { count, at, size: of } = PROG_LISTS[name];
      const size = typeof of === "number" ? of : view.getUint32(of.off, true);
      const n = view.getUint32(count.off, true);
      return { name, count, at, of, n, size, buffer: this.kernel.alloc(Math.max(n * size, 1)) };
    });
    try {
      info.bytes.fill(0);
      for (const { count, at, of, n, size, buffer } of lists) {
        view.setUint32(count.off, n, true);
        view.setBigUint64(at.off, BigInt(buffer.address), true);
        if (typeof of !== "number") view.setUint32(of.off, size, true);
      }
      result = this.#info(fd, info);
      if (result < 0) return result;
      const found = lists.map(({ name, count, at, n, size, buffer }) => {
        // The kernel takes the address back of what it does not show.
        const shown = view.getBigUint64(at.off, true) === 0n ? 0 : Math.min(n, view.getUint32(count.off, true));
        return [name, { bytes: buffer.bytes.slice(0, shown * size), size }] as const;
      });
      return Object.fromEntries(found) as Record<L, { bytes: Uint8Array; size: number }>;
    } finally {
      for (const { buffer } of lists) buffer[Symbol.dispose]();
    }
  }

  /** BPF_PROG_TEST_RUN. Returns a negative errno where the program could not be run. */
  testRun(fd: number, { dataIn, dataOutSize, contextIn, contextOutSize, repeat }: TestRun): TestRunResult | number {
    const buffer = (size: number): UserBuffer => this.kernel.alloc(Math.max(size, 1));
    using data = buffer(dataIn?.length ?? 0);
    using dataOut = buffer(dataOutSize);
    using context = buffer(contextIn?.length ?? 0);
    using contextOut = buffer(contextOutSize);
    if (dataIn !== undefined) data.bytes.set(dataIn);
    if (contextIn !== undefined) context.bytes.set(contextIn);
    const result = this.#change(BPF_PROG_TEST_RUN, bpfAttr.test, {
      prog_fd: fd,
      data_in: dataIn === undefined ? 0 : data.address,
      data_size_in: dataIn?.length ?? 0,
      data_out: dataIn === undefined ? 0 : dataOut.address,
      data_size_out: dataOutSize,
      ctx_in: contextIn === undefined ? 0 : context.address,
      ctx_size_in: contextIn?.length ?? 0,
      ctx_out: contextIn === undefined ? 0 : contextOut.address,
      ctx_size_out: contextOutSize,
      repeat,
    });
    if (result < 0) return result;
    const view = viewOf(this.#attr);
    const u32 = ({ off }: Field): number => view.getUint32(off, true);
    const [dataSize, contextSize] = [u32(bpfAttr.test.data_size_out), u32(bpfAttr.test.ctx_size_out)];
    return {
      retval: u32(bpfAttr.test.retval),
      durationNs: u32(bpfAttr.test.duration),
      data: dataOut.bytes.slice(0, dataSize),
      context: contextOut.bytes.slice(0, contextSize),
      dataSize,
      contextSize,
    };
  }

  /** Returns the id of the type of a program's first function, in the program's BTF; undefined where it has none. */
  progTypeId(fd: number): number | undefined {
    using info = this.kernel.alloc(BPF_PROG_INFO_SIZE);
    const { nr_func_info, func_info_rec_size, func_info } = bpfProgInfo;
    const view = viewOf(info);
    if (this.#info(fd, info) < 0 || view.getUint32(nr_func_info.off, true) === 0) return undefined;
    // struct bpf_func_info { __u32 insn_off; __u32 type_id; }
    using record = this.kernel.alloc(8);
    info.bytes.fill(0);
    view.setUint32(nr_func_info.off, 1, true);
    view.setUint32(func_info_rec_size.off, 8, true);
    view.setBigUint64(func_info.off, BigInt(record.address), true);
    return this.#info(fd, info) < 0 ? undefined : viewOf(record).getUint32(4, true);
  }

  /** Returns what the kernel knows of a BTF object, or a negative errno. */
  btfInfo(fd: number): BtfInfo | number {
    using info = this.kernel.alloc(BPF_BTF_INFO_SIZE);
    using name = this.kernel.alloc(64);
    const view = viewOf(info);
    view.setBigUint64(bpfBtfInfo.name.off, BigInt(name.address), true);
    view.setUint32(bpfBtfInfo.name_len.off, name.bytes.length, true);
    const result = this.#info(fd, info);
    if (result < 0) return result;
    return {
      id: view.getUint32(bpfBtfInfo.id.off, true),
      size: view.getUint32(bpfBtfInfo.btf_size.off, true),
      name: textOf(name.bytes),
      kernelBtf: view.getUint32(bpfBtfInfo.kernel_btf.off, true) !== 0,
    };
  }

  /** Returns the bytes of a BTF object, or a negative errno. */
  btfBytes(fd: number): Uint8Array | number {
    const known = this.btfInfo(fd);
    if (typeof known === "number") return known;
    using info = this.kernel.alloc(BPF_BTF_INFO_SIZE);
    using btf = this.kernel.alloc(Math.max(known.size, 1));
    const view = viewOf(info);
    view.setBigUint64(bpfBtfInfo.btf.off, BigInt(btf.address), true);
    view.setUint32(bpfBtfInfo.btf_size.off, known.size, true);
    const result = this.#info(fd, info);
    return result < 0 ? result : Uint8Array.from(btf.bytes.subarray(0, known.size));
  }

  /** Returns the lines of an fd's fdinfo: "memlock" -> "1360". */
  fdinfo(fd: number): Map<string, string> {
    const lines = (this.kernel.fdinfo(fd) ?? "").split("\n").map((line) => line.split(/:\s*/, 2));
    return new Map(lines.map(([name = "", value = ""]) => [name, value]));
  }

  /** Returns what kind of BPF object an fd is. */
  objectType(fd: number): "map" | "prog" | "link" | "unknown" {
    const fdinfo = this.fdinfo(fd);
    return (["map", "prog", "link"] as const).find((type) => fdinfo.has(`${type}_type`)) ?? "unknown";
  }

  /** Closes one fd that a call opened. */
  close(fd: number): void {
    if (this.#fds.delete(fd)) this.kernel.close(fd);
  }

  /** Closes every fd that calls opened. */
  closeAll(): void {
    for (const fd of this.#fds) this.close(fd);
  }

  [Symbol.dispose](): void {
    this.closeAll();
    this.#attr[Symbol.dispose]();
  }

  #info(fd: number, info: UserBuffer): number {
    const fields = { bpf_fd: fd, info_len: info.bytes.length, info: info.address };
    return this.#call(BPF_OBJ_GET_INFO_BY_FD, bpfAttr.info, fields);
  }

  #call<L extends Layout>(cmd: number, layout: L, fields: AttrFields<L>): number {
    fillAttr(this.#attr, layout, fields);
    const result = this.kernel.bpf(cmd, this.#attr);
    this.#trace?.(`bpf(${cmdName(cmd)}) = ${result < 0 ? `-1 ${errnoName(-result)}` : result}`);
    return result;
  }

  #change<L extends Layout>(cmd: number, layout: L, fields: AttrFields<L>): number {
    const result = this.#call(cmd, layout, fields);
    if (result >= 0) this.changed = true;
    return result;
  }

  #opened(fd: number): number {
    if (fd >= 0) this.#fds.add(fd);
    return fd;
  }
}

/** What stands before the first NUL, as Latin-1. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1").replace(/\0.*$/s, "");
}
