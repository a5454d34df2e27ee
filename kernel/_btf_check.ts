/**
 * What BPF_BTF_LOAD refuses: the rules of BTF, in Linux's order. Behaves as btf_parse in kernel/bpf/btf.c.
 *
 * First the header and where its sections lie, then the strings, then each type by itself, in the order of ids; then each type
 * with those that it names ("resolving"), and last the order of type tags.
 *
 * Resolving goes depth first, over a stack of at most 32 types, so that loops are found. A pointer may lead back to a struct
 * that is being resolved, so what ends the way down depends on where it began: at a pointer, or at a struct or array.
 *
 * Threads: the object is nobody else's yet.
 */
import { E2BIG, EEXIST, EINVAL, ENOTSUPP } from "../src/uapi/errno";
import {
  Btf,
  KIND_ARRAY,
  KIND_CONST,
  KIND_DATASEC,
  KIND_DECL_TAG,
  KIND_ENUM,
  KIND_ENUM64,
  KIND_FLOAT,
  KIND_FUNC,
  KIND_FUNC_PROTO,
  KIND_FWD,
  KIND_INT,
  KIND_PTR,
  KIND_STRUCT,
  KIND_TYPEDEF,
  KIND_TYPE_TAG,
  KIND_UNION,
  KIND_VAR,
  KIND_VOID,
  KIND_VOLATILE,
  KIND_RESTRICT,
  MAX_RESOLVE_DEPTH,
  NO_TYPE,
  hasNoSize,
  intBits,
  intEncoding,
  intOffset,
  isModifier,
  isStruct,
  kindFlag,
  kindOf,
  memberAt,
  memberBits,
  nameOff,
  resolvedId,
  resolvedSize,
  sizeOf,
  sizeOrType,
  sizedId,
  stringAt,
  tail,
  typeAt,
  vlen,
} from "./_btf_types";
import { checkFieldsOfAll } from "./_btf_fields";

const MAGIC: u32 = 0xeb9f;
const VERSION: u32 = 1;
const HEADER_SIZE: u32 = 24;
/** hdr_len ends here. */
const LEAST_HEADER: u32 = 8;
const MAX_NAME_OFFSET: u32 = 0xffffff;
const MAX_TYPE: u32 = 0xfffff;
const MAX_KIND: u32 = 19;
/** Of a type's info: what is neither vlen, kind nor kind_flag. */
const INFO_UNKNOWN: u32 = ~<u32>0x9f00ffff;
const INT_UNKNOWN: u32 = ~<u32>0x0fffffff;
/** KSYM_NAME_LEN. */
const MAX_NAME: u32 = 512;
/** Of an int, and of what a bit-field is copied through. */
const MOST_BITS: u32 = 128;
const ENUM_BITS: u32 = 32;

const NOT_VISITED: u32 = 0;
const VISITED: u32 = 1;
const RESOLVED: u32 = 2;

/** What ends the way down. */
const ANYTHING: u32 = 0;
const FROM_POINTER: u32 = 1;
const FROM_COMPOSITE: u32 = 2;

/** The types that are being resolved, the outermost first, and where each has come to. */
@unmanaged
class Walk {
  top: u32;
  from: u32;
}

/** Bytes of Walk and its stack. */
export const WALK_BYTES: u32 = 8 + 8 * MAX_RESOLVE_DEPTH;

/** `resolve` of a type that has pushed another one: it is asked again when that is resolved. */
const PUSHED: i32 = 1;

// @ts-ignore: decorator
@inline
function idOn(walk: Walk, n: u32): usize {
  return changetype<usize>(walk) + 8 + 8 * <usize>n;
}

/**
 * Checks an object whose data has been read, and works out what its types resolve to.
 *
 * @param walkAt WALK_BYTES, zero.
 * @returns 0, or -EINVAL, -E2BIG, -ENOTSUPP, -EEXIST, -EFAULT
 */
