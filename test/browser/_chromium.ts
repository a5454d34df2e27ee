/**
 * The browser for the tests: Debian's chromium, without a window. Where there is none, tests are skipped and the reason is printed;
 * in CI (the environment variable is set) that is a failure.
 */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import { describe } from "vitest";

const executablePath = "/usr/bin/chromium";

/** Why there is no browser to test in; undefined when there is. */
const whyNoChromium: string | undefined = (() => {
  if (existsSync(executablePath)) return undefined;
  const why = `there is no ${executablePath} (apt-get install chromium)`;
  if (process.env["CI"] !== undefined) throw new Error(`Cannot test in a browser: ${why}`);
  console.warn(`Tests in a browser are skipped: ${why}`);
  return why;
})();

/** `describe` for what needs a browser. */
export const describeChromium = describe.skipIf(whyNoChromium !== undefined);

/** A browser that asks nobody on the network for anything, and runs as root too. */
export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
