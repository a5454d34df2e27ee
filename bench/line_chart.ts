/**
 * Charts as SVG: lines in one or more panels side by side, which share their axes and a legend.
 *
 * An SVG looks the same wherever it is shown: it has a ground of its own, light or dark as its reader's system is, and uses
 * neither scripts nor fonts that it would have to fetch. Series differ in colour and in the shape of their points.
 */
import { type Axis, type Tick, axisOf, axisOver } from "./axis.js";
import type { XY } from "./fit.js";

export interface Series {
  readonly label: string;
  readonly points: readonly XY[];
  /** What was not measured but predicted, from the last point on: between two lines, or one twice. */
  readonly predicted?: { readonly low: readonly XY[]; readonly high: readonly XY[] };
}

export interface Panel {
  readonly title: string;
  /** In the same order in all panels of a chart. */
  readonly series: readonly Series[];
}

export interface Chart {
  readonly title: string;
  /** A line below the title: what was measured. */
  readonly subtitle: string;
  readonly x: { readonly title: string; readonly ticks: readonly Tick[] };
  readonly y: { readonly title: string };
  readonly panels: readonly Panel[];
}

const WIDTH = 860;
const PLOT_HEIGHT = 260;
const MARGIN = { left: 66, right: 30, top: 62, panelTitle: 22, gap: 44, ticks: 44, legend: 34 };
const MARK = 4.2;

/** Colours of series, on a light and on a dark ground; told apart by people who see fewer colours too (Okabe and Ito). */
const COLORS = [
  ["#0072b2", "#56b4e9"],
  ["#d55e00", "#ff9d5c"],
  ["#00875f", "#3ddbab"],
  ["#a8518a", "#e59cc9"],
] as const;

const rules = (shade: 0 | 1): string =>
  COLORS.map((colors, i) => `.c${i}{stroke:${colors[shade]}}.f${i}{fill:${colors[shade]}}`).join("");

const STYLE = `text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-size:12px;fill:#57606a}
.title{font-size:16px;font-weight:600;fill:#1f2328}.panel{font-size:13px;font-weight:600;fill:#1f2328}.key{fill:#1f2328}
.ground{fill:#ffffff;stroke:#d1d9e0}.grid{stroke:#e4e8ec}.axis{stroke:#8c959f}
.line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}.dash{stroke-width:1.4;stroke-dasharray:5 4}.band{opacity:.13}
${rules(0)}
@media (prefers-color-scheme:dark){text{fill:#9198a1}.title,.panel,.key{fill:#f0f6fc}.ground{fill:#0d1117;stroke:#3d444d}.grid{stroke:#21262d}.axis{stroke:#656c76}
${rules(1)}}`;

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Coordinates to a tenth of a pixel. */
const px = (value: number): string => String(Math.round(value * 10) / 10);

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${px(x)}" y="${px(y)}"${attributes === "" ? "" : ` ${attributes}`}>${escape(content)}</text>`;
}

const rule = (x1: number, y1: number, x2: number, y2: number, name: string): string =>
  `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" class="${name}"/>`;

/** A point of the i-th series: a circle, a square, a triangle or a diamond. */
function mark(i: number, x: number, y: number): string {
  const at = (points: readonly (readonly [number, number])[]): string =>
    `<path d="M${points.map(([dx, dy]) => `${px(x + dx * MARK)} ${px(y + dy * MARK)}`).join("L")}Z" class="f${i}"/>`;
  const shapes = [
    () => `<circle cx="${px(x)}" cy="${px(y)}" r="${MARK}" class="f${i}"/>`,
    () =>
      at([
        [-0.9, -0.9],
        [0.9, -0.9],
        [0.9, 0.9],
        [-0.9, 0.9],
      ]),
    () =>
      at([
        [0, -1.15],
        [1.15, 0.9],
        [-1.15, 0.9],
      ]),
    () =>
      at([
        [0, -1.3],
        [1.3, 0],
        [0, 1.3],
        [-1.3, 0],
      ]),
  ];
  return shapes[i % shapes.length]!();
}

/** Where values lie in the drawing. */
interface Place {
  readonly left: number;
  readonly width: number;
  readonly top: number;
  readonly x: Axis;
  readonly y: Axis;
}

function pathOf(points: readonly XY[], { left, width, top, x, y }: Place): string {
  const at = points.map(
    (point) => `${px(left + width * x.at(point.x))} ${px(top + PLOT_HEIGHT * (1 - y.at(point.y)))}`,
  );
  return `M${at.join("L")}`;
}

