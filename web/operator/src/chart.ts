/** Cohorts as bars and accuracy as a line, one column per version: a small SVG, drawn by hand. */

import type { Evaluation, Round } from "./aggregator.ts";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 640;
const HEIGHT = 200;
const LEFT = 40;
const RIGHT = 52;
const TOP = 10;
const BOTTOM = 24;
/** One round alone does not fill the picture. */
const WIDEST_COLUMN = 64;
/** Columns that stay wide enough to be seen. */
const MOST_COLUMNS = 60;

/** Draws the newest rounds; the same numbers stand in the table beside it. */
export function chart(history: readonly Round[], evaluations: readonly Evaluation[]): SVGElement {
  const rounds = history.slice(-MOST_COLUMNS);
  const accuracy = new Map(evaluations.map((evaluation) => [evaluation.version, evaluation.accuracy]));
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": describe(rounds, accuracy) });
  const largest = Math.max(1, ...rounds.map((round) => round.clients));
  const column = Math.min(WIDEST_COLUMN, (WIDTH - LEFT - RIGHT) / Math.max(1, rounds.length));
  const y = (fraction: number) => TOP + (1 - fraction) * (HEIGHT - TOP - BOTTOM);
  for (const fraction of [0, 0.5, 1]) {
    svg.append(make("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(fraction), y2: y(fraction) }));
    // There is no half client.
    if (Number.isInteger(fraction * largest)) svg.append(text(String(fraction * largest), LEFT - 6, y(fraction) + 4, "end"));
    svg.append(text(`${fraction * 100} %`, WIDTH - RIGHT + 4, y(fraction) + 4, "start"));
  }
  const points: [number, number][] = [];
  for (const [index, round] of rounds.entries()) {
    const x = LEFT + index * column;
    svg.append(bar("survivors", x, column, y(round.survivors / largest), y(0)));
    svg.append(bar("dropped", x, column, y(round.clients / largest), y(round.survivors / largest)));
    const known = accuracy.get(round.version_before + 1);
    if (known !== undefined) points.push([x + column / 2, y(known)]);
  }
  if (points.length > 1) {
    const line = points.map(([x, height]) => `${x.toFixed(1)},${height.toFixed(1)}`);
    svg.append(make("polyline", { class: "accuracy", points: line.join(" ") }));
  }
  for (const [cx, cy] of points) svg.append(make("circle", { class: "point", cx, cy, r: 3.5 }));
  svg.append(text("cohort (bars, drop-outs on top)", LEFT, HEIGHT - 6, "start"));
  svg.append(text("accuracy (line)", WIDTH - RIGHT, HEIGHT - 6, "end"));
  return svg;
}

function describe(rounds: readonly Round[], accuracy: ReadonlyMap<number, number>): string {
  const clients = rounds.reduce((sum, round) => sum + round.clients, 0);
  const dropped = rounds.reduce((sum, round) => sum + round.dropped, 0);
  const known = rounds.map((round) => accuracy.get(round.version_before + 1)).filter((one) => one !== undefined);
  const first = known[0];
  const last = known[known.length - 1];
  const quality =
    first === undefined || last === undefined
      ? "no version evaluated"
      : `accuracy from ${(first * 100).toFixed(1)} % to ${(last * 100).toFixed(1)} %`;
  return `${rounds.length} rounds with ${clients} clients, ${dropped} of them dropped; ${quality}`;
}

function bar(name: string, x: number, column: number, top: number, bottom: number): SVGElement {
  return make("rect", { class: name, x: x + column * 0.15, width: column * 0.7, y: top, height: Math.max(0, bottom - top) });
}

function text(content: string, x: number, y: number, anchor: string): SVGElement {
  const element = make("text", { x, y, "text-anchor": anchor });
  element.textContent = content;
  return element;
}

function make(name: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
