/**
 * BTF objects, and types by id: what _btf_check.ts has checked, and what _btf_fields.ts looks for special fields in. Behaves as
 * kernel/bpf/btf.c.
 *
 * An object is one run of pages:
 *
 *      Btf       head
 *      data      as it was loaded: header, types, strings (drawn in src/btf/btf.ts)
 *      offs      a word a type: where it lies. Type 0 is void, and lies at `nothing`
 *      ids       a word a type: what a modifier, a pointer, a variable or an array resolves to
 *      sizes     a word a type: bytes of an array
 *      states    a byte a type, while it is checked
 *
 *      type      0 name_off   4 info: kind_flag 31, kind 24..28, vlen 0..15   8 size, or type   12 what the kind has more
 *
 * Threads: an object does not change once it has an id. `next`, `prev`, `refs` and `id`: see btf.ts.
 */

@unmanaged
export class Btf {
  /** 0 until it is listed. */
  id: u32;
  /** Fds and maps; one more while it is being made. */
  refs: u32;
  next: u32;
  prev: u32;
  data: u32;
  dataSize: u32;
  /** hdr_len, type_off and so on: those that the header is too short for are 0. */
  headerLength: u32;
  typeOff: u32;
  typeLength: u32;
  stringOff: u32;
  stringLength: u32;
  /** How many types there are, void included. */
  typeCount: u32;
  offs: u32;
  ids: u32;
  sizes: u32;
  states: u32;
  /** A type of no kind: void. */
  nothing0: u32;
  nothing4: u32;
  nothing8: u32;
}

export const KIND_VOID: u32 = 0;
export const KIND_INT: u32 = 1;
export const KIND_PTR: u32 = 2;
export const KIND_ARRAY: u32 = 3;
export const KIND_STRUCT: u32 = 4;
export const KIND_UNION: u32 = 5;
export const KIND_ENUM: u32 = 6;
export const KIND_FWD: u32 = 7;
export const KIND_TYPEDEF: u32 = 8;
export const KIND_VOLATILE: u32 = 9;
export const KIND_CONST: u32 = 10;
export const KIND_RESTRICT: u32 = 11;
export const KIND_FUNC: u32 = 12;
export const KIND_FUNC_PROTO: u32 = 13;
export const KIND_VAR: u32 = 14;
export const KIND_DATASEC: u32 = 15;
export const KIND_FLOAT: u32 = 16;
export const KIND_DECL_TAG: u32 = 17;
export const KIND_TYPE_TAG: u32 = 18;
export const KIND_ENUM64: u32 = 19;

/** As deep as types are followed. */
export const MAX_RESOLVE_DEPTH: u32 = 32;

/** Where the type of an id lies, or 0. */
export function typeAt(btf: Btf, id: u32): usize {
  return id < btf.typeCount ? load<u32>(<usize>btf.offs + 4 * <usize>id) : 0;
}

// @ts-ignore: decorator
@inline
export function nameOff(type: usize): u32 {
  return load<u32>(type);
}

// @ts-ignore: decorator
@inline
export function kindOf(type: usize): u32 {
  return (load<u32>(type, 4) >> 24) & 0x1f;
}

// @ts-ignore: decorator
@inline
export function kindFlag(type: usize): bool {
  return load<u32>(type, 4) >> 31 != 0;
}

// @ts-ignore: decorator
@inline
export function vlen(type: usize): u32 {
  return load<u32>(type, 4) & 0xffff;
}

/** `size`, or `type`, by its kind. */
// @ts-ignore: decorator
@inline
export function sizeOrType(type: usize): u32 {
  return load<u32>(type, 8);
}

/** What follows the first 12 bytes. */
// @ts-ignore: decorator
@inline
export function tail(type: usize): usize {
  return type + 12;
}

/** The string of an offset, which was checked to lie within. */
// @ts-ignore: decorator
@inline
export function stringAt(btf: Btf, off: u32): usize {
  return <usize>btf.data + btf.headerLength + btf.stringOff + off;
}

export function isModifier(kind: u32): bool {
  return (kind >= KIND_TYPEDEF && kind <= KIND_RESTRICT) || kind == KIND_TYPE_TAG;
}

// @ts-ignore: decorator
@inline
export function isStruct(kind: u32): bool {
  return kind == KIND_STRUCT || kind == KIND_UNION;
}

/** Kinds whose types say their size. */
export function hasSize(kind: u32): bool {
  return kind == KIND_INT || isStruct(kind) || kind == KIND_ENUM || kind == KIND_DATASEC || kind == KIND_FLOAT || kind == KIND_ENUM64;
}

/** Kinds of no size. */
export function hasNoSize(kind: u32): bool {
  return kind == KIND_VOID || kind == KIND_FWD || kind == KIND_FUNC || kind == KIND_FUNC_PROTO || kind == KIND_DECL_TAG;
}

export function resolvedId(btf: Btf, id: u32): u32 {
  return load<u32>(<usize>btf.ids + 4 * <usize>id);
}

export function resolvedSize(btf: Btf, id: u32): u32 {
  return load<u32>(<usize>btf.sizes + 4 * <usize>id);
}

/** The id of the type with a size that an id leads to: itself, or what it is a name of; NO_TYPE where there is none. */
export function sizedId(btf: Btf, id: u32): u32 {
  const type = typeAt(btf, id);
  if (type == 0 || hasNoSize(kindOf(type))) return NO_TYPE;
  const kind = kindOf(type);
  if (hasSize(kind) || kind == KIND_ARRAY || kind == KIND_PTR) return id;
  const resolved = resolvedId(btf, id);
  const at = typeAt(btf, resolved);
  if (at == 0) return NO_TYPE;
  const found = kindOf(at);
  return hasSize(found) || found == KIND_ARRAY || found == KIND_PTR ? resolved : NO_TYPE;
}

export const NO_TYPE: u32 = u32.MAX_VALUE;

/** Bytes of a type that `sizedId` gave. */
export function sizeOf(btf: Btf, id: u32): u32 {
  const type = typeAt(btf, id);
  const kind = kindOf(type);
  return kind == KIND_PTR ? 8 : kind == KIND_ARRAY ? resolvedSize(btf, id) : sizeOrType(type);
}

// Members of a struct are 12 bytes each: name_off, type, offset.

// @ts-ignore: decorator
@inline
export function memberAt(type: usize, i: u32): usize {
  return tail(type) + 12 * <usize>i;
}

/** In bits from the struct's begin. */
export function memberBits(type: usize, member: usize): u32 {
  const offset = load<u32>(member, 8);
  return kindFlag(type) ? offset & 0xffffff : offset;
}

// An int's word: bits, offset and encoding.

// @ts-ignore: decorator
@inline
export function intBits(type: usize): u32 {
  return load<u32>(type, 12) & 0xff;
}

// @ts-ignore: decorator
@inline
export function intOffset(type: usize): u32 {
  return (load<u32>(type, 12) >> 16) & 0xff;
}

// @ts-ignore: decorator
@inline
export function intEncoding(type: usize): u32 {
  return (load<u32>(type, 12) >> 24) & 0xf;
}
