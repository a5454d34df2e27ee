/**
 * BTF: BPF_BTF_LOAD, objects by id, maps that carry it, and special fields of values.
 */
import { BtfBuilder, type BtfId, type BtfType } from "tsbpf/btf";
import {
  BPF_ANY,
  BPF_BTF_GET_FD_BY_ID,
  BPF_BTF_GET_NEXT_ID,
  BPF_BTF_INFO_SIZE,
  BPF_BTF_LOAD,
  BPF_EXIST,
  BPF_F_LOCK,
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_TOKEN_FD,
  BPF_F_WRONLY_PROG,
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_UPDATE_BATCH,
  BPF_NOEXIST,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  E2BIG,
  EACCES,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOTSUPP,
  EOPNOTSUPP,
  bpfAttr,
  bpfBtfInfo,
} from "tsbpf/uapi";
import { ATTR, END, INFO, IN, KEY, KEYS, NEXT, OUT, VALUE } from "../machine/arena.js";
import { type Fd, type Fields, type Story, type Teller, run, u32, u64 } from "./story.js";

const noFd = 0x7ffffff0;

/** BTF of what `add` adds. */
function btfOf(add: (builder: BtfBuilder) => unknown): Uint8Array {
  const builder = new BtfBuilder();
  add(builder);
  return builder.bytes();
}

const plain = btfOf((builder) => builder.int("int", 4, "SIGNED"));

/** BTF that was changed at an offset. */
function changed(bytes: Uint8Array, off: number, word: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy.set(word, off);
  return copy;
}

function loadFields(bytes: Uint8Array, more: Fields = {}): Fields {
  return { btf: { to: VALUE }, btf_size: bytes.length, ...more };
}

function load(t: Teller, bytes: Uint8Array): Fd {
  return t.opens(BPF_BTF_LOAD, "btfLoad", loadFields(bytes), { data: [[VALUE, bytes]] });
}

function refuses(t: Teller, wanted: number, bytes: Uint8Array, more: Fields = {}): void {
  t.command(BPF_BTF_LOAD, "btfLoad", loadFields(bytes, more), wanted, { data: [[VALUE, bytes]] });
}

/** Loads types, the first of which is an int; refused if `wanted` is an errno. */
function tries(t: Teller, wanted: number, ...types: readonly BtfType[]): void {
  const bytes = btfOf((builder) => {
    builder.int("int", 4);
    for (const type of types) builder.add(type);
  });
  if (wanted === 0) t.close(load(t, bytes));
  else refuses(t, wanted, bytes);
}

const int = (size: number, nrBits: number, bitsOffset = 0, encoding: number = 0): BtfType => ({
  kind: "INT",
  name: "i",
  size,
  nrBits,
  bitsOffset,
  encoding,
});
const ref = (kind: "PTR" | "CONST" | "VOLATILE" | "RESTRICT" | "TYPEDEF", type: BtfId, name = ""): BtfType => ({
  kind,
  name,
  type,
});
const tag = (type: BtfId, name = "t"): BtfType => ({ kind: "TYPE_TAG", name, type, kindFlag: false });
const list = (type: BtfId, indexType: BtfId, nrElems: number): BtfType => ({
  kind: "ARRAY",
  name: "",
  type,
  indexType,
  nrElems,
});
const composite = (
  kind: "STRUCT" | "UNION",
  size: number,
  members: readonly (readonly [type: BtfId, bitsOffset: number, bitfieldSize?: number])[],
  name = "s",
  kindFlag = false,
): BtfType => ({
  kind,
  name,
  size,
  kindFlag,
  members: members.map(([type, bitsOffset, bitfieldSize = 0], i) => ({
    name: `m${i}`,
    type,
    bitsOffset,
    bitfieldSize,
  })),
});
const fields = (size: number, ...members: readonly (readonly [BtfId, number, number?])[]): BtfType =>
  composite("STRUCT", size, members);
const bitFields = (size: number, ...members: readonly (readonly [BtfId, number, number?])[]): BtfType =>
  composite("STRUCT", size, members, "s", true);
const proto = (retType: BtfId, ...params: readonly (readonly [name: string, type: BtfId])[]): BtfType => ({
  kind: "FUNC_PROTO",
  name: "",
  retType,
  params: params.map(([name, type]) => ({ name, type })),
});
const variable = (type: BtfId, linkage = 1, name = "v"): BtfType => ({ kind: "VAR", name, type, linkage });
const section = (size: number, ...vars: readonly (readonly [BtfId, number, number])[]): BtfType => ({
  kind: "DATASEC",
  name: ".data",
  size,
  vars: vars.map(([type, offset, size]) => ({ type, offset, size })),
});

