/**
 * Death at each step: an operation is done again and again by a thread that dies one step later each time, until it ends.
 *
 * One JavaScript thread plays all roles. The survivor's engine is the production module; a victim's is the same with
 * steps (instrument.ts): before each, and before each write of the host, a hook may throw, and with that the victim is
 * dead. It goes on throwing: what JavaScript does on the way out (`finally`, `using`) changes nothing any more. Then the
 * survivor reaps the victim, and all must be well: the kernel's check clean, the operation done or not begun, all that is
 * in use accounted for.
 */
import { expect } from "vitest";
import { EmbeddedKernel, type KernelHandle, type KernelUsage } from "../../src/kernels/embedded/embedded_kernel.js";
import { steps as engineSteps } from "../../src/kernels/embedded/engine.js";
import { kernelWasm } from "../../src/kernels/embedded/kernel_wasm.js";
import { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH } from "../../src/uapi/index.js";
import { type Content, Hands, type Shape, expectContent } from "./hands.js";
import { describeStep, instrument } from "./instrument.js";

const instrumented = instrument(Uint8Array.from(Buffer.from(kernelWasm, "base64")));
const module = await WebAssembly.compile(instrumented.bytes);

/** Steps of the engine at which some victim of this process has died. */
const met = new Set<number>();
/** How many victims have died in this process. */
let deaths = 0;

/** Whether all is to be tried, however long it takes, and all to be told. */
export const isThorough = process.env["TSBPF_DEATHS"] === "all";

/** Says how much was tried in this process; and, if asked, which functions have steps at which nobody died. */
export function report(): string {
  const text = `${deaths} deaths, at ${met.size} of the engine's ${instrumented.steps.length} steps`;
  if (!isThorough) return text;
  const missed = new Map<string, number>();
  instrumented.steps.forEach(({ name, waits }, i) => {
    if (!waits && !met.has(i)) missed.set(name, (missed.get(name) ?? 0) + 1);
  });
  return `${text}; not at: ${[...missed].map(([name, count]) => `${name} (${count})`).join(", ")}`;
}

/** How a victim died. */
export interface End {
  /** Where it was, in words. */
  readonly where: string;
  /** Whether it was about to wait, and not about to write. */
  readonly waited: boolean;
}

const whereOf = (end: End | undefined): string => end?.where ?? "after the end";

/** What a victim's hook throws. */
class Death extends Error {}

const bystanders: readonly Shape[] = [
  { name: "bystander, hash", mapType: BPF_MAP_TYPE_HASH, keySize: 8, valueSize: 12, maxEntries: 9, lanes: [] },
  { name: "bystander, array", mapType: BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 12, maxEntries: 3, lanes: [] },
];

/** A kernel, its survivor, and as many victims as are asked for. */
export class World {
  readonly survivor: EmbeddedKernel;
  readonly #handle: KernelHandle;
  /** Maps that no victim touches: nothing may happen to them. */
  readonly #bystanders: readonly { readonly hands: Hands; readonly content: Content }[];

