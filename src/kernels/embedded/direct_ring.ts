/**
 * Ring buffers of the embedded kernel, beside system calls: what programs do with them on Linux, and waiting for records.
 */
import { E2BIG, ECANCELED, EPERM } from "../../uapi/errno.js";
import { BpfError } from "../error.js";
import type { DirectRing, ReadableOptions, UserBuffer } from "../kernel.js";
import type { Engine } from "./engine.js";

const FIRST_ROOM = 4096;
/** Where there is no Atomics.waitAsync, or nothing to share memory with: between two looks. */
const LOOK_MS = 4;
/** Of the word that is waited on: somebody waits (kernel/maps/ringbuf.ts). */
const ARMED = 1;
/** The longest time of a timer; longer ones end at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * @param map Held by the caller.
 * @param put Lets go of it.
 */
export function openDirectRing(
  engine: Engine,
  memory: ArrayBufferLike,
  map: number,
  alloc: (size: number) => UserBuffer,
  put: () => void,
): DirectRing {
  let room: UserBuffer | undefined;
  let open = true;
  /** Scratch of at least so many bytes. */
  const scratch = (size: number): UserBuffer => {
    if (room !== undefined && room.bytes.length >= size) return room;
    room?.[Symbol.dispose]();
    room = undefined;
    return (room = alloc(Math.max(size, FIRST_ROOM)));
  };
  return {
    reserve(size) {
      const address = engine.reserveRecord(map, size) >>> 0;
      return address === 0 ? undefined : new Uint8Array(memory, address, size);
    },
    submit: (record, flags) => engine.submitRecord(map, record.byteOffset, flags),
    discard: (record, flags) => engine.discardRecord(map, record.byteOffset, flags),
    output(record, flags) {
      const from = scratch(record.length);
      from.bytes.set(record);
      return engine.outputRecord(map, from.address, record.length, flags);
    },
    outputFrom: (address, size, flags) => engine.outputRecord(map, address, size, flags),
    query: (what) => engine.queryRing(map, what),
    lost: () => engine.lostRecords(map) >>> 0,
    drain() {
      for (let size = FIRST_ROOM; ; size *= 2) {
        const to = scratch(size);
        const length = engine.drainRecord(map, to.address, to.bytes.length);
        if (length === -E2BIG) continue;
        return length < 0 ? length : to.bytes.slice(0, length);
      }
    },
    [Symbol.dispose]() {
      if (!open) return;
      open = false;
      room?.[Symbol.dispose]();
      put();
    },
  };
}

type WaitAsync = (words: Int32Array, index: number, value: number) => { async: boolean; value: unknown };

/** A thread's waits that go on, for when it leaves its kernel: each is told that, and gives back nothing any more. */
export class Waits {
  readonly #ends = new Set<() => void>();
  #isOpen = true;

  get isOpen(): boolean {
    return this.#isOpen;
  }

  add(end: () => void): void {
    this.#ends.add(end);
  }

  delete(end: () => void): void {
    this.#ends.delete(end);
  }

  [Symbol.dispose](): void {
    this.#isOpen = false;
    for (const end of this.#ends) end();
  }
}

/** See EmbeddedKernel.readable and writable. */
export async function awaitRing(
  engine: Engine,
  memory: ArrayBufferLike,
  waits: Waits,
  fd: number,
  what: "readable" | "writable",
  { signal, timeoutMs = Infinity, ref = true }: ReadableOptions,
): Promise<boolean> {
  const forRoom = what === "writable" ? 1 : 0;
  signal?.throwIfAborted();
  const refuse = (errno: number): BpfError => {
    const hint = errno === -EPERM ? { hint: "the map's type has nothing to wait for" } : {};
    return new BpfError(`Cannot wait for fd ${fd}`, errno, { syscall: "epoll_ctl", ...hint });
  };
  const map = engine.hold(fd);
  if (map < 0 && map > -4096) throw refuse(map);
  const words = new Int32Array(memory);
  const word = (engine.wakeWord(map) >>> 0) >>> 2;
  const waitAsync = (Atomics as { waitAsync?: WaitAsync }).waitAsync;
  const canSleep = waitAsync !== undefined && !(memory instanceof ArrayBuffer);
  // Atomics.waitAsync alone does not keep the event loop alive; a timer does.
  const keeper = setTimeout(() => over(), Math.min(timeoutMs, MAX_TIMER_MS));
  if (!ref) (keeper as { unref?: () => void }).unref?.();
  let isOver = false;
  let end = (): void => {};
  const ended = new Promise<void>((resolve) => (end = resolve));
  const over = (): void => {
    isOver = true;
    end();
  };
  signal?.addEventListener("abort", over);
  waits.add(over);
  try {
    for (;;) {
      if (!waits.isOpen) {
        const about = { syscall: "epoll_wait", hint: "the kernel was disposed" };
        throw new BpfError(`Cannot wait for fd ${fd}`, ECANCELED, about);
      }
      const armed = engine.poll(map, 1, forRoom);
      if (armed < 0) throw refuse(armed);
      // Read between arming and the last look: a wake after that look makes it another one.
      const seen = Atomics.load(words, word);
      // Somebody woke since, who has not seen what it was armed for: nobody would wake from a sleep on this.
      if ((seen & ARMED) === 0) continue;
      if (engine.poll(map, 0, forRoom) === 1) return true;
      signal?.throwIfAborted();
      if (isOver) return false;
      if (canSleep) {
        const slept = waitAsync(words, word, seen);
        if (slept.async) await Promise.race([slept.value, ended]);
      } else {
        await Promise.race([new Promise((resolve) => setTimeout(resolve, LOOK_MS)), ended]);
      }
    }
  } finally {
    clearTimeout(keeper);
    signal?.removeEventListener("abort", over);
    waits.delete(over);
    // A sleep cannot be taken back: it is woken.
    if (isOver && canSleep) Atomics.notify(words, word);
    if (waits.isOpen) engine.put(map);
  }
}
