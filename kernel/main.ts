/**
 * What the module exports: the system call, the host's calls, the short way.
 */
export { bpf } from "./syscall";
export { check } from "./check";
export * from "./host";
export { giveUp, leave, reapLocks, reapRest, revive } from "./reap";
export { kernelStart, nextSavedRun, runBytes } from "./mem/pages";
export * from "./direct";
export { adoptTimers, runTimers } from "./timer_run";
export * from "./for_compiler";
export * from "./helpers_by_name";
