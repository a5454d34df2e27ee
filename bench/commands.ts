/**
 * Every command of maps as the raw call: what an agent pays that speaks bpf(2) itself. Batches are of 1,024 elems, and a
 * nanosecond there is an elem's.
 *
 * A command that takes something away is measured together with the one that brings it back, as the row's name says.
 */
import { HashMap, type Kernel, u32, u64 } from "tsbpf";
import {
  BPF_ANY,
  BPF_BTF_LOAD,
  BPF_F_RDONLY,
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_INFO_SIZE,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_UPDATE_BATCH,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_PROG_LOAD,
  BPF_PROG_TEST_RUN,
  BPF_PROG_TYPE_SOCKET_FILTER,
  ENOENT,
  type Field,
  bpfAttr,
} from "tsbpf/uapi";
import { BtfBuilder } from "tsbpf/btf";
import { assemble, encodeInsns } from "tsbpf/program";
import { scattered } from "./keys.js";
import type { Op, Ops, Suite } from "./measure.js";
import { openKernel } from "./typed.js";

const KEYS = 1024;
const ROOM = 4096;

/** Where things lie in the one buffer of this benchmark. */
const KEY_OFF = 256;
const VALUE_OFF = 264;
const NEXT_OFF = 272;
const INFO_OFF = 320;
const BTF_OFF = 512;
const CODE_OFF = 800;
const LICENSE_OFF = 1000;
const LISTS_OFF = 1024;

const INSN_SIZE = 8;
/** The least that can be loaded, of either. */
const btf = (() => {
  const builder = new BtfBuilder();
  builder.int("u32", 4);
  return builder.bytes();
})();
const program = encodeInsns(assemble("r0 = 0\nexit"));

type Layout = Readonly<Record<string, Field>>;

/** A call with an attr of its own. */
class Command {
  readonly #call: () => number;
  readonly #view: DataView;
  readonly #layout: Layout;

  constructor(kernel: Kernel, cmd: number, layout: Layout, fields: Readonly<Record<string, number>>) {
    const end = Math.max(...Object.values(layout).map(({ off, size }) => off + size));
    const attr = kernel.alloc(end);
    this.#layout = layout;
    this.#view = new DataView(attr.bytes.buffer, attr.bytes.byteOffset, end);
    for (const [name, value] of Object.entries(fields)) this.set(name, value);
    this.#call = kernel.prepare(cmd, attr);
  }

  set(name: string, value: number): void {
    const { off, size } = this.#layout[name]!;
    if (size === 8) this.#view.setBigUint64(off, BigInt(value), true);
    else this.#view.setUint32(off, value, true);
  }

  get(name: string): number {
    return this.#view.getUint32(this.#layout[name]!.off, true);
  }

  /** Makes the call, which must succeed: what it fails with would be measured otherwise. */
  run(): number {
    const ret = this.#call();
    if (ret < 0) throw new Error(`A call failed with ${ret}`);
    return ret;
  }

  /** Makes a call that may come to the map's end. Returns whether it did not. */
  goesOn(): boolean {
    const ret = this.#call();
    if (ret < 0 && ret !== -ENOENT) throw new Error(`A call failed with ${ret}`);
    return ret >= 0;
  }
}

