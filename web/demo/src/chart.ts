/** The loss chart: a small SVG, drawn by hand. */

import type { LossPoint } from "./state.ts";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 480;
const HEIGHT = 180;
const LEFT = 40;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 22;

/** Draws the losses of all steps into `host`; a dashed line marks each new version. */
export function drawLosses(host: HTMLElement, losses: readonly LossPoint[]): void {
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": describe(losses) });
  const top = Math.max(...losses.map((point) => point.loss), 0.1) * 1.05;
  const x = (index: number) => LEFT + (index / Math.max(1, losses.length - 1)) * (WIDTH - LEFT - RIGHT);
  const y = (loss: number) => TOP + (1 - loss / top) * (HEIGHT - TOP - BOTTOM);
  for (const tick of ticks(top)) {
    svg.append(make("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }));
    svg.append(label(tick.toFixed(top < 1 ? 2 : 1), LEFT - 6, y(tick) + 4, "end"));
  }
  for (const [index, point] of losses.entries()) {
    const before = losses[index - 1];
    if (before === undefined || before.version === point.version) continue;
    const middle = (x(index - 1) + x(index)) / 2;
    svg.append(make("line", { class: "version", x1: middle, x2: middle, y1: TOP, y2: HEIGHT - BOTTOM }));
  }
  if (losses.length > 0) {
    const points = losses.map((point, index) => `${x(index).toFixed(1)},${y(point.loss).toFixed(1)}`);
    svg.append(make("polyline", { class: "step", points: points.join(" ") }));
  }
  svg.append(label(`${losses.length} ${losses.length === 1 ? "step" : "steps"}`, WIDTH - RIGHT, HEIGHT - 6, "end"));
  host.replaceChildren(svg);
}

function describe(losses: readonly LossPoint[]): string {
  const first = losses[0];
  const last = losses[losses.length - 1];
  if (first === undefined || last === undefined) return "Loss per step: no steps yet";
  return `Loss per step: ${first.loss.toFixed(2)} at first, ${last.loss.toFixed(2)} after ${losses.length} steps`;
}

/** Round values from zero to below `top`, four or five of them. */
function ticks(top: number): number[] {
  const raw = top / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const unit = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw) ?? raw;
  const values: number[] = [];
  for (let value = 0; value <= top; value += unit) values.push(value);
  return values;
}

function label(text: string, x: number, y: number, anchor: string): SVGElement {
  const element = make("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

function make(name: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
