/**
 * WebAssembly's binary format, as much of it as compiled programs need: bytes of code with labels, and a module around them.
 */

export const I32 = 0x7f;
export const I64 = 0x7e;

/** Instructions, by the names of the specification. */
export const op = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  returnCallIndirect: 0x13,
  drop: 0x1a,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  i32Load: 0x28,
  i64Load: 0x29,
  i64Load8S: 0x30,
  i64Load8U: 0x31,
  i64Load16S: 0x32,
  i64Load16U: 0x33,
  i64Load32S: 0x34,
  i64Load32U: 0x35,
  i32Store: 0x36,
  i64Store: 0x37,
  i64Store8: 0x3c,
  i64Store16: 0x3d,
  i64Store32: 0x3e,
  i32Const: 0x41,
  i64Const: 0x42,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32Ne: 0x47,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32GtS: 0x4a,
  i32GtU: 0x4b,
  i32LeS: 0x4c,
  i32LeU: 0x4d,
  i32GeS: 0x4e,
  i32GeU: 0x4f,
  i64Eqz: 0x50,
  i64Eq: 0x51,
  i64Ne: 0x52,
  i64LtS: 0x53,
  i64LtU: 0x54,
  i64GtS: 0x55,
  i64GtU: 0x56,
  i64LeS: 0x57,
  i64LeU: 0x58,
  i64GeS: 0x59,
  i64GeU: 0x5a,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32DivS: 0x6d,
  i32DivU: 0x6e,
  i32RemS: 0x6f,
  i32RemU: 0x70,
  i32And: 0x71,
  i32Or: 0x72,
  i32Xor: 0x73,
  i32Shl: 0x74,
  i32ShrS: 0x75,
  i32ShrU: 0x76,
  i32Rotl: 0x77,
  i64Add: 0x7c,
  i64Sub: 0x7d,
  i64Mul: 0x7e,
  i64DivS: 0x7f,
  i64DivU: 0x80,
  i64RemS: 0x81,
  i64RemU: 0x82,
  i64And: 0x83,
  i64Or: 0x84,
  i64Xor: 0x85,
  i64Shl: 0x86,
  i64ShrS: 0x87,
  i64ShrU: 0x88,
  i64Rotl: 0x89,
  i32WrapI64: 0xa7,
  i64ExtendI32S: 0xac,
  i64ExtendI32U: 0xad,
  i32Extend8S: 0xc0,
  i32Extend16S: 0xc1,
  i64Extend8S: 0xc2,
  i64Extend16S: 0xc3,
  i64Extend32S: 0xc4,
} as const;

/** Behind the byte ATOMIC. */
export const atomic = {
  i32Load: 0x10,
  i64Load: 0x11,
  i64Load8U: 0x14,
  i64Load16U: 0x15,
  i64Load32U: 0x16,
  i64Store: 0x18,
  i64Store8: 0x1b,
  i64Store16: 0x1c,
  i64Store32: 0x1d,
  i32Add: 0x1e,
  i64Add: 0x1f,
  i32And: 0x2c,
  i64And: 0x2d,
  i32Or: 0x33,
  i64Or: 0x34,
  i32Xor: 0x3a,
  i64Xor: 0x3b,
  i32Xchg: 0x41,
  i64Xchg: 0x42,
  i32Cmpxchg: 0x48,
  i64Cmpxchg: 0x49,
} as const;

const ATOMIC = 0xfe;
const SIMD = 0xfd;
const V128_STORE = 11;
const V128_CONST = 12;
const NO_RESULT = 0x40;

/** Bytes that grow. */
export class Bytes {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(256);
  length = 0;

  byte(value: number): this {
    if (this.length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.length++] = value;
    return this;
  }

  bytes(values: Uint8Array): this {
    if (this.length + values.length > this.#bytes.length) this.#grow(values.length);
    this.#bytes.set(values, this.length);
    this.length += values.length;
    return this;
  }

  /** Unsigned LEB128. */
  u32(value: number): this {
    let rest = value >>> 0;
    for (; rest >= 0x80; rest >>>= 7) this.byte((rest & 0x7f) | 0x80);
    return this.byte(rest);
  }

  /** Signed LEB128. */
  s32(value: number): this {
    let rest = value | 0;
    for (; rest < -64 || rest > 63; rest >>= 7) this.byte((rest & 0x7f) | 0x80);
    return this.byte(rest & 0x7f);
  }

  s64(value: bigint): this {
    let rest = BigInt.asIntN(64, value);
    for (; rest < -64n || rest > 63n; rest >>= 7n) this.byte(Number(rest & 0x7fn) | 0x80);
    return this.byte(Number(rest & 0x7fn));
  }

  name(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.u32(bytes.length).bytes(bytes);
  }

  done(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.length);
  }

  #grow(by: number): void {
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.length + by));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/** A block that is open: where `br` to it leads. */
export type Label = number;

/** The body of a function. */
export class Code extends Bytes {
  /** Whether a function of the table is called. */
  usesTable = false;
  #depth = 0;

  op(...codes: readonly number[]): this {
    for (const code of codes) this.byte(code);
    return this;
  }

  get(local: number): this {
    return this.byte(op.localGet).u32(local);
  }

  set(local: number): this {
    return this.byte(op.localSet).u32(local);
  }

  tee(local: number): this {
    return this.byte(op.localTee).u32(local);
  }

  i32(value: number): this {
    return this.byte(op.i32Const).s32(value);
  }

  /** A number of at most 32 bits with sign, or any as a bigint. */
  i64(value: number | bigint): this {
    this.byte(op.i64Const);
    return typeof value === "number" ? this.s32(value) : this.s64(value);
  }

