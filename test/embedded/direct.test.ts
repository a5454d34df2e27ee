/**
 * The short way gives what bpf() gives: random operations on twin maps, one by each way.
 */
import fc from "fast-check";
import { type EmbeddedKernel, HashMap, bytes, struct, u32, u64 } from "tsbpf";
import { BPF_F_NO_PREALLOC, BPF_F_RDONLY, BPF_F_WRONLY, BPF_MAP_GET_FD_BY_ID, EEXIST, ENOENT } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { RawMap } from "../raw_map.js";
import { call, mapTypes, open } from "./_kernel.js";

interface Op {
  readonly what: "lookup" | "update" | "remove";
  readonly key: number;
  readonly flags: number;
  readonly value: Uint8Array;
  /** Whether a key of four bytes is given as an argument. */
  readonly byArgument: boolean;
}

const shapes: {
  type: keyof typeof mapTypes;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  mapFlags?: number;
}[] = [
  { type: "HashMap", keySize: 4, valueSize: 8, maxEntries: 6 },
  { type: "HashMap", keySize: 4, valueSize: 3, maxEntries: 6 },
  { type: "HashMap", keySize: 8, valueSize: 4, maxEntries: 6 },
  { type: "HashMap", keySize: 5, valueSize: 200, maxEntries: 6 },
  { type: "HashMap", keySize: 300, valueSize: 1, maxEntries: 6 },
  { type: "HashMap", keySize: 16, valueSize: 24, maxEntries: 6, mapFlags: BPF_F_NO_PREALLOC },
  { type: "ArrayMap", keySize: 4, valueSize: 8, maxEntries: 6 },
  { type: "ArrayMap", keySize: 4, valueSize: 20, maxEntries: 6 },
  { type: "PerCpuHashMap", keySize: 4, valueSize: 8, maxEntries: 6 },
  { type: "PerCpuHashMap", keySize: 9, valueSize: 20, maxEntries: 6 },
  { type: "PerCpuArray", keySize: 4, valueSize: 4, maxEntries: 6 },
  { type: "PerCpuArray", keySize: 4, valueSize: 40, maxEntries: 6 },
];

const ops = (valueBytes: number) =>
  fc.array(
    fc.record<Op>({
      what: fc.constantFrom("lookup", "update", "update", "remove"),
      // Some more keys than the map has room for.
      key: fc.integer({ min: 0, max: 8 }),
      flags: fc.constantFrom(0, 0, 0, 1, 2, 3),
      value: fc.uint8Array({ minLength: valueBytes, maxLength: valueBytes }),
      byArgument: fc.boolean(),
    }),
    { minLength: 1, maxLength: 60 },
  );

describe.each(shapes.map((shape) => ({ name: `${shape.type} ${shape.keySize}/${shape.valueSize}`, ...shape })))(
  "$name",
  ({ type, keySize, valueSize, maxEntries, mapFlags = 0 }) => {
    it("answers the same both ways", async () => {
      const kernel = await open({ possibleCpus: 3, maxMemory: 2 ** 24 });
      const isPerCpu = type.startsWith("PerCpu");
      const valueBytes = isPerCpu ? ((valueSize + 7) & ~7) * 3 : valueSize;
      const options = { key: bytes(keySize), value: bytes(valueSize), maxEntries, mapFlags };
      const create = () => mapTypes[type].create(kernel, options);
      fc.assert(
        fc.property(ops(valueBytes), (sequence) => {
          using one = create();
          using other = create();
          using raw = new RawMap(kernel, one.fd, keySize, valueBytes);
          using direct = kernel.direct(other.fd)!;
          const directKey = new DataView(direct.key.bytes.buffer, direct.key.bytes.byteOffset, keySize);
          for (const { what, key, flags, value, byArgument } of sequence) {
            for (const view of [raw.key, directKey]) {
              for (let i = 0; i < keySize; i++) view.setUint8(i, i * 7);
              view.setUint32(0, key, true);
            }
            new Uint8Array(raw.value.buffer, raw.value.byteOffset, valueBytes).set(value);
            direct.value.bytes.set(value);
            const short = keySize === 4 && byArgument;
            if (short) directKey.setUint32(0, 0xffff, true);
            const [wanted, found] =
              what === "lookup"
                ? [raw.lookup(), short ? direct.lookupElem4(key) : direct.lookupElem()]
                : what === "update"
                  ? [raw.update(flags), short ? direct.updateElem4(key, flags) : direct.updateElem(flags)]
                  : [raw.remove(), short ? direct.deleteElem4(key) : direct.deleteElem()];
            expect(found).toBe(wanted);
            expect([...direct.value.bytes]).toEqual([
              ...new Uint8Array(raw.value.buffer, raw.value.byteOffset, valueBytes),
            ]);
          }
          expect(direct.count()).toBe(one.count());
          const elems = (map: Iterable<unknown>): string[] => [...map].map((elem) => JSON.stringify(elem)).toSorted();
          expect(elems(other)).toEqual(elems(one));
        }),
        { numRuns: 60, seed: Number(process.env["TEST_SEED"] ?? Date.now() & 0x7fffffff) },
      );
    });
  },
);