export function checkBtf(btf: Btf, walkAt: usize): i32 {
  let ret = checkHeader(btf);
  if (ret == 0) ret = checkStrings(btf);
  if (ret == 0) ret = checkTypes(btf);
  if (ret == 0) ret = resolveAll(btf, changetype<Walk>(walkAt));
  if (ret == 0) ret = checkTypeTags(btf);
  return ret == 0 ? checkFieldsOfAll(btf) : ret;
}

function checkHeader(btf: Btf): i32 {
  const data: usize = btf.data;
  const size = btf.dataSize;
  if (size < LEAST_HEADER) return -EINVAL;
  const length = load<u32>(data, 4);
  if (size < length) return -EINVAL;
  for (let i = HEADER_SIZE; i < length; i++) {
    if (load<u8>(data + i) != 0) return -E2BIG;
  }
  btf.headerLength = length;
  btf.typeOff = headerWord(data, 8, length);
  btf.typeLength = headerWord(data, 12, length);
  btf.stringOff = headerWord(data, 16, length);
  btf.stringLength = headerWord(data, 20, length);
  const first = headerWord(data, 0, length);
  if ((first & 0xffff) != MAGIC) return -EINVAL;
  // version, and no flags.
  if (first >> 16 != VERSION) return -ENOTSUPP;
  if (size == length) return -EINVAL;
  return checkSections(btf);
}

/** A word of the header, of which `length` bytes are there: zeroes behind. */
function headerWord(data: usize, off: u32, length: u32): u32 {
  if (off >= length) return 0;
  const word = load<u32>(data + off);
  return length - off >= 4 ? word : word & ((1 << ((length - off) * 8)) - 1);
}

/** The two sections follow each other, in any order, and nothing lies between, before or behind. */
function checkSections(btf: Btf): i32 {
  const isSwapped =
    btf.stringOff != btf.typeOff ? <i32>(btf.stringOff - btf.typeOff) < 0 : <i32>(btf.stringLength - btf.typeLength) < 0;
  const room = btf.dataSize - btf.headerLength;
  let total: u32 = 0;
  for (let i = 0; i < 2; i++) {
    const isString = (i == 0) == isSwapped;
    const off = isString ? btf.stringOff : btf.typeOff;
    const length = isString ? btf.stringLength : btf.typeLength;
    if (room < off || total != off || room - total < length) return -EINVAL;
    total += length;
  }
  return room == total ? 0 : -EINVAL;
}

function checkStrings(btf: Btf): i32 {
  const length = btf.stringLength;
  if (btf.headerLength + btf.stringOff + length != btf.dataSize) return -EINVAL;
  if (length == 0 || length - 1 > MAX_NAME_OFFSET) return -EINVAL;
  return load<u8>(stringAt(btf, length - 1)) == 0 && load<u8>(stringAt(btf, 0)) == 0 ? 0 : -EINVAL;
}

// Names.

// @ts-ignore: decorator
@inline
function isName(btf: Btf, off: u32): bool {
  return off < btf.stringLength;
}

/** The kernel's isalpha: letters of Latin-1. */
function isAlpha(c: u32): bool {
  const lower = c | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (c >= 0xc0 && c != 0xd7 && c != 0xf7);
}

function isIdentifier(btf: Btf, off: u32): bool {
  const at = stringAt(btf, off);
  for (let i: u32 = 0; i < MAX_NAME; i++) {
    const c = load<u8>(at + i);
    if (c == 0) return i != 0;
    const isDigit = c >= 0x30 && c <= 0x39 && i != 0;
    if (!isAlpha(c) && !isDigit && c != 0x5f && c != 0x2e) return false;
  }
  return load<u8>(at + MAX_NAME) == 0;
}

