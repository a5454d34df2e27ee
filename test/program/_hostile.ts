/**
 * Hostile programs, as a table: each does what a program must not. `$NAME` is the fd of a map of hostile.test.ts.
 */
import { BPF_PROG_TYPE_SYSCALL, BPF_PROG_TYPE_XDP } from "tsbpf/uapi";

/** A program that must be refused, or end in a fault. */
export interface Hostile {
  readonly name: string;
  /** BPF_PROG_TYPE_*. */
  readonly type: number;
  readonly text: string;
}

export const CONTEXT_BYTES = 64;
export const PACKET_BYTES = 64;
export const RECORD_BYTES = 24;
/** Sizes of values that are no multiples of what elems take. */
export const ARRAY_VALUE = 12;
export const HASH_VALUE = 20;
export const ONE_VALUE = 28;

/**
 * Memory that a program may touch: how r1 comes to point to it, and from where to where, of r1, it reaches. The
 * stack is all eight frames: a function may be handed a pointer to any of them.
 */
interface Region {
  readonly name: string;
  readonly type: number;
  readonly setup: string;
  readonly from: number;
  readonly to: number;
}

const KEY_1 = "*(u32 *)(r10 - 4) = 1\nr2 = r10\nr2 += -4";

/** r1 gets the value of key 1. */
const lookup = (map: string): string => `${KEY_1}\nr1 = map[fd:$${map}]\ncall 1\nif r0 == 0 goto out\nr1 = r0`;

const regions: readonly Region[] = [
  { name: "stack", type: BPF_PROG_TYPE_SYSCALL, setup: "r1 = r10", from: -8 * 512, to: 0 },
  { name: "context", type: BPF_PROG_TYPE_SYSCALL, setup: "", from: 0, to: CONTEXT_BYTES },
  { name: "xdp_md", type: BPF_PROG_TYPE_XDP, setup: "", from: 0, to: 24 },
  { name: "packet", type: BPF_PROG_TYPE_XDP, setup: "r1 = *(u32 *)(r1 + 0)", from: 0, to: PACKET_BYTES },
  { name: "packet's end", type: BPF_PROG_TYPE_XDP, setup: "r1 = *(u32 *)(r1 + 4)", from: -PACKET_BYTES, to: 0 },
  { name: "value of array", type: BPF_PROG_TYPE_SYSCALL, setup: lookup("array"), from: 0, to: ARRAY_VALUE },
  { name: "value of hash", type: BPF_PROG_TYPE_SYSCALL, setup: lookup("hash"), from: 0, to: HASH_VALUE },
  { name: "value of LRU hash", type: BPF_PROG_TYPE_SYSCALL, setup: lookup("lru"), from: 0, to: HASH_VALUE },
  { name: "value of a CPU", type: BPF_PROG_TYPE_SYSCALL, setup: lookup("percpu"), from: 0, to: ARRAY_VALUE },
  { name: "variable", type: BPF_PROG_TYPE_SYSCALL, setup: "r1 = map[fd:$one][0]+0", from: 0, to: ONE_VALUE },
  {
    name: "record",
    type: BPF_PROG_TYPE_SYSCALL,
    setup: `r1 = map[fd:$ring]\nr2 = ${RECORD_BYTES}\nr3 = 0\ncall 131\nif r0 == 0 goto out\nr1 = r0`,
    from: 0,
    to: RECORD_BYTES,
  },
];

const FAR = 28_000;

/** Off by one, and by the size, at both ends; and far off. */
function places({ from, to }: Region, size: number): number[] {
  return [...new Set([to, to - size + 1, to + FAR, from - 1, from - size, from - FAR])];
}

const OUT = "r0 = 0\nout: exit";

