/**
 * What the tests of typed maps share: the ways to a kernel, the classes of maps with keys, and a folder to pin in.
 */
import {
  ArrayMap,
  type Codec,
  HashMap,
  type Kernel,
  LruHashMap,
  LruPerCpuHashMap,
  type MapOptions,
  type OpenOptions,
  PerCpu,
  PerCpuArray,
  PerCpuHashMap,
  u32,
} from "tsbpf";
import { afterAll, beforeAll, describe } from "vitest";
import { mountBpffs } from "../cli/_run.js";
import { forEachKernel } from "../kernels.js";

/** TEST_SEED, or one of its own, printed with the suite's name: a failure can be had again. */
export const seed = Number(process.env["TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

/**
 * Describes the same tests for each way that a typed map reaches a kernel: each kernel as it is, and the embedded one by
 * system calls alone, as it is for fds that may not both read and write.
 *
 * @param define `kernel` is to be called in tests and hooks only.
 */
export function forEachWay(define: (kernel: () => Kernel) => void): void {
  forEachKernel((name, open) => {
    let kernel: Kernel;
    beforeAll(async () => {
      kernel = await open();
    });
    define(() => kernel);
    if (name.startsWith("embedded")) describe("by system calls", () => define(() => withoutDirect(kernel)));
  });
}

/** A kernel with some of its methods replaced. */
export function replaced(kernel: Kernel, methods: { [M in keyof Kernel]?: Kernel[M] | undefined }): Kernel {
  return new Proxy(kernel, {
    get(target, name) {
      if (name in methods) return methods[name as keyof Kernel];
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
}

export function withoutDirect(kernel: Kernel): Kernel {
  return replaced(kernel, { direct: undefined });
}

/** One of the classes, with u32 keys and values of any codec. */
export interface Kind {
  readonly name: string;
  /** bpftool's word. */
  readonly typeName: string;
  readonly isHash: boolean;
  readonly isPerCpu: boolean;
  /** Never full; on Linux elems may go before it is. */
  readonly isLru: boolean;
  create<V>(kernel: Kernel, options: MapOptions & OpenOptions & { value: Codec<V> }): AnyMap<V>;
  open<V>(kernel: Kernel, path: string, codecs: OpenCodecs<V>): AnyMap<V>;
  openOrCreate<V>(kernel: Kernel, path: string, options: MapOptions & OpenOptions & { value: Codec<V> }): AnyMap<V>;
  fromId<V>(kernel: Kernel, id: number, codecs: OpenCodecs<V>): AnyMap<V>;
}

interface OpenCodecs<V> extends OpenOptions {
  readonly key?: Codec<number>;
  readonly value: Codec<V>;
}

/** What all classes have. */
export type AnyMap<V> = HashMap<number, V | PerCpu<V>> | ArrayMap<V | PerCpu<V>>;

type Class = Pick<typeof HashMap, "create" | "open" | "openOrCreate" | "fromId">;

function kind(isPerCpu: boolean, typeName: string, of: unknown): Kind {
  const { name } = of as { name: string };
  const { create, open, openOrCreate, fromId } = of as Class;
  return {
    name,
    typeName,
    isHash: typeName.endsWith("hash"),
    isPerCpu,
    isLru: typeName.startsWith("lru"),
    create: (kernel, options) => create(kernel, { key: u32, ...options }) as AnyMap<never>,
    open: (kernel, path, codecs) => open(kernel, path, { key: u32, ...codecs }) as AnyMap<never>,
    openOrCreate: (kernel, path, options) => openOrCreate(kernel, path, { key: u32, ...options }) as AnyMap<never>,
    fromId: (kernel, id, codecs) => fromId(kernel, id, { key: u32, ...codecs }) as AnyMap<never>,
  };
}

export const kinds: readonly Kind[] = [
  kind(false, "hash", HashMap),
  kind(false, "array", ArrayMap),
  kind(true, "percpu_hash", PerCpuHashMap),
  kind(true, "percpu_array", PerCpuArray),
  kind(false, "lru_hash", LruHashMap),
  kind(true, "lru_percpu_hash", LruPerCpuHashMap),
];

/** A value as `set` of this class takes it: itself, or itself for each CPU. */
export function valueFor<V>({ isPerCpu }: Kind, kernel: Kernel, value: V): V | PerCpu<V> {
  return isPerCpu ? PerCpu.from(Array.from({ length: kernel.possibleCpus }, () => value)) : value;
}

/** What a function throws. */
export function thrownBy(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error("Expected an exception, and there was none");
}

/** A folder of a kernel where maps can be pinned: on Linux a bpffs of the suite's own. */
export function useBpffs(kernel: () => Kernel): () => string {
  let folder = "/sys/fs/bpf";
  let unmount = (): void => {};
  beforeAll(() => {
    if (kernel().name === "linux") ({ folder, unmount } = mountBpffs());
  });
  afterAll(() => unmount());
  return () => folder;
}
