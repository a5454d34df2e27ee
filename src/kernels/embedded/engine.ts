/**
 * The engine: kernel/ compiled to WebAssembly, its memory, and an instance of it for this thread.
 *
 * The module is the same for shared and unshared memory, but for one bit of its memory import.
 */
import { programCompiler } from "./compiled_programs.js";
import { KernelBug, bugOf, holderOf } from "./kernel_bug.js";
import { kernelWasm } from "./kernel_wasm.js";
import { giveTask, hasEnded, systemThread, takeTask } from "./tasks.js";

/** What the module exports. Addresses come out as signed numbers: `>>> 0` where they enter. See kernel/main.ts. */
export interface Engine {
  bpf(cmd: number, attr: number, size: number): number;
  format(pages: number, possibleCpus: number, seed: bigint, devices: number): void;
  enter(mayBlock: number, thread: number): void;
  leave(): void;
  giveUp(): void;
  reapLocks(task: number): number;
  reapRest(task: number): void;
  lockKind(word: number): number;
  lockedMap(task: number): number;
  doingOf(task: number): number;
  threadOf(task: number): number;
  locksTaken(): number;
  alloc(size: number): number;
  free(address: number): void;
  close(fd: number): number;
  unlink(pathname: number): number;
  mkdir(pathname: number): number;
  rmdir(pathname: number): number;
  rename(from: number, to: number): number;
  names(pathname: number, to: number, room: number): number;
  hold(fd: number): number;
  put(map: number): void;
  canReadAndWrite(map: number, fd: number): number;
  mmap(held: number, fd: number, offset: number, length: number, writable: number, asked: bigint): number;
  munmap(map: number): void;
  poll(map: number, arm: number, forRoom: number): number;
  wakeWord(map: number): number;
  reserveRecord(map: number, size: number): number;
  submitRecord(map: number, data: number, flags: number): number;
  discardRecord(map: number, data: number, flags: number): number;
  outputRecord(map: number, from: number, size: number, flags: number): number;
  queryRing(map: number, what: number): number;
  lostRecords(map: number): number;
  drainRecord(map: number, to: number, room: number): number;
  count(map: number): number;
  countOf(fd: number): number;
  lanesFitMap(map: number, lanes: number): number;
  typeOf(map: number): number;
  keyBytesOf(map: number): number;
  valueBytesOf(map: number): number;
  memoryOf(map: number): number;
  isFrozen(map: number): number;
  fdsOpen(): number;
  mapsAlive(): number;
  pagesUsed(): number;
  pause(): void;
  resume(): void;
  revive(): void;
  check(to: number, room: number): number;
  kernelStart(): number;
  nextSavedRun(address: number): number;
  runBytes(address: number): number;
  hashLookup4(map: number, key: number, to: number): number;
  hashWord(map: number): number;
  hashLookup44(map: number, key: number, to: number): number;
  hashLookup48(map: number, key: number, to: number): number;
  hashUpdate44(map: number, key: number, value: number, flags: number): number;
  hashUpdate48(map: number, key: number, value: number, flags: number): number;
  hashUpdate4(map: number, key: number, value: number, flags: number): number;
  hashDelete4(map: number, key: number): number;
  hashAdd4(map: number, key: number, delta: number, lanes: number): number;
  hashLookup(map: number, key: number, to: number): number;
  lruLookup4(map: number, key: number, to: number): number;
  lruLookup44(map: number, key: number, to: number): number;
  lruLookup48(map: number, key: number, to: number): number;
  lruLookup(map: number, key: number, to: number): number;
  setExact(map: number): number;
  hashUpdate(map: number, key: number, value: number, flags: number): number;
  trieLookup(map: number, key: number, to: number): number;
  arrayLookup4(map: number, index: number, to: number): number;
  arrayUpdate4(map: number, index: number, value: number, flags: number): number;
  arrayAdd4(map: number, index: number, delta: number, lanes: number): number;
  lookupElem(map: number, key: number, to: number): number;
  updateElem(map: number, key: number, value: number, flags: number): number;
  deleteElem(map: number, key: number): number;
  addElem(map: number, key: number, delta: number, lanes: number): number;
  lookupMany(map: number, keys: number, values: number, rets: number, n: number): number;
  updateMany(map: number, keys: number, values: number, rets: number, n: number, flags: number): number;
  deleteMany(map: number, keys: number, rets: number, n: number): number;
  /** Functions that the engine calls by number: compiled programs are put there. */
  readonly table: WebAssembly.Table;
  progInsns(prog: number): number;
  progSlots(prog: number): number;
  progType(prog: number): number;
  progId(prog: number): number;
  progMapCount(prog: number): number;
  progMap(prog: number, index: number): number;
  progElems(map: number): number;
  maxEntriesOf(map: number): number;
  valueSizeOf(map: number): number;
  mapFlagsOf(map: number): number;
  arrayValues(map: number): number;
  arraySlotSize(map: number): number;
  runTimers(): number;
  adoptTimers(): void;
  runArea(): number;
  setBudget(budget: bigint): void;
  progAccess(address: bigint, size: number, write: number, insn: number): number;
  progFault(kind: number, insn: number, address: bigint): void;
  progHelper(id: number, insn: number, r1: bigint, r2: bigint, r3: bigint, r4: bigint, r5: bigint): bigint;
  findElem(map: number, key: number): number;
  findHash4(map: number, key: number): number;
  findHash8(map: number, key: bigint): number;
  findHash(map: number, key: number): number;
  findPerCpu(map: number, index: number): number;
  nextElem(map: number, cursor: number, key: number): bigint;
  takeScratch(bytes: number): number;
  endScratch(address: number): void;
  tailTarget(map: number, index: number): number;
}

