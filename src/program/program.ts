/**
 * Programs in a kernel: loading, test runs, pins.
 */
import {
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_LOAD,
  BPF_PROG_TEST_RUN,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE_SYSCALL,
} from "../uapi/bpf.js";
import { EBADF, EFAULT, EINVAL, ENOSPC, EPERM, ETIME } from "../uapi/errno.js";
import { type Field, bpfAttr, bpfProgInfo } from "../uapi/layouts.js";
import { cmdName } from "../uapi/names.js";
import { BPF_ATTR_SIZE, BPF_PROG_INFO_SIZE } from "../uapi/offsets.js";
import { BpfError } from "../kernels/error.js";
import type { Kernel, UserBuffer } from "../kernels/kernel.js";
import { cString, fillAttr, objGet, objPin, viewOf } from "../kernels/syscalls.js";
import { type AttachTarget, type Link, attachProgram } from "./attach.js";
import type { ExtRecord } from "./btf_ext.js";
import { type Insn, encodeInsns, slotsOf } from "../insn/insn.js";
import { ProgramFaultError } from "./program_fault.js";
import { VerifierError } from "./verifier_error.js";

/** What BPF_PROG_LOAD is asked for. */
export interface ProgramAttr {
  readonly name: string;
  /** BPF_PROG_TYPE_*. */
  readonly type: number;
  /** "GPL" gives it all helpers. */
  readonly license: string;
  readonly insns: readonly Insn[];
  /** BPF_XDP and the like, of types that are attached in several places. */
  readonly expectedAttachType?: number;
  /** BPF_F_*. */
  readonly progFlags?: number;
  /** The fd of BTF that the records' types are of; without it there are no records. */
  readonly btfFd?: number | undefined;
  readonly funcInfo?: readonly ExtRecord[];
  readonly lineInfo?: readonly ExtRecord[];
  /** The line of the source that an instruction is of, by its slot: for messages. */
  readonly sourceOf?: ((slot: number) => string | undefined) | undefined;
}

/** What a program is run with. */
export interface RunOptions {
  /** The packet, of programs that look at packets: at least 14 bytes. */
  readonly data?: Uint8Array;
  /** The context, as the program's type lays it out. */
  readonly context?: Uint8Array;
  /** How often; the duration is the average. Programs of type syscall and raw_tracepoint run once. */
  readonly repeat?: number;
  /** Room for the packet that comes out, in bytes: as much as went in and 512 unless told. */
  readonly dataOutSize?: number;
}

/** What came of it. */
export interface RunResult {
  /** What the program returned, unsigned. */
  readonly retval: number;
  /** The packet as the program left it. */
  readonly data: Uint8Array;
  /** The context as the program left it. */
  readonly context: Uint8Array;
  /** Of one run, in nanoseconds. */
  readonly durationNs: number;
}

/** attr, packet in and out, context in and out. */
type RunParts = readonly [UserBuffer, UserBuffer, UserBuffer, UserBuffer, UserBuffer];

const LOG_BYTES = [1 << 16, 1 << 20, 1 << 24] as const;
const MORE_DATA = 512;
const PROGRAM_NAME_LETTERS = 15;

/** What is known of a program that a kernel has. */
interface Known extends Pick<ProgramAttr, "name" | "type" | "expectedAttachType" | "sourceOf"> {
  readonly id?: number;
}

/** A program that a kernel has. The fd is owned: `close` gives it back. */
export class Program {
  readonly kernel: Kernel;
  readonly name: string;
  /** BPF_PROG_TYPE_*. */
  readonly type: number;
  /** BPF_XDP and the like, or 0. */
  readonly expectedAttachType: number;
  readonly id: number;
  readonly #sourceOf: ProgramAttr["sourceOf"];
  #fd: number;
  #runMemory: { readonly all: UserBuffer; readonly parts: readonly UserBuffer[] } | undefined;

