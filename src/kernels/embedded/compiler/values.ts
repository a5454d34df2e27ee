/**
 * What is known of the values in registers and on the stack. All of it is true of every run that gets there: what is not known is UNKNOWN,
 * and memory is then accessed through a check only.
 */

export const KIND_UNKNOWN = 0;
/** A number between min and max, unsigned, as 64 bits. */
export const KIND_SCALAR = 1;
/** r10 of this function, plus min to max. */
export const KIND_FRAME = 2;
/** The context, plus min. */
export const KIND_CTX = 3;
/** Likely somewhere in the packet: a hint for which check comes first. */
export const KIND_PACKET = 4;
/** The map. */
export const KIND_MAP = 5;
/** A value of the map, plus min to max. */
export const KIND_VALUE = 6;
/** A pointer to a function of the program: `map` is the instruction that it begins with. */
export const KIND_FUNC = 7;
/** The copy of a key that bpf_for_each_map_elem gives, plus min to max. */
export const KIND_KEY = 8;
/** The caller's r10, plus min to max. */
export const KIND_OUTER = 9;

export interface Value {
  readonly kind: number;
  readonly min: number;
  readonly max: number;
  /** Index of the map. */
  readonly map: number;
  /** Whether it may be 0 instead. */
  readonly isNullable: boolean;
  /** Those with the same one are null together; 0 for none. */
  readonly lookup: number;
}

const value = (kind: number, min: number, max: number, map = 0, isNullable = false, lookup = 0): Value => {
  return { kind, min, max, map, isNullable, lookup };
};

export const UNKNOWN: Value = value(KIND_UNKNOWN, 0, 0);
export const PACKET: Value = value(KIND_PACKET, 0, 0);
export const CTX: Value = value(KIND_CTX, 0, 0);
export const FRAME: Value = value(KIND_FRAME, 0, 0);
export const ZERO: Value = value(KIND_SCALAR, 0, 0);
export const mapAt = (map: number): Value => value(KIND_MAP, 0, 0, map);
export const funcAt = (entry: number): Value => value(KIND_FUNC, 0, 0, entry);
export const outerAt = (min: number, max: number): Value => value(KIND_OUTER, min, max);
export const keyOf = (map: number): Value => value(KIND_KEY, 0, 0, map);
export const valueOf = (map: number, offset: number): Value => value(KIND_VALUE, offset, offset, map);
export const lookedUp = (map: number, lookup: number): Value => value(KIND_VALUE, 0, 0, map, true, lookup);
export const notNull = (of: Value): Value => value(of.kind, of.min, of.max, of.map);
export const withoutLookup = (of: Value): Value =>
  of.lookup === 0 ? of : value(of.kind, of.min, of.max, of.map, of.isNullable);

/** Numbers up to here are exact. */
const MAX = Number.MAX_SAFE_INTEGER;
export const MAX_U32 = 0xffff_ffff;
/** Offsets beyond are not kept: they are of no use, and pointers are to stay far from the ends of the address space. */
const MAX_OFFSET = 2 ** 31;

export const scalar = (min: number, max: number): Value => {
  if (min === 0 && max === 0) return ZERO;
  return min >= 0 && min <= max && max <= MAX ? value(KIND_SCALAR, min, max) : UNKNOWN;
};
export const BYTES_MAX: Readonly<Record<number, number>> = { 1: 0xff, 2: 0xffff, 4: MAX_U32 };
/** What a load of so many bytes gives. */
export const loaded = (size: number): Value => (size === 8 ? UNKNOWN : scalar(0, BYTES_MAX[size]!));

export const isConst = (of: Value): boolean => of.kind === KIND_SCALAR && of.min === of.max;
export const isPointer = (of: Value): boolean => of.kind >= KIND_FRAME;

/** The value with its offset moved by min to max. */
export function moved(of: Value, min: number, max: number): Value {
  switch (of.kind) {
    case KIND_PACKET:
      return of;
    case KIND_CTX:
      return min === max ? offsetBy(of, min, max) : UNKNOWN;
    case KIND_FRAME:
    case KIND_KEY:
    case KIND_OUTER:
      return offsetBy(of, min, max);
    case KIND_VALUE:
      return of.isNullable && (min !== 0 || max !== 0) ? UNKNOWN : offsetBy(of, min, max);
    default:
      return UNKNOWN;
  }
}

function offsetBy(of: Value, min: number, max: number): Value {
  const [least, most] = [of.min + min, of.max + max];
  if (least < -MAX_OFFSET || most > MAX_OFFSET) return UNKNOWN;
  return value(of.kind, least, most, of.map, of.isNullable, of.lookup);
}

