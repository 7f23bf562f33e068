// CPU time of the browser's whole process tree: on a software adapter, what a step costs whatever
// else this machine does. From /proc, in ticks of 10 ms.
import { readFileSync, readdirSync } from "node:fs";

const TICK_MS = 10;

/** CPU milliseconds of all descendants of this process, or `null` where there is no /proc. */
export function treeCpuMs(root = process.pid) {
  const children = new Map();
  const spent = new Map();
  let entries;
  try {
    entries = readdirSync("/proc");
  } catch {
    return null;
  }
  for (const entry of entries) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const siblings = children.get(fields[1]) ?? [];
      siblings.push(entry);
      children.set(fields[1], siblings);
      spent.set(entry, (Number(fields[11]) + Number(fields[12])) * TICK_MS);
    } catch {
      // The process ended between the listing and the reading.
    }
  }
  let total = 0;
  const stack = [String(root)];
  while (stack.length > 0) {
    for (const child of children.get(stack.pop()) ?? []) {
      total += spent.get(child);
      stack.push(child);
    }
  }
  return total;
}
