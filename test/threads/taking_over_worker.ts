/**
 * A worker of taking_over.test.ts: has all stand still, which takes the lock of the tables, and ends in the middle of it.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EmbeddedKernel } from "tsbpf";
import type { Engine } from "../../src/kernels/embedded/engine.js";
import { GO, type TakingOverOrders } from "./taking_over.js";

const { handle, words } = workerData as TakingOverOrders;

let engine: Engine | undefined;
const { instantiate } = WebAssembly;
WebAssembly.instantiate = (async (module: WebAssembly.Module, imports: WebAssembly.Imports) => {
  const instance = await instantiate(module, imports);
  engine = instance.exports as unknown as Engine;
  return instance;
}) as typeof WebAssembly.instantiate;

await EmbeddedKernel.attach(handle);
engine!.pause();
parentPort!.postMessage("has the lock");
Atomics.wait(words, GO, 0);
process.exit();