/** What is true of both. */
export function join(a: Value, b: Value): Value {
  if (a === b) return a;
  if (a.kind !== b.kind) return nullOr(a, b) ?? nullOr(b, a) ?? UNKNOWN;
  const [min, max] = [Math.min(a.min, b.min), Math.max(a.max, b.max)];
  switch (a.kind) {
    case KIND_SCALAR:
    case KIND_FRAME:
    case KIND_OUTER:
      return min === a.min && max === a.max ? a : value(a.kind, min, max);
    case KIND_CTX:
      return min === max ? a : UNKNOWN;
    case KIND_MAP:
    case KIND_FUNC:
      return a.map === b.map ? a : UNKNOWN;
    case KIND_KEY:
      if (a.map !== b.map) return UNKNOWN;
      return min === a.min && max === a.max ? a : value(a.kind, min, max, a.map);
    case KIND_VALUE: {
      if (a.map !== b.map) return UNKNOWN;
      const isNullable = a.isNullable || b.isNullable;
      if (isNullable && (min !== 0 || max !== 0)) return UNKNOWN;
      const lookup = a.lookup === b.lookup ? a.lookup : 0;
      if (min === a.min && max === a.max && isNullable === a.isNullable && lookup === a.lookup) return a;
      return value(KIND_VALUE, min, max, a.map, isNullable, lookup);
    }
    default:
      return a;
  }
}

function nullOr(zero: Value, of: Value): Value | undefined {
  if (zero !== ZERO || of.kind !== KIND_VALUE || of.min !== 0 || of.max !== 0) return undefined;
  return of.isNullable && of.lookup === 0 ? of : value(KIND_VALUE, 0, 0, of.map, true);
}

/** `to`, which a loop has made of `from`, so that it comes to an end. */
export function widened(from: Value, to: Value): Value {
  if (from === to) return to;
  if (to.kind === KIND_SCALAR) return to.max <= MAX_U32 && from.max < MAX_U32 ? scalar(0, MAX_U32) : UNKNOWN;
  return from.kind === to.kind && from.min === to.min && from.max === to.max ? to : UNKNOWN;
}

export const FRAME_BYTES = 512;
const SLOTS = FRAME_BYTES / 8;

/** What is known at a place in a function. */
export class State {
  /** r0 to r9. */
  regs: Value[];
  /** By 8 bytes of the frame, from its lowest byte. */
  slots: Value[];
  /** A bit for each 4 bytes of the frame: whether they were written for certain. */
  written: Int32Array;

  constructor(regs: Value[], slots: Value[], written: Int32Array) {
    this.regs = regs;
    this.slots = slots;
    this.written = written;
  }

  static atEntry(): State {
    return new State(
      Array.from({ length: 10 }, () => UNKNOWN),
      Array.from({ length: SLOTS }, () => UNKNOWN),
      new Int32Array(4),
    );
  }

  copy(): State {
    return new State([...this.regs], [...this.slots], this.written.slice());
  }

  /** Takes in what another way brings. Returns whether that changes anything. */
  mergeIn(other: State, widen: boolean): boolean {
    let changed = false;
    for (const [mine, theirs] of [
      [this.regs, other.regs],
      [this.slots, other.slots],
    ] as const) {
      for (let i = 0; i < mine.length; i++) {
        const old = mine[i]!;
        let now = join(old, theirs[i]!);
        if (now === old) continue;
        if (widen) now = widened(old, now);
        mine[i] = now;
        changed = true;
      }
    }
    for (let i = 0; i < 4; i++) {
      const both = this.written[i]! & other.written[i]!;
      if (both !== this.written[i]) changed = true;
      this.written[i] = both;
    }
    return changed;
  }

  reg(n: number): Value {
    return n === 10 ? FRAME : this.regs[n]!;
  }

  /** Whoever may have written to the frame may have written anything. */
  forgetSlots(): void {
    this.slots.fill(UNKNOWN);
  }

  /** Bytes from `offset` of the frame were written. */
  write(offset: number, size: number, what: Value): void {
    const at = offset + FRAME_BYTES;
    for (let i = at >> 3; i <= (at + size - 1) >> 3; i++) this.slots[i] = UNKNOWN;
    if (size === 8 && (at & 7) === 0) this.slots[at >> 3] = what;
    for (let i = (at + 3) >> 2; i < (at + size) >> 2; i++) this.written[i >> 5]! |= 1 << (i & 31);
  }

  /** Bytes from `start` to `end` may have been written. */
  blur(start: number, end: number): void {
    for (let i = (start + FRAME_BYTES) >> 3; i <= (end - 1 + FRAME_BYTES) >> 3; i++) this.slots[i] = UNKNOWN;
  }

  /** What 8 bytes from `offset` hold. */
  read(offset: number): Value {
    const at = offset + FRAME_BYTES;
    return (at & 7) === 0 ? this.slots[at >> 3]! : UNKNOWN;
  }

  /** All that is the same lookup's: it was null, or it was not. */
  settle(lookup: number, isNull: boolean): void {
    for (const values of [this.regs, this.slots]) {
      for (let i = 0; i < values.length; i++) {
        if (values[i]!.lookup === lookup) values[i] = isNull ? ZERO : notNull(values[i]!);
      }
    }
  }

  /** The lookup is made again: what an earlier round brought stands by itself. */
  endLookup(lookup: number): void {
    for (const values of [this.regs, this.slots]) {
      for (let i = 0; i < values.length; i++) {
        if (values[i]!.lookup === lookup) values[i] = withoutLookup(values[i]!);
      }
    }
  }
}
