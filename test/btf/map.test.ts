/**
 * A map with BTF of its codecs, as bpftool shows it.
 */
import { expect, test } from "vitest";
import { btfFromCodecs, btfLoad } from "../../src/btf/index.js";
import { array, be, bool, cstring, i16, ipv4, struct, u32, u64, u8 } from "../../src/codec/index.js";
import { LinuxKernel } from "../../src/kernels/linux/index.js";
import { fillAttr } from "../../src/kernels/syscalls.js";
import { BPF_MAP_CREATE, BPF_MAP_TYPE_ARRAY } from "../../src/uapi/bpf.js";
import { bpfAttr } from "../../src/uapi/layouts.js";
import { BPF_ATTR_SIZE } from "../../src/uapi/offsets.js";
import { bpftool, whyNoBpftool } from "../cli/_run.js";

test.skipIf(whyNoBpftool() !== undefined)("bpftool map dump shows names", () => {
  const value = struct({
    on: bool,
    name: cstring(8),
    port: be.u16,
    grid: array(array(i16, 3), 2),
    at: ipv4,
    inner: struct({ small: u8, count: u64 }),
    list: array(struct({ a: u32 }), 2),
  });
  using kernel = LinuxKernel.open();
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  const { bytes, keyTypeId, valueTypeId } = btfFromCodecs(u32, value);
  const btf = btfLoad(kernel, bytes);
  fillAttr(attr, bpfAttr.mapCreate, {
    map_type: BPF_MAP_TYPE_ARRAY,
    key_size: 4,
    value_size: value.size,
    max_entries: 1,
    map_name: new TextEncoder().encode("tsbpf_btf"),
    btf_fd: btf,
    btf_key_type_id: keyTypeId,
    btf_value_type_id: valueTypeId,
  });
  const map = kernel.bpf(BPF_MAP_CREATE, attr);
  kernel.close(btf);
  expect(map).toBeGreaterThan(0);
  try {
    const { stdout } = bpftool(["-j", "map", "dump", "name", "tsbpf_btf"]);
    const [{ formatted }] = JSON.parse(stdout) as [{ formatted: { key: number; value: Record<string, unknown> } }];
    expect(formatted.key).toBe(0);
    expect(formatted.value).toMatchObject({
      on: false,
      port: 0,
      grid: [
        [0, 0, 0],
        [0, 0, 0],
      ],
      inner: { small: 0, count: 0 },
      list: [{ a: 0 }, { a: 0 }],
    });
  } finally {
    kernel.close(map);
  }
});
