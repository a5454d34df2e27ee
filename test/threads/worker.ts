/**
 * A worker of the crew (crew.ts): attaches to the kernel, does its job when all are there, answers with the result.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EmbeddedKernel } from "tsbpf";
import { add } from "./adding.js";
import { Barrier, type Orders } from "./crew.js";
import { insertAndDrain } from "./draining.js";
import { evict } from "./evicting.js";
import { fill } from "./filling.js";
import { beHostile } from "./hostile.js";
import { createAndClose, share } from "./living.js";
import { churnPool, keepModel } from "./losing.js";
import { write } from "./ringing.js";
import { outlive } from "./outliving.js";
import { pushAndPop } from "./queueing.js";
import { exhaust, recycle } from "./recycling.js";
import { setOrDelete } from "./refusing.js";
import { replaceOrTake } from "./replacing.js";
import { churn } from "./saving.js";
import { routing } from "./routing.js";
import { runProgram } from "./running.js";
import { tear } from "./tearing.js";
import { upsert } from "./upserting.js";

const jobs = {
  add,
  beHostile,
  churn,
  churnPool,
  createAndClose,
  evict,
  exhaust,
  fill,
  insertAndDrain,
  keepModel,
  outlive,
  pushAndPop,
  recycle,
  replaceOrTake,
  routing,
  runProgram,
  setOrDelete,
  share,
  tear,
  upsert,
  write,
};

export type Jobs = typeof jobs;

type Job = (kernel: EmbeddedKernel, arg: unknown, barrier: Barrier) => unknown;

const orders = workerData as Orders;
const barrier = new Barrier(orders.barrier, orders.parties);
const kernel = await EmbeddedKernel.attach(orders.handle);
barrier.wait();
const result = (jobs[orders.job] as Job)(kernel, orders.arg, barrier);
kernel[Symbol.dispose]();
parentPort?.postMessage(result);
