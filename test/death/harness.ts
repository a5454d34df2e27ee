/**
 * Death at each step: an operation is done again and again by a thread that dies one step later each time, until it ends.
 *
 * One JavaScript thread plays all roles. The survivor's engine is the production module; a victim's is the same with
 * steps (instrument.ts): before each, and before each write of the host, a hook may throw, and with that the victim is
 * dead. What JavaScript does on the way out (`finally`, `using`) a dead thread does not do: the memory is put back to
 * what it was at the moment of death. Then the survivor reaps the victim, and all must be well: the kernel's check
 * clean, the operation done or not begun, all that is in use accounted for.
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

/** Says how much was tried in this process, and which functions' steps were not. */
export function report(): string {
  const missed = new Map<string, number>();
  instrumented.steps.forEach(({ name, waits }, i) => {
    if (!waits && !met.has(i)) missed.set(name, (missed.get(name) ?? 0) + 1);
  });
  const list = [...missed].map(([name, count]) => `${name} (${count})`).join(", ");
  return `${deaths} deaths, at ${met.size} of the engine's ${instrumented.steps.length} steps; at no step of: ${list}`;
}

/** Of these functions: how many steps there are, and those at which no victim of this process has died. */
export function stepsMissed(isOf: (name: string) => boolean): { of: number; missed: string[] } {
  const all = instrumented.steps.map((step, i) => ({ step, i })).filter(({ step }) => isOf(step.name) && !step.waits);
  return { of: all.length, missed: all.filter(({ i }) => !met.has(i)).map(({ step }) => describeStep(step)) };
}

/** What a victim's hook throws. */
class Death extends Error {}

/** Where a victim died: in words. */
export type Where = string;

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
      return { hands, content: hands.fill(Array(shape.maxEntries).keys(), 1) };
    });
  }

  /** Small, so that it can be copied at each death. */
  static async create(maxMemory = 2 ** 22): Promise<World> {
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

  verifyBystanders(): void {
    for (const { hands, content } of this.#bystanders) {
      expectContent("A map that nobody touched", hands.read(hands.shape.maxEntries), content);
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
  async dieAt(nth: number, act: () => unknown): Promise<Where | undefined> {
    const { buffer } = this.memory;
    const bytes = new Uint8Array(buffer);
    let left = nth;
    let where: Where | undefined;
    let atDeath: Uint8Array | undefined;
    const step = (waits: boolean, say: () => Where): void => {
      if (atDeath === undefined && !waits && --left > 0) return;
      if (atDeath === undefined) {
        atDeath = bytes.slice();
        where = say();
        deaths++;
      }
      throw new Death("A dead thread goes on");
    };
    engineSteps.hook = (id) => {
      const { waits } = instrumented.steps[id]!;
      const isFirst = atDeath === undefined;
      try {
        step(waits, () => describeStep(instrumented.steps[id]!));
      } catch (error) {
        if (isFirst) met.add(id);
        throw error;
      }
    };
    const restoreAtomics = hookAtomics(buffer, (name) => step(false, () => `the host's Atomics.${name}`));
    const snap = bytes.slice(); (globalThis as any).rollback = () => { bytes.set(snap); act(); };//STUB
    try {
      await act();
    } catch (error) {
      if (atDeath === undefined) throw error;
    } finally {
      engineSteps.hook = undefined;
      restoreAtomics();
    }
    if (atDeath !== undefined) bytes.set(atDeath);
    return where;
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
  setUp(world: World, victim: EmbeddedKernel): S;
  /** What the victim does. */
  act(victim: EmbeddedKernel, state: S): unknown;
  /**
   * Looks at everything after the victim died and was reaped, or (`where` is undefined) came to its end and left; and takes
   * everything away, so that nothing is in use that was not before `setUp`.
   */
  verify(world: World, state: S, where: Where | undefined): void;
}

/** More failures of one scenario tell nothing new. */
const MAX_FAILURES = 3;
/** More steps than this: the victim runs in circles. */
const MAX_STEPS = 5000;

let current: World | undefined;

/** A world for one try. All tries have the same one, until one fails: what it leaves may be damaged. */
export async function tryInWorld<T>(run: (world: World) => Promise<T>): Promise<T> {
  const world = (current ??= await World.create());
  try {
    const before = world.usage();
    const result = await run(world);
    world.verifyBystanders();
    expect(world.survivor.check()).toEqual([]);
    expect(world.usage(), "in use").toEqual(before);
    return result;
  } catch (error) {
    current = undefined;
    throw error;
  }
}

/** Collects the first failures of a scenario. */
export class Failures {
  readonly #texts: string[] = [];

  /** Runs a try. @returns Whether to go on after it. */
  async of(run: () => Promise<boolean>, where: () => string): Promise<boolean> {
    try {
      return await run();
    } catch (error) {
      this.#texts.push(`${where()}: ${error instanceof Error ? error.message : String(error)}`);
      return this.#texts.length < MAX_FAILURES;
    }
  }

  throwIfAny(name: string): void {
    if (this.#texts.length > 0) throw new Error([`${name}:`, ...this.#texts].join("\n"));
  }
}

/**
 * Does a scenario with a death at each step, and once with none.
 *
 * @returns How many deaths there were.
 * @throws {Error} that lists the first failures, each with the step where the victim died
 */
export async function exhaust<S>({ name, setUp, act, verify }: Scenario<S>): Promise<number> {
  const failures = new Failures();
  let nth = 1;
  for (; nth <= MAX_STEPS; nth++) {
    let where: Where | undefined;
    const once = async (world: World): Promise<boolean> => {
      const victim = await world.victim();
      const state = setUp(world, victim);
      where = await world.dieAt(nth, () => act(victim, state));
      if (where === undefined) victim[Symbol.dispose]();
      else {world.survivor.reap(victim.slot); victim[Symbol.dispose]();/*STUB*/}
      expect(world.survivor.check()).toEqual([]);
      verify(world, state, where);
      return where !== undefined;
    };
    if (
      !(await failures.of(
        () => tryInWorld(once),
        () => `step ${nth}, ${where ?? "no death"}`,
      ))
    )
      break;
  }
  failures.throwIfAny(name);
  expect(nth, `the last step of "${name}"`).toBeLessThan(MAX_STEPS);
  return nth - 1;
}
