/**
 * Real threads are terminated at random moments, thousands of them, while two others go on: nothing that was done is lost, nothing
 * stays locked, nothing leaks.
 *
 * TSBPF_TERMINATIONS says how many (2,000 unless told), TEST_SEED repeats a run (as far as threads can be repeated).
 */
import { isDeepStrictEqual } from "node:util";
import { Worker } from "node:worker_threads";
import { EmbeddedKernel } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { keys as hotKeys } from "./adding.js";
import { randomFrom } from "./clock.js";
import { CpusDiffer } from "./losing.js";
import {
  COMMAND,
  type Ending,
  GO_ON,
  Journal,
  type Orders,
  REST,
  RESTING,
  STOP,
  type Sum,
  hotKinds,
  keyOf,
  directoryOf,
  nameOf,
  ownKeys,
  ownKinds,
  sumBetween,
} from "./terminating.js";

const terminations = Number(process.env["TSBPF_TERMINATIONS"] ?? 2000);
const seed = Number(process.env["TEST_SEED"] ?? Date.now() % 2 ** 31);

const survivors = 2;
/** Threads that live and die at the same time. */
const victims = 4;
const owners = survivors + victims;
/** Rounds from one thorough look to the next. */
const ROUNDS = 30;
/** A victim is terminated at most this long after it began to work. */
const MAX_LIFE_MS = 5;
/** No test here has more fds open. */
const MANY_FDS = 2000;
/** Keys that no thread has. */
const SPARE_KEYS = 900_000_000;

/**
 * What a key has after the death of its owner. A set of all CPUs' values that the owner died in may have come to some of them: it
 * is finished here.
 */
function settled(
  map: { get(key: number): number | undefined; set(key: number, value: number): boolean },
  key: number,
  { done, intended }: { readonly done: number; readonly intended: number },
): number {
  try {
    return map.get(key) ?? 0;
  } catch (error) {
    const isHalf = error instanceof CpusDiffer && error.values.every((value) => value === done || value === intended);
    if (!isHalf) throw error;
    map.set(key, intended);
    return intended;
  }
}

const file = new URL("../../build/test/threads/terminating_worker.js", import.meta.url);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** How victims end: most are terminated, the others end by themselves. */
function endingFrom(random: (below: number) => number): Ending | undefined {
  const n = random(20);
  if (n < 2) return "exit";
  if (n < 4) return "throw";
  if (n < 5) return "throw in a callback";
  return n < 6 ? "run out of memory" : undefined;
}

/** The kernel, all its maps, and what must be in them. */
class Watch {
  readonly kernel: EmbeddedKernel;
  readonly own;
  readonly hot;
  readonly journals: readonly SharedArrayBuffer[] = Array.from(
    { length: owners },
    () => new SharedArrayBuffer(Journal.bytes),
  );
  readonly #journals: readonly Journal[] = this.journals.map((memory) => new Journal(memory));
  /** Of each hot key: what was added for sure, and what may have been. */
  readonly #sure: { times: number; total: number }[][];
  readonly #unsure: { readonly kind: number; readonly key: number; readonly sum: Sum }[] = [];
  /** Of each owner and hot key: up to which time it is in the sums. */
  readonly #counted: readonly Int32Array[][] = this.journals.map(() => hotKinds.map(() => new Int32Array(hotKeys)));

  /** Threads' own keys that were being changed when they died: how often the change was made, and how often it was not. */
  readonly inTheMiddle = { made: 0, "not made": 0 };

  constructor(kernel: EmbeddedKernel) {
    this.kernel = kernel;
    this.own = ownKinds.map(([, kind]) => kind.create(kernel, owners * ownKeys));
    this.hot = hotKinds.map(([, kind]) => kind.create(kernel));
    // So that each is there.
    for (const map of this.hot) for (let key = 0; key < hotKeys; key++) map.add(key, 1);
    this.#sure = hotKinds.map(() => Array.from({ length: hotKeys }, () => ({ times: 1, total: 1 })));
  }