/** What may be done at r1 + off. */
function accesses(size: number): { readonly what: string; readonly at: (off: number) => string }[] {
  const bits = 8 * size;
  const place = (off: number): string => `(r1 ${off < 0 ? "-" : "+"} ${Math.abs(off)})`;
  const all = [
    { what: "read", at: (off: number) => `${size === 8 ? "r" : "w"}2 = *(u${bits} *)${place(off)}` },
    { what: "written", at: (off: number) => `r3 = 7\n*(u${bits} *)${place(off)} = ${size === 8 ? "r" : "w"}3` },
    { what: "set", at: (off: number) => `*(u${bits} *)${place(off)} = -1` },
  ];
  if (size < 4) return all;
  return [
    ...all,
    { what: "added to", at: (off) => `r3 = 7\nlock *(u${bits} *)${place(off)} += ${size === 8 ? "r" : "w"}3` },
  ];
}

function beyond(region: Region): Hostile[] {
  const { name, type, setup } = region;
  return [1, 2, 4, 8].flatMap((size) =>
    places(region, size).flatMap((off) =>
      accesses(size).flatMap(({ what, at }) => {
        const title = `${name}: ${size} bytes at ${off} ${what}`;
        return [
          { name: title, type, text: `${setup}\n${at(off)}\n${OUT}` },
          // The distance comes out of a map: no compiler knows it.
          {
            name: `${title}, by a number that is read`,
            type,
            text: `r6 = map[fd:$one][0]+0\nr7 = ${off} ll\n*(u64 *)(r6 + 0) = r7\n${setup}\nr7 = *(u64 *)(r6 + 0)\nr1 += r7\n${at(0)}\n${OUT}`,
          },
        ];
      }),
    ),
  );
}

