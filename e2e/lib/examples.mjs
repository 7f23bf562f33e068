// The shares of data that tests hand to their visitors.
import { readFileSync } from "node:fs";

/** The first `count` rows of a share written by xtask: `{ text, label }`. */
export function someExamples(share, count) {
  const rows = readFileSync(share, "utf8").split("\n").slice(1, count + 1);
  return rows.map((row) => {
    const found = /^(?:"((?:[^"]|"")*)"|([^",]*)),(?:"((?:[^"]|"")*)"|([^",]*))$/.exec(row.trim());
    if (!found) throw new Error(`${share}: not a row of text and label: ${row}`);
    const [, quotedText, text, quotedLabel, label] = found;
    const plain = (quoted, bare) => (quoted === undefined ? bare : quoted.replaceAll('""', '"'));
    return { text: plain(quotedText, text), label: plain(quotedLabel, label) };
  });
}
