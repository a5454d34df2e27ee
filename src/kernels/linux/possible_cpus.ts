/**
 * How many CPUs a per-CPU value has slots for: the kernel's num_possible_cpus().
 */

/**
 * Counts the CPUs of a list as sysfs writes it: "0", "0-3", "0,2-3".
 *
 * @throws {RangeError} for anything else
 */
export function countCpus(list: string): number {
  let count = 0;
  for (const part of list.trim().split(",")) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part);
    const first = Number(range?.[1]);
    const last = Number(range?.[2] ?? range?.[1]);
    if (!(last >= first))
      throw new RangeError(`Cannot read "${list}" as a list of CPUs: "${part}" is no number and no range`);
    count += last - first + 1;
  }
  return count;
}
