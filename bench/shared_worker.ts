/**
 * The other thread of shared.ts: attaches the kernel it is given, or owns a Map and answers questions about it.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EmbeddedKernel, HashMap, u32 } from "tsbpf";
import { loadOf } from "./keys.js";

/** What it is started with: nothing, to own a Map. */
export interface SharedData {
  readonly handle?: ReturnType<EmbeddedKernel["share"]>;
  readonly id?: number;
}

/** To get, or with a value to set it. */
export interface Question {
  readonly key: number;
  readonly value?: number;
}

/** The value that is there now. */
export type Answer = number | undefined;

const port = parentPort!;
const { handle, id } = workerData as SharedData;
if (handle !== undefined && id !== undefined) {
  const kernel = await EmbeddedKernel.attach(handle);
  const map = HashMap.fromId(kernel, id, { key: u32, value: u32 });
  port.postMessage(map.get(0));
  // Stays attached while the port is open.
  port.on("message", () => {});
} else {
  const { present, values } = loadOf(
    (n) => n,
    (n) => n,
  );
  const map = new Map(present.map((key, i) => [key, values[i]!]));
  port.on("message", ({ key, value }: Question) => {
    if (value !== undefined) map.set(key, value);
    port.postMessage(map.get(key) satisfies Answer);
  });
  port.postMessage("ready");
}
