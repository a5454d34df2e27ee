/**
 * A worker that attaches to a kernel, takes what a thread can take, and then ends in the way that it is told.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EmbeddedKernel, type KernelHandle, PerCpuHashMap, u32, u64 } from "tsbpf";

/** How a worker ends. */
export type Ending = "stays until it is terminated" | "exits" | "throws" | "leaves, and ends";

export interface Orders {
  readonly handle: KernelHandle;
  readonly id: number;
  readonly ending: Ending;
}

const { handle, id, ending } = workerData as Orders;
const kernel = await EmbeddedKernel.attach(handle);
const map = PerCpuHashMap.fromId(kernel, id, { key: u32, value: u64 });
map.add(1, 1n);
kernel.alloc(100);
parentPort!.postMessage({ slot: kernel.slot, fd: map.fd });
switch (ending) {
  case "exits":
    // eslint-disable-next-line no-process-exit
    process.exit(3);
    break;
  case "throws":
    throw new Error("The end of a worker");
  case "leaves, and ends":
    map.close();
    kernel[Symbol.dispose]();
    break;
  default:
    setInterval(() => map.add(1, 1n), 0);
}