describe.each(shapes.map((shape) => ({ name: `${shape.type} ${shape.keySize}/${shape.valueSize}`, ...shape })))(
  "many keys of a $name",
  ({ type, keySize, valueSize, maxEntries, mapFlags = 0 }) => {
    const align8 = (size: number): number => (size + 7) & ~7;
    /** Keys of a list; those from 6 on are no indices of an array, or more than a hash has room for. */
    const keys = fc.array(fc.integer({ min: 0, max: 7 }), { maxLength: 20 });

    it("answers as one after the other do, up to the first that fails", async () => {
      const kernel = await open({ possibleCpus: 3, maxMemory: 2 ** 24 });
      const valueBytes = type.startsWith("PerCpu") ? align8(valueSize) * 3 : valueSize;
      const options = { key: bytes(keySize), value: bytes(valueSize), maxEntries, mapFlags };
      const create = () => mapTypes[type].create(kernel, options);
      const keyStep = align8(keySize);
      const valueStep = align8(valueBytes);
      const room = 20;
      using buffer = kernel.alloc(room * (keyStep + valueStep) + 4 * room);
      const keysAt = buffer.address;
      const valuesAt = keysAt + room * keyStep;
      const retsAt = valuesAt + room * valueStep;
      const rets = new Int32Array(buffer.bytes.buffer, retsAt, room);
      const keyBytes = (n: number): Uint8Array =>
        Uint8Array.from({ length: keySize }, (_, i) => (i === 0 ? n : i < 4 ? 0 : i));
      const valueOf = (n: number): Uint8Array => Uint8Array.from({ length: valueBytes }, (_, i) => n * 31 + i);
      fc.assert(
        fc.property(keys, keys, keys, fc.constantFrom(0, 0, 1, 2, 3), (first, second, third, flags) => {
          using one = create();
          using other = create();
          using single = kernel.direct(one.fd)!;
          using many = kernel.direct(other.fd)!;
          const fill = (list: readonly number[]): void => {
            buffer.bytes.fill(0xee);
            for (const [i, key] of list.entries()) {
              buffer.bytes.set(keyBytes(key), i * keyStep);
              buffer.bytes.set(valueOf(i), room * keyStep + i * valueStep);
            }
          };
          /** Does it one by one: what comes of each, up to the first that fails. */
          const each = (list: readonly number[], benign: number, call: (i: number) => number): [number, number[]] => {
            const errnos: number[] = [];
            for (const [i, key] of list.entries()) {
              single.key.bytes.set(keyBytes(key));
              single.value.bytes.set(valueOf(i));
              errnos.push(call(i));
              if (errnos[i] !== 0 && errnos[i] !== benign) return [i, errnos];
            }
            return [list.length, errnos];
          };
          const compare = (list: readonly number[], [done, errnos]: [number, number[]], found: number): void => {
            expect(found).toBe(done);
            expect([...rets.subarray(0, errnos.length)]).toEqual(errnos);
            // Nothing behind it was touched.
            expect([...rets.subarray(errnos.length, list.length)].every((ret) => ret === 0xeeeeeeee >> 0)).toBe(true);
          };
          for (const [list, how] of [
            [first, 0],
            [second, flags],
          ] as const) {
            const wanted = each(list, how === 1 ? -EEXIST : how === 2 ? -ENOENT : 0, () => single.updateElem(how));
            fill(list);
            compare(list, wanted, many.updateMany(keysAt, valuesAt, retsAt, list.length, how));
          }
          const values: Uint8Array[] = [];
          const wanted = each(third, -ENOENT, (i) => {
            const ret = single.lookupElem();
            values[i] = single.value.bytes.slice();
            return ret;
          });
          fill(third);
          compare(third, wanted, many.lookupMany(keysAt, valuesAt, retsAt, third.length));
          for (const [i, value] of values.entries()) {
            const at = room * keyStep + i * valueStep;
            expect([...buffer.bytes.subarray(at, at + valueBytes)]).toEqual([...value]);
            expect(buffer.bytes.subarray(at + valueBytes, at + valueStep).every((byte) => byte === 0xee)).toBe(true);
          }
          const gone = each(third, -ENOENT, () => single.deleteElem());
          fill(third);
          compare(third, gone, many.deleteMany(keysAt, retsAt, third.length));
          expect(many.count()).toBe(single.count());
        }),
        { numRuns: 40, seed: Number(process.env["TEST_SEED"] ?? Date.now() & 0x7fffffff) },
      );
    });
  },
);

