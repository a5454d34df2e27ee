/**
 * A small reader of BTF, the kernel's description of its own types: enums with their values, structs and unions with
 * the place of each field. Only what scripts/uapi.mjs asks for. Format: Documentation/bpf/btf.rst; little endian.
 */

const MAGIC = 0xeb9f;
const KIND = { int: 1, ptr: 2, array: 3, struct: 4, union: 5, enum: 6, typedef: 8, volatile: 9, const: 10, enum64: 19 };
const NAMES_TYPE = new Set([KIND.typedef, KIND.volatile, KIND.const]);
/** Bytes that follow the 12 of `struct btf_type`: fixed, and for each of its vlen members. */
const EXTRA = new Map([
  [KIND.int, [4, 0]],
  [KIND.array, [12, 0]],
  [KIND.struct, [0, 12]],
  [KIND.union, [0, 12]],
  [KIND.enum, [0, 8]],
  [13, [0, 8]], // FUNC_PROTO
  [14, [4, 0]], // VAR
  [15, [0, 12]], // DATASEC
  [17, [4, 0]], // DECL_TAG
  [KIND.enum64, [0, 12]],
]);

/**
 * @typedef {{ name: string, value: bigint }} Enumerator
 * @typedef {{ name: string, off: number, size: number, shift?: number, bits?: number, path: string[] }} Field
 *   `path`: the named members from the outermost struct down to this one, itself included.
 */

/**
 * @param {Buffer} data What /sys/kernel/btf/vmlinux holds.
 */
export function readBtf(data) {
  if (data.readUInt16LE(0) !== MAGIC) throw new Error(`Not BTF: it begins with 0x${data.readUInt16LE(0).toString(16)}`);
  const headerSize = data.readUInt32LE(4);
  const typesAt = headerSize + data.readUInt32LE(8);
  const typesEnd = typesAt + data.readUInt32LE(12);
  const stringsAt = headerSize + data.readUInt32LE(16);

  const string = (off) => data.toString("latin1", stringsAt + off, data.indexOf(0, stringsAt + off));

  /** Where each type's record begins, by type id; id 0 is void. */
  const at = [0];
  for (let pos = typesAt; pos < typesEnd;) {
    at.push(pos);
    const info = data.readUInt32LE(pos + 4);
    const [fixed, each] = EXTRA.get((info >>> 24) & 0x1f) ?? [0, 0];
    pos += 12 + fixed + each * (info & 0xffff);
  }

  const read = (id) => {
    const pos = at[id];
    const info = data.readUInt32LE(pos + 4);
    return {
      pos: pos + 12,
      name: string(data.readUInt32LE(pos)),
      kind: (info >>> 24) & 0x1f,
      vlen: info & 0xffff,
      flag: info >>> 31 === 1,
      sizeOrType: data.readUInt32LE(pos + 8),
    };
  };

  const resolve = (id) => {
    let type = read(id);
    while (NAMES_TYPE.has(type.kind)) type = read(type.sizeOrType);
    return type;
  };

  function sizeOf(type) {
    if (type.kind === KIND.ptr) return 8;
    if (type.kind !== KIND.array) return type.sizeOrType;
    return sizeOf(resolve(data.readUInt32LE(type.pos))) * data.readUInt32LE(type.pos + 8);
  }

  function enumerators(type) {
    const wide = type.kind === KIND.enum64;
    return Array.from({ length: type.vlen }, (_, i) => {
      const pos = type.pos + i * (wide ? 12 : 8);
      const low = data.readUInt32LE(pos + 4);
      const bits = wide ? (BigInt(data.readUInt32LE(pos + 8)) << 32n) | BigInt(low) : BigInt(low);
      return { name: string(data.readUInt32LE(pos)), value: type.flag ? BigInt.asIntN(wide ? 64 : 32, bits) : bits };
    });
  }

  const members = (type) =>
    Array.from({ length: type.vlen }, (_, i) => {
      const pos = type.pos + i * 12;
      const where = data.readUInt32LE(pos + 8);
      const bits = type.flag ? where >>> 24 : 0;
      const bitOff = type.flag ? where & 0xffffff : where;
      return { name: string(data.readUInt32LE(pos)), type: resolve(data.readUInt32LE(pos + 4)), bitOff, bits };
    });

  const isAggregate = (type) => type.kind === KIND.struct || type.kind === KIND.union;

  /** The fields of a struct or union; those of its nested anonymous types are flattened into it. */
  function fields(type, base = 0, path = []) {
    return members(type).flatMap((member) => {
      const here = member.name === "" ? path : [...path, member.name];
      if (isAggregate(member.type) && member.type.name === "")
        return fields(member.type, base + member.bitOff / 8, here);
      const size = sizeOf(member.type);
      const place = { name: member.name, off: base + Math.floor(member.bitOff / 8), size, path: here };
      return [member.bits === 0 ? place : { ...place, shift: member.bitOff % 8, bits: member.bits }];
    });
  }

  const enums = [];
  const aggregates = new Map();
  for (let id = 1; id < at.length; id++) {
    const kind = (data.readUInt32LE(at[id] + 4) >>> 24) & 0x1f;
    if (kind === KIND.enum || kind === KIND.enum64) enums.push(read(id));
    else if (kind === KIND.struct || kind === KIND.union) {
      const type = read(id);
      if (type.name !== "" && !aggregates.has(type.name)) aggregates.set(type.name, type);
    }
  }
  const values = enums.map((type) => ({ name: type.name, values: enumerators(type) }));

  function aggregate(name) {
    const type = aggregates.get(name);
    if (type === undefined) throw new Error(`The kernel's BTF has no struct or union ${name}`);
    return type;
  }

  return {
    /** @returns {Enumerator[]} of an enum, by its name or, where it has none, by one of its values. */
    enum(name) {
      const found = values.find((each) =>
        each.name === "" ? each.values.some((v) => v.name === name) : each.name === name,
      );
      if (found === undefined) throw new Error(`The kernel's BTF has no enum ${name}`);
      return found.values;
    },
    /** @returns {{ size: number, fields: Field[] }} */
    struct(name) {
      const type = aggregate(name);
      return { size: type.sizeOrType, fields: fields(type) };
    },
    /** @returns {{ name: string, fields: Field[] }[]} a union of structs, one entry a struct; name is "" where C gives none. */
    union(name) {
      return members(aggregate(name)).map((member) => ({ name: member.name, fields: fields(member.type) }));
    },
  };
}