/** Of WebAssembly: what a Memory is sized in. */
const WASM_PAGE_BYTES = 65536;
/** Nothing useful fits into less. */
const LEAST_BYTES = 2 << 20;

let sharedModule: Promise<WebAssembly.Module> | undefined;
let unsharedModule: Promise<WebAssembly.Module> | undefined;

/** The compiled module, for shared or for unshared memory. */
export function engineModule(shared: boolean): Promise<WebAssembly.Module> {
  if (shared) return (sharedModule ??= WebAssembly.compile(moduleBytes()));
  return (unsharedModule ??= WebAssembly.compile(withUnsharedMemory(moduleBytes())));
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(kernelWasm), (c) => c.charCodeAt(0));
}

/** Takes the "shared" bit out of the memory's import: "env" "memory", kind 2, limits with maximum (1) and shared (2). */
function withUnsharedMemory(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const importEntry = "\x03env\x06memory\x02\x03";
  for (let at = 0; at < bytes.length; at++) {
    let i = 0;
    while (i < importEntry.length && bytes[at + i] === importEntry.charCodeAt(i)) i++;
    if (i === importEntry.length) {
      bytes[at + i - 1] = 1;
      return bytes;
    }
  }
  throw new Error("Cannot find the memory import of the engine's module");
}

/** Whether this realm may have shared memory: a browser page only if it is cross-origin isolated. */
export function canShareMemory(): boolean {
  return typeof SharedArrayBuffer === "function" && (globalThis.crossOriginIsolated ?? true);
}

/**
 * Reserves memory. The system gives pages as they are touched, so a large reservation costs nothing; where it is refused
 * all the same, a smaller one is taken.
 */
export function reserveMemory(bytes: number, shared: boolean): WebAssembly.Memory {
  for (let pages = Math.ceil(bytes / WASM_PAGE_BYTES); ; pages = Math.ceil(pages / 2)) {
    try {
      return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
    } catch (cause) {
      if (pages * WASM_PAGE_BYTES <= LEAST_BYTES) {
        throw new RangeError(`Cannot reserve ${bytes} bytes of memory, nor any part of them down to ${LEAST_BYTES}`, {
          cause,
        });
      }
    }
  }
}

/** Nobody who waits for a lock sleeps longer without looking again. */
const SLEEP_MS = 20;
/** Nobody waits longer than this for a lock. */
export const PATIENCE_MS = 1000;

/**
 * Called before each instruction that writes memory, in an engine that was instrumented for it (test/death): with the
 * instruction's number. What it throws ends the call there, as the end of the thread would.
 */
export const steps: { hook: ((step: number) => void) | undefined } = { hook: undefined };

/** An instance of the engine, and how long it waits for a lock. */
export interface Instance {
  readonly engine: Engine;
  patienceMs: number;
  /** Tasks that were to reap others while this thread waited, and did not come to an end of it: they are to be reaped. */
  readonly halfReaped: number[];
  /** Compiles the program at an address: where its functions are in the engine's table; 0 to have it interpreted. */
  compile: (prog: number) => number;
  /** What bpf_trace_printk prints, a line a call. */
  onTrace?: ((line: string) => void) | undefined;
  /** What is told in how many nanoseconds a timer is due: before the call that started it returns. */
  onArm?: ((delayNs: number) => void) | undefined;
}

/** An instance of the engine on a memory, for the thread that has this task. */
export async function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  task: number,
): Promise<Instance> {
  const { imports, begin } = prepare(module, memory, task);
  return begin(await WebAssembly.instantiate(module, imports));
}