describe("addElem", () => {
  const pair = struct({ a: u64, b: u64 });

  it.each([
    ["HashMap", 8],
    ["HashMap", 24],
    ["ArrayMap", 8],
    ["ArrayMap", 24],
    ["PerCpuHashMap", 24],
    ["PerCpuArray", 24],
  ] as const)("of a %s of %i bytes adds to its lanes, and to nothing else", async (type, valueSize) => {
    const kernel = await open({ possibleCpus: 1 });
    using map = mapTypes[type].create(kernel, { key: u32, value: bytes(valueSize), maxEntries: 4 });
    const lanes = [
      { offset: 0, width: 1 },
      { offset: 2, width: 2 },
      { offset: 4, width: 4 },
    ];
    using direct = kernel.direct(map.fd, { lanes })!;
    for (let times = 1; times <= 3; times++) {
      direct.value.bytes.fill(0xff);
      direct.value.bytes.set([100, 0xff, 0x00, 0x80, 1, 0, 0, 0]);
      expect(direct.addElem4(2)).toBe(0);
      expect(direct.lookupElem4(2)).toBe(0);
      const view = new DataView(direct.value.bytes.buffer, direct.value.bytes.byteOffset, valueSize);
      expect([view.getUint8(0), view.getUint8(1), view.getUint16(2, true), view.getUint32(4, true)]).toEqual([
        (100 * times) & 0xff,
        0,
        (0x8000 * times) & 0xffff,
        times,
      ]);
      // An elem that was absent started at zero: also where no lane is.
      expect([...direct.value.bytes.subarray(8)]).toEqual(Array(valueSize - 8).fill(0));
    }
  });

  it("refuses lanes outside of the value or not aligned, and holds nothing then", async () => {
    const kernel = await open();
    const map = HashMap.create(kernel, { key: u32, value: pair, maxEntries: 4 });
    for (const [offset, width] of [
      [16, 1],
      [12, 8],
      [4, 8],
      [1, 2],
      [0, 3],
      [0, 16],
    ] as const) {
      expect(() => kernel.direct(map.fd, { lanes: [{ offset, width }] })).toThrow(
        new RangeError("Lanes must lie aligned in the map's value of 16 bytes"),
      );
    }
    map.close();
    expect(kernel.usage()).toEqual({ fds: 0, maps: 0, bytes: 0 });
  });
});

describe("who gets a short way", () => {
  const byId = (kernel: EmbeddedKernel, map_id: number, open_flags: number): number =>
    call(kernel, BPF_MAP_GET_FD_BY_ID, "getId", { map_id, open_flags });

  it("not fds that may not read and write, nor what is no fd", async () => {
    const kernel = await open();
    const map = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 4 });
    for (const flags of [BPF_F_RDONLY, BPF_F_WRONLY]) {
      const fd = byId(kernel, map.id, flags);
      expect(kernel.direct(fd)).toBeUndefined();
      kernel.close(fd);
      expect(kernel.direct(fd)).toBeUndefined();
    }
    for (const fd of [-1, 0, 2, 65535, 65536, 2 ** 31]) expect(kernel.direct(fd)).toBeUndefined();
    map.close();
  });

  it("its map lives as long as it does", async () => {
    const kernel = await open();
    const map = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 4, btf: false });
    const { fd, id } = map;
    const direct = kernel.direct(fd)!;
    map.close();
    const again = byId(kernel, id, 0);
    expect(again).toBe(fd);
    kernel.close(again);
    direct.value.bytes.fill(1);
    expect(direct.updateElem4(7, 0)).toBe(0);
    expect(direct.lookupElem4(7)).toBe(0);
    expect(kernel.usage()).toMatchObject({ fds: 0, maps: 1 });
    direct[Symbol.dispose]();
    direct[Symbol.dispose]();
    expect(kernel.usage()).toEqual({ fds: 0, maps: 0, bytes: 0 });
  });
});
