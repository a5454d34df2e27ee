/**
 * ArrayOfMaps and HashOfMaps: what each method promises.
 */
import {
  ArrayMap,
  ArrayOfMaps,
  BloomFilter,
  BpfError,
  GenericMap,
  HashMap,
  HashOfMaps,
  type Kernel,
  LpmTrie,
  LruHashMap,
  PerCpu,
  PerCpuArray,
  PerCpuHashMap,
  ProgramArray,
  QueueMap,
  RingBuffer,
  StackMap,
  type TypedMap,
  ipv4,
  prefix4,
  u32,
  u64,
} from "tsbpf";
import { BPF_F_INNER_MAP, BPF_F_NO_PREALLOC, BPF_F_RDONLY, BPF_F_WRONLY } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { forEachWay, replaced, thrownBy, useBpffs } from "./_ways.js";

type Counts = HashMap<number, bigint>;

forEachWay((way) => {
  const counts = (kernel: Kernel, option: object = {}): Counts =>
    HashMap.create(kernel, { name: "counts", key: u32, value: u64, maxEntries: 8, ...option });

  /** Both classes, with u32 keys. */
  const outers = [
    [
      "ArrayOfMaps",
      (kernel: Kernel, option: object = {}) =>
        ArrayOfMaps.create(kernel, { name: "outer", maxEntries: 4, inner: () => counts(kernel), ...option }),
    ],
    [
      "HashOfMaps",
      (kernel: Kernel, option: object = {}) =>
        HashOfMaps.create(kernel, { name: "outer", key: u32, maxEntries: 4, inner: () => counts(kernel), ...option }),
    ],
  ] as const;

  describe.each(outers)("%s", (_, create) => {
    it("holds maps, and opens them", () => {
      const kernel = way();
      using outer = create(kernel);
      using first = counts(kernel);
      using second = counts(kernel);
      first.set(1, 10n);
      second.set(1, 20n);
      expect([outer.get(1), outer.getId(1), outer.has(1), outer.count()]).toEqual([undefined, undefined, false, 0]);
      outer.set(1, first);
      outer.set(3, second);
      expect([outer.getId(1), outer.getId(3), outer.has(3), outer.count()]).toEqual([first.id, second.id, true, 2]);
      using found = outer.get(1);
      expect(found).toBeInstanceOf(HashMap);
      expect([found?.id, found?.get(1)]).toEqual([first.id, 10n]);
      found?.set(2, 11n);
      expect(first.get(2)).toBe(11n);
      outer.set(1, second);
      using other = outer.get(1);
      expect(other?.get(1)).toBe(20n);
      expect(outer.delete(1)).toBe(true);
      expect(outer.delete(1)).toBe(false);
      expect(outer.get(1)).toBeUndefined();
      outer.clear();
      expect([...outer]).toEqual([]);
    });

    it("an inner map lives as long as it is in there, or open", () => {
      const kernel = way();
      using outer = create(kernel);
      const first = counts(kernel);
      first.set(7, 70n);
      const { id } = first;
      outer.set(2, first);
      first.close();
      {
        using found = outer.get(2);
        expect(found?.get(7)).toBe(70n);
        outer.delete(2);
        expect(found?.get(7)).toBe(70n);
      }
      const ends = (): boolean => {
        try {
          HashMap.fromId(kernel, id, { key: u32, value: u64 }).close();
          return false;
        } catch (error) {
          return (error as BpfError).code === "ENOENT";
        }
      };
      // Linux frees maps some time later.
      if (kernel.name === "embedded") expect(ends()).toBe(true);
    });

    it("walks: keys and ids, and each map opened", () => {
      const kernel = way();
      using outer = create(kernel);
      const ids = new Map<number, number>();
      for (const key of [0, 2, 3]) {
        using inner = counts(kernel);
        inner.set(0, BigInt(key));
        outer.set(key, inner);
        ids.set(key, inner.id);
      }
      expect(new Map(outer)).toEqual(ids);
      expect([...outer.keys()].toSorted((a, b) => a - b)).toEqual([0, 2, 3]);
      const seen: [number, bigint | undefined][] = [];
      const open: Counts[] = [];
      outer.forEach((inner, key, map) => {
        expect(map).toBe(outer);
        seen.push([key, inner.get(0)]);
        open.push(inner);
      });
      expect(seen.toSorted(([a], [b]) => a - b)).toEqual([
        [0, 0n],
        [2, 2n],
        [3, 3n],
      ]);
      expect(open.map(({ fd }) => fd)).toEqual([-1, -1, -1]);
      expect(() =>
        outer.forEach(() => {
          throw new Error("enough");
        }),
      ).toThrow("enough");
    });

    it("says in what a map differs from the template", () => {
      const kernel = way();
      using outer = create(kernel);
      const refused = (inner: TypedMap): string => {
        const error = thrownBy(() => (outer as { set(key: number, map: TypedMap): unknown }).set(1, inner)) as BpfError;
        expect(error).toMatchObject({ code: "EINVAL", cmd: "BPF_MAP_UPDATE_ELEM", details: { key: 1 } });
        inner.close();
        return error.hint ?? "";
      };
      const does = "the map does not fit, all that are in there must be alike:";
      expect(refused(ArrayMap.create(kernel, { value: u64, maxEntries: 8 }))).toBe(
        `${does} it is of type array, and not hash`,
      );
      expect(refused(HashMap.create(kernel, { key: u64, value: u64, maxEntries: 8 }))).toBe(
        `${does} its keySize is 8, and not 4`,
      );
      expect(refused(HashMap.create(kernel, { key: u32, value: u32, maxEntries: 8 }))).toBe(
        `${does} its valueSize is 4, and not 8`,
      );
      expect(refused(counts(kernel, { mapFlags: BPF_F_NO_PREALLOC }))).toBe(`${does} its mapFlags is 1, and not 0`);
      // Hashes may have any maxEntries.
      using longer = counts(kernel, { maxEntries: 99 });
      outer.set(1, longer);
    });

    it("opened by id, what is in it says so", () => {
      const kernel = way();
      using created = create(kernel);
      const openInner = (id: number): Counts => HashMap.fromId(kernel, id, { key: u32, value: u64 });
      using outer =
        created instanceof ArrayOfMaps
          ? ArrayOfMaps.fromId(kernel, created.id, { openInner })
          : HashOfMaps.fromId(kernel, created.id, { key: u32, openInner });
      using small = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 8 });
      const hint = (): string | undefined =>
        (thrownBy(() => (outer as { set(key: number, map: TypedMap): unknown }).set(2, small)) as BpfError).hint;
      expect(hint()).toBe(
        "the map does not fit: all that are in there have one type, keySize, valueSize, mapFlags, and arrays one maxEntries",
      );
      using one = counts(kernel);
      outer.set(1, one);
      expect(hint()).toBe("the map does not fit, all that are in there must be alike: its valueSize is 4, and not 8");
      using found = outer.get(1);
      expect(found?.id).toBe(one.id);
      expect(() => HashMap.fromId(kernel, created.id, { key: u32, value: u32 })).toThrow(
        /its type is (array|hash)_of_maps/,
      );
      expect(() => ArrayOfMaps.fromId(kernel, one.id, { openInner })).toThrow(/its type is hash, wanted array_of_maps/);
      expect(() => HashOfMaps.fromId(kernel, one.id, { key: u32, openInner })).toThrow(/wanted hash_of_maps/);
    });

    it("refuses what is no map, or another kernel's", () => {
      const kernel = way();
      using outer = create(kernel);
      const put = (inner: unknown): Error => thrownBy(() => outer.set(1, inner as Counts));
      expect(put(7)).toEqual(new TypeError("inner: wanted a typed map, found a number"));
      expect(put(undefined)).toEqual(new TypeError("inner: wanted a typed map, found nothing"));
      using other = counts(replaced(kernel, {}));
      expect(put(other)).toEqual(new TypeError("inner: wanted a map of the same kernel"));
      expect(thrownBy(() => create(kernel, { inner: undefined }))).toBeInstanceOf(TypeError);
      expect(thrownBy(() => create(kernel, { inner: () => 7 }))).toBeInstanceOf(TypeError);
      using good = counts(kernel);
      expect(() => outer.set(-1, good)).toThrow(RangeError);
      expect(outer.count()).toBe(0);
    });

    it("closed maps are EBADF", () => {
      const kernel = way();
      const outer = create(kernel);
      const inner = counts(kernel);
      inner.close();
      const hint = "the inner map is closed, or the map of maps itself";
      expect(thrownBy(() => outer.set(1, inner))).toMatchObject({ code: "EBADF", hint });
      expect(thrownBy(() => create(kernel, { inner }))).toMatchObject({ code: "EBADF", hint });
      outer.close();
      outer.close();
      using open = counts(kernel);
      expect(thrownBy(() => outer.set(1, open))).toMatchObject({ code: "EBADF", hint });
      for (const call of [() => outer.get(1), () => outer.delete(1), () => [...outer], () => outer.count()]) {
        expect(thrownBy(call)).toMatchObject({ code: "EBADF", hint: "the map is closed" });
      }
    });

    it("templates that are none", () => {
      const kernel = way();
      using outer = create(kernel);
      expect(thrownBy(() => create(kernel, { inner: outer }))).toMatchObject({
        code: "EINVAL",
        hint: "maps of maps do not hold maps of maps: there is one level only",
      });
      using programs = ProgramArray.create(kernel, { maxEntries: 1 });
      expect(thrownBy(() => create(kernel, { inner: programs }))).toMatchObject({
        code: "ENOTSUPP",
        hint: "maps of type prog_array cannot go into a map of maps",
      });
    });

    it("read-only and write-only fds, and frozen maps", () => {
      const kernel = way();
      using one = counts(kernel);
      using reader = create(kernel, { mapFlags: BPF_F_RDONLY });
      expect(reader.get(1)).toBeUndefined();
      expect(thrownBy(() => reader.set(1, one))).toMatchObject({ code: "EPERM" });
      expect(thrownBy(() => reader.delete(1))).toMatchObject({ code: "EPERM" });
      using writer = create(kernel, { mapFlags: BPF_F_WRONLY });
      writer.set(1, one);
      expect(thrownBy(() => writer.get(1))).toMatchObject({ code: "EPERM" });
      using frozen = create(kernel);
      frozen.set(1, one);
      frozen.freeze();
      using found = frozen.get(1);
      found?.set(5, 5n);
      expect(one.get(5)).toBe(5n);
      expect(thrownBy(() => frozen.set(1, one))).toMatchObject({ code: "EPERM" });
    });

    it("a map that goes while it is being opened is looked up again", () => {
      const kernel = way();
      using created = create(kernel);
      using first = counts(kernel);
      using second = counts(kernel);
      created.set(1, first);
      let gone = 0;
      const openInner = (id: number): Counts => {
        if (gone++ === 0) {
          created.set(1, second);
          throw new BpfError("Cannot open", -2, { cmd: "BPF_MAP_GET_FD_BY_ID" });
        }
        return HashMap.fromId(kernel, id, { key: u32, value: u64 });
      };
      using outer =
        created instanceof ArrayOfMaps
          ? ArrayOfMaps.fromId(kernel, created.id, { openInner })
          : HashOfMaps.fromId(kernel, created.id, { key: u32, openInner });
      using found = outer.get(1);
      expect([found?.id, gone]).toEqual([second.id, 2]);
      // What is there, and cannot be opened all the same, is an error.
      const always = (): never => {
        throw new BpfError("Cannot open", -2, { cmd: "BPF_MAP_GET_FD_BY_ID" });
      };
      using broken =
        created instanceof ArrayOfMaps
          ? ArrayOfMaps.fromId(kernel, created.id, { openInner: always })
          : HashOfMaps.fromId(kernel, created.id, { key: u32, openInner: always });
      expect(thrownBy(() => broken.get(1))).toMatchObject({ code: "ENOENT" });
    });
  });

  it("inner maps of any class come back as such", () => {
    const kernel = way();
    const makers: readonly [make: () => TypedMap, use: (map: never) => void][] = [
      [() => ArrayMap.create(kernel, { value: u64, maxEntries: 2 }), (map: ArrayMap<bigint>) => map.add(1, 1n)],
      [() => LpmTrie.create(kernel, { key: prefix4, value: u32, maxEntries: 2 }), trieUse],
      [() => PerCpuArray.create(kernel, { value: u64, maxEntries: 2 }), perCpuUse],
      [() => PerCpuHashMap.create(kernel, { key: ipv4, value: u64, maxEntries: 2 }), perCpuHashUse],
      [() => QueueMap.create(kernel, { value: u32, maxEntries: 2 }), (map: QueueMap<number>) => map.push(1)],
      [() => StackMap.create(kernel, { value: u32, maxEntries: 2 }), (map: StackMap<number>) => map.push(1)],
      [() => BloomFilter.create(kernel, { value: u32, maxEntries: 2 }), (map: BloomFilter<number>) => map.add(1)],
      [() => LruHashMap.create(kernel, { key: u32, value: u64, maxEntries: 2 }), lruUse],
      [
        () => RingBuffer.create(kernel, { size: 4096, record: u32 }),
        (ring: RingBuffer<number>) => expect([...ring.poll(1)]).toEqual([]),
      ],
      [
        () => GenericMap.create(kernel, { type: "hash", keySize: 3, valueSize: 5, maxEntries: 2 }),
        (map: GenericMap) => map.set(new Uint8Array(3), new Uint8Array(5)),
      ],
    ];
    function lruUse(map: LruHashMap<number, bigint>): void {
      map.set(1, 1n);
    }
    function trieUse(map: LpmTrie<string, number>): void {
      map.set("10.0.0.0/8", 1);
    }
    function perCpuUse(map: PerCpuArray<bigint>): void {
      map.set(1, PerCpu.from(Array.from({ length: kernel.possibleCpus }, () => 1n)));
    }
    function perCpuHashUse(map: PerCpuHashMap<string, bigint>): void {
      map.set("10.0.0.1", PerCpu.from(Array.from({ length: kernel.possibleCpus }, () => 1n)));
    }
    for (const [make, use] of makers) {
      using outer = HashOfMaps.create(kernel, { key: u32, maxEntries: 2, inner: make });
      using inner = make();
      outer.set(1, inner);
      using found = outer.get(1);
      expect(found?.constructor).toBe(inner.constructor);
      expect(found?.id).toBe(inner.id);
      use(found as never);
    }
  });

  it("arrays must be as long as the template, unless told", () => {
    const kernel = way();
    const create = (mapFlags: number, maxEntries: number): ArrayMap<bigint> =>
      ArrayMap.create(kernel, { value: u64, maxEntries, mapFlags });
    using fixed = HashOfMaps.create(kernel, { key: u32, maxEntries: 2, inner: () => create(0, 4) });
    using five = create(0, 5);
    expect(thrownBy(() => fixed.set(1, five))).toMatchObject({
      code: "EINVAL",
      hint: "the map does not fit, all that are in there must be alike: its maxEntries is 5, and not 4",
    });
    using any = HashOfMaps.create(kernel, { key: u32, maxEntries: 2, inner: () => create(BPF_F_INNER_MAP, 4) });
    using six = create(BPF_F_INNER_MAP, 6);
    any.set(1, six);
    expect(any.getId(1)).toBe(six.id);
  });

  it("HashOfMaps: modes, keys of any codec, and full", () => {
    const kernel = way();
    using template = counts(kernel);
    using outer = HashOfMaps.create(kernel, { name: "tenants", key: ipv4, maxEntries: 2, inner: template });
    using one = counts(kernel);
    expect(outer.set("10.0.0.1", one, { mode: "replace" })).toBe(false);
    expect(outer.set("10.0.0.1", one, { mode: "create" })).toBe(true);
    expect(outer.set("10.0.0.1", one, { mode: "create" })).toBe(false);
    expect(outer.set("10.0.0.1", one, { mode: "replace" })).toBe(true);
    outer.set("10.0.0.2", one);
    expect(thrownBy(() => outer.set("10.0.0.3", one)).message).toBe(
      'Cannot insert key 0a 00 00 03 into hash_of_maps map "tenants": BPF_MAP_UPDATE_ELEM failed with E2BIG (the map holds 2 of 2 maps: raise maxEntries)',
    );
  });

  it("ArrayOfMaps: indices", () => {
    const kernel = way();
    using outer = ArrayOfMaps.create(kernel, { maxEntries: 4, inner: () => counts(kernel) });
    using one = counts(kernel);
    expect(outer.length).toBe(4);
    expect(thrownBy(() => outer.set(4, one))).toMatchObject({
      code: "E2BIG",
      hint: "the array has 4 elems: the last index is 3",
    });
    expect(thrownBy(() => outer.delete(4))).toMatchObject({ code: "E2BIG" });
    expect(outer.get(4)).toBeUndefined();
  });
});