/** What an instance is to import; and what makes it this task's. */
function prepare(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  task: number,
): { imports: WebAssembly.Imports; begin: (instance: WebAssembly.Instance) => Instance } {
  const words = new Int32Array(memory.buffer);
  const isShared = !(memory.buffer instanceof ArrayBuffer);
  const maySleep = mayBlock();
  let self: Instance;
  let since = 0;
  // See kernel/lock.ts for why the engine does not wait by itself.
  const wait = (address: number, held: number, round: number): void => {
    if (held === -1) return steps.hook?.(address);
    const now = performance.now();
    if (round === 0) since = now;
    const waitedMs = now - since;
    if (waitedMs > self.patienceMs) {
      const bug = bugOf(self.engine, address, held, waitedMs);
      self.engine.giveUp();
      throw bug;
    }
    if (round > 0 && isShared) reapForOthers(module, memory, self, holderOf(held));
    if (maySleep) Atomics.wait(words, address >>> 2, held, SLEEP_MS);
  };
  const weak = isWeaklyOrdered() ? 1 : 0;
  const compile = (prog: number): number => self.compile(prog >>> 0);
  const print = (address: number, bytes: number): void => {
    if (self.onTrace !== undefined)
      self.onTrace(
        new TextDecoder().decode(new Uint8Array(memory.buffer).slice(address >>> 0, (address >>> 0) + bytes)),
      );
  };
  const arm = (delayNs: number): void => self.onArm?.(delayNs);
  const adapt = isShared ? (bytes: Uint8Array<ArrayBuffer>) => bytes : withUnsharedMemory;
  return {
    imports: { env: { memory, me: task, wait, weak, clock, compile, print, arm } },
    begin: ({ exports }) => {
      const engine = exports as unknown as Engine;
      self = { engine, patienceMs: PATIENCE_MS, halfReaped: [], compile: programCompiler(engine, memory, adapt) };
      engine.enter(maySleep ? 1 : 0, isShared ? systemThread() : 0);
      return self;
    },
  };
}

/**
 * Reaps the thread that has a lock, if it has ended, for a thread that waits for that lock in the middle of a call: nobody may be able
 * to before this one goes on. Only where the one who waits has no other lock, since reaping takes some; and as a task of its own, since
 * the one who waits has begun something.
 */
function reapForOthers(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  waiting: Instance,
  holder: number,
): void {
  if (waiting.engine.locksTaken() !== 1 || !hasEnded(waiting.engine.threadOf(holder))) return;
  const other = otherTask(module, memory);
  if (other === undefined) return;
  const { task, engine, halfReaped } = other;
  try {
    if (engine.reapLocks(holder) !== 0) engine.reapRest(holder);
    waiting.halfReaped.push(...halfReaped);
    engine.leave();
    giveTask(memory, task);
  } catch (error) {
    // Something else is held, and not by the dead: what this one was doing then is to be reaped in turn.
    if (!(error instanceof KernelBug)) throw error;
    waiting.halfReaped.push(task, ...halfReaped);
  }
}

/** An instance for another task of this thread; undefined where there is no room for it. */
function otherTask(module: WebAssembly.Module, memory: WebAssembly.Memory): (Instance & { task: number }) | undefined {
  let task = 0;
  try {
    task = takeTask(memory);
    const { imports, begin } = prepare(module, memory, task);
    return { ...begin(new WebAssembly.Instance(module, imports)), task };
  } catch {
    if (task !== 0) giveTask(memory, task);
    return undefined;
  }
}

const MILLISECOND = 1e6;
/** See kernel/clock.ts. */
const THREAD = 2;
const REAL = 1;
/**
 * Where the clock begins that all threads have: near enough that a number tells some nanoseconds. Each thread's own clock begins when the
 * thread does.
 */
export const EPOCH: number = Date.UTC(2026, 0, 1);

function clock(which: number): number {
  const sinceStart = performance.now();
  if (which === THREAD) return sinceStart * MILLISECOND;
  const sinceEpoch = (performance.timeOrigin - EPOCH + sinceStart) * MILLISECOND;
  return which === REAL ? sinceEpoch + EPOCH * MILLISECOND : sinceEpoch;
}

/** Whether this thread may sleep in Atomics.wait: not a browser's main thread, nor a service worker, nor without shared memory. */
function mayBlock(): boolean {
  try {
    // The value is another one: where it may, it returns at once.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}

/**
 * Whether the processor may let loads and stores change places (kernel/order.ts): x86-64's does not.
 *
 * Nothing in JavaScript tells the processor, but what it makes of infinity minus infinity: on x86-64 the NaN's sign is set, on all others
 * that V8, SpiderMonkey and JavaScriptCore run on it is not.
 */
function isWeaklyOrdered(): boolean {
  const number = new Float32Array(1);
  number[0] = Infinity;
  number[0] = number[0] - number[0];
  return new Uint8Array(number.buffer)[3] !== 255;
}