/** Of a section: what can be printed. */
function isSectionName(btf: Btf, off: u32): bool {
  const at = stringAt(btf, off);
  for (let i: u32 = 0; i < MAX_NAME; i++) {
    const c = load<u8>(at + i);
    if (c == 0) return i != 0;
    if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false;
  }
  return load<u8>(at + MAX_NAME) == 0;
}

/** No name, or an identifier. */
function mayBeName(btf: Btf, off: u32): bool {
  return off == 0 || isIdentifier(btf, off);
}

/** An identifier. */
function mustBeName(btf: Btf, off: u32): bool {
  return off != 0 && isIdentifier(btf, off);
}

// Types, each by itself.

function checkTypes(btf: Btf): i32 {
  if (btf.typeOff % 4 != 0 || btf.typeLength == 0) return -EINVAL;
  store<u32>(btf.offs, <u32>(changetype<usize>(btf) + offsetof<Btf>("nothing0")));
  btf.typeCount = 1;
  let at = <usize>btf.data + btf.headerLength + btf.typeOff;
  const end = at + btf.typeLength;
  while (at < end) {
    const left = <u32>(end - at);
    if (left < 12) return -EINVAL;
    const info = load<u32>(at, 4);
    if ((info & INFO_UNKNOWN) != 0) return -EINVAL;
    const kind = kindOf(at);
    if (kind == KIND_VOID || kind > MAX_KIND || !isName(btf, nameOff(at))) return -EINVAL;
    const bytes = tailBytes(kind, vlen(at));
    if (left - 12 < bytes || !isSound(btf, at, kind)) return -EINVAL;
    if (kind == KIND_INT && !isEncoding(intEncoding(at))) return -ENOTSUPP;
    if (btf.typeCount > MAX_TYPE) return -E2BIG;
    store<u32>(<usize>btf.offs + 4 * <usize>btf.typeCount, <u32>at);
    btf.typeCount++;
    at += 12 + bytes;
  }
  return 0;
}

function isEncoding(encoding: u32): bool {
  return encoding == 0 || encoding == 1 || encoding == 2 || encoding == 4;
}

function tailBytes(kind: u32, n: u32): u32 {
  switch (kind) {
    case KIND_INT:
    case KIND_VAR:
    case KIND_DECL_TAG:
      return 4;
    case KIND_ARRAY:
      return 12;
    case KIND_STRUCT:
    case KIND_UNION:
    case KIND_DATASEC:
    case KIND_ENUM64:
      return 12 * n;
    case KIND_ENUM:
    case KIND_FUNC_PROTO:
      return 8 * n;
    default:
      return 0;
  }
}

// @ts-ignore: decorator
@inline
function mayBeId(id: u32): bool {
  return id <= MAX_TYPE;
}

// @ts-ignore: decorator
@inline
function mustBeId(id: u32): bool {
  return id != 0 && id <= MAX_TYPE;
}

/** What a type must be, looked at alone; all that it has lies within. */
function isSound(btf: Btf, type: usize, kind: u32): bool {
  const name = nameOff(type);
  const plain = vlen(type) == 0 && !kindFlag(type);
  switch (kind) {
    case KIND_INT:
      return plain && isSoundInt(type);
    case KIND_PTR:
    case KIND_VOLATILE:
    case KIND_CONST:
    case KIND_RESTRICT:
      return plain && mayBeId(sizeOrType(type)) && name == 0;
    case KIND_TYPEDEF:
      return plain && mayBeId(sizeOrType(type)) && mustBeName(btf, name);
    case KIND_TYPE_TAG:
      return vlen(type) == 0 && mayBeId(sizeOrType(type)) && load<u8>(stringAt(btf, name)) != 0;
    case KIND_ARRAY:
      return plain && name == 0 && sizeOrType(type) == 0 && mustBeId(load<u32>(type, 12)) && mustBeId(load<u32>(type, 16));
    case KIND_STRUCT:
    case KIND_UNION:
      return isSoundStruct(btf, type, kind);
    case KIND_ENUM:
    case KIND_ENUM64:
      return isSoundEnum(btf, type, kind);
    case KIND_FWD:
      return vlen(type) == 0 && sizeOrType(type) == 0 && mustBeName(btf, name);
    case KIND_FUNC:
      return mustBeName(btf, name) && vlen(type) <= 1 && !kindFlag(type);
    case KIND_FUNC_PROTO:
      return name == 0 && !kindFlag(type);
    case KIND_VAR:
      return plain && mustBeName(btf, name) && mustBeId(sizeOrType(type)) && load<u32>(type, 12) <= 1;
    case KIND_DATASEC:
      return isSoundSection(btf, type);
    case KIND_FLOAT: {
      const size = sizeOrType(type);
      return plain && (size == 2 || size == 4 || size == 8 || size == 12 || size == 16);
    }
    default: // KIND_DECL_TAG
      return load<u8>(stringAt(btf, name)) != 0 && vlen(type) == 0 && load<i32>(type, 12) >= -1;
  }
}

