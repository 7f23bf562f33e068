// Prints the token ids that the page gives a text, for a comparison with the Rust crate's.
//
//   node token_ids.mjs TOKENIZER_JSON MAX_LENGTH [TEXTS_JSONL]
//
// Each line in, of the file or of standard input, is a JSON string; each line out is the array of
// its ids.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const [file, maxLength, texts] = process.argv.slice(2);
const source = join(dirname(fileURLToPath(import.meta.url)), "../packages/sdk/src/tokens.ts");
const { outputFiles } = await build({
  entryPoints: [source],
  bundle: true,
  write: false,
  platform: "node",
  format: "esm",
  target: "node20",
});
const { TextTokenizer } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);

const tokenizer = new TextTokenizer(readFileSync(file), Number(maxLength));
const lines = readFileSync(texts ?? process.stdin.fd, "utf8").split("\n");
for (const line of lines.filter((line) => line !== "")) {
  console.log(JSON.stringify([...tokenizer.pack([JSON.parse(line)]).tokens]));
}