  /** After an owner's thread has died: its own keys hold what it has written, or what it was about to write. */
  settle(owner: number): void {
    const journal = this.#journals[owner]!;
    this.own.forEach((map, kind) => {
      const [name, ownKind] = ownKinds[kind]!;
      for (let i = 0; i < ownKeys; i++) {
        const entry = journal.own(kind, i);
        const found = settled(map, keyOf(ownKind, owner, i), entry);
        if (found !== entry.done && found !== entry.intended) {
          throw new Error(`${name}: key ${i} of ${owner} has ${found}: expected ${entry.done} or ${entry.intended}`);
        }
        if (entry.done !== entry.intended) this.inTheMiddle[found === entry.intended ? "made" : "not made"]++;
        entry.intend(found);
        entry.complete(found);
      }
    });
    this.#countHot(owner);
    this.kernel.unlink(nameOf(owner));
    this.kernel.unlink(`${directoryOf(owner)}/name`);
    this.kernel.rmdir(directoryOf(owner));
  }

  #countHot(owner: number): void {
    hotKinds.forEach((_, kind) => {
      for (let key = 0; key < hotKeys; key++) {
        const entry = this.#journals[owner]!.hot(kind, key);
        const { done, intended } = entry;
        const counted = this.#counted[owner]![kind]!;
        const sure = this.#sure[kind]![key]!;
        const { times, total } = sumBetween(counted[key]!, done);
        sure.times += times;
        sure.total += total;
        if (intended !== done) this.#unsure.push({ kind, key, sum: sumBetween(done, intended) });
        counted[key] = intended;
        entry.complete(intended);
      }
    });
  }

  /** While nobody changes anything: what is in all maps, to the last elem. */
  verify(): void {
    expect(this.kernel.check()).toEqual([]);
    for (let owner = 0; owner < survivors; owner++) this.#countHot(owner);
    this.#verifyHot();
    this.own.forEach((map, kind) => {
      const [name, ownKind] = ownKinds[kind]!;
      let there = 0;
      this.#journals.forEach((journal, owner) => {
        for (let i = 0; i < ownKeys; i++) {
          const { done, intended } = journal.own(kind, i);
          expect(intended).toBe(done);
          const found = map.get(keyOf(ownKind, owner, i)) ?? 0;
          if (found !== done) throw new Error(`${name}: key ${i} of ${owner} has ${found}: expected ${done}`);
          if (found !== 0) there++;
        }
      });
      if (!ownKind.isArray) this.#verifyCapacity(name, map, there);
    });
    expect(this.kernel.check()).toEqual([]);
  }

  #verifyHot(): void {
    const unsure = this.#unsure.splice(0);
    this.hot.forEach((map, kind) => {
      const [name, { wanted }] = hotKinds[kind]!;
      for (let key = 0; key < hotKeys; key++) {
        const found = map.get(key);
        let possible: Sum[] = [this.#sure[kind]![key]!];
        for (const { sum } of unsure.filter((add) => add.kind === kind && add.key === key)) {
          possible = possible.flatMap(({ times, total }) => [
            { times, total },
            { times: times + sum.times, total: total + sum.total },
          ]);
        }
        const sum = possible.find((sum) => isDeepStrictEqual(found, wanted(sum)));
        if (sum === undefined) {
          throw new Error(
            `${name}: key ${key} has ${show(found)}: expected ${possible.map(wanted).map(show).join(" or ")}`,
          );
        }
        this.#sure[kind]![key] = { ...sum };
      }
    });
  }

  /** The map holds so many elems, and takes exactly as many as were asked for. */
  #verifyCapacity(name: string, map: (typeof this.own)[number], there: number): void {
    const countable = map as typeof map & { count(): number };
    expect(countable.count(), name).toBe(there);
    const spare = owners * ownKeys - there;
    for (let i = 0; i < spare; i++) expect(map.set(SPARE_KEYS + i, 1), name).toBe(true);
    expect(() => map.set(SPARE_KEYS + spare, 1), name).toThrow(/E2BIG|ENOSPC/);
    for (let i = 0; i < spare; i++) expect(map.delete(SPARE_KEYS + i), name).toBe(true);
  }

  /** How many maps are elems of others. */
  innerMaps(): number {
    const outers = this.own.filter((_, kind) => ownKinds[kind]![1].isOuter === true);
    return outers.reduce((sum, outer) => sum + (outer as typeof outer & { count(): number }).count(), 0);
  }

  openFds(): number[] {
    return [...Array(MANY_FDS).keys()].filter((fd) => this.kernel.fdinfo(fd) !== undefined);
  }

  close(): void {
    for (const map of [...this.own, ...this.hot]) map.close();
  }
}

const show = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? `${part}` : part));

