/**
 * What the tests of the Linux door share: the kernel where it is to be had (elsewhere the reason is printed, and in CI that is a
 * failure), attr by the field names of `union bpf_attr`, and the leak check.
 */
import { existsSync, readdirSync } from "node:fs";
import { LinuxKernel, type UserBuffer } from "tsbpf/linux";
import { BPF_ATTR_SIZE, BPF_MAP_CREATE, bpfAttr } from "tsbpf/uapi";
import { describe, expect } from "vitest";

/** A field of attr: a number, or a pointer to a buffer. */
type Field = number | UserBuffer;

/** Why there is no Linux kernel to test; undefined when there is. */
export const missing: string | undefined = (() => {
  try {
    LinuxKernel.open()[Symbol.dispose]();
    return undefined;
  } catch (error) {
    if (process.env["CI"] !== undefined) throw error;
    console.warn(`test/linux is skipped: ${(error as Error).message}`);
    return (error as Error).message;
  }
})();

/** `describe` for what needs the Linux kernel. */
export const describeLinux = describe.skipIf(missing !== undefined);

/** An attr of one command's struct, `bpfAttr[group]`. */
export function attrOf<G extends keyof typeof bpfAttr>(
  kernel: LinuxKernel,
  group: G,
  fields: { [F in keyof (typeof bpfAttr)[G]]?: Field },
): UserBuffer {
  const attr = kernel.alloc(BPF_ATTR_SIZE);
  const view = new DataView(attr.bytes.buffer);
  const layout = bpfAttr[group] as Record<string, { off: number; size: number }>;
  for (const [name, field] of Object.entries<Field>(fields as Record<string, Field>)) {
    const { off, size } = layout[name]!;
    const value = typeof field === "number" ? field : field.address;
    if (size === 8) view.setBigUint64(off, BigInt(value), true);
    else view.setInt32(off, value, true);
  }
  return attr;
}

/** One call with an attr of its own. */
export function call<G extends keyof typeof bpfAttr>(
  kernel: LinuxKernel,
  cmd: number,
  group: G,
  fields: { [F in keyof (typeof bpfAttr)[G]]?: Field },
): number {
  using attr = attrOf(kernel, group, fields);
  return kernel.bpf(cmd, attr);
}

/** A new map's fd. */
export function createMap(kernel: LinuxKernel, fields: { [F in keyof (typeof bpfAttr)["mapCreate"]]?: Field }): number {
  const fd = call(kernel, BPF_MAP_CREATE, "mapCreate", fields);
  expect(fd).toBeGreaterThan(2);
  return fd;
}

/** The u32s that a buffer holds. */
export function words({ bytes }: UserBuffer): Uint32Array {
  return new Uint32Array(bytes.buffer, 0, bytes.length >> 2);
}

/** The fds that this process has open. */
export function openFds(): number[] {
  // One of them is of the reading itself, and closed again.
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => existsSync(`/proc/self/fd/${fd}`));
}
