/**
 * What an EpollThread runs: epoll_wait(2), and a message when it returned. It takes no event away and asks for none's data, for
 * whoever started it looks itself.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EINTR } from "../../uapi/errno.js";
import { BpfError } from "../error.js";
import { EPOLL_EVENT_SIZE } from "./epoll.js";
import { END, type EpollWorkerData, PARK, WATCH } from "./epoll_thread.js";
import { mapAnonymous } from "./mapping.js";
import { openSys } from "./sys.js";

/**
 * How long one epoll_wait lasts, in milliseconds: a thread in a system call cannot be terminated, and whoever terminates the
 * thread above waits for this one.
 */
const waitMs = 250;

function run({ epfd, state }: EpollWorkerData): void {
  const sys = openSys();
  const event = mapAnonymous(sys, EPOLL_EVENT_SIZE);
  for (;;) {
    Atomics.wait(state, 0, PARK);
    if (Atomics.load(state, 0) === END) break;
    const found = sys.epoll_wait(epfd, event.address, 1, waitMs);
    if (found === 0 || found === -EINTR) continue;
    if (found < 0) throw new BpfError("Cannot wait for fds", found, { syscall: "epoll_wait" });
    // From WATCH only: an END that came meanwhile stays.
    if (Atomics.compareExchange(state, 0, WATCH, PARK) === WATCH) parentPort?.postMessage(undefined);
  }
  event[Symbol.dispose]();
}

run(workerData as EpollWorkerData);