/** A value with a lock: 16 bytes, the lock at 8. Types: 1 u32, 2 u64, 3 the lock, 4 the value. */
const locked = btfOf((builder) => {
  const word = builder.int("u32", 4);
  const long = builder.int("u64", 8);
  const lock = builder.struct("bpf_spin_lock", 4, [{ name: "val", type: word, bitsOffset: 0 }]);
  builder.struct("value", 16, [
    { name: "a", type: long, bitsOffset: 0 },
    { name: "lock", type: lock, bitsOffset: 64 },
    { name: "b", type: word, bitsOffset: 96 },
  ]);
});
const lockTypes = [BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY];
const withLock = { key_size: 4, value_size: 16, max_entries: 4, btf_key_type_id: 1, btf_value_type_id: 4 };

function lockMap(t: Teller, map_type: number, more: Fields = {}): Fd {
  const btf = load(t, locked);
  const map = t.create({ ...withLock, map_type, btf_fd: btf, ...more });
  t.close(btf);
  return map;
}

/** What a value with a lock reads back as. */
function unlocked(value: Uint8Array): Uint8Array {
  return changed(value, 8, u32(0));
}

export const btf: Story = {
  "attr: flags, sizes and pointers": (t) => {
    t.close(load(t, plain));
    for (const btf_flags of [1, 2, 2 ** 31]) refuses(t, -EINVAL, plain, { btf_flags });
    refuses(t, -EBADF, plain, { btf_flags: BPF_F_TOKEN_FD, btf_token_fd: noFd });
    refuses(t, -EINVAL, plain, { btf_flags: BPF_F_TOKEN_FD, btf_token_fd: 0 });
    refuses(t, -E2BIG, plain, { btf_size: 16 * 1024 * 1024 + 1 });
    refuses(t, -E2BIG, plain, { btf_size: 2 ** 32 - 1 });
    refuses(t, -EFAULT, plain, { btf: { to: END } });
    refuses(t, -EFAULT, plain, { btf: { to: END - plain.length + 1 } });
    refuses(t, -EINVAL, plain, { btf_size: 0 });
    t.command(BPF_BTF_LOAD, "btfLoad", loadFields(plain), -EINVAL, {
      data: [
        [VALUE, plain],
        [ATTR + 40, u32(1)],
      ],
    });
  },

  "attr: a log has a buffer, a size and a level, or none of them": (t) => {
    const log = { btf_log_buf: { to: INFO }, btf_log_size: 4096, btf_log_level: 1 };
    for (const more of [
      { btf_log_buf: { to: INFO } },
      { btf_log_size: 1 },
      { ...log, btf_log_level: 0 },
      { ...log, btf_log_level: 16 },
      { ...log, btf_log_size: 2 ** 30 },
      { btf_log_level: 16 },
    ]) {
      refuses(t, -EINVAL, plain, more);
    }
    refuses(t, -E2BIG, plain, { btf_log_size: 1, btf_size: 2 ** 31 });
  },

  "what is too short, or is no header": (t) => {
    for (const length of [1, 7, 8, 23, 24]) refuses(t, -EINVAL, plain.slice(0, length));
    refuses(t, -EINVAL, changed(plain, 0, u32(0x0001eb9e)));
    refuses(t, -ENOTSUPP, changed(plain, 2, Uint8Array.of(2)));
    refuses(t, -ENOTSUPP, changed(plain, 2, Uint8Array.of(0)));
    refuses(t, -ENOTSUPP, changed(plain, 3, Uint8Array.of(1)));
    for (const hdr_len of [0, 4, 8, 20, 23, 1000, 2 ** 32 - 1]) refuses(t, -EINVAL, changed(plain, 4, u32(hdr_len)));
    const long = new Uint8Array(plain.length + 4);
    long.set(plain.subarray(0, 24));
    long.set(plain.subarray(24), 28);
    const longer = changed(long, 4, u32(28));
    t.close(load(t, longer));
    refuses(t, -E2BIG, changed(longer, 24, u32(1)));
  },

  "the sections follow each other, strings last, and nothing lies beside them": (t) => {
    const [typeOff, typeLength, stringOff, stringLength] = [8, 12, 16, 20];
    for (const [off, word] of [
      [typeOff, 4],
      [typeOff, 1],
      [typeLength, 12],
      [typeLength, 0],
      [typeLength, 20],
      [stringOff, 12],
      [stringOff, 20],
      [stringLength, 4],
      [stringLength, 6],
      [stringLength, 0],
    ] as const) {
      refuses(t, -EINVAL, changed(plain, off, u32(word)));
    }
    refuses(t, -EINVAL, Uint8Array.of(...plain, 0));
    refuses(t, -EINVAL, changed(plain, plain.length - 1, Uint8Array.of(1)));
    refuses(t, -EINVAL, changed(plain, 40, Uint8Array.of(1)));
    // Strings before types.
    const swapped = Uint8Array.of(...plain.subarray(0, 24), ...plain.subarray(40), 0, 0, 0, ...plain.subarray(24, 40));
    refuses(t, -EINVAL, changed(changed(swapped, typeOff, u32(8)), stringOff, u32(0)));
  },

  "a type's kind, name and parts lie within": (t) => {
    for (const info of [0, 20 << 24, 31 << 24, (1 << 24) | (1 << 16), (1 << 24) | (1 << 29)]) {
      refuses(t, -EINVAL, changed(plain, 28, u32(info)));
    }
    refuses(t, -EINVAL, changed(plain, 24, u32(5)));
    refuses(t, -EINVAL, changed(plain, 24, u32(2 ** 32 - 1)));
    refuses(t, -EINVAL, changed(plain, 28, u32((4 << 24) | 2)));
  },

  ints: (t) => {
    for (const [size, bits] of [
      [1, 1],
      [1, 8],
      [4, 32],
      [3, 20],
      [16, 128],
      [4, 0],
    ] as const) {
      tries(t, 0, int(size, bits));
    }
    tries(t, -EINVAL, int(4, 33));
    tries(t, -EINVAL, int(0, 1));
    tries(t, -EINVAL, int(32, 129));
    tries(t, 0, int(4, 8, 24));
    tries(t, -EINVAL, int(4, 8, 25));
    for (const encoding of [1, 2, 4]) tries(t, 0, int(4, 32, 0, encoding));
    for (const encoding of [3, 5, 6, 7, 8, 15]) tries(t, -ENOTSUPP, int(4, 32, 0, encoding));
  },

  "references: typedefs have a name, the others none, and what they name is there": (t) => {
    for (const kind of ["PTR", "CONST", "VOLATILE", "RESTRICT"] as const) {
      tries(t, 0, ref(kind, 1));
      tries(t, 0, ref(kind, 0));
      tries(t, -EINVAL, ref(kind, 1, "n"));
      tries(t, -EINVAL, ref(kind, 3));
      tries(t, -EINVAL, ref(kind, 0x100000));
    }
    tries(t, 0, ref("TYPEDEF", 1, "t"));
    tries(t, 0, ref("TYPEDEF", 0, "t"));
    tries(t, -EINVAL, ref("TYPEDEF", 1));
    tries(t, 0, { kind: "FWD", name: "f", fwdKind: "struct" }, ref("PTR", 2));
    tries(t, -EINVAL, { kind: "FWD", name: "", fwdKind: "struct" });
    tries(t, -EINVAL, variable(1), ref("PTR", 2));
  },

  "a name is an identifier": (t) => {
    for (const name of ["a", "_", ".", "a.b_9", "a".repeat(511)]) tries(t, 0, ref("TYPEDEF", 1, name));
    for (const name of ["1", "a b", "a-b", "\x7f", "a".repeat(513)]) tries(t, -EINVAL, ref("TYPEDEF", 1, name));
  },

  "loops, and types that lie too deep": (t) => {
    tries(t, -EEXIST, ref("CONST", 2));
    tries(t, -EEXIST, ref("CONST", 3), ref("VOLATILE", 2));
    tries(t, -EEXIST, ref("TYPEDEF", 3, "a"), ref("PTR", 2));
    tries(t, -EEXIST, fields(4, [2, 0]));
    tries(t, -EEXIST, list(2, 1, 1));
    // A pointer may lead back.
    tries(t, 0, fields(8, [3, 0]), ref("PTR", 2));
    const deep = (n: number): BtfType[] => Array.from({ length: n }, (_, i) => fields(4, [i + 3, 0]));
    tries(t, 0, ...deep(31), fields(4, [1, 0]));
    tries(t, -E2BIG, ...deep(32), fields(4, [1, 0]));
    const chain = (n: number): BtfType[] => Array.from({ length: n }, (_, i) => ref("CONST", i + 1));
    tries(t, 0, ...chain(32));
    tries(t, 0, ...chain(200));
  },

  "type tags come before other modifiers": (t) => {
    tries(t, 0, tag(1), ref("PTR", 2));
    tries(t, 0, ref("CONST", 1), tag(2), tag(3));
    tries(t, -EINVAL, tag(1), ref("CONST", 2));
    tries(t, -EINVAL, tag(1, ""));
  },

  "arrays: what they hold, and what counts them": (t) => {
    tries(t, 0, list(1, 1, 0));
    tries(t, 0, list(1, 1, 2 ** 30 - 1));
    tries(t, -EINVAL, list(1, 1, 2 ** 30));
    tries(t, -EINVAL, list(0, 1, 1));
    tries(t, -EINVAL, list(1, 0, 1));
    tries(t, -EINVAL, list(1, 3, 1));
    tries(t, -EINVAL, ref("PTR", 1), list(1, 2, 1));
    tries(t, -EINVAL, int(4, 24), list(1, 2, 1));
    tries(t, -EINVAL, int(4, 7), list(2, 1, 1));
    tries(t, 0, list(3, 1, 2), list(1, 1, 3));
    tries(t, -EINVAL, { kind: "FWD", name: "f", fwdKind: "struct" }, list(2, 1, 1));
  },

  "structs: members lie within, upwards, and at their bytes": (t) => {
    tries(t, 0, fields(0));
    tries(t, 0, fields(8, [1, 0], [1, 32]));
    tries(t, 0, fields(4, [1, 0], [1, 0]));
    tries(t, -EINVAL, fields(8, [1, 32], [1, 0]));
    tries(t, -EINVAL, fields(7, [1, 32]));
    tries(t, -EINVAL, fields(4, [1, 40]));
    tries(t, -EINVAL, fields(4, [0, 0]));
    tries(t, -EINVAL, fields(8, [3, 4]), ref("PTR", 0));
    tries(t, -EINVAL, fields(7, [3, 0]), ref("PTR", 0));
    tries(t, -EINVAL, fields(8, [3, 0]), { kind: "FWD", name: "f", fwdKind: "struct" });
    tries(t, 0, composite("UNION", 4, [[1, 0]]));
    tries(t, -EINVAL, composite("UNION", 8, [[1, 32]]));
    tries(t, -EINVAL, composite("STRUCT", 4, [[1, 0]], "a b"));
    tries(t, 0, composite("STRUCT", 4, [[1, 0]], ""));
    // An int at a bit is what old compilers have for a bit-field.
    tries(t, 0, fields(8, [1, 3]));
    tries(t, -EINVAL, fields(4, [1, 3]));
  },

  "bit-fields": (t) => {
    tries(t, 0, bitFields(4, [1, 0, 3], [1, 3, 29]));
    tries(t, -EINVAL, bitFields(8, [1, 0, 33]));
    tries(t, -EINVAL, bitFields(4, [1, 4, 29]));
    tries(t, -EINVAL, bitFields(8, [1, 4]));
    tries(t, -EINVAL, bitFields(8, [3, 0, 4]), ref("PTR", 0));
    const color: BtfType = { kind: "ENUM", name: "e", size: 4, signed: false, values: [{ name: "A", val: 0 }] };
    tries(t, 0, bitFields(4, [3, 0, 2]), color);
    tries(t, -EINVAL, bitFields(8, [3, 0, 33]), color);
    tries(t, -EINVAL, bitFields(8, [3, 4]), color);
  },

  "enums and floats": (t) => {
    const values = [{ name: "A", val: 0 }];
    for (const size of [1, 2, 4, 8]) tries(t, 0, { kind: "ENUM", name: "", size, signed: true, values });
    for (const size of [0, 3, 16]) tries(t, -EINVAL, { kind: "ENUM", name: "", size, signed: false, values });
    tries(t, -EINVAL, { kind: "ENUM", name: "e", size: 4, signed: false, values: [{ name: "", val: 0 }] });
    tries(t, -EINVAL, { kind: "ENUM64", name: "e", size: 8, signed: false, values: [{ name: "1", val: 0n }] });
    for (const size of [2, 4, 8, 12, 16]) tries(t, 0, { kind: "FLOAT", name: "f", size });
    for (const size of [0, 1, 3, 6, 32]) tries(t, -EINVAL, { kind: "FLOAT", name: "f", size });
    tries(t, 0, fields(12, [3, 32]), { kind: "FLOAT", name: "f", size: 4 });
    tries(t, -EINVAL, fields(12, [3, 32]), { kind: "FLOAT", name: "f", size: 8 });
  },

  functions: (t) => {
    const func = (type: BtfId, linkage = 1): BtfType => ({ kind: "FUNC", name: "f", type, linkage });
    tries(t, 0, proto(0), func(2));
    tries(t, 0, proto(1, ["a", 1], ["b", 1]), func(2, 0));
    tries(t, -EINVAL, proto(0), func(2, 2));
    tries(t, -EINVAL, func(1));
    tries(t, 0, proto(0, ["a", 1], ["", 0]));
    tries(t, -EINVAL, proto(0, ["a", 0], ["b", 1]));
    tries(t, -EINVAL, proto(0, ["a", 0]));
    tries(t, 0, proto(0, ["", 1]));
    tries(t, -EINVAL, proto(0, ["", 1]), func(2));
    tries(t, -EINVAL, proto(3));
  },

  "variables, sections and tags": (t) => {
    tries(t, 0, variable(1, 0), variable(1, 1, "w"), section(8, [2, 0, 4], [3, 4, 4]));
    tries(t, -EINVAL, variable(1, 2));
    tries(t, -EINVAL, variable(0));
    tries(t, -EINVAL, section(0));
    tries(t, -EINVAL, section(4, [1, 0, 4]));
    tries(t, -EINVAL, variable(1), section(4, [2, 0, 3]));
    tries(t, -EINVAL, variable(1), section(4, [2, 1, 4]));
    tries(t, -EINVAL, variable(1), section(8, [2, 4, 4], [2, 0, 4]));
    const declTag = (type: BtfId, componentIdx: number, name = "t"): BtfType => ({
      kind: "DECL_TAG",
      name,
      type,
      componentIdx,
      kindFlag: false,
    });
    tries(t, 0, fields(4, [1, 0]), declTag(2, 0), declTag(2, -1));
    tries(t, -EINVAL, fields(4, [1, 0]), declTag(2, 1));
    tries(t, -EINVAL, declTag(1, -1));
    tries(t, -EINVAL, fields(4, [1, 0]), declTag(2, -2));
    tries(t, -EINVAL, fields(4, [1, 0]), declTag(2, 0, ""));
    tries(t, 0, ref("TYPEDEF", 1, "a"), declTag(2, -1));
    tries(t, -EINVAL, ref("TYPEDEF", 1, "a"), declTag(2, 0));
  },

  "an object by id, as long as an fd or a map holds it": (t) => {
    const fd = load(t, plain);
    const other = t.opens(BPF_BTF_GET_FD_BY_ID, "getId", { btf_id: { id: fd.fd } });
    t.command(BPF_BTF_GET_NEXT_ID, "getId", { start_id: 0 }, 0);
    t.close(fd);
    const map = t.create({
      map_type: BPF_MAP_TYPE_HASH,
      key_size: 4,
      value_size: 4,
      max_entries: 1,
      btf_fd: other,
      btf_key_type_id: 1,
      btf_value_type_id: 1,
    });
    t.close(other);
    const again = t.opens(BPF_BTF_GET_FD_BY_ID, "getId", { btf_id: { id: other.fd } });
    t.close(map);
    t.close(again);
    for (const btf_id of [0, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
      t.command(BPF_BTF_GET_FD_BY_ID, "getId", { btf_id }, -ENOENT);
    }
    for (const open_flags of [1, BPF_F_RDONLY, 2 ** 31]) {
      t.command(BPF_BTF_GET_FD_BY_ID, "getId", { btf_id: 0, open_flags }, -EINVAL);
    }
    for (const start_id of [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
      t.command(BPF_BTF_GET_NEXT_ID, "getId", { start_id }, -EINVAL);
    }
    t.command(BPF_BTF_GET_NEXT_ID, "getId", { start_id: 2 ** 31 - 2 }, -ENOENT);
  },

  "what the kernel says of an object": (t) => {
    const fd = load(t, plain);
    const info = (given: Uint8Array, wanted: number, info_len: number = BPF_BTF_INFO_SIZE): void => {
      const fields = { bpf_fd: fd, info_len, info: { to: INFO } };
      t.command(BPF_OBJ_GET_INFO_BY_FD, "info", fields, wanted, { data: [[INFO, given]] });
    };
    const empty = new Uint8Array(BPF_BTF_INFO_SIZE);
    const put = (bytes: Uint8Array, field: keyof typeof bpfBtfInfo, word: Uint8Array): Uint8Array =>
      changed(bytes, bpfBtfInfo[field].off, word);
    info(empty, 0);
    t.equal("btf_size", t.bytesAt(INFO + bpfBtfInfo.btf_size.off, 4), u32(plain.length));
    t.equal("kernel_btf", t.bytesAt(INFO + bpfBtfInfo.kernel_btf.off, 4), u32(0));
    t.equal("info_len", t.bytesAt(ATTR + bpfAttr.info.info_len.off, 4), u32(BPF_BTF_INFO_SIZE));
    const data = put(put(empty, "btf", u64(t.addressOf(NEXT))), "btf_size", u32(1000));
    info(data, 0);
    t.equal("The data", t.bytesAt(NEXT, plain.length), plain);
    info(put(data, "btf_size", u32(10)), 0);
    info(put(empty, "btf_size", u32(1)), -EFAULT);
    info(put(empty, "name", u64(t.addressOf(NEXT))), -EINVAL);
    info(put(empty, "name_len", u32(1)), -EINVAL);
    info(put(put(empty, "name", u64(t.addressOf(NEXT))), "name_len", u32(1)), 0);
    info(put(put(empty, "name", u64(8)), "name_len", u32(1)), -EFAULT);
    for (const length of [0, 4, 16, 31]) info(empty, 0, length);
    info(new Uint8Array(64), 0, 64);
    info(changed(new Uint8Array(64), 32, u32(1)), -E2BIG, 64);
  },

  "an object's fd is no map's": (t) => {
    const fd = load(t, plain);
    t.lookup(fd, u32(0), -EINVAL);
    t.update(fd, u32(0), u32(0), 0, -EINVAL);
    t.delete(fd, u32(0), -EINVAL);
    t.next(fd, u32(0), -EINVAL);
    t.command(BPF_MAP_FREEZE, "mapElem", { map_fd: fd }, -EINVAL);
    t.command(BPF_MAP_LOOKUP_BATCH, "batch", { map_fd: fd, count: 1 }, -EINVAL);
    t.command(BPF_OBJ_PIN, "obj", { bpf_fd: fd, pathname: { path: "p0" } }, -EINVAL);
    t.close(fd);
    t.lookup(fd, u32(0), -EBADF);
  },

  "a map's types are those of its BTF": (t) => {
    const fd = load(
      t,
      btfOf((builder) => {
        const int = builder.int("int", 4, "SIGNED");
        builder.int("long", 8);
        builder.typedef("pid", int);
        builder.struct("key", 8, [{ name: "prefixlen", type: int, bitsOffset: 0 }]);
        builder.ptr(0);
        builder.add({ kind: "FWD", name: "f", fwdKind: "struct" });
        builder.int("char", 1);
        builder.array(7, 4, int);
      }),
    );
    const map = { map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 8, max_entries: 2, btf_fd: fd };
    for (const [btf_key_type_id, btf_value_type_id] of [
      [1, 2],
      [3, 4],
      [3, 5],
      [8, 2],
    ] as const) {
      const made = t.create({ ...map, btf_key_type_id, btf_value_type_id });
      t.info(made, { btf_key_type_id, btf_value_type_id });
      t.close(made);
    }
    for (const [btf_key_type_id, btf_value_type_id] of [
      [2, 2],
      [1, 1],
      [0, 2],
      [1, 9],
      [9, 2],
      [1, 6],
      [6, 2],
      [1, 2 ** 32 - 1],
    ] as const) {
      t.refuses(-EINVAL, { ...map, btf_key_type_id, btf_value_type_id });
    }
    for (const map_type of [BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY]) {
      t.create({ ...map, map_type, btf_key_type_id: 1, btf_value_type_id: 2 });
      t.refuses(-EINVAL, { ...map, map_type, btf_key_type_id: 8, btf_value_type_id: 2 });
      t.refuses(-EINVAL, { ...map, map_type, max_entries: 1, btf_value_type_id: 2 });
    }
    t.create({ ...map, map_type: BPF_MAP_TYPE_PERCPU_HASH, btf_key_type_id: 1, btf_value_type_id: 2 });
    const trie = { ...map, map_type: BPF_MAP_TYPE_LPM_TRIE, key_size: 8, map_flags: BPF_F_NO_PREALLOC };
    t.create({ ...trie, btf_key_type_id: 4, btf_value_type_id: 2 });
    t.refuses(-EINVAL, { ...trie, btf_key_type_id: 2, btf_value_type_id: 2 });
    const keyless = { ...map, key_size: 0, btf_value_type_id: 2 };
    for (const map_type of [BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK]) t.refuses(-EINVAL, { ...keyless, map_type });
    t.create({ ...keyless, map_type: BPF_MAP_TYPE_BLOOM_FILTER });
    t.refuses(-EINVAL, { ...keyless, map_type: BPF_MAP_TYPE_BLOOM_FILTER, btf_key_type_id: 1 });
  },

  "an array's keys are an int of 32 bits, of any encoding": (t) => {
    const ints = [
      int(4, 32),
      int(4, 32, 0, 1),
      int(4, 32, 0, 2),
      int(4, 32, 0, 4),
      int(4, 31),
      int(4, 16),
      int(4, 16, 16),
    ];
    const fd = load(
      t,
      btfOf((builder) => {
        for (const type of ints) builder.add(type);
      }),
    );
    ints.forEach((_, i) => {
      const ids = { btf_fd: fd, btf_key_type_id: i + 1, btf_value_type_id: 1 };
      const array = { map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 4, max_entries: 2, ...ids };
      if (i < 4) t.close(t.create(array));
      else t.refuses(-EINVAL, array);
    });
  },

  "an array of one elem may be a data section": (t) => {
    const fd = load(
      t,
      btfOf((builder) => {
        builder.int("int", 4);
        builder.add(variable(1));
        builder.add(section(4, [2, 0, 4]));
      }),
    );
    const map = { map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 4, max_entries: 1, btf_fd: fd };
    t.info(t.create({ ...map, btf_value_type_id: 3 }), { btf_key_type_id: 0, btf_value_type_id: 3 });
    t.refuses(-EINVAL, { ...map, max_entries: 2, btf_value_type_id: 3 });
    t.refuses(-EINVAL, { ...map, map_type: BPF_MAP_TYPE_PERCPU_ARRAY, btf_value_type_id: 3 });
  },

  "a lock is for some types, and not where programs may not write": (t) => {
    const fd = load(t, locked);
    for (const map_type of lockTypes) {
      t.create({ ...withLock, map_type, btf_fd: fd });
      for (const map_flags of [BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG]) {
        t.refuses(-EACCES, { ...withLock, map_type, btf_fd: fd, map_flags });
      }
    }
    for (const map_type of [BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY]) {
      t.refuses(-EOPNOTSUPP, { ...withLock, map_type, btf_fd: fd });
    }
    t.refuses(-EOPNOTSUPP, {
      ...withLock,
      map_type: BPF_MAP_TYPE_BLOOM_FILTER,
      key_size: 0,
      btf_key_type_id: 0,
      btf_fd: fd,
    });
  },

  "a lock reads back as zero, and is not written": (t) => {
    for (const map_type of lockTypes) {
      const map = lockMap(t, map_type);
      for (const flags of [BPF_ANY, BPF_F_LOCK]) {
        t.update(map, u32(1), run(16), flags);
        t.lookup(map, u32(1), unlocked(run(16)));
        t.lookup(map, u32(1), unlocked(run(16)), BPF_F_LOCK);
        t.update(map, u32(1), run(16, 40), flags);
        t.lookup(map, u32(1), unlocked(run(16, 40)), BPF_F_LOCK);
      }
      const data: [number, Uint8Array][] = [
        [KEYS, u32(2)],
        [VALUE, run(16, 7)],
      ];
      const batch = { map_fd: map, keys: { to: KEYS }, values: { to: VALUE }, count: 1 };
      for (const elem_flags of [0, BPF_F_LOCK]) {
        t.command(BPF_MAP_UPDATE_BATCH, "batch", { ...batch, elem_flags }, 0, { data });
        t.lookup(map, u32(2), unlocked(run(16, 7)));
      }
    }
  },

  "BPF_F_LOCK goes with what else an update may be": (t) => {
    const hash = lockMap(t, BPF_MAP_TYPE_HASH);
    const value = run(16);
    t.update(hash, u32(1), value, BPF_F_LOCK | BPF_EXIST, -ENOENT);
    t.update(hash, u32(1), value, BPF_F_LOCK | BPF_NOEXIST);
    t.update(hash, u32(1), value, BPF_F_LOCK | BPF_NOEXIST, -EEXIST);
    t.update(hash, u32(1), value, BPF_F_LOCK | BPF_EXIST);
    t.update(hash, u32(1), value, BPF_F_LOCK | 3, -EINVAL);
    for (let i = 2; i <= 4; i++) t.update(hash, u32(i), value, BPF_F_LOCK);
    t.update(hash, u32(5), value, BPF_F_LOCK, -E2BIG);
    const array = lockMap(t, BPF_MAP_TYPE_ARRAY);
    t.update(array, u32(1), value, BPF_F_LOCK | BPF_EXIST);
    t.update(array, u32(1), value, BPF_F_LOCK | BPF_NOEXIST, -EEXIST);
    t.update(array, u32(9), value, BPF_F_LOCK, -E2BIG);
    t.update(array, u32(1), value, BPF_F_LOCK | 3, -EINVAL);
    t.lookup(array, u32(9), -ENOENT, BPF_F_LOCK);
  },

  "taking out, and batches, with a lock": (t) => {
    const hash = lockMap(t, BPF_MAP_TYPE_HASH);
    const fields = { map_fd: hash, key: { to: KEY }, value: { to: VALUE }, flags: BPF_F_LOCK };
    t.update(hash, u32(1), run(16));
    t.command(BPF_MAP_LOOKUP_AND_DELETE_ELEM, "mapElem", fields, 0, { data: [[KEY, u32(1)]] });
    t.equal("The value", t.bytesAt(VALUE, 16), unlocked(run(16)));
    t.lookup(hash, u32(1), -ENOENT);
    const batch = {
      map_fd: hash,
      keys: { to: KEYS },
      values: { to: VALUE },
      out_batch: { to: OUT },
      count: 8,
      elem_flags: BPF_F_LOCK,
    };
    for (const cmd of [BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH]) {
      t.update(hash, u32(1), run(16));
      t.command(cmd, "batch", batch, -ENOENT);
      t.equal("The value", t.bytesAt(VALUE, 16), unlocked(run(16)));
    }
    t.update(hash, u32(1), run(16));
    t.command(BPF_MAP_DELETE_BATCH, "batch", { ...batch, out_batch: 0, count: 1 }, 0, { data: [[KEYS, u32(1)]] });
    t.lookup(hash, u32(1), -ENOENT);
    const array = lockMap(t, BPF_MAP_TYPE_ARRAY);
    t.command(BPF_MAP_LOOKUP_BATCH, "batch", { ...batch, map_fd: array, in_batch: { to: IN }, count: 1 }, 0, {
      data: [[IN, u32(0)]],
    });
  },

  "without a lock BPF_F_LOCK is EINVAL": (t) => {
    for (const map_type of lockTypes) {
      const map = t.create({ map_type, key_size: 4, value_size: 16, max_entries: 4 });
      t.update(map, u32(1), run(16), BPF_F_LOCK, -EINVAL);
      t.lookup(map, u32(1), -EINVAL, BPF_F_LOCK);
      const fields = { map_fd: map, key: { to: KEY }, value: { to: VALUE }, flags: BPF_F_LOCK };
      t.command(BPF_MAP_LOOKUP_AND_DELETE_ELEM, "mapElem", fields, -EINVAL);
      const batch = { map_fd: map, keys: { to: KEYS }, values: { to: VALUE }, count: 1, elem_flags: BPF_F_LOCK };
      for (const cmd of [BPF_MAP_LOOKUP_BATCH, BPF_MAP_UPDATE_BATCH]) t.command(cmd, "batch", batch, -EINVAL);
    }
  },

  "a map with special fields is not frozen": (t) => {
    for (const map_type of lockTypes) {
      const map = lockMap(t, map_type);
      const reader = t.opens(BPF_MAP_GET_FD_BY_ID, "getId", { map_id: { id: map.fd }, open_flags: BPF_F_RDONLY });
      for (const fd of [map, reader]) t.command(BPF_MAP_FREEZE, "mapElem", { map_fd: fd }, -ENOTSUPP);
    }
    t.close(lockMap(t, BPF_MAP_TYPE_ARRAY, { map_flags: BPF_F_MMAPABLE }));
  },

  "maps of maps take no BTF, and a map that goes in has its template's special fields": (t) => {
    const inner = lockMap(t, BPF_MAP_TYPE_HASH);
    const other = t.create({ map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 16, max_entries: 4 });
    const outer = { key_size: 4, value_size: 4, max_entries: 2, inner_map_fd: inner };
    const btf = load(t, plain);
    for (const map_type of [BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS]) {
      const withBtf = { ...outer, map_type, btf_fd: btf, btf_value_type_id: 1 };
      t.refuses(-ENOTSUPP, { ...withBtf, btf_key_type_id: 1 });
      t.refuses(-ENOTSUPP, withBtf);
      const fd = t.create({ ...outer, map_type });
      t.update(fd, u32(0), inner);
      t.update(fd, u32(0), lockMap(t, BPF_MAP_TYPE_HASH));
      t.update(fd, u32(0), other, 0, -EINVAL);
    }
  },

  "timers and deferred work are special fields, too": (t) => {
    for (const [name, size] of [
      ["bpf_timer", 16],
      ["bpf_wq", 16],
      ["bpf_task_work", 8],
      ["bpf_res_spin_lock", 4],
    ] as const) {
      const fd = load(
        t,
        btfOf((builder) => {
          const word = builder.int("u32", 4);
          const field = builder.struct(name, size, [{ name: "opaque", type: word, bitsOffset: 0 }]);
          builder.struct("value", 24, [
            { name: "field", type: field, bitsOffset: 0 },
            { name: "data", type: word, bitsOffset: 160 },
          ]);
        }),
      );
      const attr = {
        key_size: 4,
        value_size: 24,
        max_entries: 2,
        btf_fd: fd,
        btf_key_type_id: 1,
        btf_value_type_id: 3,
      };
      for (const map_type of [...lockTypes, BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY]) {
        if (!lockTypes.includes(map_type)) {
          t.refuses(-EOPNOTSUPP, { ...attr, map_type });
          continue;
        }
        const map = t.create({ ...attr, map_type });
        const wanted = run(24).fill(0, 0, size);
        t.update(map, u32(1), run(24));
        t.lookup(map, u32(1), wanted);
        t.lookup(map, u32(1), -EINVAL, BPF_F_LOCK);
        t.command(BPF_MAP_FREEZE, "mapElem", { map_fd: map }, -ENOTSUPP);
        t.close(map);
      }
      t.close(fd);
    }
  },

  "two locks in a struct are E2BIG, and one that is none is EFAULT": (t) => {
    const struct = (size: number, ...members: readonly (readonly [BtfId, number])[]): BtfType =>
      composite("STRUCT", size, members, "v");
    const lock = (size: number): BtfType => composite("STRUCT", size, [[1, 0]], "bpf_spin_lock");
    tries(t, 0, lock(4), struct(8, [2, 0], [1, 32]));
    tries(t, -E2BIG, lock(4), struct(8, [2, 0], [2, 32]));
    tries(t, -EFAULT, lock(8), struct(8, [2, 0]));
    tries(t, -EFAULT, lock(4), struct(8, [2, 8]));
    tries(t, -EINVAL, lock(4), list(2, 1, 2), struct(12, [3, 0], [2, 64]));
  },
};
