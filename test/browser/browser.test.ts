/**
 * The package in a browser, as it is published, without a bundler: threads of an isolated page share maps, and where a page is not
 * isolated the kernel works all the same, and says what it lacks.
 */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeChromium, launch } from "./_chromium.js";
import { serve } from "./_server.js";
import type { Jobs } from "./page.js";
import { records } from "./ringing.js";

describeChromium("in chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser.close());

  /** What the page's function of this name returns, and everything that the page said meanwhile. */
  async function run<J extends keyof Jobs>(isolated: boolean, job: J): Promise<{ found: Jobs[J]; said: string[] }> {
    const site = await serve({ isolated });
    const page = await browser.newPage();
    const said = listen(page);
    try {
      await page.goto(site.url);
      return { found: await page.evaluate<Jobs[J]>(`${job}()`), said };
    } finally {
      await page.close();
      await site.close();
    }
  }

  it("the main thread and two workers of an isolated page share maps", async () => {
    const { found, said } = await run(true, "shareMaps");
    expect(said).toEqual([]);
    // All had to do with each other, and the main thread could not sleep.
    expect(found.threads.map(({ isolated, mayBlock }) => ({ isolated, mayBlock }))).toEqual([
      { isolated: true, mayBlock: false },
      { isolated: true, mayBlock: true },
      { isolated: true, mayBlock: true },
    ]);
    for (const { whole } of found.threads) expect(whole).toBeGreaterThan(1000);
    const totals = found.threads[0]!.added.map((_, key) =>
      found.threads.reduce((sum, { added }) => sum + added[key]!, 0),
    );
    expect(found.counts).toEqual(totals);
    expect(found.cells).toEqual(totals);
    expect(found.sums).toEqual(totals);
    expect(found.damage).toEqual([]);
    expect(found.maxMemory).toBe(2 ** 30);
    expect(found.left).toEqual({ fds: 0, maps: 0, bytes: 0 });
  });

  it("the main thread of an isolated page reads with `for await` what three workers write", async () => {
    const { found, said } = await run(true, "readRing");
    expect(said).toEqual([]);
    expect(found).toEqual({
      isolated: true,
      came: [records, records, records],
      wrong: [],
      waited: true,
      pending: 0,
      damage: [],
      left: { fds: 0, maps: 0, bytes: 0 },
    });
  });

  it("the kernel of a page that is not isolated works unshared, and says so once", async () => {
    const { found, said } = await run(false, "useAlone");
    const reason = "SharedArrayBuffer is not to be had here (a page must be cross-origin isolated)";
    expect(said).toEqual([`warning: tsbpf: ${reason}: the kernel runs on memory that no other thread can attach to`]);
    const elems = [
      [0, 10],
      [1, 1],
      [2, 2],
      [3, 3],
    ];
    expect(found).toEqual({
      isolated: false,
      shared: false,
      maxMemory: 2 ** 30,
      refusal: `Cannot share the kernel: its memory is not shared, since ${reason}`,
      elems,
      sum: 6,
      loaded: [[0, 5], ...elems.slice(1)],
      cells: [0, 2, 0],
      damage: [],
    });
  });
});

/** Everything that a page and its workers say on the console, throw, or fail to load, as it comes. */
function listen(page: Page): string[] {
  const said: string[] = [];
  page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => said.push(`thrown: ${error.message}`));
  page.on("requestfailed", (request) => said.push(`not loaded: ${request.url()}`));
  page.on("response", (response) => {
    if (!response.ok()) said.push(`${response.status()}: ${response.url()}`);
  });
  return said;
}