function commandOps(kernel: Kernel): Ops {
  const map = HashMap.create(kernel, { name: "bench", key: u32, value: u64, maxEntries: ROOM });
  const { fd } = map;
  const keys = scattered(0, KEYS);
  const buffer = kernel.alloc(LISTS_OFF + 2 * ROOM * 8);
  const { address } = buffer;
  const view = new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset, buffer.bytes.byteLength);
  const [keysOff, valuesOff] = [LISTS_OFF, LISTS_OFF + ROOM * 8];
  buffer.bytes.set(btf, BTF_OFF);
  buffer.bytes.set(program, CODE_OFF);
  buffer.bytes.set(new TextEncoder().encode("GPL"), LICENSE_OFF);
  const fillKeys = (): void => keys.forEach((key, i) => view.setUint32(keysOff + 4 * i, key, true));
  fillKeys();
  for (const key of keys) map.set(key, 1n);

  const elem = { map_fd: fd, key: address + KEY_OFF };
  const valued = { ...elem, value: address + VALUE_OFF };
  const batch = { map_fd: fd, keys: address + keysOff, values: address + valuesOff, out_batch: address + NEXT_OFF };
  const create = { map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 8, max_entries: 16 };
  const info = { bpf_fd: fd, info: address + INFO_OFF, info_len: BPF_MAP_INFO_SIZE };
  const command = (cmd: number, layout: Layout, fields: Readonly<Record<string, number>>): Command =>
    new Command(kernel, cmd, layout, fields);

  const lookup = command(BPF_MAP_LOOKUP_ELEM, bpfAttr.mapElem, valued);
  const update = command(BPF_MAP_UPDATE_ELEM, bpfAttr.mapElem, { ...valued, flags: BPF_ANY });
  const remove = command(BPF_MAP_DELETE_ELEM, bpfAttr.mapElem, elem);
  const take = command(BPF_MAP_LOOKUP_AND_DELETE_ELEM, bpfAttr.mapElem, valued);
  const nextKey = command(BPF_MAP_GET_NEXT_KEY, bpfAttr.mapElem, { ...elem, next_key: address + NEXT_OFF });
  const lookupBatch = command(BPF_MAP_LOOKUP_BATCH, bpfAttr.batch, batch);
  const takeBatch = command(BPF_MAP_LOOKUP_AND_DELETE_BATCH, bpfAttr.batch, batch);
  const updateBatch = command(BPF_MAP_UPDATE_BATCH, bpfAttr.batch, { ...batch, out_batch: 0 });
  const removeBatch = command(BPF_MAP_DELETE_BATCH, bpfAttr.batch, { ...batch, out_batch: 0, values: 0 });
  const createMap = command(BPF_MAP_CREATE, bpfAttr.mapCreate, create);
  const freeze = command(BPF_MAP_FREEZE, { map_fd: bpfAttr.mapElem.map_fd }, {});
  const infoByFd = command(BPF_OBJ_GET_INFO_BY_FD, bpfAttr.info, info);
  const nextId = command(BPF_MAP_GET_NEXT_ID, bpfAttr.getId, { start_id: map.id - 1 });
  const loadBtf = command(BPF_BTF_LOAD, bpfAttr.btfLoad, { btf: address + BTF_OFF, btf_size: btf.length });
  const code = { insns: address + CODE_OFF, insn_cnt: program.length / INSN_SIZE, license: address + LICENSE_OFF };
  const loadProgram = command(BPF_PROG_LOAD, bpfAttr.progLoad, { ...code, prog_type: BPF_PROG_TYPE_SOCKET_FILTER });
  const prog_fd = loadProgram.run();
  const runProgram = command(BPF_PROG_TEST_RUN, bpfAttr.test, { prog_fd, data_in: address, data_size_in: 64 });
  const fdById = command(BPF_MAP_GET_FD_BY_ID, bpfAttr.getId, { map_id: map.id, open_flags: BPF_F_RDONLY });

  /** Each time with the next key. */
  const keyed =
    (...commands: readonly Command[]): Op =>
    (from, n) => {
      for (let i = from; i < from + n; i++) {
        view.setUint32(KEY_OFF, keys[i % KEYS]!, true);
        for (const one of commands) one.run();
      }
      return n;
    };
  const plain =
    (once: () => void): Op =>
    (_, n) => {
      for (let i = 0; i < n; i++) once();
      return n;
    };
  /** Whole lists, as many as n elems need. */
  const lists =
    (...commands: readonly Command[]): Op =>
    (_, n) => {
      let done = 0;
      for (; done < n; done += KEYS) {
        for (const one of commands) {
          const isWalk = one === lookupBatch || one === takeBatch;
          one.set("count", isWalk ? ROOM : KEYS);
          if (isWalk) one.goesOn();
          else one.run();
          if (one.get("count") !== KEYS) throw new Error(`A batch did ${one.get("count")} of ${KEYS} elems`);
        }
      }
      return done;
    };
  return {
    LOOKUP_ELEM: keyed(lookup),
    UPDATE_ELEM: keyed(update),
    "DELETE_ELEM + UPDATE_ELEM": keyed(remove, update),
    "LOOKUP_AND_DELETE_ELEM + UPDATE_ELEM": keyed(take, update),
    GET_NEXT_KEY: (_, n) => {
      let goesOn = false;
      for (let i = 0; i < n; i++) {
        view.setUint32(KEY_OFF, goesOn ? view.getUint32(NEXT_OFF, true) : keys[0]!, true);
        goesOn = nextKey.goesOn();
      }
      return n;
    },
    "LOOKUP_BATCH, an elem": lists(lookupBatch),
    "UPDATE_BATCH, an elem": (from, n) => {
      fillKeys();
      return lists(updateBatch)(from, n);
    },
    "DELETE_BATCH + UPDATE_BATCH, an elem": lists(removeBatch, updateBatch),
    "LOOKUP_AND_DELETE_BATCH + UPDATE_BATCH, an elem": lists(takeBatch, updateBatch),
    "MAP_CREATE + close": plain(() => kernel.close(createMap.run())),
    "MAP_CREATE + MAP_FREEZE + close": plain(() => {
      const created = createMap.run();
      freeze.set("map_fd", created);
      freeze.run();
      kernel.close(created);
    }),
    OBJ_GET_INFO_BY_FD: plain(() => infoByFd.run()),
    GET_NEXT_ID: plain(() => nextId.run()),
    "GET_FD_BY_ID + close": plain(() => kernel.close(fdById.run())),
    "BTF_LOAD + close": plain(() => kernel.close(loadBtf.run())),
    "PROG_LOAD + close": plain(() => kernel.close(loadProgram.run())),
    PROG_TEST_RUN: plain(() => runProgram.run()),
  };
}

export const commandsSuite: Suite = {
  name: "commands, raw bpf() on a hash u32 -> u64",
  rows: [
    "LOOKUP_ELEM",
    "UPDATE_ELEM",
    "DELETE_ELEM + UPDATE_ELEM",
    "LOOKUP_AND_DELETE_ELEM + UPDATE_ELEM",
    "GET_NEXT_KEY",
    "LOOKUP_BATCH, an elem",
    "UPDATE_BATCH, an elem",
    "DELETE_BATCH + UPDATE_BATCH, an elem",
    "LOOKUP_AND_DELETE_BATCH + UPDATE_BATCH, an elem",
    "MAP_CREATE + close",
    "MAP_CREATE + MAP_FREEZE + close",
    "OBJ_GET_INFO_BY_FD",
    "GET_NEXT_ID",
    "GET_FD_BY_ID + close",
    "BTF_LOAD + close",
    "PROG_LOAD + close",
    "PROG_TEST_RUN",
  ],
  contenders: ["embedded", "linux"],
  open: async (contender) => commandOps(await openKernel(contender)),
};