forEachWay((way) => {
  const folder = useBpffs(way);
  it("opened by a pinned name", () => {
    const kernel = way();
    const create = (): Counts => HashMap.create(kernel, { key: u32, value: u64, maxEntries: 2 });
    const openInner = (id: number): Counts => HashMap.fromId(kernel, id, { key: u32, value: u64 });
    const [arrayPath, hashPath] = [`${folder()}/outer_array`, `${folder()}/outer_hash`];
    {
      using outer = ArrayOfMaps.create(kernel, { maxEntries: 2, inner: create });
      using hash = HashOfMaps.create(kernel, { key: u64, maxEntries: 2, inner: create });
      using inner = create();
      inner.set(1, 1n);
      outer.set(1, inner);
      hash.set(1n, inner);
      outer.pin(arrayPath);
      hash.pin(hashPath);
    }
    using outer = ArrayOfMaps.open(kernel, arrayPath, { openInner });
    using hash = HashOfMaps.open(kernel, hashPath, { key: u64, openInner });
    for (const found of [outer.get(1), hash.get(1n)]) {
      expect(found?.get(1)).toBe(1n);
      found?.close();
    }
    expect(() => HashOfMaps.open(kernel, hashPath, { key: u32, openInner })).toThrow(/its keySize is 8, wanted 4/);
    for (const path of [arrayPath, hashPath]) kernel.unlink(path);
  });
});
