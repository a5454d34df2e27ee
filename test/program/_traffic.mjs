/**
 * Runs in a network namespace whose interface `near` leads to `far` of the namespace that argv names; prints what links.test.ts compares.
 */
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { LinuxKernel } from "tsbpf/linux";
import { BpfObject } from "tsbpf/program";

const [objectPath, other] = process.argv.slice(2);
const PACKETS = 10;

const kernel = LinuxKernel.open();
const object = BpfObject.open(readFileSync(objectPath), { name: "links" }).load(kernel, {
  programs: ["on_xdp", "on_ingress", "on_egress"],
});
const { programs, variables } = object;
let received = 0;
const socket = createSocket("udp4").on("message", () => received++);
await new Promise((resolve) => socket.bind(5555, "10.9.0.1", resolve));

/** Has the other end send packets; tells what was counted and what came through. */
async function send() {
  const names = ["xdp_udp", "tcx_in", "tcx_out"];
  const before = names.map((name) => variables[name].get());
  received = 0;
  const script = `const s = require("node:dgram").createSocket("udp4"); let n = ${PACKETS};
    const next = () => n-- > 0 ? s.send("x", 5555, "10.9.0.1", next) : s.close(); next();`;
  execFileSync("ip", ["netns", "exec", other, process.execPath, "-e", script]);
  await setTimeout(200);
  const [xdp, tcxIn, tcxOut] = names
    .map((name) => variables[name].get())
    .map((now, i) => Number.parseInt(`${now - before[i]}`, 10));
  return { xdp, tcxIn: tcxIn >= PACKETS, tcxOut: tcxOut > 0, received };
}

const result = { alone: await send() };
{
  const xdp = programs.on_xdp.attach({ xdp: "near" });
  const ingress = programs.on_ingress.attach({ tcx: "near", direction: "ingress" });
  const egress = programs.on_egress.attach({ tcx: "near", direction: "egress" });
  result.ids = [xdp, ingress, egress].every(({ id }) => id > 0);
  result.passed = await send();
  variables.drop.set(1);
  result.dropped = await send();
  try {
    programs.on_xdp.attach({ xdp: "near" });
  } catch (error) {
    result.busy = error.message;
  }
  xdp.detach();
  result.detached = xdp.fd;
  result.again = await send();
  ingress.close();
  egress.close();
}
result.closed = await send();
const generic = programs.on_xdp.attach({ xdp: "near", flags: 2 });
result.generic = await send();
generic.close();
console.log(JSON.stringify(result));
socket.close();
object.close();
kernel[Symbol.dispose]();