  call(func: number): this {
    return this.byte(op.call).u32(func);
  }

  /** Of the function in the table whose index is on the stack; see `moduleOf`. */
  callTable(): this {
    this.usesTable = true;
    return this.byte(op.callIndirect).u32(0).byte(0);
  }

  /** The same, and returns what it returns: without this function's frame on the stack. See `hasTailCalls`. */
  returnCallTable(): this {
    this.usesTable = true;
    return this.byte(op.returnCallIndirect).u32(0).byte(0);
  }

  /** A load or store at the address on the stack plus `offset`; nothing is said about alignment. */
  access(code: number, offset: number): this {
    return this.byte(code).byte(0).u32(offset);
  }

  /** An atomic one; wants to know that the address is a multiple of 2 ** log2. */
  atomic(code: number, log2: number, offset: number): this {
    return this.byte(ATOMIC).byte(code).byte(log2).u32(offset);
  }

  /** Stores 16 zeroes at the address on the stack plus `offset`. */
  zero16(offset: number): this {
    this.byte(SIMD).byte(V128_CONST);
    for (let i = 0; i < 16; i++) this.byte(0);
    return this.byte(SIMD).byte(V128_STORE).byte(0).u32(offset);
  }

  open(code: typeof op.block | typeof op.loop | typeof op.if): Label {
    this.byte(code).byte(NO_RESULT);
    return ++this.#depth;
  }

  end(): this {
    this.#depth--;
    return this.byte(op.end);
  }

  br(label: Label): this {
    return this.byte(op.br).u32(this.#depth - label);
  }

  brIf(label: Label): this {
    return this.byte(op.brIf).u32(this.#depth - label);
  }

  /** By the number on the stack; the last one is for all larger numbers. */
  brTable(labels: readonly Label[]): this {
    this.byte(op.brTable).u32(labels.length - 1);
    for (const label of labels) this.u32(this.#depth - label);
    return this;
  }
}

/** What a function takes and gives. */
export interface Signature {
  readonly params: readonly number[];
  readonly results: readonly number[];
}

export interface Import extends Signature {
  readonly module: string;
  readonly name: string;
}

export interface Func extends Signature {
  /** Locals behind the params: how many of which type. */
  readonly locals: readonly (readonly [count: number, type: number])[];
  /** Without the last `end`. */
  readonly code: Code;
  readonly exportAs?: string;
}

/** Whether this engine has WebAssembly's tail calls: all have had them since 2024. */
export function hasTailCalls(): boolean {
  const signature = { params: [I32], results: [I32] };
  const code = new Code().get(0).get(0).returnCallTable();
  return WebAssembly.validate(moduleOf([], [{ ...signature, locals: [], code }], signature));
}

const FUNC = 0x60;
const FUNCREF = 0x70;
const SHARED_WITH_MAXIMUM = 3;
const MAX_PAGES = 65536;

/**
 * A module on a shared memory, "env" "memory", and, where its code uses it, a table, "k" "table", of functions that are all called with
 * `inTable`. Functions are numbered from the imports on. (V8 keeps what imports a table for as long as that.)
 */
export function moduleOf(
  imports: readonly Import[],
  funcs: readonly Func[],
  inTable: Signature,
): Uint8Array<ArrayBuffer> {
  const types = new Map<string, number>();
  const typeSection = new Bytes();
  const typeOf = ({ params, results }: Signature): number => {
    const key = `${params.join()}:${results.join()}`;
    let type = types.get(key);
    if (type === undefined) {
      types.set(key, (type = types.size));
      typeSection.byte(FUNC).u32(params.length).bytes(Uint8Array.from(params));
      typeSection.u32(results.length).bytes(Uint8Array.from(results));
    }
    return type;
  };

  // The first, as `callTable` has it.
  typeOf(inTable);

  // The memory comes first: engine.ts finds its limits there.
  const usesTable = funcs.some(({ code }) => code.usesTable);
  const importSection = new Bytes()
    .u32(imports.length + (usesTable ? 2 : 1))
    .name("env")
    .name("memory");
  importSection.byte(2).byte(SHARED_WITH_MAXIMUM).u32(1).u32(MAX_PAGES);
  if (usesTable) importSection.name("k").name("table").byte(1).byte(FUNCREF).byte(0).u32(0);
  for (const one of imports) importSection.name(one.module).name(one.name).byte(0).u32(typeOf(one));

  const funcSection = new Bytes().u32(funcs.length);
  const exported = funcs.flatMap(({ exportAs }, i) => (exportAs === undefined ? [] : [[exportAs, i] as const]));
  const exportSection = new Bytes().u32(exported.length);
  for (const [name, i] of exported)
    exportSection
      .name(name)
      .byte(0)
      .u32(imports.length + i);
  const codeSection = new Bytes().u32(funcs.length);
  for (const func of funcs) {
    funcSection.u32(typeOf(func));
    const body = new Bytes().u32(func.locals.length);
    for (const [count, type] of func.locals) body.u32(count).byte(type);
    body.bytes(func.code.done()).byte(op.end);
    codeSection.u32(body.length).bytes(body.done());
  }

  const module = new Bytes().bytes(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
  const counted = new Bytes().u32(types.size).bytes(typeSection.done());
  for (const [id, section] of [
    [1, counted],
    [2, importSection],
    [3, funcSection],
    [7, exportSection],
    [10, codeSection],
  ] as const) {
    module.byte(id).u32(section.length).bytes(section.done());
  }
  return module.done();
}
