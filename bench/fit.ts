/**
 * Curves through measured points: growth, and what contention costs.
 */

export interface XY {
  readonly x: number;
  readonly y: number;
}

/** y = factor * x ^ exponent. */
export interface PowerFit {
  readonly exponent: number;
  readonly factor: number;
  /** Of the logarithms' variance, how much the curve explains: 1 is all of it. */
  readonly r2: number;
}

/** y = base + slope * x. */
export interface LineFit {
  readonly base: number;
  readonly slope: number;
}

/**
 * The universal scalability law (Gunther): n threads do n / (1 + sigma (n - 1) + kappa n (n - 1)) times the work of one.
 *
 * sigma is the part of the work for which they wait in line (with kappa 0 it is Amdahl's law); kappa what each pair of them
 * costs in keeping their caches alike.
 */
export interface Contention {
  readonly sigma: number;
  readonly kappa: number;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Weighted least squares; undefined without two different x. */
function leastSquares(points: readonly XY[], weights: readonly number[]): LineFit | undefined {
  const w = sum(weights);
  const meanX = sum(points.map(({ x }, i) => weights[i]! * x)) / w;
  const meanY = sum(points.map(({ y }, i) => weights[i]! * y)) / w;
  const sxx = sum(points.map(({ x }, i) => weights[i]! * (x - meanX) ** 2));
  if (!(sxx > 0)) return undefined;
  const slope = sum(points.map(({ x, y }, i) => weights[i]! * (x - meanX) * (y - meanY))) / sxx;
  return { base: meanY - slope * meanX, slope };
}

/** Fits a power of x by least squares of the logarithms; undefined without two different x. All must be over 0. */
export function powerFit(points: readonly XY[]): PowerFit | undefined {
  const logs = points.map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) }));
  const line = leastSquares(
    logs,
    logs.map(() => 1),
  );
  if (line === undefined) return undefined;
  const meanY = sum(logs.map(({ y }) => y)) / logs.length;
  const total = sum(logs.map(({ y }) => (y - meanY) ** 2));
  const rest = sum(logs.map(({ x, y }) => (y - line.base - line.slope * x) ** 2));
  return { exponent: line.slope, factor: Math.exp(line.base), r2: total === 0 ? 1 : 1 - rest / total };
}

/** Fits a line by least squares of the relative errors, so that small y count as much as large ones. */
export function lineFit(points: readonly XY[]): LineFit | undefined {
  return leastSquares(
    points,
    points.map(({ y }) => y ** -2),
  );
}

/** How much more `threads` do than one. */
export function speedUp({ sigma, kappa }: Contention, threads: number): number {
  return threads / (1 + sigma * (threads - 1) + kappa * threads * (threads - 1));
}

/**
 * The laws that fit measured speed-ups.
 *
 * One measured point above one thread leaves it open whether waiting (sigma) or the caches (kappa) took the rest: then
 * there are two laws, all of it the one or all of it the other, and the truth lies between. More points decide, and there
 * is one.
 *
 * @param points x: threads, over 1. y: how much more they did than one.
 */
export function contentionOf(points: readonly XY[]): Contention[] {
  // n / S - 1 = sigma (n - 1) + kappa n (n - 1): divided by n - 1 a line in n.
  const lost = points.map(({ x, y }) => ({ x, y: Math.max(0, (x / y - 1) / (x - 1)) }));
  if (lost.length === 0) return [];
  const mean = sum(lost.map(({ y }) => y)) / lost.length;
  const meanKappa = sum(lost.map(({ x, y }) => x * y)) / sum(lost.map(({ x }) => x * x));
  const line = leastSquares(
    lost,
    lost.map(() => 1),
  );
  const waiting = { sigma: mean, kappa: 0 };
  const caches = { sigma: 0, kappa: meanKappa };
  if (line === undefined) return [waiting, caches];
  if (line.slope < 0) return [waiting];
  return [line.base < 0 ? caches : { sigma: line.base, kappa: line.slope }];
}