  private constructor(kernel: Kernel, fd: number, attr: Known) {
    this.#sourceOf = attr.sourceOf;
    this.kernel = kernel;
    this.#fd = fd;
    this.name = attr.name;
    this.type = attr.type;
    this.expectedAttachType = attr.expectedAttachType ?? 0;
    this.id = attr.id ?? this.#idOf();
  }

  /**
   * Loads a program.
   *
   * Kernel name: BPF_PROG_LOAD.
   *
   * @throws {VerifierError} The kernel refuses the program; its log says why
   * @throws {BpfError} EPERM, E2BIG, ENOMEM, EINVAL
   */
  static load(kernel: Kernel, attr: ProgramAttr): Program {
    const ret = progLoad(kernel, attr);
    if (ret >= 0) return new Program(kernel, ret, attr);
    throw refusal(kernel, attr, ret);
  }

  /**
   * Opens a program that the kernel has, by its id: what another thread or process has loaded.
   *
   * Kernel name: BPF_PROG_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   */
  static fromId(kernel: Kernel, id: number): Program {
    using attr = kernel.alloc(BPF_ATTR_SIZE);
    fillAttr(attr, bpfAttr.getId, { prog_id: id });
    return Program.#opened(
      kernel,
      kernel.bpf(BPF_PROG_GET_FD_BY_ID, attr),
      `Cannot open program ${id}`,
      BPF_PROG_GET_FD_BY_ID,
    );
  }

  /**
   * Opens a program by its name in a bpffs.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM; EINVAL for what is no program
   */
  static open(kernel: Kernel, path: string): Program {
    return Program.#opened(kernel, objGet(kernel, path), `Cannot open program "${path}"`, BPF_OBJ_GET);
  }

  static #opened(kernel: Kernel, fd: number, what: string, cmd: number): Program {
    if (fd < 0) throw failure(what, fd, cmd);
    using info = kernel.alloc(BPF_PROG_INFO_SIZE);
    using attr = kernel.alloc(BPF_ATTR_SIZE);
    fillAttr(attr, bpfAttr.info, { bpf_fd: fd, info_len: BPF_PROG_INFO_SIZE, info: info.address });
    const ret = kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attr);
    // A map tells less of itself.
    const isProgram = ret === 0 && viewOf(attr).getUint32(bpfAttr.info.info_len.off, true) === BPF_PROG_INFO_SIZE;
    if (!isProgram) {
      kernel.close(fd);
      throw failure(what, ret < 0 ? ret : -EINVAL, BPF_OBJ_GET_INFO_BY_FD);
    }
    const { off, size } = bpfProgInfo.name;
    const name = new TextDecoder().decode(info.bytes.slice(off, off + size)).replace(/\0.*$/s, "");
    const view = viewOf(info);
    const u32 = (field: Field): number => view.getUint32(field.off, true);
    return new Program(kernel, fd, { name, type: u32(bpfProgInfo.type), id: u32(bpfProgInfo.id) });
  }

  /** -1 once it is closed. */
  get fd(): number {
    return this.#fd;
  }

  /**
   * Runs the program on a packet or a context.
   *
   * Kernel name: BPF_PROG_TEST_RUN. Since Linux 4.12; of programs of type syscall since 5.14.
   *
   * @throws {BpfError} EINVAL, also for a packet of fewer than 14 bytes; 524: programs of its type cannot be run so;
   * ENOSPC: what came out is more than there is room for
   * @throws {ProgramFaultError} The embedded kernel has ended it: it did what Linux's verifier would have refused, or did not end
   */
  run(options: RunOptions = {}): RunResult {
    const { data = new Uint8Array(), context = new Uint8Array(), repeat = 1 } = options;
    if (this.#fd < 0) throw this.#runFailure(-EBADF);
    const outSize = data.length === 0 ? 0 : (options.dataOutSize ?? data.length + MORE_DATA);
    const sizes = [BPF_ATTR_SIZE, data.length, outSize, context.length, context.length];
    const [attr, dataIn, dataOut, contextIn, contextOut] = this.#parts(sizes) as RunParts;
    dataIn.bytes.set(data);
    contextIn.bytes.set(context);
    const isSyscall = this.type === BPF_PROG_TYPE_SYSCALL;
    // What Linux runs once, and gives no context back of: syscall programs write theirs in place.
    const isTracepoint = this.type === BPF_PROG_TYPE_RAW_TRACEPOINT || this.type === BPF_PROG_TYPE_TRACEPOINT;
    const isPlain = isSyscall || isTracepoint;
    fillAttr(attr, bpfAttr.test, {
      prog_fd: this.fd,
      data_size_in: data.length,
      data_in: data.length === 0 ? 0 : dataIn.address,
      data_size_out: outSize,
      data_out: outSize === 0 ? 0 : dataOut.address,
      repeat: isPlain ? 0 : repeat,
      ctx_size_in: context.length,
      ctx_in: context.length === 0 ? 0 : contextIn.address,
      ctx_size_out: isPlain ? 0 : context.length,
      ctx_out: context.length === 0 || isPlain ? 0 : contextOut.address,
    });
    const ret = this.kernel.bpf(BPF_PROG_TEST_RUN, attr);
    if (ret < 0) throw this.#runFailure(ret);
    const view = viewOf(attr);
    const u32 = ({ off }: { readonly off: number }): number => view.getUint32(off, true);
    return {
      retval: u32(bpfAttr.test.retval),
      data: dataOut.bytes.slice(0, outSize === 0 ? 0 : u32(bpfAttr.test.data_size_out)),
      context: (isPlain ? contextIn : contextOut).bytes.slice(0, context.length),
      durationNs: u32(bpfAttr.test.duration),
    };
  }

  /**
   * Gives the program a name in a bpffs, where it stays.
   *
   * Kernel name: BPF_OBJ_PIN.
   *
   * @throws {BpfError} EEXIST, ENOENT, EPERM; EINVAL when it is closed
   */
  pin(path: string): void {
    const ret = objPin(this.kernel, this.fd, path);
    if (ret < 0) throw failure(`Cannot pin program "${this.name}" at "${path}"`, ret, BPF_OBJ_PIN);
  }

  /**
   * Has the program run where packets or events pass, until the link is closed. Of the Linux kernel alone.
   *
   * Kernel name: BPF_LINK_CREATE, BPF_RAW_TRACEPOINT_OPEN.
   *
   * @throws {BpfError} EBUSY: another program is there; EINVAL: a program of this type is not for such a place; ENODEV, ENOENT: there
   * is no such place; EPERM; EOPNOTSUPP on the embedded kernel
   */
  attach(target: AttachTarget): Link {
    return attachProgram(this, target);
  }

  /** Gives the fd back; the program goes unless something else holds it. */
  close(): void {
    if (this.#fd >= 0) this.kernel.close(this.#fd);
    this.#fd = -1;
    this.#freeRunMemory();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Memory for a run, in parts of these sizes or more: kept from one run to the next, since there may be millions. */
  #parts(sizes: readonly number[]): readonly UserBuffer[] {
    const known = this.#runMemory;
    if (known !== undefined && sizes.every((size, i) => size <= known.parts[i]!.bytes.length)) return known.parts;
    const rooms = sizes.map((size) => Math.max(64, 2 ** Math.ceil(Math.log2(size))));
    this.#freeRunMemory();
    const all = this.kernel.alloc(rooms.reduce((sum, room) => sum + room, 0));
    let start = 0;
    const parts = rooms.map((room) => {
      const part = { ...all, address: all.address + start, bytes: all.bytes.subarray(start, start + room) };
      start += room;
      return part;
    });
    this.#runMemory = { all, parts };
    return parts;
  }

  #freeRunMemory(): void {
    this.#runMemory?.all[Symbol.dispose]();
    this.#runMemory = undefined;
  }

  #runFailure(ret: number): BpfError {
    const what = `Cannot run program "${this.name}"`;
    const fault = ret === -EFAULT || ret === -ETIME ? this.kernel.fault?.() : undefined;
    return fault === undefined
      ? failure(what, ret, BPF_PROG_TEST_RUN)
      : new ProgramFaultError(what, ret, fault, this.#sourceOf);
  }

  #idOf(): number {
    using info = this.kernel.alloc(BPF_PROG_INFO_BYTES);
    using attr = this.kernel.alloc(BPF_ATTR_SIZE);
    fillAttr(attr, bpfAttr.info, { bpf_fd: this.#fd, info_len: BPF_PROG_INFO_BYTES, info: info.address });
    const ret = this.kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attr);
    if (ret < 0) throw failure(`Cannot look at program "${this.name}"`, ret, BPF_OBJ_GET_INFO_BY_FD);
    return viewOf(info).getUint32(bpfProgInfo.id.off, true);
  }
}

