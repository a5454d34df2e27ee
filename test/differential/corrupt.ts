/**
 * What can be wrong with any command: attr too short or too long, garbage in it, pointers that lead nowhere, an attr that cannot
 * be read.
 */
import { BPF_ATTR_SIZE, BPF_MAP_LOOKUP_AND_DELETE_BATCH, bpfAttr } from "tsbpf/uapi";
import { ATTR, END, IN } from "../machine/arena.js";
import type { Command, Word } from "../machine/command.js";
import { badPointers } from "./pointers.js";
import type { Random } from "./random.js";

type Change = (random: Random, command: Command) => Partial<Command>;

/** The same command with something wrong. */
export function corrupt(random: Random, command: Command): Command {
  const changed = { ...command, ...random.pick(changes)(random, command) };
  return random.percent(80) ? changed : { ...changed, ...random.pick(changes)(random, changed) };
}

const withGarbage = ({ data = [] }: Command, offset: number, bytes: Uint8Array): Partial<Command> => ({
  data: [...data, [ATTR + offset, bytes]],
});

/** No data but a cursor: where one leads that lies there from before is open, and so is what is deleted from there on. */
const cursorOnly = ({ data = [] }: Command): Partial<Command> => ({ data: data.filter(([at]) => at === IN) });

const changes: readonly Change[] = [
  (random, command) => ({ size: random.pick(sizesThatCutNoPointer(command)) }),
  (random, command) => ({ size: random.pick(sizesThatCutNoPointer(command)) }),
  // Longer, with zeroes.
  (random, command) => ({ size: random.pick([169, 172, 176, 200, 1000, 4095, 4096]), ...cursorOnly(command) }),
  (random, command) => ({
    size: random.pick([169, 172, 176, 200, 1000, 4095, 4096]),
    ...withGarbage(command, BPF_ATTR_SIZE, new Uint8Array(4096 - BPF_ATTR_SIZE)),
  }),
  // Longer, with something in it that no kernel knows.
  (random, command) => {
    const size = BPF_ATTR_SIZE + 1 + random.below(4096 - BPF_ATTR_SIZE);
    const tail = new Uint8Array(4096 - BPF_ATTR_SIZE);
    tail[random.below(size - BPF_ATTR_SIZE)] = 1 + random.below(255);
    return { size, ...withGarbage(command, BPF_ATTR_SIZE, tail) };
  },
  (random) => ({ size: random.pick([4097, 5000, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) }),
  // Garbage behind the last field, or in the padding before it.
  (random, command) => withGarbage(command, garbagePlace(random, command), random.bytes(1 + random.below(2))),
  (random, command) => withGarbage(command, garbagePlace(random, command), random.bytes(1)),
  (random, command) => badPointer(random, command),
  (random, command) => badPointer(random, command),
  (random, command) => badPointer(random, command),
  (random, command) => ({
    attr: random.pick([0, 8, 4096, { to: END }]),
    size: random.pick([0, 1, 16, 168, 200]),
    ...cursorOnly(command),
  }),
  // Across the end of what is mapped.
  (random, command) => ({
    attr: { to: END - random.pick([1, 4, 16, 32, 60, 100, 168, 200]) },
    ...cursorOnly(command),
  }),
];

function pointersOf({ fields }: Command): string[] {
  return Object.keys(fields).filter((name) => {
    const word = fields[name]!;
    return typeof word === "object" && ("to" in word || "path" in word);
  });
}

/** Part of an address or of an id means one thing on one kernel and another on the other. */
function sizesThatCutNoPointer({ group, fields }: Command): number[] {
  const layout = bpfAttr[group] as Record<string, { off: number; size: number }>;
  const mustBeWhole = (word: Word): boolean =>
    group === "getId" || typeof word === "bigint" || (typeof word === "object" && !(word instanceof Uint8Array));
  const whole = Object.keys(fields).filter((name) => mustBeWhole(fields[name]!));
  const sizes: number[] = [];
  for (let size = 0; size < BPF_ATTR_SIZE; size++) {
    if (whole.every((name) => size <= layout[name]!.off || size >= layout[name]!.off + layout[name]!.size)) {
      sizes.push(size);
    }
  }
  return sizes;
}

/** Anywhere but in a field that is given. */
function garbagePlace(random: Random, { group, fields }: Command): number {
  const layout = bpfAttr[group] as Record<string, { off: number; size: number }>;
  const given = Object.keys(fields).map((name) => layout[name]!);
  const isFree = (at: number): boolean => given.every(({ off, size }) => at < off - 1 || at >= off + size);
  for (;;) {
    const at = random.below(BPF_ATTR_SIZE - 2);
    // What a create is not given may be large: only what lies behind it is garbage.
    if (isFree(at) && (group !== "mapCreate" || at > 92)) return at;
  }
}

/** Which elems of a hash have been deleted before one could not be written is open, and tells from then on. */
function isOpenWithout(name: string, { cmd }: Command): boolean {
  return cmd === BPF_MAP_LOOKUP_AND_DELETE_BATCH && name !== "in_batch";
}

function badPointer(random: Random, command: Command): Partial<Command> {
  const pointers = pointersOf(command).filter((name) => !isOpenWithout(name, command));
  if (pointers.length === 0) return {};
  const name = random.pick(pointers);
  const bad: Word = random.pick(badPointers);
  // What lies at the end of the arena may be a path, and where a relative one leads is the process's.
  const isPath = name === "pathname" && typeof bad === "object";
  return { fields: { ...command.fields, [name]: isPath ? 0 : bad } };
}
