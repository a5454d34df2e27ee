/**
 * A thread dies at each step of making, mapping, unmapping and closing maps without keys: the map is there, whole, or it is not, and
 * all of its memory can be given back.
 */
import { afterAll, describe, expect, it } from "vitest";
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import type { UserBuffer } from "../../src/kernels/kernel.js";
import { type MapAttr, mapCreate } from "../../src/kernels/syscalls.js";
import {
  BPF_F_MMAPABLE,
  BPF_MAP_TYPE_ARENA,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_USER_RINGBUF,
  ENOMEM,
} from "../../src/uapi/index.js";
import { type Scenario, exhaust, report } from "./harness.js";

const PAGE = 4096;
/** No test here opens more fds. */
const MANY_FDS = 40;

interface Kind {
  readonly name: string;
  readonly attr: MapAttr;
  /** More than the kernel's memory holds. */
  readonly tooLarge: Partial<MapAttr>;
  /** How it is mapped to write, if it can be. */
  readonly mapped?: { readonly offset: number; readonly length: number };
}

const keyless = { keySize: 0, valueSize: 0, maxEntries: PAGE };

const kinds: readonly Kind[] = [
  {
    name: "queue",
    attr: { ...keyless, mapType: BPF_MAP_TYPE_QUEUE, valueSize: 8, maxEntries: 600 },
    tooLarge: { maxEntries: 2 ** 20 },
  },
  {
    name: "bloom filter",
    attr: { ...keyless, mapType: BPF_MAP_TYPE_BLOOM_FILTER, valueSize: 8 },
    tooLarge: { maxEntries: 2 ** 25 },
  },
  {
    name: "ring buffer",
    attr: { ...keyless, mapType: BPF_MAP_TYPE_RINGBUF },
    tooLarge: { maxEntries: 2 ** 22 },
    mapped: { offset: 0, length: PAGE },
  },
  {
    name: "user ring buffer",
    attr: { ...keyless, mapType: BPF_MAP_TYPE_USER_RINGBUF },
    tooLarge: { maxEntries: 2 ** 22 },
    mapped: { offset: PAGE, length: 2 * PAGE },
  },
  {
    name: "arena",
    attr: { ...keyless, mapType: BPF_MAP_TYPE_ARENA, maxEntries: 3, mapFlags: BPF_F_MMAPABLE },
    tooLarge: { maxEntries: 2 ** 10 },
    mapped: { offset: 0, length: 3 * PAGE },
  },
];

interface State {
  fd: number;
  mapped?: UserBuffer;
}

const openFds = (kernel: EmbeddedKernel): number[] =>
  [...Array(MANY_FDS).keys()].filter((fd) => kernel.fdinfo(fd) !== undefined);

/** Closes what the victim's operation has opened, or not closed. The harness looks at what is in use then. */
function closeAll({ survivor }: { survivor: EmbeddedKernel }, before: readonly number[], most: number): void {
  const extra = openFds(survivor).filter((fd) => !before.includes(fd));
  expect(extra.length).toBeLessThanOrEqual(most);
  for (const fd of extra) {
    expect(survivor.fdinfo(fd)).toContain("max_entries");
    survivor.close(fd);
  }
}

type Row = Omit<Scenario<State>, "name">;

/** A row that begins with a map, or without. */
function rowOf(kind: Kind, hasMap: boolean, act: Row["act"]): Row {
  let before: readonly number[] = [];
  return {
    setUp({ survivor }, victim) {
      before = openFds(survivor);
      return { fd: hasMap ? mapCreate(victim, kind.attr) : -1 };
    },
    act,
    verify: (world) => closeAll(world, before, 1),
  };
}

const mapIt = (kernel: EmbeddedKernel, kind: Kind, fd: number): UserBuffer =>
  kernel.mmap(fd, kind.mapped!.length, { offset: kind.mapped!.offset, writable: true });

describe.each(kinds)("$name", (kind) => {
  const rows: Record<string, Row> = {
    create: rowOf(kind, false, (victim, state) => (state.fd = mapCreate(victim, kind.attr))),
    "create, where memory is short": rowOf(kind, false, (victim) =>
      expect(mapCreate(victim, { ...kind.attr, ...kind.tooLarge })).toBe(-ENOMEM),
    ),
    close: rowOf(kind, true, (victim, { fd }) => victim.close(fd)),
  };
  if (kind.mapped !== undefined) {
    rows["map"] = {
      ...rowOf(kind, true, (victim, state) => (state.mapped = mapIt(victim, kind, state.fd))),
      end: ({ mapped }) => mapped![Symbol.dispose](),
    };
    rows["unmap"] = rowOf(kind, true, (_, { mapped }) => mapped![Symbol.dispose]());
    const setUp = rows["unmap"].setUp;
    rows["unmap"] = {
      ...rows["unmap"],
      setUp(world, victim) {
        const state = setUp(world, victim) as State;
        return { ...state, mapped: mapIt(victim, kind, state.fd) };
      },
    };
  }
  it.each(Object.entries(rows))("%s", async (name, row) => {
    expect(await exhaust({ name: `${name}: ${kind.name}`, ...row })).toBeGreaterThan(1);
  });
});

afterAll(() => console.log(report()));