/** As much of `struct bpf_prog_info` as has the id. */
const BPF_PROG_INFO_BYTES = 8;

function progLoad(kernel: Kernel, program: ProgramAttr, log?: UserBuffer): number {
  const { insns, btfFd, funcInfo = [], lineInfo = [] } = program;
  using code = filled(kernel, encodeInsns(insns));
  using license = cString(kernel, program.license);
  using funcs = filled(kernel, recordBytes(funcInfo));
  using lines = filled(kernel, recordBytes(lineInfo));
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  fillAttr(attr, bpfAttr.progLoad, {
    prog_type: program.type,
    insn_cnt: slotsOf(insns),
    insns: code.address,
    license: license.address,
    prog_flags: program.progFlags ?? 0,
    prog_name: new TextEncoder().encode(program.name.slice(0, PROGRAM_NAME_LETTERS)),
    expected_attach_type: program.expectedAttachType ?? 0,
    ...(log !== undefined && { log_level: 1, log_size: log.bytes.length, log_buf: log.address }),
    ...(btfFd !== undefined && { prog_btf_fd: btfFd }),
    ...(btfFd !== undefined && funcInfo.length > 0 && records(funcInfo, funcs, "func")),
    ...(btfFd !== undefined && lineInfo.length > 0 && records(lineInfo, lines, "line")),
  });
  return kernel.bpf(BPF_PROG_LOAD, attr);
}

