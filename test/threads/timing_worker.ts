/**
 * A worker of timing.test.ts.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EmbeddedKernel } from "tsbpf";
import { Program } from "tsbpf/program";
import { ARM, type Orders, act, churn, open } from "./timing.js";

const orders = workerData as Orders;
const kernel = await EmbeddedKernel.attach(orders.handle);
const map = open(kernel, orders.map);
const program = Program.fromId(kernel, orders.program);
for (const key of orders.keys) act(program, ARM, key, orders.nsecs);
// Its fds are the kernel's, and would stay.
if (orders.afterwards !== "churn") {
  map.close();
  program.close();
}
if (orders.afterwards === "leave") kernel[Symbol.dispose]();
else if (orders.afterwards === "idle") setInterval(() => undefined, 1000);
parentPort!.postMessage([map.fd, program.fd]);
if (orders.afterwards === "block") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
if (orders.afterwards === "churn") churn(kernel, map, program, orders);