// @ts-ignore: decorator
@inline
function bytesOfBits(bits: u32): u32 {
  return (bits >> 3) + ((bits & 7) != 0 ? 1 : 0);
}

function isSoundInt(type: usize): bool {
  if ((load<u32>(type, 12) & INT_UNKNOWN) != 0) return false;
  const bits = intBits(type) + intOffset(type);
  return bits <= MOST_BITS && bytesOfBits(bits) <= sizeOrType(type);
}

function isSoundStruct(btf: Btf, type: usize, kind: u32): bool {
  if (!mayBeName(btf, nameOff(type))) return false;
  let last: u32 = 0;
  for (let i: u32 = 0, n = vlen(type); i < n; i++) {
    const member = memberAt(type, i);
    const name = load<u32>(member);
    if (!isName(btf, name) || !mayBeName(btf, name) || !mustBeId(load<u32>(member, 4))) return false;
    const bits = memberBits(type, member);
    if (kind == KIND_UNION && bits != 0) return false;
    if (last > bits || bytesOfBits(bits) > sizeOrType(type)) return false;
    last = bits;
  }
  return true;
}

function isSoundEnum(btf: Btf, type: usize, kind: u32): bool {
  const size = sizeOrType(type);
  if (size > 8 || popcnt<u32>(size) != 1 || !mayBeName(btf, nameOff(type))) return false;
  const step: usize = kind == KIND_ENUM ? 8 : 12;
  for (let at = tail(type), end = at + step * vlen(type); at < end; at += step) {
    const name = load<u32>(at);
    if (!isName(btf, name) || !mustBeName(btf, name)) return false;
  }
  return true;
}

function isSoundSection(btf: Btf, type: usize): bool {
  const size = sizeOrType(type);
  const name = nameOff(type);
  if (size == 0 || kindFlag(type) || name == 0 || !isSectionName(btf, name)) return false;
  let end: u64 = 0;
  let sum: u64 = 0;
  for (let i: u32 = 0, n = vlen(type); i < n; i++) {
    const part = memberAt(type, i);
    const off = load<u32>(part, 4);
    const bytes = load<u32>(part, 8);
    if (!mustBeId(load<u32>(part)) || off < end || off >= size || bytes == 0 || bytes > size) return false;
    end = <u64>off + bytes;
    if (end > size) return false;
    sum += bytes;
  }
  return size >= sum;
}

// Types with those that they name.

// @ts-ignore: decorator
@inline
function stateOf(btf: Btf, id: u32): u32 {
  return load<u8>(<usize>btf.states + id);
}

// @ts-ignore: decorator
@inline
function isResolved(btf: Btf, id: u32): bool {
  return stateOf(btf, id) == RESOLVED;
}

function needsResolve(kind: u32): bool {
  return (
    isModifier(kind) ||
    kind == KIND_PTR ||
    isStruct(kind) ||
    kind == KIND_ARRAY ||
    kind == KIND_VAR ||
    kind == KIND_FUNC ||
    kind == KIND_DECL_TAG ||
    kind == KIND_DATASEC
  );
}

