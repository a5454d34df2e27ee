/**
 * How a story is told: what a map type or a command answers, step by step, to no kernel in particular.
 *
 * A story is a list of rules. A rule makes maps and commands through a Teller, and says what each must answer; the first
 * answer that is another one ends it. What a rule leaves open or pinned is closed behind it.
 */
import {
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_INFO_SIZE,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET_INFO_BY_FD,
  ENOENT,
  bpfMapInfo,
} from "tsbpf/uapi";
import { answerText } from "../machine/answer_text.js";
import { INFO, KEY, NEXT, VALUE } from "../machine/arena.js";
import { type Answer, type AttrGroup, type Command, type Step, type Word, stepText } from "../machine/command.js";
import type { Machine } from "../machine/machine.js";
import { valueBytes } from "../machine/probe.js";

/** Rules by what they say. */
export type Story = Readonly<Record<string, (t: Teller) => void>>;

/** The slot of an fd. */
export type Fd = { readonly fd: number };
export type Fields = Readonly<Record<string, Word>>;
type Data = NonNullable<Command["data"]>;

/** Four bytes, little endian. */
export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Eight bytes, little endian. */
export function u64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

/** So many bytes from `first` on: first, first + 1, ... */
export function run(length: number, first = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => first + i);
}

/** A map's name, in Latin-1. */
export function name(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

export class Teller {
  /** All that was answered so far, in order. */
  readonly answers: Answer[] = [];
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  get possibleCpus(): number {
    return this.#machine.kernel.possibleCpus;
  }

  /** Bytes of a value of this size, as system calls have it. */
  slotBytes(type: number, valueSize: number): number {
    return valueBytes({ type, valueSize }, this.possibleCpus);
  }

  /** What lies in the arena now. */
  bytesAt(offset: number, length: number): Uint8Array {
    return this.#machine.arena.bytes.slice(offset, offset + length);
  }

  /** The address of an offset of the arena, for a pointer that is no field of attr. */
  addressOf(offset: number): number {
    return this.#machine.arena.address + offset;
  }

  /** Does a step. `wanted`: what it must return. */
  does(step: Step, wanted?: number): Answer {
    const answer = this.#machine.run(step);
    this.answers.push(answer);
    if (wanted !== undefined && answer.ret !== wanted) {
      throw new Error(
        `${stepText(step)} returned ${answerText(answer)}: expected ${answerText({ ret: wanted, wrote: "" })}`,
      );
    }
    return answer;
  }

  /** One command, without the arguments that most have. */
  command(cmd: number, group: AttrGroup, fields: Fields, wanted: number, rest: Partial<Command> = {}): Answer {
    return this.does({ op: "bpf", cmd, group, fields, ...rest }, wanted);
  }

  /** BPF_MAP_CREATE that succeeds. */
  create(fields: Fields, rest: Partial<Command> = {}): Fd {
    return this.opens(BPF_MAP_CREATE, "mapCreate", fields, rest);
  }

  /** A command that gives an fd. */
  opens(cmd: number, group: AttrGroup, fields: Fields, rest: Partial<Command> = {}): Fd {
    const step: Command = { op: "bpf", cmd, group, fields, ...rest };
    const answer = this.does(step);
    if (answer.ret < 0) throw new Error(`${stepText(step)} returned ${answerText(answer)}: expected an fd`);
    return { fd: answer.ret };
  }

  /** BPF_MAP_CREATE that fails. */
  refuses(wanted: number, fields: Fields, rest: Partial<Command> = {}): void {
    this.command(BPF_MAP_CREATE, "mapCreate", fields, wanted, rest);
  }

  /** BPF_MAP_UPDATE_ELEM. Of a map of maps, or an array of programs, the value is an fd. */
  update(fd: Fd | number, key: Uint8Array, value: Uint8Array | Fd, flags: number | bigint = 0, wanted = 0): void {
    const fields = { map_fd: fd, key: { to: KEY }, value: { to: VALUE }, flags };
    this.command(BPF_MAP_UPDATE_ELEM, "mapElem", fields, wanted, {
      data: [
        [KEY, key],
        [VALUE, value],
      ],
    });
  }

  /** BPF_MAP_LOOKUP_ELEM: `wanted` is the value, and nothing but it is written; or an errno, and nothing is. */
  lookup(fd: Fd | number, key: Uint8Array, wanted: Uint8Array | number, flags: number | bigint = 0): void {
    const before = new Uint8Array(8192).fill(0xa5);
    const fields = { map_fd: fd, key: { to: KEY }, value: { to: VALUE }, flags };
    const data: Data = [
      [KEY, key],
      [VALUE, before],
    ];
    this.command(BPF_MAP_LOOKUP_ELEM, "mapElem", fields, typeof wanted === "number" ? wanted : 0, { data });
    if (typeof wanted !== "number") before.set(wanted);
    this.equal("The value", this.bytesAt(VALUE, before.length), before);
  }

  /** BPF_MAP_UPDATE_ELEM of a map without keys. */
  push(fd: Fd | number, value: Uint8Array, flags: number | bigint = 0, wanted = 0): void {
    const fields = { map_fd: fd, key: 0, value: { to: VALUE }, flags };
    this.command(BPF_MAP_UPDATE_ELEM, "mapElem", fields, wanted, { data: [[VALUE, value]] });
  }

  /** BPF_MAP_LOOKUP_ELEM of a map without keys, as `lookup`. */
  peek(fd: Fd | number, wanted: Uint8Array | number): void {
    this.#takes(BPF_MAP_LOOKUP_ELEM, fd, wanted);
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_ELEM of a map without keys, as `lookup`. */
  pop(fd: Fd | number, wanted: Uint8Array | number, flags: number | bigint = 0): void {
    this.#takes(BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, wanted, flags);
  }

  #takes(cmd: number, fd: Fd | number, wanted: Uint8Array | number, flags: number | bigint = 0): void {
    const before = new Uint8Array(4096).fill(0xa5);
    const fields = { map_fd: fd, key: 0, value: { to: VALUE }, flags };
    this.command(cmd, "mapElem", fields, typeof wanted === "number" ? wanted : 0, { data: [[VALUE, before]] });
    if (typeof wanted !== "number") before.set(wanted);
    this.equal("The value", this.bytesAt(VALUE, before.length), before);
  }

  delete(fd: Fd | number, key: Uint8Array, wanted = 0): void {
    this.command(BPF_MAP_DELETE_ELEM, "mapElem", { map_fd: fd, key: { to: KEY } }, wanted, { data: [[KEY, key]] });
  }

  /** BPF_MAP_GET_NEXT_KEY, `key` undefined for NULL: `wanted` is the key that follows, or a return. */
  next(fd: Fd | number, key: Uint8Array | undefined, wanted: Uint8Array | number): void {
    const fields = { map_fd: fd, key: key === undefined ? 0 : { to: KEY }, next_key: { to: NEXT } };
    const data: Data = key === undefined ? [] : [[KEY, key]];
    this.command(BPF_MAP_GET_NEXT_KEY, "mapElem", fields, typeof wanted === "number" ? wanted : 0, { data });
    if (typeof wanted !== "number") this.equal("The next key", this.bytesAt(NEXT, wanted.length), wanted);
  }

  /** Any key that BPF_MAP_GET_NEXT_KEY says follows, where that is the kernel's to choose; undefined after the last. */
  follower(fd: Fd, key: Uint8Array | undefined, keySize: number): Uint8Array | undefined {
    const fields = { map_fd: fd, key: key === undefined ? 0 : { to: KEY }, next_key: { to: NEXT } };
    const data: Data =
      key === undefined
        ? [[NEXT, run(keySize)]]
        : [
            [KEY, key],
            [NEXT, run(keySize)],
          ];
    this.does({ op: "bpf", cmd: BPF_MAP_GET_NEXT_KEY, group: "mapElem", fields, data });
    const found = this.#machine.nextKey.slice(0, keySize);
    return Buffer.compare(found, run(keySize)) === 0 ? undefined : found;
  }

  /** All elems, by keys and by batches, are these. `elems`: "key=value" in hex, sorted. */
  holds(fd: Fd, elems: readonly string[], batch = 4): void {
    for (const step of [
      { op: "walk", fd },
      { op: "walk", fd, batch },
    ] as const) {
      const { wrote } = this.does(step, elems.length);
      if (wrote !== elems.join(",")) throw new Error(`${stepText(step)} found ${wrote}: expected ${elems.join(",")}`);
    }
  }

  /** BPF_OBJ_GET_INFO_BY_FD: these fields are these. */
  info(fd: Fd, wanted: Partial<Record<keyof typeof bpfMapInfo, number | bigint | Uint8Array>>): void {
    const fields = { bpf_fd: fd, info_len: BPF_MAP_INFO_SIZE, info: { to: INFO } };
    const data: Data = [[INFO, new Uint8Array(BPF_MAP_INFO_SIZE)]];
    this.command(BPF_OBJ_GET_INFO_BY_FD, "info", fields, 0, { data });
    for (const [field, value] of Object.entries(wanted)) {
      const { off, size } = bpfMapInfo[field as keyof typeof bpfMapInfo];
      const bytes = new Uint8Array(size);
      bytes.set(value instanceof Uint8Array ? value : u64(value).subarray(0, size));
      this.equal(`bpf_map_info.${field}`, this.bytesAt(INFO + off, size), bytes);
    }
  }

  /** BPF_MAP_GET_NEXT_ID leads to these maps of ours: numbers by age, separated by commas. */
  findsIds(wanted: string): void {
    const { wrote } = this.does({ op: "ids" }, -ENOENT);
    if (wrote !== wanted) throw new Error(`Ids lead to the maps ${wrote}: expected ${wanted}`);
  }

  close(fd: Fd, wanted = 0): void {
    this.does({ op: "close", fd }, wanted);
  }

  equal(what: string, found: Uint8Array, wanted: Uint8Array): void {
    if (Buffer.compare(found, wanted) === 0) return;
    const end = Math.max(...[found, wanted].map((bytes) => bytes.findLastIndex((byte) => byte !== 0xa5 && byte !== 0)));
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(0, end + 1)).toString("hex");
    throw new Error(`${what} is ${hex(found)}: expected ${hex(wanted)}`);
  }
}