  private constructor(survivor: EmbeddedKernel) {
    this.survivor = survivor;
    this.#handle = survivor.share();
    this.#bystanders = bystanders.map((shape) => {
      const hands = new Hands(survivor, shape);
      return { hands, content: hands.putAll(Array(shape.maxEntries).keys(), 1) };
    });
  }

  /** Small: the kernel's check looks at each page. */
  static async create(maxMemory = 3 * 2 ** 20): Promise<World> {
    return new World(await EmbeddedKernel.create({ maxMemory, possibleCpus: 3 }));
  }

  get memory(): WebAssembly.Memory {
    return this.#handle.memory;
  }

  /** A thread that can be stopped at each of its steps. */
  victim(): Promise<EmbeddedKernel> {
    return EmbeddedKernel.attach({ ...this.#handle, module });
  }

  /** A handle for `EmbeddedKernel.attach`, to be a victim from its first step on. */
  get handleOfVictim(): KernelHandle {
    return { ...this.#handle, module };
  }

  /** The kernel's own check finds nothing. */
  verifySound(): void {
    const findings = this.survivor.check();
    if (findings.length > 0) throw new Error(`The kernel is damaged: ${findings.join("; ")}`);
  }

  verifyBystanders(): void {
    for (const { hands, content } of this.#bystanders) {
      expectContent("A map that nobody touched", hands.lookupBatch(this.survivor), content);
    }
  }

  usage(): KernelUsage {
    return this.survivor.usage();
  }

  /**
   * Has a victim do something until it comes to step number `nth`, counted from 1, where it dies; or before a wait for
   * another thread, which none would end.
   *
   * @returns Where it died; undefined when it came to its end alive.
   */
  async dieAt(nth: number, act: () => unknown): Promise<End | undefined> {
    const { buffer } = this.memory;
    let left = nth;
    let end: End | undefined;
    const step = (waits: boolean, say: () => string): void => {
      if (end === undefined) {
        if (!waits && --left > 0) return;
        end = { where: say(), waited: waits };
        deaths++;
      }
      throw new Death("A dead thread goes on");
    };
    engineSteps.hook = (id) => {
      const found = instrumented.steps[id]!;
      step(found.waits, () => {
        met.add(id);
        return describeStep(found);
      });
    };
    const restoreAtomics = hookAtomics(buffer, (name) => step(false, () => `the host's Atomics.${name}`));
    try {
      await act();
    } catch (error) {
      if (end === undefined) throw error;
    } finally {
      engineSteps.hook = undefined;
      restoreAtomics();
    }
    return end;
  }
}

const writingAtomics = ["add", "and", "compareExchange", "exchange", "or", "store", "sub", "xor"] as const;

/** Has a function called before each write that JavaScript does by Atomics to this memory. Returns how to end that. */
function hookAtomics(buffer: ArrayBufferLike, before: (name: string) => void): () => void {
  const originals = writingAtomics.map((name) => Atomics[name]);
  for (const name of writingAtomics) {
    const original = Atomics[name] as (...args: unknown[]) => unknown;
    Atomics[name] = ((...args: unknown[]) => {
      if ((args[0] as Int32Array).buffer === buffer) before(name);
      return original(...args);
    }) as never;
  }
  return () => writingAtomics.forEach((name, i) => (Atomics[name] = originals[i] as never));
}

/** An operation to die in. S: what `setUp` has made, and what is known of it. */
export interface Scenario<S> {
  readonly name: string;
  /** Makes the state before, on behalf of the survivor and of the victim that is to die. */
  setUp(world: World, victim: EmbeddedKernel): S | Promise<S>;
  /** What the victim does. */
  act(victim: EmbeddedKernel, state: S): unknown;
  /** What it does afterwards if it lives. */
  end?(state: S): void;
  /**
   * Looks at everything after the victim was reaped, or (`died` is false) did all and left; and takes everything away, so
   * that nothing is in use that was not before `setUp`.
   */
  verify(world: World, state: S, died: boolean): void;
}

/** More failures of one scenario tell nothing new. */
const MAX_FAILURES = 3;
/** More steps than this: the victim runs in circles. */
const MAX_STEPS = 5000;

let current: World | undefined;

/** Runs one try in the world of all tries; in a new one after one has failed, since what that leaves may be damaged. */
async function tryInWorld(run: (world: World) => Promise<void>): Promise<void> {
  const world = (current ??= await World.create());
  try {
    const before = world.usage();
    await run(world);
    world.verifyBystanders();
    expect(world.usage(), "in use").toEqual(before);
  } catch (error) {
    current = undefined;
    throw error;
  }
}

/** The failures of one scenario, so far. */
class Failures {
  readonly #name: string;
  readonly #texts: string[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  add(where: string, error: unknown): void {
    this.#texts.push(`${where}: ${error instanceof Error ? error.message : String(error)}`);
    if (this.#texts.length === MAX_FAILURES) this.throwIfAny();
  }

  throwIfAny(): void {
    if (this.#texts.length > 0) throw new Error([`${this.#name}:`, ...this.#texts].join("\n"));
  }
}

/** Does a scenario once with no death. */
async function liveThrough<S>({ setUp, act, end, verify }: Scenario<S>, failures: Failures): Promise<void> {
  await tryInWorld(async (world) => {
    const victim = await world.victim();
    const state = await setUp(world, victim);
    await act(victim, state);
    end?.(state);
    victim[Symbol.dispose]();
    world.verifySound();
    verify(world, state, false);
  }).catch((error) => failures.add("no death", error));
}

/**
 * Does a scenario once with no death, then with a death at each step, and with one at the end.
 *
 * @returns How many deaths there were: the steps that the scenario has, and one.
 * @throws {Error} that lists the first failures, each with the step where the victim died
 */
export async function exhaust<S>(scenario: Scenario<S>): Promise<number> {
  const { name, setUp, act, verify } = scenario;
  const failures = new Failures(name);
  await liveThrough(scenario, failures);
  for (let nth = 1; ; nth++) {
    let died: End | undefined;
    await tryInWorld(async (world) => {
      const victim = await world.victim();
      const state = await setUp(world, victim);
      died = await world.dieAt(nth, () => act(victim, state));
      world.survivor.reap(victim.slot);
      world.verifySound();
      verify(world, state, true);
    }).catch((error) => failures.add(`step ${nth}, ${whereOf(died)}`, error));
    if (died === undefined) {
      failures.throwIfAny();
      return nth;
    }
    expect(nth, `steps of "${name}"`).toBeLessThan(MAX_STEPS);
  }
}

/** What a second thread does after the first has died, to die in it too. */
export interface Second<S> {
  readonly name: string;
  act(second: EmbeddedKernel, first: EmbeddedKernel, state: S): unknown;
  /** It does not die in the middle, but for where it would wait for the first. */
  readonly livesOn?: boolean;
  /** It dies at one of so many steps only, each time at others of them: all pairs would be too many. */
  readonly stride?: number;
}

const isInOrder = (nth: number, mth: number): boolean => (mth === Infinity ? nth : nth + mth) % 2 === 0;

/**
 * Does a scenario with two deaths: of the victim at each step, and then of a second thread at each of its own steps, before
 * anybody was reaped. They are reaped in both orders, by turns.
 *
 * @returns How many pairs of deaths there were.
 */
export async function exhaustPairs<S>(scenario: Scenario<S>, second: Second<S>): Promise<number> {
  const { name, setUp, act, verify } = scenario;
  const failures = new Failures(`${name}; then ${second.name}`);
  /** @returns Whether each of the two has steps beyond this one. */
  const dieBoth = async (nth: number, mth: number): Promise<boolean[]> => {
    const ends: (End | undefined)[] = [];
    await tryInWorld(async (world) => {
      const victims = [await world.victim(), await world.victim()] as const;
      const state = await setUp(world, victims[0]);
      ends.push(await world.dieAt(nth, () => act(victims[0], state)));
      ends.push(await world.dieAt(mth, () => second.act(victims[1], victims[0], state)));
      const slots = victims.map(({ slot }) => slot);
      world.survivor.reap(...(isInOrder(nth, mth) ? slots : slots.toReversed()));
      world.verifySound();
      verify(world, state, true);
    }).catch((error) => {
      const [one, two] = ends.map(whereOf);
      const order = isInOrder(nth, mth) ? "in this order" : "the second first";
      failures.add(`step ${nth}, ${one}; step ${mth}, ${two}; reaped ${order}`, error);
    });
    return ends.map((end) => end?.waited === false);
  };
  await liveThrough(scenario, failures);
  const { stride = 1 } = second;
  let pairs = 0;
  for (let nth = 1; nth < MAX_STEPS; nth++) {
    let goesOn: boolean[];
    let mth = second.livesOn === true ? Infinity : 1 + (nth % stride);
    do {
      goesOn = await dieBoth(nth, mth);
      mth += stride;
      pairs++;
    } while (goesOn[1] === true && mth < MAX_STEPS);
    if (goesOn[0] !== true) break;
  }
  failures.throwIfAny();
  return pairs;
}

/** A second thread that reaps the first. */
export const reaping: Second<unknown> = {
  name: "death of who reaps it",
  act: (second, first) => second.reap(first.slot),
};