/** What others do not name: variables, sections, tags. */
function isSource(kind: u32): bool {
  return kind == KIND_VAR || kind == KIND_DECL_TAG || kind == KIND_DATASEC;
}

/** Whether there is a type of this id that others may name. */
function canBeNamed(btf: Btf, id: u32): bool {
  const type = typeAt(btf, id);
  return type != 0 && !isSource(kindOf(type));
}

function isSink(walk: Walk, kind: u32): bool {
  if (walk.from == ANYTHING) return !needsResolve(kind);
  if (walk.from == FROM_POINTER) return !isModifier(kind) && kind != KIND_PTR;
  return !isModifier(kind) && kind != KIND_ARRAY && !isStruct(kind);
}

/** Whether a type has to be resolved before the one that names it. */
function isAhead(btf: Btf, walk: Walk, id: u32): bool {
  return !isSink(walk, kindOf(typeAt(btf, id))) && !isResolved(btf, id);
}

function push(btf: Btf, walk: Walk, id: u32): i32 {
  if (walk.top == MAX_RESOLVE_DEPTH) return -E2BIG;
  if (stateOf(btf, id) != NOT_VISITED) return -EEXIST;
  store<u8>(<usize>btf.states + id, VISITED);
  store<u32>(idOn(walk, walk.top), id);
  store<u32>(idOn(walk, walk.top), 0, 4);
  walk.top++;
  if (walk.from == ANYTHING) {
    const kind = kindOf(typeAt(btf, id));
    if (kind == KIND_PTR) walk.from = FROM_POINTER;
    else if (isStruct(kind) || kind == KIND_ARRAY) walk.from = FROM_COMPOSITE;
  }
  return PUSHED;
}

function pop(btf: Btf, walk: Walk, resolved: u32, size: u32): i32 {
  walk.top--;
  const id = load<u32>(idOn(walk, walk.top));
  store<u32>(<usize>btf.ids + 4 * <usize>id, resolved);
  store<u32>(<usize>btf.sizes + 4 * <usize>id, size);
  store<u8>(<usize>btf.states + id, RESOLVED);
  return 0;
}

function resolveAll(btf: Btf, walk: Walk): i32 {
  for (let id: u32 = 1, n = btf.typeCount; id < n; id++) {
    const type = typeAt(btf, id);
    const kind = kindOf(type);
    let ret: i32 = 0;
    if (needsResolve(kind) && !isResolved(btf, id)) ret = resolve(btf, walk, id);
    else if (kind == KIND_FUNC_PROTO) ret = checkFuncProto(btf, walk, type);
    if (ret != 0) return ret;
  }
  return 0;
}

function resolve(btf: Btf, walk: Walk, id: u32): i32 {
  walk.top = 0;
  walk.from = ANYTHING;
  let ret = push(btf, walk, id);
  while (ret >= 0 && walk.top != 0) {
    const top = idOn(walk, walk.top - 1);
    ret = resolveTop(btf, walk, load<u32>(top), load<u32>(top, 4));
  }
  if (ret < 0) return ret;
  return isResolvedRight(btf, id) ? 0 : -EINVAL;
}

/** Resolves the type on top of the stack, of whose parts `done` are: 0, PUSHED, or a negative errno. */
function resolveTop(btf: Btf, walk: Walk, id: u32, done: u32): i32 {
  const type = typeAt(btf, id);
  const kind = kindOf(type);
  switch (kind) {
    case KIND_ARRAY:
      return resolveArray(btf, walk, type);
    case KIND_STRUCT:
    case KIND_UNION:
      return resolveStruct(btf, walk, type, done);
    case KIND_VAR:
      return resolveVar(btf, walk, sizeOrType(type));
    case KIND_DATASEC:
      return resolveSection(btf, walk, type, done);
    case KIND_FUNC:
      return resolveFunc(btf, walk, sizeOrType(type));
    case KIND_DECL_TAG:
      return resolveTag(btf, walk, type);
    default:
      return resolveReference(btf, walk, kind, sizeOrType(type));
  }
}