it(
  `${terminations} threads are terminated`,
  async () => {
    console.log(`TEST_SEED=${seed}`);
    const random = randomFrom(seed);
    // Not one CPU more than there are threads that add.
    using kernel = await EmbeddedKernel.create({ possibleCpus: owners + 1 });
    const checkLeaks = watchLeaks(kernel);
    const watch = new Watch(kernel);
    const ids = { ownIds: watch.own.map(({ id }) => id), hotIds: watch.hot.map(({ id }) => id) };
    const control = new SharedArrayBuffer(8);
    const words = new Int32Array(control);
    const crew: Promise<void>[] = [];
    const failures: Error[] = [];
    const throwIfAny = (): void => {
      if (failures[0] !== undefined) throw failures[0];
    };

    const command = async (command: number): Promise<void> => {
      Atomics.store(words, COMMAND, command);
      Atomics.notify(words, COMMAND);
      if (command !== REST) return;
      while (Atomics.load(words, RESTING) !== survivors && failures.length === 0) await sleep(1);
      throwIfAny();
    };

    /** A worker, given to the kernel to watch; resolves when it is gone. */
    const start = (orders: Omit<Orders, "handle">, options?: object): { worker: Worker; gone: Promise<void> } => {
      const handle = kernel.share();
      const worker = new Worker(file, { workerData: { handle, ...orders } satisfies Orders, ...options });
      kernel.attachWorker(worker);
      return { worker, gone: new Promise((resolve) => worker.once("exit", () => resolve())) };
    };

    const count = { terminated: 0, "ended by themselves": 0 };
    const liveAndDie = async (owner: number): Promise<void> => {
      const ending = endingFrom(random);
      const orders = { ...ids, journal: watch.journals[owner]!, owner, seed: 1 + random(2 ** 30) };
      const resourceLimits = { maxOldGenerationSizeMb: 12, maxYoungGenerationSizeMb: 2 };
      const { worker, gone } =
        ending === undefined
          ? start(orders)
          : start({ ...orders, ending }, ending === "run out of memory" ? { resourceLimits } : {});
      worker.on("error", (error: Error & { code?: string }) => {
        const isMeant = error.message.startsWith("The end of a worker") || error.code === "ERR_WORKER_OUT_OF_MEMORY";
        if (!isMeant) failures.push(error);
      });
      if (ending === undefined) {
        const life = random(1000 * MAX_LIFE_MS) / 1000;
        worker.once("message", () => setTimeout(() => void worker.terminate(), life));
      }
      await gone;
      count[ending === undefined ? "terminated" : "ended by themselves"]++;
    };

    try {
      await command(GO_ON);
      Atomics.store(words, COMMAND, REST);
      for (let owner = 0; owner < survivors; owner++) {
        const orders = { ...ids, journal: watch.journals[owner]!, owner, seed: seed + owner, control };
        const { worker, gone } = start(orders);
        worker.on("error", (error: Error) => failures.push(error));
        crew.push(gone);
      }
      await command(REST);
      watch.verify();
      const known = watch.openFds();
      const maps = kernel.usage().maps - watch.innerMaps();

      for (let round = 1, done = 0; done < terminations; round++, done += victims) {
        await command(GO_ON);
        await Promise.all(Array.from({ length: victims }, (_, i) => liveAndDie(survivors + i)));
        throwIfAny();
        for (let owner = survivors; owner < owners; owner++) watch.settle(owner);
        if (round % ROUNDS !== 0 && done + victims < terminations) continue;

        await command(REST);
        // Fds are of all threads: those of the dead stay open. Nothing else of them does.
        for (const fd of watch.openFds()) if (!known.includes(fd)) kernel.close(fd);
        expect(watch.openFds()).toEqual(known);
        expect(kernel.readdir("/sys/fs/bpf")).toEqual([]);
        expect(kernel.usage().maps - watch.innerMaps()).toBe(maps);
        watch.verify();
        // Their places are free.
        using probe = await EmbeddedKernel.attach(kernel.share());
        expect(probe.slot).toBeLessThanOrEqual(kernel.slot + survivors + 1);
      }
      const { made, "not made": notMade } = watch.inTheMiddle;
      console.log(`In the middle of a change: ${made + notMade}; it was made in ${made}`);
      // Else nobody died where it matters.
      if (terminations >= 1000) expect(made + notMade).toBeGreaterThan(0);
      console.log(`${count.terminated} were terminated, ${count["ended by themselves"]} ended by themselves`);
    } finally {
      Atomics.store(words, COMMAND, STOP);
      Atomics.notify(words, COMMAND);
      await Promise.all(crew);
    }
    watch.verify();
    watch.close();
    checkLeaks();
  },
  60_000 + 600 * terminations,
);
