/**
 * Operations on the lives of maps, fds, names, holders and buffers to die in. Before and after there is a stock of what is in
 * use; whenever the thread dies, it must be one of the two, every map in it whole, and all of it must be there to be given back.
 */
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import type { DirectMap, UserBuffer } from "../../src/kernels/kernel.js";
import {
  type AttrFields,
  btfLoad,
  cString,
  fillAttr,
  mapCreate,
  mapGetFdById,
  mapGetInfoByFd,
  objGet,
  objPin,
} from "../../src/kernels/syscalls.js";
import {
  BPF_ATTR_SIZE,
  BPF_BTF_GET_FD_BY_ID,
  BPF_BTF_INFO_SIZE,
  BPF_BTF_LOAD,
  BPF_F_LOCK,
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_MAP_INFO_SIZE,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  BPF_PROG_BIND_MAP,
  BPF_PROG_LOAD,
  BPF_PROG_TEST_RUN,
  BPF_PROG_TYPE_XDP,
  E2BIG,
  EEXIST,
  EINVAL,
  ENOENT,
  ENOMEM,
  ENOTEMPTY,
  bpfAttr,
} from "../../src/uapi/index.js";
import { type Content, Hands, type Shape, expectContent, expectReturned, isHash } from "./hands.js";
import type { Scenario, World } from "./harness.js";
import { BtfBuilder } from "../../src/btf/builder.js";
import { assemble } from "../../src/insn/asm.js";
import { INSN_SIZE, encodeInsns } from "../../src/insn/insn.js";
import { arrays, hashes, perCpuHashes } from "./shapes.js";

const PAGE = 4096;

/** What of the kernel is in use, as far as it can be seen from outside. */
interface Stock {
  readonly fds: readonly number[];
  readonly names: readonly string[];
}

/** No test here opens more fds. */
const MANY_FDS = 40;

/**
 * @param isScarce Whether there may be no memory to read directories with: then there are none.
 * @param except Fds that are not in question.
 */
function takeStock({ survivor }: World, isScarce = false, except: readonly number[] = []): Stock {
  const fds = [...Array(MANY_FDS).keys()].filter((fd) => survivor.fdinfo(fd) !== undefined);
  expectReturned("Counting the open fds", survivor.usage().fds, fds.length);
  return {
    fds: fds.filter((fd) => !except.includes(fd)),
    names: isScarce ? survivor.pins().map(({ path }) => path) : namesIn(survivor, ROOT),
  };
}

/** All that is in a directory and below; what is a directory ends in a slash, and comes behind what is in it. */
function namesIn(kernel: EmbeddedKernel, directory: string): string[] {
  const entries = kernel.readdir(directory);
  if (typeof entries === "number") throw new Error(`Reading ${directory} gave ${entries}`);
  return entries.flatMap(({ name, isDirectory }) => {
    const path = `${directory}/${name}`;
    return isDirectory ? [...namesIn(kernel, path), `${path}/`] : [path];
  });
}

const tell = (stock: Stock): string => JSON.stringify(stock);
const sameStock = (a: Stock, b: Stock): boolean => tell(a) === tell(b);

/** Arrays that take all of the kernel's memory but for some pages; they do not count as stock. */
class Hog {
  readonly fds: number[] = [];
  readonly #survivor: EmbeddedKernel;

