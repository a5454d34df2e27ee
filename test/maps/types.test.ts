/**
 * What TypeScript infers. The type check is the test: `expectTypeOf` does nothing at run time.
 */
import {
  ArrayMap,
  EmbeddedKernel,
  HashMap,
  type MapInfo,
  PerCpu,
  PerCpuArray,
  PerCpuHashMap,
  be,
  cstring,
  ipv4,
  struct,
  u32,
  u64,
} from "tsbpf";
import { expect, expectTypeOf, it } from "vitest";

it("infers keys and values from codecs", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24 });
  interface Flow {
    src: string;
    port: number;
  }
  const key = struct({ src: ipv4, port: be.u16 });
  const value = struct({ packets: u64, name: cstring(8) });
  interface Sums {
    packets: bigint;
    name: string;
  }

  using hash = HashMap.create(kernel, { key, value, maxEntries: 1 });
  expectTypeOf(hash).toEqualTypeOf<HashMap<Flow, Sums>>();
  expectTypeOf(hash.get).returns.toEqualTypeOf<Sums | undefined>();
  expectTypeOf(hash.set).parameters.toExtend<[Flow, Sums, unknown?]>();
  expectTypeOf(hash.keys().next().value).toEqualTypeOf<Flow | void>();
  expectTypeOf([...hash]).toEqualTypeOf<[Flow, Sums][]>();
  expectTypeOf(new Map(hash)).toEqualTypeOf<Map<Flow, Sums>>();
  expectTypeOf(hash.info()).toEqualTypeOf<MapInfo>();

  using list = ArrayMap.create(kernel, { value: u64, maxEntries: 1 });
  expectTypeOf(list.get).parameter(0).toEqualTypeOf<number>();
  expectTypeOf(list.get(0)).toEqualTypeOf<bigint | undefined>();
  expectTypeOf([...list.keys()]).toEqualTypeOf<number[]>();

  using perCpuHash = PerCpuHashMap.create(kernel, { key: u32, value: u64, maxEntries: 1 });
  expectTypeOf(perCpuHash.get(0)).toEqualTypeOf<PerCpu<bigint> | undefined>();
  expectTypeOf(perCpuHash.set).parameter(1).toEqualTypeOf<readonly bigint[]>();
  expectTypeOf(perCpuHash.add).parameter(1).toEqualTypeOf<bigint>();

  using perCpuList = PerCpuArray.fromId(
    kernel,
    PerCpuArray.create(kernel, { value: struct({ n: u32 }), maxEntries: 1 }).id,
    { value: struct({ n: u32 }) },
  );
  expectTypeOf([...perCpuList]).toEqualTypeOf<[number, PerCpu<{ n: number }>][]>();
  expectTypeOf(perCpuList.get(0)!.sum()).toEqualTypeOf<{ n: number }>();
  expectTypeOf(perCpuList.get(0)!.max()).toEqualTypeOf<{ n: number }>();
});

it("refuses what the codecs do not take", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24 });
  using hash = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 1 });
  // @ts-expect-error a number is no bigint
  expect(() => hash.set(1, 1)).toThrow(TypeError);
  // @ts-expect-error a string is no number
  expect(() => hash.get("1")).toThrow(TypeError);
  // @ts-expect-error there are two modes
  expect(() => hash.set(1, 1n, { mode: "update" })).toThrow(TypeError);
  // @ts-expect-error maxEntries is missing
  expect(() => HashMap.create(kernel, { key: u32, value: u64 })).toThrow(TypeError);
  // @ts-expect-error a map's key cannot be left out
  expect(() => HashMap.create(kernel, { value: u64, maxEntries: 1 })).toThrow(TypeError);
  using perCpu = PerCpuArray.create(kernel, { value: u64, maxEntries: 1 });
  // @ts-expect-error a bare value is no value for each CPU
  expect(() => perCpu.set(0, 1n)).toThrow(TypeError);
  // @ts-expect-error elems of arrays cannot be deleted
  expect(perCpu.delete).toBeUndefined();
  // @ts-expect-error strings cannot be summed up
  expect(() => PerCpu.of("a").sum()).toThrow(TypeError);
});