function records(list: readonly ExtRecord[], { address }: UserBuffer, what: "func" | "line"): Record<string, number> {
  const size = 4 * (1 + list[0]!.rest.length);
  return { [`${what}_info_rec_size`]: size, [`${what}_info`]: address, [`${what}_info_cnt`]: list.length };
}

function recordBytes(list: readonly ExtRecord[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(list.flatMap(({ insnOff, rest }) => [insnOff, ...rest])).buffer);
}

/** The exception for a program that was not loaded: loads it once more, for the log. */
function refusal(kernel: Kernel, attr: ProgramAttr, ret: number): BpfError {
  const what = `Cannot load program "${attr.name}"`;
  if (ret === -EPERM) return failure(what, ret, BPF_PROG_LOAD);
  for (const size of LOG_BYTES) {
    using log = kernel.alloc(size);
    const again = progLoad(kernel, attr, log);
    // What was in the way is gone: nobody has asked for this fd.
    if (again >= 0) kernel.close(again);
    if (again === -ENOSPC) continue;
    const text = new TextDecoder().decode(log.bytes.slice(0, Math.max(0, log.bytes.indexOf(0))));
    if (text !== "") return new VerifierError(what, ret, text);
    break;
  }
  return failure(what, ret, BPF_PROG_LOAD);
}

function filled(kernel: Kernel, bytes: Uint8Array): UserBuffer {
  const buffer = kernel.alloc(Math.max(bytes.length, 1));
  buffer.bytes.set(bytes);
  return buffer;
}

function failure(what: string, ret: number, cmd: number): BpfError {
  return new BpfError(what, ret, { cmd: cmdName(cmd) });
}