  constructor(survivor: EmbeddedKernel, pagesLeft: number) {
    this.#survivor = survivor;
    // One map that leaves its pages, then maps as large as can be. A map's head takes a page too.
    const room = pagesLeft < 2 ? -1 : this.#create(pagesLeft - 1);
    for (let pages = 1024; pages >= 1; pages >>= 1) {
      for (let fd = this.#create(pages); fd >= 0; fd = this.#create(pages)) this.fds.push(fd);
    }
    if (room >= 0) survivor.close(room);
  }

  #create(maxEntries: number): number {
    return mapCreate(this.#survivor, { mapType: BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: PAGE, maxEntries });
  }

  release(): void {
    for (const fd of this.fds) expectReturned("close", this.#survivor.close(fd), 0);
  }
}

/** What a row of the table works on. */
export interface Things {
  readonly world: World;
  readonly survivor: EmbeddedKernel;
  readonly victim: EmbeddedKernel;
  /** The map that there is before, and its id. */
  readonly fd: number;
  readonly id: number;
  /** Memory for attr, for an info and with NAME: the survivor's. */
  readonly attr: UserBuffer;
  readonly info: UserBuffer;
  readonly name: UserBuffer;
  /** Fds that are given back by `end` and by `afterDeath`. */
  readonly others: number[];
}

const ROOT = "/sys/fs/bpf";
/** The name that the rows give to maps, others, and a directory. */
const NAME = `${ROOT}/of_the_dead`;
const OTHER = `${ROOT}/other`;
const DIRECTORY = `${ROOT}/directory`;

/** A row of the table. P: what `prepare` returns. */
export interface Life<P = unknown> {
  readonly name: string;
  /** Of the map that there is before, full. None unless given. */
  readonly shape?: Shape;
  /** Of the map that `act` creates. */
  readonly creates?: Shape;
  /** Makes what else there is before: buffers, names, holders. */
  readonly prepare?: (things: Things) => P | Promise<P>;
  readonly act: (things: Things, prepared: P) => unknown;
  /** What `act` returns where nobody dies: 0 unless told; "fd" for any fd, "any" for anything. */
  readonly wanted?: number | "fd" | "any";
  /** What the victim gives back if it lives. */
  readonly end?: (things: Things, prepared: P) => void;
  /** Whether there is no memory left meanwhile. */
  readonly isScarce?: boolean;
  /** What the survivor does after a death. */
  readonly afterDeath?: (things: Things, prepared: P) => void;
}

interface State<P> {
  readonly things: Things;
  /** What was in use before the row made anything, and before its operation. */
  readonly empty: Stock;
  readonly before: Stock;
  readonly content: Content | undefined;
  readonly prepared: P;
  returned: unknown;
}

const allKeys = ({ maxEntries }: Shape): number[] => [...Array(maxEntries).keys()];

export function lifeScenario<P>(life: Life<P>): Scenario<State<P>> {
  const { name, shape, prepare, act, wanted = 0, end, afterDeath, isScarce } = life;
  /** What is in use when nobody died: the first try tells. */
  let after: Stock | undefined;
  return {
    name,
    async setUp(world, victim) {
      const { survivor } = world;
      const empty = takeStock(world, isScarce);
      let fd = -1;
      let content: Content | undefined;
      if (shape !== undefined) {
        const hands = new Hands(survivor, shape);
        fd = hands.fd;
        content = hands.putAll(allKeys(shape), 1);
        hands.close(false);
      }
      const mapInfo = mapGetInfoByFd(survivor, fd);
      const things: Things = {
        world,
        survivor,
        victim,
        fd,
        id: typeof mapInfo === "number" ? 0 : mapInfo.id,
        attr: survivor.alloc(BPF_ATTR_SIZE),
        info: survivor.alloc(BPF_MAP_INFO_SIZE),
        name: cString(survivor, NAME),
        others: [],
      };
      const prepared = (await prepare?.(things)) as P;
      return {
        things,
        empty,
        before: takeStock(world, isScarce, things.others),
        content,
        prepared,
        returned: undefined,
      };
    },
    async act(_, state) {
      state.returned = await act(state.things, state.prepared);
    },
    end: ({ things, prepared }) => end?.(things, prepared),
    verify(world, { things, empty, before, content, prepared, returned }, died) {
      if (died) {
        afterDeath?.(things, prepared);
      } else {
        after = takeStock(world, isScarce);
        if (typeof wanted === "number") expectReturned("The operation", Number(returned), wanted);
        else if (wanted === "fd" && !(Number(returned) >= 0)) throw new Error(`No fd, but ${String(returned)}`);
      }
      const found = takeStock(world, isScarce);
      if (!sameStock(found, after!) && !sameStock(found, before)) {
        throw new Error(`In use are ${tell(found)}: expected ${tell(before)} as before, or ${tell(after!)} as after`);
      }
      giveBack(things, life, found, empty, content);
    },
  };
}

/** Looks at each map that can be reached, and gives back all that the row has made. */
function giveBack(
  { world, survivor, attr, info, name }: Things,
  { shape, creates }: Pick<Life, "shape" | "creates">,
  found: Stock,
  empty: Stock,
  content: Content | undefined,
): void {
  for (const buffer of [attr, info, name]) buffer[Symbol.dispose]();
  const fds = found.fds.filter((fd) => !empty.fds.includes(fd));
  for (const path of found.names) {
    if (path.endsWith("/")) {
      expectReturned(`Removing ${path}`, survivor.rmdir(path), 0);
      continue;
    }
    const fd = objGet(survivor, path);
    if (fd < 0) throw new Error(`Opening ${path} gave ${fd}`);
    fds.push(fd);
    expectReturned(`Unlinking ${path}`, survivor.unlink(path), 0);
  }
  for (const fd of fds) {
    if (!isMap(survivor, fd)) expectReturned("close", survivor.close(fd), 0);
    else verifyMap(survivor, (shape ?? creates)!, fd, content);
  }
  const last = takeStock(world);
  if (!sameStock(last, empty)) throw new Error(`In use are ${tell(last)} in the end: expected ${tell(empty)}`);
}

const isMap = (kernel: EmbeddedKernel, fd: number): boolean => kernel.fdinfo(fd)?.startsWith("map_type") === true;

/** A map must hold what it did, or be new. It is used to the full, and this fd of it closed. */
function verifyMap(survivor: EmbeddedKernel, shape: Shape, fd: number, content: Content | undefined): void {
  const hands = new Hands(survivor, shape, fd);
  const zeroes = new Uint8Array(hands.valueBytes);
  const fresh = new Map(isHash(shape) ? [] : allKeys(shape).map((key) => [key, zeroes]));
  const found = hands.read(shape.maxEntries + 2);
  expectContent("The map", found, content ?? fresh);
  hands.useFully(found);
  // Another fd of it may come next.
  for (const [key, value] of content ?? []) {
    expectReturned("An update", hands.update(survivor, key, value), 0);
  }
  hands.close();
}

/** Types: 1 a u32, 2 a u64, 3 a lock, 4 a struct of 8 bytes with it. */
const plainBtf: Uint8Array = (() => {
  const builder = new BtfBuilder();
  const word = builder.int("u32", 4);
  builder.int("u64", 8);
  const lock = builder.struct("bpf_spin_lock", 4, [{ name: "val", type: word, bitsOffset: 0 }]);
  builder.struct("value", 8, [
    { name: "lock", type: lock, bitsOffset: 0 },
    { name: "word", type: word, bitsOffset: 32 },
  ]);
  return builder.bytes();
})();

function withBytes(kernel: EmbeddedKernel, bytes: Uint8Array): UserBuffer {
  const buffer = kernel.alloc(bytes.length);
  buffer.bytes.set(bytes);
  return buffer;
}

const withBuffer = {
  end: (_: Things, buffer: UserBuffer): void => dispose(buffer),
  afterDeath: (_: Things, buffer: UserBuffer): void => dispose(buffer),
};

function loadBtf(kernel: EmbeddedKernel, attr: UserBuffer, bytes: UserBuffer, btf_size: number): number {
  fillAttr(attr, bpfAttr.btfLoad, { btf: bytes.address, btf_size });
  return kernel.bpf(BPF_BTF_LOAD, attr);
}

type CreateFields = AttrFields<typeof bpfAttr.mapCreate>;
const withTypes = (btf_fd: number): CreateFields => ({ btf_fd, btf_key_type_id: 1, btf_value_type_id: 1 });

/** A map that is the last to hold its BTF. */
function mapWithBtf(things: Things): number {
  const btf = btfLoad(things.survivor, plainBtf);
  const fd = create({ ...things, victim: things.survivor }, plain, "", withTypes(btf));
  things.survivor.close(btf);
  return fd;
}

function mapWithLock(things: Things): number {
  const btf = btfLoad(things.survivor, plainBtf);
  const types = { ...withTypes(btf), btf_value_type_id: 4 };
  const fd = create({ ...things, victim: things.survivor }, { ...plain, valueSize: 8 }, "", types);
  things.survivor.close(btf);
  return fd;
}

/** The survivor's memory for instructions, a license, and what a program is loaded and run with. */
interface Code {
  readonly map: number;
  readonly bytes: UserBuffer;
  readonly slots: number;
}

const LICENSE_OFF = 1024;
const PACKET_OFF = 1100;
const ELEM_OFF = 1200;

/** Looks its map's first elem up, adds to it, sets the second, and returns 7. With `tail`, goes over to that array's first program. */
function programText(map: number, tail?: number): string {
  const key = (n: number): string => `*(u32 *)(r10 - 4) = ${n}\nr2 = r10\nr2 += -4\nr1 = map[fd:${map}]`;
  return [
    "r6 = r1",
    key(0),
    "call 1",
    "if r0 == 0 goto +2",
    "r1 = 1",
    "*(u32 *)(r0 + 0) = r1",
    key(1),
    "r3 = r10\nr3 += -4\nr4 = 0\ncall 2",
    ...(tail === undefined ? [] : [`r1 = r6\nr2 = map[fd:${tail}]\nr3 = 0\ncall 12`]),
    "r0 = 7\nexit",
  ].join("\n");
}

function prepareCode(things: Things, textOf: (map: number) => string = programText): Code {
  const { survivor } = things;
  const map = mapCreate(survivor, { mapType: BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 4, maxEntries: 2 });
  things.others.push(map);
  const code = encodeInsns(assemble(textOf(map)));
  const bytes = survivor.alloc(PAGE);
  bytes.bytes.set(code);
  bytes.bytes.set(new TextEncoder().encode("GPL"), LICENSE_OFF);
  return { map, bytes, slots: code.length / INSN_SIZE };
}

function loadProgram(kernel: EmbeddedKernel, attr: UserBuffer, { bytes, slots }: Code): number {
  const { address } = bytes;
  const fields = { prog_type: BPF_PROG_TYPE_XDP, insns: address, insn_cnt: slots, license: address + LICENSE_OFF };
  fillAttr(attr, bpfAttr.progLoad, fields);
  return kernel.bpf(BPF_PROG_LOAD, attr);
}

/** Puts a program into an array's first place; or, for -1, takes it out. */
function putProgram(kernel: EmbeddedKernel, attr: UserBuffer, { bytes }: Code, array: number, fd: number): number {
  const view = new DataView(bytes.bytes.buffer, bytes.bytes.byteOffset);
  view.setUint32(ELEM_OFF, 0, true);
  view.setInt32(ELEM_OFF + 4, fd, true);
  const key = bytes.address + ELEM_OFF;
  fillAttr(attr, bpfAttr.mapElem, { map_fd: array, key, value: fd < 0 ? 0 : key + 4 });
  return kernel.bpf(fd < 0 ? BPF_MAP_DELETE_ELEM : BPF_MAP_UPDATE_ELEM, attr);
}

function runProgram(kernel: EmbeddedKernel, attr: UserBuffer, { bytes }: Code, prog_fd: number): number {
  fillAttr(attr, bpfAttr.test, { prog_fd, data_in: bytes.address + PACKET_OFF, data_size_in: 64 });
  return kernel.bpf(BPF_PROG_TEST_RUN, attr);
}

const PROG_ARRAY = { mapType: BPF_MAP_TYPE_PROG_ARRAY, keySize: 4, valueSize: 4, maxEntries: 2 };

/** A program that is loaded, and an array, which it uses, and which may hold it. */
interface Loaded extends Code {
  readonly array: number;
  readonly fd: number;
}

function prepareProgram(things: Things, isInArray: boolean): Loaded {
  const { survivor, attr } = things;
  const array = mapCreate(survivor, PROG_ARRAY);
  things.others.push(array);
  const code = prepareCode(things, (map) => programText(map, array));
  const fd = loadProgram(survivor, attr, code);
  if (isInArray) expectReturned("Filling the array", putProgram(survivor, attr, code, array, fd), 0);
  return { ...code, array, fd };
}

/** Gives back what stands beside the program. */
function dropCode({ survivor }: Things, { map, bytes, array }: Code & { readonly array?: number }): void {
  survivor.close(map);
  if (array !== undefined) survivor.close(array);
  dispose(bytes);
}

const withCode = { end: dropCode, afterDeath: dropCode };

function create({ victim, attr }: Things, shape: Shape, name: string, more: CreateFields = {}): number {
  fillAttr(attr, bpfAttr.mapCreate, {
    ...more,
    map_type: shape.mapType,
    key_size: shape.keySize,
    value_size: shape.valueSize,
    max_entries: shape.maxEntries,
    map_flags: shape.mapFlags ?? 0,
    map_name: new TextEncoder().encode(name),
  });
  return victim.bpf(BPF_MAP_CREATE, attr);
}

const named = (shapes: readonly Shape[], name: string): Shape => shapes.find((shape) => shape.name === name)!;

const plain = named(hashes, "hash of 21, keys of 4, values of 4");
/** Maps of each type, preallocated and not, mappable or not. */
const someShapes: readonly Shape[] = [
  plain,
  named(hashes, "hash of 21, keys of 16, values of 48, not preallocated"),
  named(perCpuHashes, "per-CPU hash of 21, keys of 16, values of 48"),
  named(perCpuHashes, "per-CPU hash of 21, keys of 4, values of 12, not preallocated"),
  named(arrays, "array, values of 12"),
  named(arrays, "array, values of 12, mappable"),
  named(arrays, "per-CPU array, values of 12"),
];
const mappable = named(arrays, "array, values of 12, mappable");

const pin = (kernel: EmbeddedKernel, { attr, name, fd }: Things): number => {
  fillAttr(attr, bpfAttr.obj, { pathname: name.address, bpf_fd: fd });
  return kernel.bpf(BPF_OBJ_PIN, attr);
};
const pinned = ({ survivor, fd }: Things): void => expectReturned("Pinning", objPin(survivor, fd, NAME), 0);
const made = ({ survivor }: Things): void => expectReturned("mkdir", survivor.mkdir(DIRECTORY), 0);
const closed = ({ survivor, fd }: Things): void => expectReturned("close", survivor.close(fd), 0);
const get = ({ victim, attr, name }: Things): number => {
  fillAttr(attr, bpfAttr.obj, { pathname: name.address });
  return victim.bpf(BPF_OBJ_GET, attr);
};
const dispose = (buffer: { [Symbol.dispose](): void }): void => buffer[Symbol.dispose]();

const hogging =
  (pages: number) =>
  ({ survivor, others }: Things): Hog => {
    const hog = new Hog(survivor, pages);
    others.push(...hog.fds);
    return hog;
  };
const releasing = {
  isScarce: true,
  end: (_: Things, hog: Hog): void => hog.release(),
  afterDeath: (_: Things, hog: Hog): void => hog.release(),
};

/** Keeps the type of what `prepare` returns to the row itself. */
const row = <P>(life: Life<P>): Life => life as Life;

export const groups: Readonly<Record<string, readonly Life[]>> = {
  create: [
    ...someShapes.map((shape) =>
      row({ name: `create: ${shape.name}`, creates: shape, act: (t) => create(t, shape, "of_the_dead"), wanted: "fd" }),
    ),
    row({
      name: "create: a name that is refused",
      act: (t) => create(t, plain, "of the dead"),
      wanted: -EINVAL,
    }),
    row({
      name: "create: a type that is none",
      act: (t) => create(t, { ...plain, mapType: 999 }, ""),
      wanted: -EINVAL,
    }),
    row({
      name: "create: elems that are too large",
      act: (t) => create(t, { ...plain, valueSize: 2 ** 22 }, ""),
      wanted: -E2BIG,
    }),
    // What is refused may have been begun.
    ...someShapes.flatMap((shape) =>
      [0, 2, 3, 4, 6, 8, 12].map((pages) =>
        row({
          name: `create with ${pages} pages left: ${shape.name}`,
          creates: shape,
          prepare: hogging(pages),
          act: (t) => create(t, shape, ""),
          wanted: "any",
          ...releasing,
        }),
      ),
    ),
  ],

  close: [
    ...someShapes.flatMap((shape) => [
      row({ name: `close the last fd: ${shape.name}`, shape, act: ({ victim, fd }) => victim.close(fd) }),
    ]),
    row({
      name: "close one fd of two",
      shape: plain,
      prepare: ({ survivor, id }) => mapGetFdById(survivor, id),
      act: ({ victim }, second) => victim.close(second),
    }),
    row({
      name: "close the last fd of a map with a name",
      shape: plain,
      prepare: pinned,
      act: ({ victim, fd }) => victim.close(fd),
    }),
    row({
      name: "close the last fd of a map that the survivor holds",
      shape: plain,
      prepare: ({ survivor, fd }) => survivor.direct(fd)!,
      act: ({ victim, fd }) => victim.close(fd),
      end: (_, direct) => dispose(direct),
      afterDeath: (_, direct) => dispose(direct),
    }),
  ],

  btf: [
    row({
      name: "load BTF",
      prepare: ({ survivor }) => withBytes(survivor, plainBtf),
      act: (t, bytes) => loadBtf(t.victim, t.attr, bytes, plainBtf.length),
      wanted: "fd",
      ...withBuffer,
    }),
    row({
      name: "load BTF that is refused",
      prepare: ({ survivor }) => withBytes(survivor, plainBtf),
      act: (t, bytes) => loadBtf(t.victim, t.attr, bytes, plainBtf.length - 1),
      wanted: -EINVAL,
      ...withBuffer,
    }),
    row({
      name: "close the last fd of BTF",
      prepare: ({ survivor }) => btfLoad(survivor, plainBtf),
      act: ({ victim }, fd) => victim.close(fd),
    }),
    row({
      name: "open BTF by its id",
      prepare({ survivor }) {
        const fd = btfLoad(survivor, plainBtf);
        return Number(/\d+/.exec(survivor.fdinfo(fd)!)![0]);
      },
      act({ victim, attr }, btf_id) {
        fillAttr(attr, bpfAttr.getId, { btf_id });
        return victim.bpf(BPF_BTF_GET_FD_BY_ID, attr);
      },
      wanted: "fd",
    }),
    row({
      name: "look at BTF",
      prepare: ({ survivor }) => btfLoad(survivor, plainBtf),
      act({ victim, attr, info }, bpf_fd) {
        info.bytes.fill(0);
        fillAttr(attr, bpfAttr.info, { bpf_fd, info_len: BPF_BTF_INFO_SIZE, info: info.address });
        return victim.bpf(BPF_OBJ_GET_INFO_BY_FD, attr);
      },
    }),
    row({
      name: "create a map with BTF",
      creates: plain,
      prepare: ({ survivor }) => btfLoad(survivor, plainBtf),
      act: (t, btf) => create(t, plain, "", withTypes(btf)),
      wanted: "fd",
    }),
    row({
      name: "create a map with BTF of other types",
      creates: plain,
      prepare: ({ survivor }) => btfLoad(survivor, plainBtf),
      act: (t, btf) => create(t, plain, "", { ...withTypes(btf), btf_value_type_id: 2 }),
      wanted: -EINVAL,
    }),
    row({
      name: "create a map with BTF, and be refused after it",
      creates: plain,
      prepare: ({ survivor }) => btfLoad(survivor, plainBtf),
      act: (t, btf) => create(t, plain, "", { ...withTypes(btf), excl_prog_hash_size: 1 }),
      wanted: -EINVAL,
    }),
    row({
      name: "close the last fd of a map, and so the last that holds its BTF",
      creates: plain,
      prepare: mapWithBtf,
      act: ({ victim }, fd) => victim.close(fd),
    }),
    row({
      name: "close the last fd of BTF that a map holds",
      creates: plain,
      prepare(things) {
        const btf = btfLoad(things.survivor, plainBtf);
        create({ ...things, victim: things.survivor }, plain, "", withTypes(btf));
        return btf;
      },
      act: ({ victim }, btf) => victim.close(btf),
    }),
    row({
      name: "update a value with a lock",
      creates: plain,
      prepare(things) {
        const fd = mapWithLock(things);
        things.others.push(fd);
        return { fd, keys: withBytes(things.survivor, new Uint8Array(16).fill(1)) };
      },
      act({ victim, attr }, { fd, keys }) {
        fillAttr(attr, bpfAttr.mapElem, { map_fd: fd, key: keys.address, value: keys.address, flags: BPF_F_LOCK });
        return victim.bpf(BPF_MAP_UPDATE_ELEM, attr);
      },
      end: ({ survivor }, { fd, keys }) => (survivor.close(fd), dispose(keys)),
      afterDeath: ({ survivor }, { fd, keys }) => (survivor.close(fd), dispose(keys)),
    }),
  ],

  programs: [
    row({
      name: "load a program",
      prepare: (t) => prepareCode(t),
      act: ({ victim, attr }, code) => loadProgram(victim, attr, code),
      wanted: "fd",
      ...withCode,
    }),
    row({
      name: "load a program that is refused",
      prepare: (t) => prepareCode(t, (map) => `${programText(map)}\nr0 = 0\nexit`),
      act: ({ victim, attr }, code) => loadProgram(victim, attr, code),
      wanted: -EINVAL,
      ...withCode,
    }),
    row({
      name: "close the last fd of a program, and so the last that holds its map",
      prepare(t) {
        const loaded = { ...prepareCode(t), fd: -1 };
        const fd = loadProgram(t.survivor, t.attr, loaded);
        t.survivor.close(loaded.map);
        return { ...loaded, fd };
      },
      act: ({ victim }, { fd }) => victim.close(fd),
      end: (_, { bytes }) => dispose(bytes),
      afterDeath: (_, { bytes }) => dispose(bytes),
    }),
    row({
      name: "bind a map to a program",
      prepare: (t) => prepareProgram(t, false),
      act({ victim, attr }, { fd, map, array }) {
        fillAttr(attr, bpfAttr.progBindMap, { prog_fd: fd, map_fd: map });
        const first = victim.bpf(BPF_PROG_BIND_MAP, attr);
        fillAttr(attr, bpfAttr.progBindMap, { prog_fd: fd, map_fd: array });
        return first || victim.bpf(BPF_PROG_BIND_MAP, attr);
      },
      ...withCode,
    }),
    row({
      name: "pin a program",
      prepare: (t) => prepareProgram(t, false),
      act: ({ victim, name, attr }, { fd }) => {
        fillAttr(attr, bpfAttr.obj, { pathname: name.address, bpf_fd: fd });
        return victim.bpf(BPF_OBJ_PIN, attr);
      },
      ...withCode,
    }),
    row({
      name: "unlink the last name of a program",
      prepare(t) {
        const loaded = prepareProgram(t, false);
        objPin(t.survivor, loaded.fd, NAME);
        t.survivor.close(loaded.fd);
        return loaded;
      },
      act: ({ victim }) => victim.unlink(NAME),
      ...withCode,
    }),
    row({
      name: "put a program into an array",
      prepare: (t) => prepareProgram(t, false),
      act: ({ victim, attr }, loaded) => putProgram(victim, attr, loaded, loaded.array, loaded.fd),
      ...withCode,
    }),
    row({
      name: "take a program out of an array that alone holds it",
      prepare(t) {
        const loaded = prepareProgram(t, true);
        t.survivor.close(loaded.fd);
        return loaded;
      },
      act: ({ victim, attr }, loaded) => putProgram(victim, attr, loaded, loaded.array, -1),
      ...withCode,
    }),
    row({
      name: "close the last fd of an array that holds a program that holds it",
      prepare(t) {
        const loaded = prepareProgram(t, true);
        t.survivor.close(loaded.fd);
        return loaded;
      },
      act: ({ victim }, { array }) => victim.close(array),
      end: (t, { map, bytes }) => dropCode(t, { map, bytes, slots: 0 }),
      afterDeath: (t, loaded) => dropCode(t, loaded),
    }),
    row({
      name: "run a program that changes a map and goes over to itself",
      prepare: (t) => prepareProgram(t, true),
      act: ({ victim, attr }, loaded) => runProgram(victim, attr, loaded, loaded.fd),
      ...withCode,
    }),
  ],

  "hold and put": [
    ...[plain, mappable].flatMap((shape) => [
      row({
        name: `open the short way: ${shape.name}`,
        shape,
        prepare: (): { opened?: DirectMap | undefined } => ({}),
        act: ({ victim, fd }, way) => (way.opened = victim.direct(fd, { lanes: shape.lanes })),
        wanted: "any",
        end: (_, { opened }) => dispose(opened!),
      }),
      row({
        name: `leave the short way: ${shape.name}`,
        shape,
        prepare: ({ victim, fd }) => victim.direct(fd)!,
        act: (_, direct) => dispose(direct),
        wanted: "any",
      }),
      row({
        name: `leave the short way, as the last that holds the map: ${shape.name}`,
        shape,
        prepare(things) {
          const direct = things.victim.direct(things.fd)!;
          closed(things);
          return direct;
        },
        act: (_, direct) => dispose(direct),
        wanted: "any",
      }),
    ]),
    row({
      name: "map",
      shape: mappable,
      prepare: (): { mapped?: UserBuffer } => ({}),
      act: ({ victim, fd }, held) => (held.mapped = victim.mmap(fd, PAGE, { writable: true })),
      wanted: "any",
      end: (_, { mapped }) => dispose(mapped!),
    }),
    row({
      name: "unmap",
      shape: mappable,
      prepare: ({ victim, fd }) => victim.mmap(fd, PAGE),
      act: (_, mapped) => dispose(mapped),
      wanted: "any",
    }),
    row({
      name: "unmap, as the last that holds the map",
      shape: mappable,
      prepare(things) {
        const mapped = things.victim.mmap(things.fd, PAGE);
        closed(things);
        return mapped;
      },
      act: (_, mapped) => dispose(mapped),
      wanted: "any",
    }),
  ],

  "names and ids": [
    row({ name: "pin", shape: plain, act: (t) => pin(t.victim, t) }),
    row({
      name: "pin: a name that is taken",
      shape: plain,
      prepare: pinned,
      act: (t) => pin(t.victim, t),
      wanted: -EEXIST,
    }),
    row({
      name: "pin with no page left",
      shape: plain,
      prepare: hogging(0),
      act: (t) => pin(t.victim, t),
      wanted: "any",
      ...releasing,
    }),
    row({ name: "open a name", shape: plain, prepare: pinned, act: get, wanted: "fd" }),
    row({ name: "open a name that is none", shape: plain, act: get, wanted: -ENOENT }),
    row({ name: "unlink", shape: plain, prepare: pinned, act: ({ victim }) => victim.unlink(NAME) }),
    ...someShapes.map((shape) =>
      row({
        name: `unlink what alone holds a map: ${shape.name}`,
        shape,
        prepare(things) {
          pinned(things);
          closed(things);
        },
        act: ({ victim }) => victim.unlink(NAME),
      }),
    ),
    row({
      name: "unlink a name that is none",
      shape: plain,
      act: ({ victim }) => victim.unlink(NAME),
      wanted: -ENOENT,
    }),
    row({ name: "mkdir", act: ({ victim }) => victim.mkdir(DIRECTORY) }),
    row({
      name: "mkdir: a name that is taken",
      prepare: made,
      act: ({ victim }) => victim.mkdir(DIRECTORY),
      wanted: -EEXIST,
    }),
    row({ name: "rmdir", prepare: made, act: ({ victim }) => victim.rmdir(DIRECTORY) }),
    row({
      name: "rmdir of what is not empty",
      shape: plain,
      prepare(things) {
        made(things);
        expectReturned("Pinning", objPin(things.survivor, things.fd, `${DIRECTORY}/name`), 0);
      },
      act: ({ victim }) => victim.rmdir(DIRECTORY),
      wanted: -ENOTEMPTY,
    }),
    row({
      name: "rename",
      shape: plain,
      prepare: pinned,
      act: ({ victim }) => victim.rename(NAME, OTHER),
    }),
    row({
      name: "rename into a directory",
      shape: plain,
      prepare(things) {
        made(things);
        pinned(things);
      },
      act: ({ victim }) => victim.rename(NAME, `${DIRECTORY}/name`),
    }),
    row({
      name: "rename a directory with a name in it",
      shape: plain,
      prepare(things) {
        made(things);
        expectReturned("Pinning", objPin(things.survivor, things.fd, `${DIRECTORY}/name`), 0);
      },
      act: ({ victim }) => victim.rename(DIRECTORY, OTHER),
    }),
    row({
      name: "rename over a directory",
      prepare(things) {
        made(things);
        expectReturned("mkdir", things.survivor.mkdir(OTHER), 0);
      },
      act: ({ victim }) => victim.rename(DIRECTORY, OTHER),
    }),
    row({
      name: "rename over another name of the map",
      shape: plain,
      prepare(things) {
        pinned(things);
        expectReturned("Pinning", objPin(things.survivor, things.fd, OTHER), 0);
      },
      act: ({ victim }) => victim.rename(NAME, OTHER),
    }),
    ...someShapes.map((shape) =>
      row({
        name: `rename over what alone holds a map: ${shape.name}`,
        shape,
        prepare(things) {
          const { survivor } = things;
          pinned(things);
          closed(things);
          const other = new Hands(survivor, shape);
          other.putAll(allKeys(shape), 1);
          expectReturned("Pinning", objPin(survivor, other.fd, OTHER), 0);
          other.close();
        },
        act: ({ victim }) => victim.rename(OTHER, NAME),
      }),
    ),
    row({ name: "rename a name that is none", act: ({ victim }) => victim.rename(NAME, OTHER), wanted: -ENOENT }),
    row({
      name: "read a directory",
      shape: plain,
      prepare: pinned,
      act: ({ victim }) => (victim.readdir(ROOT) as unknown[]).length,
      wanted: 1,
    }),
    row({
      name: "open an id",
      shape: plain,
      act({ victim, attr, id }) {
        fillAttr(attr, bpfAttr.getId, { map_id: id });
        return victim.bpf(BPF_MAP_GET_FD_BY_ID, attr);
      },
      wanted: "fd",
    }),
    row({
      name: "the next id",
      shape: plain,
      act({ victim, attr }) {
        fillAttr(attr, bpfAttr.getId, { start_id: 0 });
        return victim.bpf(BPF_MAP_GET_NEXT_ID, attr);
      },
    }),
    row({
      name: "info",
      shape: plain,
      act({ victim, attr, info, fd }) {
        fillAttr(attr, bpfAttr.info, { bpf_fd: fd, info_len: BPF_MAP_INFO_SIZE, info: info.address });
        return victim.bpf(BPF_OBJ_GET_INFO_BY_FD, attr);
      },
    }),
    row({ name: "list names", shape: plain, prepare: pinned, act: ({ victim }) => victim.pins().length, wanted: 1 }),
    row({ name: "fdinfo", shape: plain, act: ({ victim, fd }) => victim.fdinfo(fd), wanted: "any" }),
  ],

  memory: [
    ...[100, 3 * PAGE, 2 ** 18].flatMap((size) => [
      row({
        name: `allocate ${size} bytes`,
        prepare: (): { buffer?: UserBuffer } => ({}),
        act: ({ victim }, held) => (held.buffer = victim.alloc(size)),
        wanted: "any",
        end: (_, { buffer }) => dispose(buffer!),
      }),
      row({
        name: `free ${size} bytes`,
        prepare: ({ victim }) => victim.alloc(size),
        act: (_, buffer) => dispose(buffer),
        wanted: "any",
      }),
      // Neighbours that are in use, or free: what is freed is joined to none, to either, to both.
      ...[[], [0], [2], [0, 2]].map((freed) =>
        row({
          name: `free ${size} bytes between buffers, with ${freed.length === 0 ? "none" : freed.join(" and ")} free`,
          prepare({ survivor, victim }) {
            const buffers = [survivor, survivor, victim, survivor, survivor].map((kernel) => kernel.alloc(size));
            const [above, before, own, behind, below] = buffers as [UserBuffer, ...UserBuffer[]] & UserBuffer[];
            if (freed.includes(0)) dispose(before!);
            if (freed.includes(2)) dispose(behind!);
            return { own: own!, others: [above, before!, behind!, below!] };
          },
          act: (_, { own }) => dispose(own),
          wanted: "any",
          end: (_, { others }) => others.forEach(dispose),
          afterDeath: (_, { others }) => others.forEach(dispose),
        }),
      ),
      row({
        name: `allocate ${size} bytes where more were freed`,
        prepare({ survivor }) {
          const buffers = [size, 2 * size + PAGE, size].map((size) => survivor.alloc(size));
          dispose(buffers[1]!);
          return { others: [buffers[0]!, buffers[2]!], taken: undefined as UserBuffer | undefined };
        },
        act: ({ victim }, held) => (held.taken = victim.alloc(size)),
        wanted: "any",
        end(_, { others, taken }) {
          dispose(taken!);
          others.forEach(dispose);
        },
        afterDeath: (_, { others }) => others.forEach(dispose),
      }),
    ]),
    row({
      name: "allocate more than there is",
      act({ victim }) {
        try {
          return victim.alloc(victim.maxMemory - PAGE);
        } catch {
          return -ENOMEM;
        }
      },
      wanted: -ENOMEM,
    }),
  ],

  threads: [
    row({
      name: "attach",
      async prepare({ world }) {
        // It will have the place that this one had.
        using probe = await world.victim();
        return { slot: probe.slot, attached: undefined as EmbeddedKernel | undefined };
      },
      act: async ({ world }, held) => (held.attached = await world.victim()),
      wanted: "any",
      end: (_, { attached }) => dispose(attached!),
      afterDeath: ({ survivor }, { slot }) => survivor.reap(slot),
    }),
    row({ name: "leave", act: ({ victim }) => dispose(victim), wanted: "any" }),
    row({
      name: "leave, with a CPU, the short way open and a buffer",
      shape: named(perCpuHashes, "per-CPU hash of 21, keys of 4, values of 4"),
      prepare({ victim, fd }) {
        const direct = victim.direct(fd, { lanes: [{ offset: 0, width: 4 }] })!;
        direct.key.bytes.fill(0);
        direct.value.bytes.fill(0);
        expectReturned("An add", direct.addElem(), 0);
        return { direct, buffer: victim.alloc(100) };
      },
      act({ victim }, { direct, buffer }) {
        dispose(buffer);
        dispose(direct);
        dispose(victim);
      },
      wanted: "any",
    }),
    row({ name: "usage", shape: plain, act: ({ victim }) => victim.usage(), wanted: "any" }),
    row({ name: "check", shape: plain, prepare: pinned, act: ({ victim }) => victim.check().length }),
    row({ name: "save", shape: plain, act: ({ victim }) => victim.save(), wanted: "any" }),
  ],
};
