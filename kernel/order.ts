/**
 * The order in which other threads see this one's loads and stores.
 *
 * x86-64 keeps stores in order among themselves, and loads among themselves; AArch64 does not. There an ordinary access that
 * has to keep its place is followed, or replaced, by a dearer one; where it is not needed it would cost as much as all the
 * rest of a lookup (a fence or an atomic store: 20 cycles and more). V8 moves no access of a module's memory across another.
 */
import { Task, me } from "./task";

/** 1 where loads and stores may change places (src/kernels/embedded/engine.ts finds out), else 0. */
// @ts-ignore: decorator
@external("env", "weak")
declare const WEAK: i32;

/** Stores behind all that was stored before. */
// @ts-ignore: decorator
@inline
export function storeInOrder<T>(at: usize, value: T): void {
  if (WEAK != 0) atomic.store<T>(at, value);
  else store<T>(at, value);
}

/** Keeps loads and stores before it before those behind it, except a store before a later load. */
// @ts-ignore: decorator
@inline
export function keepOrder(): void {
  if (WEAK != 0) fence();
}

/**
 * Keeps all before it before all behind it. (asc 0.28.20 cannot emit atomic.fence.)
 *
 * A store to, and a load from, a word of this thread's own: what comes before stays before the store, what follows stays behind the
 * load, and the two keep their order. On x86-64 the store is an exchange, and cheaper than mfence. One read-modify-write would not
 * do on AArch64 without its newer atomics: it is two instructions there, with room for others between.
 */
// @ts-ignore: decorator
@inline
export function fence(): void {
  const word = changetype<usize>(me()) + offsetof<Task>("barrier");
  atomic.store<u32>(word, 0);
  atomic.load<u32>(word);
}