/** Addresses that are nobody's, or the kernel's. */
const WILD = [
  [0n, 1n, 8n, 4095n, 4096n, 65536n, 0x10000n + 64n, 1n << 20n, (1n << 24n) - 8n, 1n << 27n],
  [(1n << 31n) - 1n, 1n << 31n, (1n << 32n) - 8n, (1n << 32n) - 1n, 1n << 32n, (1n << 32n) + 65536n, 1n << 48n],
  [(1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 4096n, (1n << 64n) - 8n, (1n << 64n) - 1n],
].flat();

const wild: readonly Hostile[] = WILD.flatMap((address) =>
  [1, 8].flatMap((size) =>
    accesses(size).map(({ what, at }) => ({
      name: `0x${address.toString(16)}: ${size} bytes ${what}`,
      type: BPF_PROG_TYPE_SYSCALL,
      text: `r1 = ${address} ll\n${at(0)}\n${OUT}`,
    })),
  ),
);

/** A pointer that is changed so that its lower half is still right, or nearly. */
const forged: readonly Hostile[] = [
  ["upper half is 1", "r2 = 4294967296 ll\nr1 |= r2"],
  ["upper half is all ones", "r2 = -4294967296 ll\nr1 |= r2"],
  ["sign is set", "r2 = -9223372036854775808 ll\nr1 |= r2"],
  ["is negated", "r1 = -r1"],
  ["is shifted", "r1 <<= 1"],
  ["is multiplied", "r1 *= 3"],
  ["is swapped", "r1 = be32 r1"],
  ["is complemented", "r1 ^= -1"],
  ["has lost its upper bytes", "r1 &= 0xffff"],
  ["was half overwritten on the stack", "*(u64 *)(r10 - 16) = r1\n*(u32 *)(r10 - 12) = 1\nr1 = *(u64 *)(r10 - 16)"],
  ["was overwritten on the stack by a byte", "*(u64 *)(r10 - 16) = r1\n*(u8 *)(r10 - 10) = 1\nr1 = *(u64 *)(r10 - 16)"],
  [
    "was added to on the stack",
    "*(u64 *)(r10 - 16) = r1\nr2 = 16777216\nlock *(u64 *)(r10 - 16) += r2\nr1 = *(u64 *)(r10 - 16)",
  ],
  [
    "was overwritten by a function",
    "*(u64 *)(r10 - 16) = r1\nr1 = r10\nr1 += -16\ncall pcsmash\nr1 = *(u64 *)(r10 - 16)",
  ],
].flatMap(([how, text]) =>
  [lookup("array"), "r1 = map[fd:$one][0]+0", "r1 = r10\nr1 += -8"].flatMap((setup, i) => {
    const name = `pointer to ${["a value", "a variable", "the stack"][i]} ${how}`;
    const smash = "smash: *(u64 *)(r1 + 0) = 64\nr0 = 0\nexit";
    const isCall = text!.includes("pcsmash");
    return ["r2 = *(u64 *)(r1 + 0)", "*(u64 *)(r1 + 0) = 5"].map((use) => ({
      name: `${name}: ${use}`,
      type: BPF_PROG_TYPE_SYSCALL,
      text: `${setup}\n${text}\n${use}\n${OUT}${isCall ? `\n${smash}` : ""}`,
    }));
  }),
);

/** Maps are no memory of programs, and what is no map is none. */
const maps: readonly Hostile[] = [
  ["read a map", "r1 = map[fd:$array]\nr2 = *(u64 *)(r1 + 0)"],
  ["write a map", "r1 = map[fd:$array]\n*(u64 *)(r1 + 0) = 0"],
  ["write a map further on", "r1 = map[fd:$hash]\n*(u32 *)(r1 + 16) = 0"],
  ["add to a map", "r1 = map[fd:$array]\nr2 = 1\nlock *(u64 *)(r1 + 8) += r2"],
  ["read before a map", "r1 = map[fd:$array]\nr2 = *(u64 *)(r1 - 8)"],
  ["read a map of maps", "r1 = map[fd:$outer]\nr2 = *(u64 *)(r1 + 0)"],
  ["write an inner map", `${KEY_1}\nr1 = map[fd:$outer]\ncall 1\nif r0 == 0 goto out\n*(u64 *)(r0 + 0) = 0`],
  ["read a ring", "r1 = map[fd:$ring]\nr2 = *(u64 *)(r1 + 4096)"],
  ...["array", "hash", "lru", "percpu", "queue", "ring", "outer", "programs"].flatMap((map) => [
    [`look up in ${map}, a byte further on`, `${KEY_1}\nr1 = map[fd:$${map}]\nr1 += 1\ncall 1`],
    [`look up in ${map}, 64 bytes before`, `${KEY_1}\nr1 = map[fd:$${map}]\nr1 += -64\ncall 1`],
    [`delete in ${map}, 8 bytes further on`, `${KEY_1}\nr1 = map[fd:$${map}]\nr1 += 8\ncall 3`],
  ]),
  ...["0", "1", "65536", "-1", "4294967295"].flatMap((number) => [
    [`look up in ${number}`, `${KEY_1}\nr1 = ${number} ll\ncall 1`],
    [`update ${number}`, `${KEY_1}\nr3 = r2\nr1 = ${number} ll\nr4 = 0\ncall 2`],
    [`delete in ${number}`, `${KEY_1}\nr1 = ${number} ll\ncall 3`],
    [`push to ${number}`, `${KEY_1}\nr1 = ${number} ll\nr3 = 0\ncall 87`],
    [`reserve of ${number}`, `r1 = ${number} ll\nr2 = 8\nr3 = 0\ncall 131`],
    [`tail call into ${number}`, `r2 = ${number} ll\nr3 = 0\ncall 12`],
  ]),
  ["look up in a value", `${lookup("array")}\n${KEY_1}\ncall 1`],
  ["look up in the stack", `${KEY_1}\nr1 = r10\nr1 += -64\ncall 1`],
  ["look up in the context", `${KEY_1}\ncall 1`],
  ["look up in an fd", `${KEY_1}\nr1 = $array\ncall 1`],
  ["push to a hash", `${KEY_1}\nr1 = map[fd:$hash]\nr3 = 0\ncall 87`],
  ["pop from an array", `${KEY_1}\nr1 = map[fd:$array]\ncall 88`],
  ["peek into a ring", `${KEY_1}\nr1 = map[fd:$ring]\ncall 89`],
  ["look up in a queue", `${KEY_1}\nr1 = map[fd:$queue]\ncall 1`],
  ["look up in a ring", `${KEY_1}\nr1 = map[fd:$ring]\ncall 1`],
  ["look up in programs", `${KEY_1}\nr1 = map[fd:$programs]\ncall 1`],
  ["look up a CPU's in an array", `${KEY_1}\nr1 = map[fd:$array]\nr3 = 0\ncall 195`],
  ["reserve of an array", "r1 = map[fd:$array]\nr2 = 8\nr3 = 0\ncall 131"],
  ["query a hash", "r1 = map[fd:$hash]\nr2 = 0\ncall 134"],
  ["output to a queue", `${KEY_1}\nr1 = map[fd:$queue]\nr3 = 4\nr4 = 0\ncall 130`],
  ["tail call into an array", "r2 = map[fd:$array]\nr3 = 0\ncall 12"],
].map(([name, text]) => ({ name: name!, type: BPF_PROG_TYPE_SYSCALL, text: `${text}\n${OUT}` }));

/** Pointers that helpers are given: r2 or r3 is wrong. */
const WRONG_POINTERS: readonly (readonly [string, string])[] = [
  ["null", "0"],
  ["half out of the stack", "r10 - 2"],
  ["above the stack", "r10 + 0"],
  ["below the stack", "r10 - 4098"],
  ["wild", "65536"],
  ["huge", "-4"],
];

/** reg = what a row of WRONG_POINTERS says. */
function pointer(reg: string, text: string): string {
  const [base, sign, off] = text.split(" ");
  return base === "r10" ? `${reg} = r10\n${reg} += ${sign === "-" ? "-" : ""}${off}` : `${reg} = ${text}`;
}

const helpers: readonly Hostile[] = WRONG_POINTERS.flatMap(([what, at]) =>
  [
    ...["array", "hash", "lru", "percpu"].flatMap((map) => [
      [`a key of ${map}`, `${pointer("r2", at)}\nr1 = map[fd:$${map}]\ncall 1`],
      [
        `a key of ${map} to update`,
        `${KEY_1}\nr3 = r10\nr3 += -64\n${pointer("r2", at)}\nr1 = map[fd:$${map}]\nr4 = 0\ncall 2`,
      ],
      [`a value of ${map}`, `${KEY_1}\n${pointer("r3", at)}\nr1 = map[fd:$${map}]\nr4 = 0\ncall 2`],
    ]),
    ["a key to delete", `${pointer("r2", at)}\nr1 = map[fd:$hash]\ncall 3`],
    ["a value to push", `${pointer("r2", at)}\nr1 = map[fd:$queue]\nr3 = 0\ncall 87`],
    ["where a value is popped to", `${pointer("r2", at)}\nr1 = map[fd:$queue]\ncall 88`],
    ["where a value is peeked to", `${pointer("r2", at)}\nr1 = map[fd:$queue]\ncall 89`],
    ["what is output", `${pointer("r2", at)}\nr1 = map[fd:$ring]\nr3 = 8\nr4 = 0\ncall 130`],
    ["where comm goes", `${pointer("r1", at)}\nr2 = 16\ncall 16`],
    ["where memory is read to", `${pointer("r1", at)}\nr2 = 8\nr3 = r10\nr3 += -8\ncall 113`],
    ["a record to submit", `${pointer("r1", at)}\nr2 = 0\ncall 132`],
    ["a record to discard", `${pointer("r1", at)}\nr2 = 0\ncall 133`],
    ["a callback", `r1 = 4\n${pointer("r2", at)}\nr3 = 0\nr4 = 0\ncall 181`],
  ]
    // Nothing is read of an array's null, as of anything else.
    .map(([name, text]) => ({ name: `${what}: ${name}`, type: BPF_PROG_TYPE_SYSCALL, text: `${text}\n${OUT}` })),
);

const RESERVE = `r1 = map[fd:$ring]\nr2 = ${RECORD_BYTES}\nr3 = 0\ncall 131\nif r0 == 0 goto out\nr6 = r0`;
const LOOP = (callback: string): string =>
  `r1 = 8\nr2 = subprog[body]\nr3 = r10\nr3 += -8\nr4 = 0\ncall 181\n${OUT}\nbody:\n${callback}\nr0 = 0\nexit`;

const others: readonly Hostile[] = [
  ["submits a record twice", `${RESERVE}\nr1 = r6\nr2 = 0\ncall 132\nr1 = r6\nr2 = 0\ncall 132`],
  ["discards what is submitted", `${RESERVE}\nr1 = r6\nr2 = 0\ncall 132\nr1 = r6\nr2 = 0\ncall 133`],
  ["writes what is submitted", `${RESERVE}\nr1 = r6\nr2 = 0\ncall 132\n*(u64 *)(r6 + 0) = 1`],
  ["reads what is discarded", `${RESERVE}\nr1 = r6\nr2 = 0\ncall 133\nr2 = *(u64 *)(r6 + 8)`],
  ["submits from within a record", `${RESERVE}\nr1 = r6\nr1 += 8\nr2 = 0\ncall 132`],
  ["submits before a record", `${RESERVE}\nr1 = r6\nr1 += -8\nr2 = 0\ncall 132`],
  ["submits a value", `${lookup("array")}\nr2 = 0\ncall 132`],
  ["writes a record's header", `${RESERVE}\n*(u32 *)(r6 - 8) = 0`],
  ["writes the packet of before it was", "r1 = *(u32 *)(r1 + 0)\nr1 += -1024\n*(u64 *)(r1 + 0) = 0"],
  ["loops for ever", "again: goto again"],
  ["loops for ever, far", "again: gotol again"],
  ["loops for ever, and counts", "r1 = 0\nagain: r1 += 1\ngoto again"],
  ["loops for ever on a condition", "r1 = 1\nagain: if r1 != 0 goto again"],
  ["loops for ever between two", "r1 = 1\na: if r1 == 0 goto out\nb: if r1 != 0 goto a\ngoto b"],
  ["loops for ever with two entries", "r1 = *(u32 *)(r1 + 0)\nif r1 == 0 goto b\na: r1 |= 1\nb: r1 |= 2\ngoto a"],
  ["loops for ever through the stack", "*(u64 *)(r10 - 8) = 1\nagain: r1 = *(u64 *)(r10 - 8)\nif r1 == 1 goto again"],
  ["loops for ever in a function", `call pcf\n${OUT}\nf: goto f`],
  ["loops for ever in a callback", LOOP("again: goto again")],
  [
    "loops for ever in helpers",
    `r6 = 1\nagain: r1 = 8388608\nr2 = subprog[body]\nr3 = 0\nr4 = 0\ncall 181\nif r6 == 1 goto again\n${OUT}\nbody: r0 = 0\nexit`,
  ],
  ["calls itself", `again: call pcagain\n${OUT}`],
  [
    "calls nine deep",
    `call pcf1\n${OUT}\n${[1, 2, 3, 4, 5, 6, 7].map((n) => `f${n}: call pcf${n + 1}\nexit`).join("\n")}\nf8: r0 = 0\nexit`,
  ],
  [
    "calls itself from a callback",
    `r1 = 1\nr2 = subprog[body]\nr3 = 0\nr4 = 0\ncall 181\n${OUT}\nbody: r1 = 1\nr2 = subprog[body]\nr3 = 0\nr4 = 0\ncall 181\nr0 = 0\nexit`,
  ],
  ["has a callback that writes below the caller's stack", LOOP("*(u64 *)(r2 - 4096) = 1")],
  ["has a callback that writes above the caller's stack", LOOP("*(u64 *)(r2 + 8) = 1")],
  ["has a callback that uses its number", LOOP("*(u64 *)(r1 + 0) = 1")],
  ["has a callback that is no function", "r1 = 4\nr2 = map[fd:$array]\nr3 = 0\nr4 = 0\ncall 181"],
  [
    "has a callback in the middle of a function",
    `r1 = 4\nr2 = subprog[body]\nr2 += 1\nr3 = 0\nr4 = 0\ncall 181\n${OUT}\nbody: r0 = 0\nr0 = 0\nexit`,
  ],
  ["calls what is no function", "r1 = 1\ncallx r1"],
  ["calls a value", `${lookup("array")}\ncallx r1`],
  ["calls zero", "r1 = 0\ncallx r1"],
  ["calls beyond the program", "r1 = 1000000\ncallx r1"],
  ["adds to what is not aligned", `${lookup("array")}\nr2 = 1\nlock *(u64 *)(r1 + 1) += r2`],
  ["adds to a half that is not aligned", `${lookup("array")}\nr2 = 1\nlock *(u32 *)(r1 + 2) += w2`],
  ["swaps what is not aligned", "r2 = 1\nr2 = xchg_64(r10 - 12, r2)"],
  ["fetches from nowhere", "r1 = 0\nr2 = 1\nr2 = atomic_fetch_add((u64 *)(r1 + 0), r2)"],
  ["compares with nowhere", "r1 = 64\nr0 = 0\nr2 = 1\nr0 = cmpxchg_64(r1 + 0, r0, r2)"],
  ["acquires from nowhere", "r1 = 64\nr2 = load_acquire((u64 *)(r1 + 0))"],
  ["releases to nowhere", "r1 = 64\nr2 = 5\nstore_release((u64 *)(r1 + 0), r2)"],
  ["writes its frame pointer", "r10 = 5"],
  ["moves its frame pointer", "r10 += -8"],
  ["reads what nothing has written", "r0 = r5"],
  ["returns what nothing has written", "exit"],
  ["jumps beyond the program", "goto +100"],
  ["jumps before the program", "r1 = 0\nif r1 == 0 goto -3"],
  ["jumps into lddw", "r1 = 0\nif r1 == 0 goto +1\nr2 = 5 ll"],
  ["ends without exit", "r0 = 0\nr0 += 1\ngoto +2"],
  ["calls a helper that there is not", "call 9999"],
  ["calls a helper that there is not, below zero", "call -1"],
  ["calls the kernel's functions", "call kfunc 5 + 0"],
  ["calls beyond the program, at load", "call pc+100"],
  ["loads a map that there is not", "r1 = map[fd:9999]"],
  ["loads a map by index without a list", "r1 = map[idx:0]"],
  ["loads a value beyond the map", `r1 = map[fd:$one][0]+${ONE_VALUE}`],
  ["loads a value before the map", "r1 = map[fd:$one][0]+-8"],
  ["loads a value of an array of many", "r1 = map[fd:$array][0]+0"],
  ["loads a value of a hash", "r1 = map[fd:$hash][0]+0"],
  ["loads the kernel's symbols", "r1 = btf[id:1]+0"],
  ["shifts by more than there are bits", "r1 = 1\nr1 <<= 64"],
  ["divides by nothing", "r1 = 1\nr1 /= 0"],
  ["loads a function that begins nowhere", "r1 = subprog[+1000]"],
].map(([name, text]) => {
  const type = /packet/.test(name!) ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SYSCALL;
  return {
    name: name!,
    type,
    text: text!.includes("\nout: exit") || name === "returns what nothing has written" ? text! : `${text}\n${OUT}`,
  };
});

/** By kind. */
export const hostile: Readonly<Record<string, readonly Hostile[]>> = {
  "beyond what is theirs": regions.flatMap(beyond),
  "wild pointers": wild,
  "forged pointers": forged,
  "maps as memory, and what is no map": maps,
  "pointers for helpers": helpers,
  "all else": others,
};
