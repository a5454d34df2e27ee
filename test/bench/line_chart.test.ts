/**
 * bench/line_chart.ts: what is drawn is a whole SVG, in which nothing is lost.
 */
import { expect, it } from "vitest";
import { lineChart } from "../../bench/line_chart.js";

const ticks = [1, 2, 4].map((value) => ({ value, label: String(value) }));
const points = [
  { x: 1, y: 30 },
  { x: 2, y: 55 },
];

function chart(title = "Throughput"): string {
  return lineChart({
    title,
    subtitle: "a < b & c",
    x: { title: "threads", ticks },
    y: { title: "operations" },
    panels: ["get", "set"].map((panel) => ({
      title: panel,
      series: [
        { label: "embedded", points, predicted: { low: [{ x: 4, y: 60 }], high: [{ x: 4, y: 100 }] } },
        { label: "Map", points: points.slice(0, 1) },
        { label: "nobody", points: [] },
      ],
    })),
  });
}

it("is well formed: elements end, text is escaped, coordinates are numbers", () => {
  const svg = chart("1 < 2");
  expect(svg).toContain("1 &lt; 2");
  expect(svg).toContain("a &lt; b &amp; c");
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  const open: string[] = [];
  for (const [, end, name, self] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (end === "/") expect(open.pop()).toBe(name);
    else if (self !== "/") open.push(name!);
  }
  expect(open).toEqual([]);
});

it("draws each point, and what is predicted, in each panel", () => {
  const svg = chart();
  // Two panels with two circles and one square, and the legend's.
  expect(svg.match(/<circle/g)).toHaveLength(2 * 2 + 1);
  expect(svg.match(/class="line dash/g)).toHaveLength(2 * 2);
  expect(svg).toContain(">predicted</text>");
});

it("fetches and runs nothing, and has colours for dark grounds", () => {
  const svg = chart();
  expect(svg).not.toMatch(/<script|href|url\(|@import/);
  expect(svg).toContain("prefers-color-scheme:dark");
});