/**
 * Where a modifier that was resolved as part of a struct ends at a pointer, which was not followed then: whoever follows pointers
 * goes on there. Returns the pointer's id, or 0.
 */
function pointerAhead(btf: Btf, walk: Walk, id: u32): u32 {
  if (!isModifier(kindOf(typeAt(btf, id)))) return 0;
  const resolved = resolvedId(btf, id);
  const type = typeAt(btf, resolved);
  return type != 0 && kindOf(type) == KIND_PTR && isAhead(btf, walk, resolved) ? resolved : 0;
}

/** Modifiers and pointers. */
function resolveReference(btf: Btf, walk: Walk, kind: u32, next: u32): i32 {
  if (!canBeNamed(btf, next)) return -EINVAL;
  if (isAhead(btf, walk, next)) return push(btf, walk, next);
  if (kind == KIND_PTR) {
    const pointer = pointerAhead(btf, walk, next);
    if (pointer != 0) return push(btf, walk, pointer);
  }
  const sized = sizedId(btf, next);
  if (sized != NO_TYPE) return pop(btf, walk, sized, 0);
  // A name of nothing: of void, of a struct that is only declared, of a function.
  const last = isResolved(btf, next) ? resolvedId(btf, next) : next;
  const type = typeAt(btf, last);
  if (type == 0) return -EINVAL;
  const found = kindOf(type);
  if (found != KIND_VOID && found != KIND_FWD && found != KIND_FUNC_PROTO) return -EINVAL;
  return pop(btf, walk, last, 0);
}

function resolveVar(btf: Btf, walk: Walk, next: u32): i32 {
  if (!canBeNamed(btf, next)) return -EINVAL;
  if (isAhead(btf, walk, next)) return push(btf, walk, next);
  const pointer = pointerAhead(btf, walk, next);
  if (pointer != 0) return push(btf, walk, pointer);
  const sized = sizedId(btf, next);
  return sized == NO_TYPE ? -EINVAL : pop(btf, walk, sized, sizeOf(btf, sized));
}

/** An int of 1, 2, 4, 8 or 16 whole bytes. */
function isRegularInt(type: usize): bool {
  const bits = intBits(type);
  const bytes = bytesOfBits(bits);
  return (bits & 7) == 0 && intOffset(type) == 0 && bytes <= 16 && popcnt<u32>(bytes) == 1;
}

function resolveArray(btf: Btf, walk: Walk, type: usize): i32 {
  const index = load<u32>(type, 16);
  if (!canBeNamed(btf, index)) return -EINVAL;
  if (isAhead(btf, walk, index)) return push(btf, walk, index);
  const sizedIndex = sizedId(btf, index);
  if (sizedIndex == NO_TYPE) return -EINVAL;
  const indexType = typeAt(btf, sizedIndex);
  if (kindOf(indexType) != KIND_INT || !isRegularInt(indexType)) return -EINVAL;
  const elem = load<u32>(type, 12);
  if (!canBeNamed(btf, elem)) return -EINVAL;
  if (isAhead(btf, walk, elem)) return push(btf, walk, elem);
  const sized = sizedId(btf, elem);
  if (sized == NO_TYPE) return -EINVAL;
  const elemType = typeAt(btf, sized);
  if (kindOf(elemType) == KIND_INT && !isRegularInt(elemType)) return -EINVAL;
  const bytes = <u64>sizeOf(btf, sized) * load<u32>(type, 20);
  return bytes > u32.MAX_VALUE ? -EINVAL : pop(btf, walk, sized, <u32>bytes);
}