function drawSeries({ points, predicted }: Series, i: number, place: Place): string {
  const last = points.at(-1);
  if (last === undefined) return "";
  const color = i % COLORS.length;
  const parts: string[] = [];
  if (predicted !== undefined) {
    const [low, high] = [predicted.low, predicted.high].map((line) => [last, ...line]) as [XY[], XY[]];
    parts.push(`<path d="${pathOf([...low, ...high.toReversed()], place)}Z" class="band f${color}"/>`);
    parts.push(`<path d="${pathOf(low, place)}" class="line dash c${color}"/>`);
    parts.push(`<path d="${pathOf(high, place)}" class="line dash c${color}"/>`);
  }
  if (points.length > 1) parts.push(`<path d="${pathOf(points, place)}" class="line c${color}"/>`);
  for (const { x, y } of points) {
    parts.push(mark(i, place.left + place.width * place.x.at(x), place.top + PLOT_HEIGHT * (1 - place.y.at(y))));
  }
  return parts.join("\n");
}

function drawPanel({ title, series }: Panel, place: Place, isFirst: boolean): string {
  const { left, width, top, x, y } = place;
  const bottom = top + PLOT_HEIGHT;
  const parts = [text(left, top - 9, title, 'class="panel"')];
  for (const { value, label } of y.ticks) {
    const at = bottom - PLOT_HEIGHT * y.at(value);
    parts.push(rule(left, at, left + width, at, "grid"));
    if (isFirst) parts.push(text(left - 8, at + 4, label, 'text-anchor="end"'));
  }
  for (const { value, label } of x.ticks) {
    const at = left + width * x.at(value);
    parts.push(rule(at, top, at, bottom, "grid"), text(at, bottom + 17, label, 'text-anchor="middle"'));
  }
  parts.push(rule(left, bottom, left + width, bottom, "axis"));
  parts.push(...series.map((one, i) => drawSeries(one, i, place)));
  return parts.join("\n");
}

function drawLegend(series: readonly Series[], y: number): string {
  let x = MARGIN.left;
  const parts: string[] = [];
  // As wide as the letters of a common font are on average, and a little more.
  const advance = (label: string): number => 34 + 6.6 * label.length + 20;
  for (const [i, { label }] of series.entries()) {
    const color = i % COLORS.length;
    parts.push(rule(x, y - 4, x + 26, y - 4, `line c${color}`), mark(i, x + 13, y - 4));
    parts.push(text(x + 34, y, label, 'class="key"'));
    x += advance(label);
  }
  if (series.some(({ predicted }) => predicted !== undefined)) {
    parts.push(rule(x, y - 4, x + 26, y - 4, "axis dash"), text(x + 34, y, "predicted", 'class="key"'));
  }
  return parts.join("\n");
}

/** Draws a chart. */
export function lineChart({ title, subtitle, x, y, panels }: Chart): string {
  const all = panels.flatMap(({ series }) => series);
  const values = all.flatMap(({ points, predicted }) =>
    [...points, ...(predicted === undefined ? [] : [...predicted.low, ...predicted.high])].map((point) => point.y),
  );
  const axes = { x: axisOf(x.ticks), y: axisOver(values) };
  const top = MARGIN.top + MARGIN.panelTitle;
  const height = top + PLOT_HEIGHT + MARGIN.ticks + MARGIN.legend;
  const room = WIDTH - MARGIN.left - MARGIN.right - MARGIN.gap * (panels.length - 1);
  const width = room / panels.length;
  const middle = top + PLOT_HEIGHT / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escape(`${title}: ${subtitle}`)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect x=".5" y=".5" width="${WIDTH - 1}" height="${height - 1}" rx="6" class="ground"/>`,
    text(MARGIN.left, 28, title, 'class="title"'),
    text(MARGIN.left, 47, subtitle),
    text(0, 0, y.title, `text-anchor="middle" transform="translate(18 ${px(middle)}) rotate(-90)"`),
    ...panels.map((panel, i) => {
      const left = MARGIN.left + i * (width + MARGIN.gap);
      return drawPanel(panel, { left, width, top, ...axes }, i === 0);
    }),
    text(
      MARGIN.left + (WIDTH - MARGIN.left - MARGIN.right) / 2,
      top + PLOT_HEIGHT + 38,
      x.title,
      'text-anchor="middle"',
    ),
    drawLegend(panels[0]!.series, height - 16),
    "</svg>\n",
  ].join("\n");
}
