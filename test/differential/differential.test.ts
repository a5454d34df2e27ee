/**
 * Random commands to the embedded and the Linux kernel at once: they answer alike. And when they do not, it is seen.
 */
import { EmbeddedKernel } from "tsbpf";
import {
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET_INFO_BY_FD,
  E2BIG,
  EEXIST,
  EINVAL,
  ENOENT,
  ENOMEM,
  bpfAttr,
  bpfMapInfo,
} from "tsbpf/uapi";
import { expect, it } from "vitest";
import { describeLinux } from "../kernels.js";
import { openLinux, openMachine } from "../machine/open.js";
import { type Fault, PlantedKernel } from "./plant.js";
import { type Pair, differenceText, openPair, runSequence, sequenceSeed } from "./sequence.js";

/** A million in CI; TSBPF_COMMANDS says otherwise. */
const COMMANDS = Number(process.env["TSBPF_COMMANDS"] ?? (process.env["CI"] === undefined ? 50_000 : 1_000_000));
const seed = Number(process.env["TEST_SEED"] ?? Date.now() % 2 ** 32);

describeLinux("the embedded kernel and Linux", () => {
  it(`answer ${COMMANDS} random commands alike`, { timeout: 600_000 }, async () => {
    console.log(`TEST_SEED=${seed}`);
    using pair = await openPair();
    const start = performance.now();
    let commands = 0;
    for (let n = 0; commands < COMMANDS; n++) {
      const { steps, difference } = runSequence(pair, sequenceSeed(seed, n));
      if (difference !== undefined)
        throw new Error(differenceText(difference, pair, `TEST_SEED=${seed}, sequence ${n}`));
      commands += steps;
    }
    const seconds = (performance.now() - start) / 1000;
    console.log(`${commands} commands in ${seconds.toFixed(1)} s: ${Math.round(commands / seconds)} a second`);
  });

  const errno =
    (cmd: number, from: number, to: number): Fault =>
    (call) =>
      call.cmd === cmd && call.ret === -from ? -to : call.ret;

  it.each<[what: string, fault: Fault]>([
    ["EINVAL for ENOENT", errno(BPF_MAP_DELETE_ELEM, ENOENT, EINVAL)],
    ["ENOENT for EEXIST", errno(BPF_MAP_UPDATE_ELEM, EEXIST, ENOENT)],
    ["ENOMEM for E2BIG", errno(BPF_MAP_UPDATE_ELEM, E2BIG, ENOMEM)],
    [
      "a wrong byte in some values",
      ({ cmd, ret, attr, bytesAt }) => {
        const { key, value } = bpfAttr.mapElem;
        if (cmd !== BPF_MAP_LOOKUP_ELEM || ret !== 0) return ret;
        const found = bytesAt(attr.getBigUint64(value.off, true));
        if (bytesAt(attr.getBigUint64(key.off, true))[0] === 2) found[0]! ^= 0x10;
        return ret;
      },
    ],
    [
      "a wrong byte in some shortened infos",
      ({ cmd, ret, attr, bytesAt }) => {
        const { info, info_len } = bpfAttr.info;
        if (cmd !== BPF_OBJ_GET_INFO_BY_FD || ret !== 0) return ret;
        const length = attr.getUint32(info_len.off, true);
        if (length > 20 && length < 100)
          bytesAt(attr.getBigUint64(info.off, true))[bpfMapInfo.max_entries.off + 3]! ^= 1;
        return ret;
      },
    ],
  ])("differ by a planted fault: %s", async (_, fault) => {
    using oracle = openLinux();
    const { possibleCpus } = oracle.kernel;
    const kernel = await EmbeddedKernel.create({ possibleCpus, maxMemory: 2 ** 28 });
    using subject = openMachine(new PlantedKernel(kernel, fault));
    const pair: Pair = { subject, oracle };
    for (let n = 0; n < 1000; n++) {
      const { difference } = runSequence(pair, sequenceSeed(1, n));
      if (difference === undefined) continue;
      expect(difference.steps.length).toBeLessThan(8);
      return;
    }
    expect.unreachable("the fault was not found");
  });
});