function resolveStruct(btf: Btf, walk: Walk, type: usize, done: u32): i32 {
  if (done != 0 && !memberFits(btf, type, memberAt(type, done - 1))) return -EINVAL;
  for (let i = done, n = vlen(type); i < n; i++) {
    const member = memberAt(type, i);
    const id = load<u32>(member, 4);
    if (!canBeNamed(btf, id)) return -EINVAL;
    if (isAhead(btf, walk, id)) {
      store<u32>(idOn(walk, walk.top - 1), i + 1, 4);
      return push(btf, walk, id);
    }
    if (!memberFits(btf, type, member)) return -EINVAL;
  }
  return pop(btf, walk, 0, 0);
}

/** Whether a member, which was resolved, lies within its struct as its type wants it. */
function memberFits(btf: Btf, struct: usize, member: usize): bool {
  let id = load<u32>(member, 4);
  let type = typeAt(btf, id);
  if (isModifier(kindOf(type))) {
    id = sizedId(btf, id);
    if (id == NO_TYPE) return false;
    type = typeAt(btf, id);
  }
  const kind = kindOf(type);
  const bits = memberBits(struct, member);
  const width = kindFlag(struct) ? load<u32>(member, 8) >> 24 : 0;
  const size = sizeOrType(struct);
  if (kind == KIND_INT) return kindFlag(struct) ? bitFieldFits(type, bits, width, size) : intFits(type, bits, size);
  if ((kind == KIND_ENUM || kind == KIND_ENUM64) && kindFlag(struct)) {
    if (width > ENUM_BITS || (width == 0 && (bits & 7) != 0)) return false;
    return size >= bytesOfBits(bits + (width == 0 ? ENUM_BITS : width));
  }
  if (width != 0 || hasNoSize(kind) || isSource(kind)) return false;
  if (kind == KIND_FLOAT) {
    const bytes = sizeOrType(type);
    return bits % (8 * min<u32>(8, bytes)) == 0 && size >= bits / 8 + bytes;
  }
  return (bits & 7) == 0 && size - bits / 8 >= sizeOf(btf, id);
}

function intFits(type: usize, memberBits: u32, size: u32): bool {
  const off = intOffset(type);
  if (u32.MAX_VALUE - memberBits < off) return false;
  return bitsFit(memberBits + off, intBits(type), size);
}

function bitFieldFits(type: usize, bits: u32, width: u32, size: u32): bool {
  if (!isRegularInt(type) || width > intBits(type) || (width == 0 && (bits & 7) != 0)) return false;
  return bitsFit(bits, width == 0 ? intBits(type) : width, size);
}

function bitsFit(from: u32, count: u32, size: u32): bool {
  const bits = count + (from & 7);
  const first = from >> 3;
  return bits <= MOST_BITS && size >= first && size - first >= bytesOfBits(bits);
}

function resolveSection(btf: Btf, walk: Walk, type: usize, done: u32): i32 {
  walk.from = ANYTHING;
  for (let i = done, n = vlen(type); i < n; i++) {
    const part = memberAt(type, i);
    const id = load<u32>(part);
    const variable = typeAt(btf, id);
    if (variable == 0 || kindOf(variable) != KIND_VAR) return -EINVAL;
    if (isAhead(btf, walk, id)) {
      store<u32>(idOn(walk, walk.top - 1), i + 1, 4);
      return push(btf, walk, id);
    }
    const sized = sizedId(btf, sizeOrType(variable));
    if (sized == NO_TYPE || load<u32>(part, 8) < sizeOf(btf, sized)) return -EINVAL;
  }
  return pop(btf, walk, 0, 0);
}

function resolveFunc(btf: Btf, walk: Walk, next: u32): i32 {
  const proto = typeAt(btf, next);
  if (proto == 0 || kindOf(proto) != KIND_FUNC_PROTO) return -EINVAL;
  for (let i: u32 = 0, n = vlen(proto); i < n; i++) {
    const param = tail(proto) + 8 * <usize>i;
    if (load<u32>(param) == 0 && load<u32>(param, 4) != 0) return -EINVAL;
  }
  return pop(btf, walk, next, 0);
}

