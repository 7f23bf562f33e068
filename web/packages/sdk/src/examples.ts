/**
 * Labelled text from a file or a text box: CSV, TSV or JSON lines.
 *
 * The parser is our own (RFC 4180 quoting) because a row that is refused is named by the line on
 * which it starts, which the common parsers do not report once a quoted field spans lines.
 */

/** One labelled text. */
export interface Example {
  readonly text: string;
  readonly label: string;
}

/** A row that was not taken, by the line on which it starts. */
export interface RefusedLine {
  readonly line: number;
  readonly reason: string;
}

/** What a text held. */
export interface ParsedExamples {
  readonly examples: readonly Example[];
  readonly refused: readonly RefusedLine[];
  /** Things worth saying that refuse nothing. */
  readonly notices: readonly string[];
}

/** A row of fields, or why it is none. */
type Row = { line: number; fields: string[] } | { line: number; problem: string };

const LABEL_NAMES = ["label", "category", "intent"];

/** Reads labelled text; rows with labels that the task does not know are refused. */
export function parseExamples(source: string, labels: readonly string[]): ParsedExamples {
  const text = source.startsWith("\uFEFF") ? source.slice(1) : source;
  const rows = /^\s*\{/.test(text) ? jsonRows(text) : delimitedRows(text);
  const known = new Set(labels);
  const examples: Example[] = [];
  const refused: RefusedLine[] = [];
  for (const row of rows) {
    if ("problem" in row) {
      refused.push({ line: row.line, reason: row.problem });
      continue;
    }
    const [rawText = "", rawLabel = ""] = row.fields;
    const example = { text: rawText.trim(), label: rawLabel.trim() };
    const reason = refusal(example, known);
    if (reason === null) examples.push(example);
    else refused.push({ line: row.line, reason });
  }
  return { examples, refused, notices: notices(examples) };
}

function refusal({ text, label }: Example, known: ReadonlySet<string>): string | null {
  if (text === "") return "the text is empty";
  if (label === "") return "the label is empty";
  if (text.includes("\uFFFD")) return "the text is not valid UTF-8";
  if (!known.has(label)) return `the task has no label "${label.slice(0, 60)}"`;
  return null;
}

function notices(examples: readonly Example[]): string[] {
  const first = examples[0];
  if (first === undefined || examples.some((example) => example.label !== first.label)) return [];
  return [`All examples have the one label "${first.label}". That is allowed.`];
}

/** JSON lines: one object per line with `text` and a label. */
function* jsonRows(source: string): Generator<Row> {
  for (const [index, content] of source.split(/\r\n|\n|\r/).entries()) {
    const line = index + 1;
    if (content.trim() === "") continue;
    let value: unknown;
    try {
      value = JSON.parse(content);
    } catch {
      yield { line, problem: "not a JSON object" };
      continue;
    }
    const record = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
    const text = record["text"];
    const label = LABEL_NAMES.map((name) => record[name]).find((found) => found !== undefined);
    if (typeof text === "string" && typeof label === "string") yield { line, fields: [text, label] };
    else yield { line, problem: 'needs "text" and "label", both strings' };
  }
}

/** CSV or TSV, `[text, label]` per row whatever the order of the columns. */
function* delimitedRows(source: string): Generator<Row> {
  const firstLine = source.split(/\r\n|\n|\r/, 1)[0] ?? "";
  const delimiter = firstLine.includes("\t") ? "\t" : ",";
  let columns: { text: number; label: number; width: number } | null = null;
  for (const row of splitRows(source, delimiter)) {
    if ("problem" in row) {
      yield row;
      continue;
    }
    if (columns === null) {
      const header = headerColumns(row.fields);
      columns = header ?? { text: 0, label: 1, width: 2 };
      if (header !== null) continue;
    }
    if (row.fields.length === columns.width) {
      const { text, label } = columns;
      yield { line: row.line, fields: [row.fields[text] ?? "", row.fields[label] ?? ""] };
    } else {
      const found = row.fields.length;
      yield { line: row.line, problem: `${columns.width} columns expected, ${found} found` };
    }
  }
}

function headerColumns(fields: readonly string[]): { text: number; label: number; width: number } | null {
  const names = fields.map((field) => field.trim().toLowerCase());
  const text = names.indexOf("text");
  const label = names.findIndex((name) => LABEL_NAMES.includes(name));
  return text >= 0 && label >= 0 ? { text, label, width: fields.length } : null;
}

/** Rows with quoting as in RFC 4180; a row that breaks it is refused and reading goes on below it. */
function* splitRows(source: string, delimiter: string): Generator<Row> {
  let at = 0;
  let line = 1;
  while (at < source.length) {
    const row = readRow(source, at, delimiter);
    if (row.problem !== null) yield { line, problem: row.problem };
    else if (row.fields.length > 1 || row.fields[0]?.trim() !== "") yield { line, fields: row.fields };
    line += lineBreaks(source, at, row.end);
    at = row.end;
  }
}

interface ReadRow {
  fields: string[];
  problem: string | null;
  /** Where the next row begins. */
  end: number;
}

function readRow(source: string, start: number, delimiter: string): ReadRow {
  const fields: string[] = [];
  let at = start;
  for (;;) {
    if (source[at] === '"') {
      const quoted = readQuoted(source, at);
      if (quoted === null) return broken(source, start, "a quoted field does not end");
      fields.push(quoted.value);
      at = quoted.end;
      const next = source[at];
      if (next !== undefined && next !== delimiter && next !== "\n" && next !== "\r") {
        return broken(source, start, "text after a closing quote");
      }
    } else {
      const end = plainEnd(source, at, delimiter);
      fields.push(source.slice(at, end));
      at = end;
    }
    if (source[at] === delimiter) at += 1;
    else return { fields, problem: null, end: afterBreak(source, at) };
  }
}

function readQuoted(source: string, start: number): { value: string; end: number } | null {
  let value = "";
  let at = start + 1;
  for (;;) {
    const quote = source.indexOf('"', at);
    if (quote < 0) return null;
    value += source.slice(at, quote);
    if (source[quote + 1] !== '"') return { value, end: quote + 1 };
    value += '"';
    at = quote + 2;
  }
}

function broken(source: string, start: number, problem: string): ReadRow {
  let end = start;
  while (end < source.length && source[end] !== "\n" && source[end] !== "\r") end += 1;
  return { fields: [], problem, end: afterBreak(source, end) };
}

function plainEnd(source: string, start: number, delimiter: string): number {
  let at = start;
  while (at < source.length && source[at] !== delimiter && source[at] !== "\n" && source[at] !== "\r") at += 1;
  return at;
}

function afterBreak(source: string, at: number): number {
  if (source[at] === "\r" && source[at + 1] === "\n") return at + 2;
  return Math.min(at + 1, source.length);
}

function lineBreaks(source: string, start: number, end: number): number {
  return source.slice(start, end).match(/\r\n|\n|\r/g)?.length ?? 0;
}
