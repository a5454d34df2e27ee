/**
 * What the tests of the embedded kernel share: kernels that are checked for leaks after the test, and calls by attr's fields.
 */
import {
  ArrayMap,
  EmbeddedKernel,
  type EmbeddedKernelOptions,
  HashMap,
  PerCpuArray,
  PerCpuHashMap,
  type UserBuffer,
} from "tsbpf";
import { BPF_ATTR_SIZE, bpfAttr } from "tsbpf/uapi";
import { afterEach } from "vitest";
import { watchLeaks } from "../leaks.js";

const opened: { kernel: EmbeddedKernel; check: () => void }[] = [];

afterEach(() => {
  const ended = opened.splice(0);
  try {
    for (const { check } of ended) check();
  } finally {
    for (const { kernel } of ended) kernel[Symbol.dispose]();
  }
});

/** A new kernel. After the test it must have nothing in use; it is disposed then. */
export async function open(options?: EmbeddedKernelOptions): Promise<EmbeddedKernel> {
  return watched(await EmbeddedKernel.create(options));
}

/** Has a kernel checked and disposed after the test, too. */
export function watched(kernel: EmbeddedKernel): EmbeddedKernel {
  opened.push({ kernel, check: watchLeaks(kernel) });
  return kernel;
}

/** Fields of one command's struct in attr, by their kernel names. */
export type Fields<G extends keyof typeof bpfAttr> = { [F in keyof (typeof bpfAttr)[G]]?: number | bigint };

/** Writes attr: the fields given, and zeroes. */
export function putAttr<G extends keyof typeof bpfAttr>(attr: UserBuffer, group: G, fields: Fields<G>): void {
  const { bytes } = attr;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const layout = bpfAttr[group] as Record<string, { off: number; size: number }>;
  bytes.fill(0);
  for (const [name, value] of Object.entries<number | bigint>(fields as Record<string, number | bigint>)) {
    const { off, size } = layout[name]!;
    if (size === 8) view.setBigUint64(off, BigInt(value), true);
    else view.setUint32(off, Number(value), true);
  }
}

/** One call with an attr of its own. */
export function call<G extends keyof typeof bpfAttr>(
  kernel: EmbeddedKernel,
  cmd: number,
  group: G,
  fields: Fields<G>,
): number {
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  putAttr(attr, group, fields);
  return kernel.bpf(cmd, attr);
}

/** All map types as if they were one: arrays have no use for the codec of a key, per-CPU maps take lists of values. */
export const mapTypes = {
  HashMap,
  ArrayMap: ArrayMap as unknown as typeof HashMap,
  PerCpuHashMap: PerCpuHashMap as unknown as typeof HashMap,
  PerCpuArray: PerCpuArray as unknown as typeof HashMap,
};