function resolveTag(btf: Btf, walk: Walk, type: usize): i32 {
  const next = sizeOrType(type);
  const target = typeAt(btf, next);
  if (target == 0) return -EINVAL;
  const kind = kindOf(target);
  if (kind != KIND_FUNC && !isStruct(kind) && kind != KIND_VAR && kind != KIND_TYPEDEF) return -EINVAL;
  if (isAhead(btf, walk, next)) return push(btf, walk, next);
  const component = load<i32>(type, 12);
  if (component != -1) {
    if (kind == KIND_VAR || kind == KIND_TYPEDEF) return -EINVAL;
    const parts = isStruct(kind) ? target : typeAt(btf, sizeOrType(target));
    if (<u32>component >= vlen(parts)) return -EINVAL;
  }
  return pop(btf, walk, next, 0);
}

function isResolvedRight(btf: Btf, id: u32): bool {
  if (!isResolved(btf, id)) return false;
  const type = typeAt(btf, id);
  const kind = kindOf(type);
  const resolved = resolvedId(btf, id);
  const size = resolvedSize(btf, id);
  if (isStruct(kind) || kind == KIND_DATASEC) return resolved == 0 && size == 0;
  if (kind == KIND_DECL_TAG || kind == KIND_FUNC) return resolved != 0 && size == 0;
  if (kind == KIND_ARRAY) {
    const elem = sizedId(btf, load<u32>(type, 12));
    return elem != NO_TYPE && load<u32>(type, 20) * sizeOf(btf, elem) == size;
  }
  const last = typeAt(btf, resolved);
  return last != 0 && !isModifier(kindOf(last)) && kindOf(last) != KIND_VAR && kindOf(last) != KIND_DATASEC;
}

/** What a function returns and takes has a size; only the last parameter may have neither name nor type ("..."). */
function checkFuncProto(btf: Btf, walk: Walk, type: usize): i32 {
  if (sizeOrType(type) != 0) {
    const ret = checkSized(btf, walk, sizeOrType(type));
    if (ret != 0) return ret;
  }
  let n = vlen(type);
  if (n == 0) return 0;
  const last = tail(type) + 8 * <usize>(n - 1);
  if (load<u32>(last, 4) == 0) {
    if (load<u32>(last) != 0) return -EINVAL;
    n--;
  }
  for (let i: u32 = 0; i < n; i++) {
    const param = tail(type) + 8 * <usize>i;
    const id = load<u32>(param, 4);
    if (!canBeNamed(btf, id)) return -EINVAL;
    const name = load<u32>(param);
    if (name != 0 && (!isName(btf, name) || !isIdentifier(btf, name))) return -EINVAL;
    const ret = checkSized(btf, walk, id);
    if (ret != 0) return ret;
  }
  return 0;
}

function checkSized(btf: Btf, walk: Walk, id: u32): i32 {
  if (!canBeNamed(btf, id)) return -EINVAL;
  if (needsResolve(kindOf(typeAt(btf, id))) && !isResolved(btf, id)) {
    const ret = resolve(btf, walk, id);
    if (ret != 0) return ret;
  }
  return sizedId(btf, id) == NO_TYPE ? -EINVAL : 0;
}

/** Type tags come before other modifiers. */
function checkTypeTags(btf: Btf): i32 {
  for (let id: u32 = 1, n = btf.typeCount; id < n; id++) {
    const type = typeAt(btf, id);
    const kind = kindOf(type);
    if (!isModifier(kind) || kind == KIND_TYPE_TAG) continue;
    if (kindOf(typeAt(btf, sizeOrType(type))) == KIND_TYPE_TAG) return -EINVAL;
  }
  return 0;
}
